"""The recordings that rows ask to be diarized, and the ids that they go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beam_curator.entries.channel_key import channel_of_row
from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds
from beam_curator.recordings.row_paths import path_in
from beam_curator.recordings.safe_names import stem_of

SESSION_KEY = "session_name"
_PATH_CURE = "name the key that holds the path with --audio-filepath-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The request of one row: a recording, or a piece of one.

    Attributes:
      path: of the recording, as the row has it.
      name: that the id is made of: `session_name` where the row has one, else the stem of the path.
      start: where the piece begins, seconds; 0 for the beginning.
      end: where it ends, seconds; None for the end of the recording.
      channel: to hear, from 0; None where the row names none.
    """

    path: str
    name: str
    start: Seconds = 0.0
    end: Seconds | None = None
    channel: int | None = None


def asked_by(row: Mapping[str, Any], filepath_key: str, *, member: str | None = None) -> Asked:
    """Return the recording, or the piece of one, that a row asks for.

    A row with `offset` or `duration` may be a piece of its recording: see `piece_of`.

    Args:
      row: of a manifest.
      filepath_key: key that names the recording.
      member: the recording of a row of a NeMo tarred dataset.

    Raises:
      EntryError: the row names no recording, or its piece or its channel is none.

    Example:
      >>> asked_by({"audio_filepath": "a.wav", "offset": 1.5, "duration": 2}, "audio_filepath")
      Asked(path='a.wav', name='a', start=1.5, end=3.5, channel=None)
    """
    path = member if member is not None else path_in(row, filepath_key, _PATH_CURE)
    session = row.get(SESSION_KEY)
    if session is not None and (not isinstance(session, str) or not session):
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"{SESSION_KEY} is {'empty' if session == '' else kind_of(session)}, expected a name or null",
            "write the name as a string, or leave the key out",
        )
    start, end = piece_of(row)
    return Asked(
        path=path,
        name=session if session is not None else stem_of(path),
        start=float(start),
        end=None if end is None else float(end),
        channel=channel_of_row(row, filepath_key),
    )


def piece_of(row: Mapping[str, Any]) -> tuple[Seconds, Seconds | None]:
    """Return where the piece that a row asks for begins and ends; None for the end of the recording.

    As in manifests of NeMo it is `duration` seconds long from `offset` on. Where one of them is null or absent, it
    begins with the recording, or ends with it. In the row of a track `duration` says how long its speaker talks, and
    `track_duration` how long it is.

    Raises:
      EntryError: it is none.

    Example:
      >>> piece_of({"offset": 1.5, "duration": 2}), piece_of({"offset": 1.5}), piece_of({"duration": 2})
      ((1.5, 3.5), (1.5, None), (0, 2))
    """
    start = 0 if row.get("offset") is None else _seconds(row["offset"], "offset")
    key = "track_duration" if row.get("track_duration") is not None else "duration"
    if row.get(key) is None:
        return start, None
    duration = _seconds(row[key], key)
    if duration == 0:
        raise EntryError(FailureCode.BAD_TIME, f"{key} is 0, expected seconds above it", "leave the row out")
    return start, start + duration


def _seconds(value: Any, key: str) -> Seconds:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"{key} is {kind_of(value)}, expected seconds",
            "write it as a number, or leave it out",
        )
    if not 0 <= value <= _LONGEST:
        found = "of hundreds of digits" if abs(value) > _LARGEST else f"{value:g}"
        raise EntryError(FailureCode.BAD_TIME, f"{key} {found} s is no time in a recording", "write seconds from 0 on")
    return value


_LONGEST = 1e9
_LARGEST = 1e300
"""Whole numbers of JSON may be beyond what a float holds."""
