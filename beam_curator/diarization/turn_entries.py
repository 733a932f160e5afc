"""From turns to entries: the rows that a job of diarization writes, which the other jobs read as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_curator.diarization.diarize_rules import ENTRY_KEYS
from beam_curator.diarization.turns import Turn, exclusive_turns, speakers_of
from beam_curator.entries.channel_key import CHANNEL_KEY, CLIP_PATH_KEY
from beam_curator.entries.own_keys import ORIGIN_KEY, PIECE_KEYS, UNMIXED_KEY, moved_aside, moved_back
from beam_curator.intervals import Seconds
from beam_curator.sets.output_set import WrittenFile

_OWN_ROW = frozenset({"recording_id", "num_speakers", "speakers_saturated", "exclusive_segments", "files"})
"""Keys that tell an entry of such a job from other rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFacts:
    """Facts about a recording that was diarized.

    Attributes:
      recording_id: names its files.
      audio_filepath: where a row does not say it.
      sample_rate: its own, Hz.
      duration: seconds of the whole recording.
      turns: in order of time.
      saturated: all speakers that the model has slots for talk: there may be more.
      bandwidths: of each turn, Hz; None where they were not asked for.
      non_speech: seconds of turns that were left out as nobody speaks there.
      clipped_ratio: share of the samples heard that are clipped; None where there are none.
      rttm: name of the .rttm file below the output; None where none was written.
      files: all files of the recording.
      unmixed: the channel that was heard in place of the mean, which loses sound; None where the mean was.
      crosstalk: seconds of turns that were left to a louder channel; None where channels were not heard one by one.
    """

    recording_id: str
    audio_filepath: str
    sample_rate: int
    duration: Seconds
    turns: tuple[Turn, ...]
    saturated: bool
    bandwidths: tuple[int, ...] | None = None
    non_speech: Seconds = 0.0
    clipped_ratio: float | None = None
    rttm: str | None = None
    files: tuple[WrittenFile, ...] = ()
    crosstalk: Seconds | None = None
    unmixed: int | None = None


def diarized_entry(
    fields: Mapping[str, Any], facts: EntryFacts, turns_key: str, diar_format: str, filepath_key: str = "audio_filepath"
) -> dict[str, Any]:
    """Return the entry of a recording.

    Keys of the row stay in their order, and an own value under a key that is added here moves to the same key with
    `input_` before it; so do `offset` and `PIECE_KEYS`, as the entry is all of its recording, and the `channel` of a
    row whose clip was heard. A row that such a job wrote before is taken as it was before it.

    Args:
      fields: those of the row that requested the recording.
      facts: the results.
      turns_key: key that the turns go under besides `segments`.
      diar_format: "dicts" for objects with start, end and speaker, "pairs" for [start, end], as the reference's stages
        write them.
      filepath_key: key that names the recording in the row.

    Example:
      >>> facts = EntryFacts(recording_id="a", audio_filepath="a.wav", sample_rate=8000, duration=2.0,
      ...                    turns=(Turn(start=0.5, end=1.25, speaker=1),), saturated=False)
      >>> entry = diarized_entry({"audio_filepath": "a.wav", "duration": 2, "lang": "de"}, facts, "turns", "pairs")
      >>> entry["segments"], entry["turns"], entry["input_duration"], entry["num_speakers"]
      ([{'start': 0.5, 'end': 1.25, 'speaker': 'speaker_1'}], [[0.5, 1.25]], 2, 1)
    """
    before = row_before(fields, turns_key, filepath_key)
    entry = moved_aside(before, _own_keys(turns_key, filepath_key))
    if "audio_filepath" not in entry:
        entry["audio_filepath"] = before.get(filepath_key, facts.audio_filepath)
    entry["audio_sample_rate"] = facts.sample_rate
    entry["duration"] = facts.duration
    entry["segments"] = list(_segments(facts.turns, facts.bandwidths))
    entry[turns_key] = _listed(facts.turns, diar_format)
    entry["exclusive_segments"] = _listed(exclusive_turns(facts.turns), "dicts")
    entry["num_speakers"] = len(speakers_of(facts.turns))
    entry["speakers_saturated"] = facts.saturated
    entry |= _findings(facts)
    entry["recording_id"] = facts.recording_id
    entry |= {} if facts.rttm is None else {"rttm_filepath": facts.rttm}
    entry["files"] = [list(file) for file in facts.files]
    return entry


def _findings(facts: EntryFacts) -> dict[str, Any]:
    """Return notes on the sound, of which most recordings have none."""
    found = {
        "non_speech_seconds": facts.non_speech or None,
        "clipped_ratio": facts.clipped_ratio,
        "crosstalk_seconds": facts.crosstalk,
        UNMIXED_KEY: facts.unmixed,
    }
    return {key: value for key, value in found.items() if value is not None}


def row_before(fields: Mapping[str, Any], turns_key: str, filepath_key: str = "audio_filepath") -> Mapping[str, Any]:
    """Return a row as it was before a job of diarization wrote it as an entry; other rows are as they are.

    Example:
      >>> facts = EntryFacts(recording_id="a", audio_filepath="a.wav", sample_rate=8000, duration=9.5,
      ...                    turns=(), saturated=False)
      >>> row_before(diarized_entry({"audio_filepath": "a.wav", "offset": 2}, facts, "turns", "dicts"), "turns")
      {'audio_filepath': 'a.wav', 'offset': 2}
    """
    return moved_back(fields, _own_keys(turns_key, filepath_key)) if fields.keys() >= _OWN_ROW else fields


def _own_keys(turns_key: str, filepath_key: str) -> set[str]:
    own = {*ENTRY_KEYS, turns_key, ORIGIN_KEY, "offset", *PIECE_KEYS}
    if filepath_key == CLIP_PATH_KEY:
        own.add(CHANNEL_KEY)
    return own if filepath_key == "audio_filepath" else own | {"audio_filepath"}


def _segments(turns: Sequence[Turn], bandwidths: Sequence[int] | None) -> Iterator[dict[str, Any]]:
    for number, turn in enumerate(turns):
        segment = _as_dict(turn)
        if bandwidths is not None:
            segment["metrics"] = {"bandwidth": bandwidths[number]}
        yield segment


def _listed(turns: Sequence[Turn], diar_format: str) -> list[Any]:
    return [_as_dict(turn) if diar_format == "dicts" else [turn.start, turn.end] for turn in turns]


def _as_dict(turn: Turn) -> dict[str, Any]:
    fields = {"start": turn.start, "end": turn.end, "speaker": turn.label}
    return fields if turn.channel is None else fields | {CHANNEL_KEY: turn.channel}


def files_of_entry(row: Mapping[str, Any]) -> Iterator[WrittenFile]:
    """Yield the files that belong to an entry.

    Example:
      >>> list(files_of_entry({"files": [["rttm/a.rttm", 9, "ff"]]}))
      [WrittenFile(name='rttm/a.rttm', n_bytes=9, sha256='ff')]
    """
    for name, n_bytes, sha256 in row["files"]:
        yield WrittenFile(name, n_bytes, sha256)
