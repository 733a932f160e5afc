"""The plan for one recording: the tracks that are made of it, and why some speakers have none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from beam_curator.audio import AudioInfo
from beam_curator.entries.channel_key import check_channel
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.shares import SpeakerSpans, separate_speakers
from beam_curator.separation.speaker_turns import (
    SpeakerTurn,
    channels_of_speakers,
    clamp_turns,
    natural_order,
)
from beam_curator.separation.tracks import TrackPlan, track_plan

OUTSIDE = "outside"
"""Why a speaker has no track whose turns all begin behind the end of the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlan:
    """The tracks that are made of one recording, and the speakers without a track.

    Attributes:
      speakers: who have a track, in natural order.
      tracks: of each of them.
      dropped: who have none, and why: a `Reason`, or `OUTSIDE`.
      n_cut: turns that ended behind the end of the recording, and end with it now.
      n_outside: turns that began there, and are gone.
    """

    speakers: tuple[SpeakerSpans, ...]
    tracks: tuple[TrackPlan, ...]
    dropped: dict[str, str]
    n_cut: int
    n_outside: int


def plan_recording(turns: Iterable[SpeakerTurn], info: AudioInfo, rules: SeparationRules) -> RecordingPlan:
    """Share out the speech of a recording, and plan a track for every speaker who gets a share.

    One whose turns all name one channel has a track of it. Where all do, those of different channels do not overlap.

    Args:
      turns: as of `turns_of_row`.
      info: of the recording.
      rules: which speech goes on a track.

    Raises:
      EntryError: the recording was cut off before a turn ends, or lacks its channel.

    Example:
      >>> info = AudioInfo(sample_rate=8000, n_samples=32000, n_channels=1, container="wav", codec="pcm_16")
      >>> turns = [SpeakerTurn(start=0, end=9, speaker="ana"), SpeakerTurn(start=5, end=6, speaker="bo")]
      >>> plan = plan_recording(turns, info, SeparationRules())
      >>> plan.speakers[0].spans, plan.dropped, plan.n_cut, plan.n_outside
      (((0.0, 4.0),), {'bo': 'outside'}, 1, 1)
    """
    duration = info.n_samples / info.sample_rate
    clamped = clamp_turns(_checked(turns, info), duration)
    if info.truncated:
        _refuse_late_turns(clamped.n_cut + clamped.n_outside, duration)
    speakers, tracks = [], []
    dropped: dict[str, str] = dict.fromkeys(clamped.speakers_outside, OUTSIDE)
    for found, channel in _shares(clamped.turns, rules, duration):
        track = track_plan(found.spans, info.sample_rate, info.n_samples, compact=rules.compact)
        if track.n_kept:
            speakers.append(found)
            tracks.append(replace(track, channel=channel))
        else:
            dropped[found.speaker] = found.reason or "too_short"
    return RecordingPlan(
        speakers=tuple(speakers),
        tracks=tuple(tracks),
        dropped=dropped,
        n_cut=clamped.n_cut,
        n_outside=clamped.n_outside,
    )


def _checked(turns: Iterable[SpeakerTurn], info: AudioInfo) -> Iterator[SpeakerTurn]:
    for turn in turns:
        check_channel(turn.channel, info.n_channels)
        yield turn


def _shares(
    turns: Sequence[SpeakerTurn], rules: SeparationRules, duration: Seconds
) -> Iterator[tuple[SpeakerSpans, int | None]]:
    """Yield the share of each speaker, and their channel; if a track holds all channels, all speakers overlap."""
    channels = channels_of_speakers(turns)
    together = [turns]
    if None not in channels.values():
        together = [[turn for turn in turns if turn.channel == channel] for channel in set(channels.values())]
    shares = (share for heard in together for share in separate_speakers(heard, rules, duration))
    for share in sorted(shares, key=lambda share: natural_order(share.speaker)):
        yield share, channels[share.speaker]


def _refuse_late_turns(n_late: int, duration: Seconds) -> None:
    if n_late:
        raise EntryError(
            FailureCode.TRUNCATED_AUDIO,
            f"the recording was cut off behind {duration:.3f} s; turns that end later: {n_late}",
            "copy the file again from its source",
        )
