"""Turns of recordings whose channels are heard one by one: their speakers, and the names of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings
from beam_curator.diarization.turns import Turn, turn_order


def turns_on(channel: int, turns: Iterable[Turn], n_slots: int) -> list[Turn]:
    """Return turns with their channel; of several channels, with speakers that no other channel has.

    Args:
      channel: counted from 0.
      turns: found on it, whose speakers are slots of the model.
      n_slots: of the model; 0 where no other channel is heard.

    Example:
      >>> [turn.speaker for turn in turns_on(2, [Turn(start=0, end=1, speaker=3)], 4)]
      [11]
    """
    return [replace(turn, speaker=channel * n_slots + turn.speaker, channel=channel) for turn in turns]


def named_by_channel(turns: Iterable[Turn], n_slots: int) -> list[Turn]:
    """Return the turns of all channels in order of time, with names: `channel_1`, or `channel_1_speaker_0` of several.

    Example:
      >>> turns = [*turns_on(0, [Turn(start=0, end=1, speaker=3)], 4),
      ...          *turns_on(1, [Turn(start=0, end=1, speaker=0), Turn(start=1, end=2, speaker=2)], 4)]
      >>> [turn.label for turn in named_by_channel(turns, 4)]
      ['channel_0', 'channel_1_speaker_0', 'channel_1_speaker_2']
    """
    turns = list(turns)
    voices: dict[int | None, set[int]] = {}
    for turn in turns:
        voices.setdefault(turn.channel, set()).add(turn.speaker)
    named = [
        replace(
            turn,
            name=f"channel_{turn.channel}"
            + (f"_speaker_{turn.speaker % n_slots}" if len(voices[turn.channel]) > 1 else ""),
        )
        for turn in turns
    ]
    return sorted(named, key=turn_order)


def joined_channels(turns: Sequence[Turn], found: Mapping[int | None, SpeakerEmbeddings]) -> SpeakerEmbeddings:
    """Return the embeddings of all channels as those of the recording.

    Args:
      turns: of the recording.
      found: embeddings of each channel, whose turns are those of the recording on it, in the same order.
    """
    waiting = {channel: iter(embeddings.turns) for channel, embeddings in found.items()}
    return SpeakerEmbeddings(
        speakers={speaker: vector for one in found.values() for speaker, vector in one.speakers.items()},
        turns=tuple(next(waiting[turn.channel]) for turn in turns),
        model=next((one.model for one in found.values()), None),
    )
