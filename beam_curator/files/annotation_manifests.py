"""Files of turns as manifests, such as RTTM and TextGrids: each recording becomes a row, once its file was found."""

from __future__ import annotations

import os.path
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from beam_curator.audio_formats import AUDIO_EXTENSIONS
from beam_curator.entries.json_lines import encode
from beam_curator.failures import EntryError, Failure, FailureCode
from beam_curator.files import storage
from beam_curator.files.listing import recordings_below
from beam_curator.files.opened_recordings import base_of, sample_rate_of
from beam_curator.files.searching import NoInputError
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.formats.found_recordings import FoundRecording, recording_of_file, recordings_of_lines
from beam_curator.formats.registry import FORMATS, format_of
from beam_curator.recordings.asked import SESSION_KEY
from beam_curator.recordings.safe_names import stem_of
from beam_curator.sets.blocks import Line, Rows
from beam_curator.sets.set_options import InputOptions

READ_STAGE = "read"
_AUDIO = tuple(AUDIO_EXTENSIONS)
_LISTED_FOR = 60
"""Seconds for which a worker takes a listing to be true, while the folder itself is not changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationReading:
    """How the recordings of files of turns become rows.

    Attributes:
      audio_root: directory below which they are found; "" for that of the file.
      sample_rates: whether rows have `audio_sample_rate`, for which each recording is opened.
      needs_audio: whether a recording that is not found is a failure; else its row has its name alone.
      form: name of the format of all files; "" where their names tell it.
    """

    audio_root: str = ""
    sample_rates: bool = False
    needs_audio: bool = True
    form: str = ""

    def directory(self, source: str) -> str:
        """Return the directory below which the recordings of a file are found."""
        return self.audio_root or os.path.dirname(base_of(source)) or "."

    @classmethod
    def for_windows(cls, reading: InputOptions) -> AnnotationReading:
        """Return the reading of a job that makes windows, which needs the sample rate of each recording."""
        return cls(audio_root=reading.audio_root, sample_rates=True)


def annotated_rows(rows: Rows, source: str, reading: AnnotationReading) -> Rows:
    """Turn the lines of a file of turns into rows, each with the offset of its recording's first line.

    A recording that is not found, or has a line that cannot be read, is a failure.
    """
    lines = []
    for row in rows:
        if isinstance(row, Failure):
            yield row
        else:
            lines.append(row)
    for recording in _recordings(lines, source, reading.form):
        try:
            yield Line(offset=recording.offset, raw=_row_of(recording, source, reading))
        except EntryError as err:
            yield recording.failure(err, stage=READ_STAGE, source=source)


def _recordings(lines: Sequence[Line], source: str, form: str) -> list[FoundRecording]:
    of = FORMATS[form] if form else format_of(source)
    if of is None:
        raise ValueError(f"{source} is no file of turns")
    if of.read_fields is not None:
        return recordings_of_lines(lines, of.read_fields)
    return [recording_of_file(file, of, stem_of(source)) for file in lines]


def _row_of(recording: FoundRecording, source: str, reading: AnnotationReading) -> bytes:
    if recording.error is not None:
        raise recording.error
    directory = reading.directory(source)
    try:
        path = find_recording(recording.name, directory)
        entry = recording.entry(path)
    except EntryError:
        if reading.needs_audio:
            raise
        path = recording.name
        entry = recording.entry(path) | {SESSION_KEY: stem_of(path) if path.lower().endswith(_AUDIO) else path}
    if reading.sample_rates:
        entry["audio_sample_rate"] = sample_rate_of(storage.join(directory, path))
    try:
        return encode(entry)
    except UnicodeEncodeError as err:
        raise EntryError(
            FailureCode.BAD_UNICODE,
            f"the name of a speaker of {recording.name!r} is no text: {err}",
            "rename the speaker",
        ) from err


def find_recording(name: str, directory: str) -> str:
    """Return the path, relative to a directory, of the recording below it whose stem or file name is the given name.

    Raises:
      EntryError: there is none, or more than one.
    """
    try:
        found = _listed(directory, *_state_of(directory)).get(name, [])
    except (NoInputError, UnknownSchemeError, OSError) as err:
        raise EntryError(
            FailureCode.NOT_FOUND, f"no recording {name!r}: {err}", "name the directory of the recordings: --audio-root"
        ) from err
    if not found:
        raise EntryError(
            FailureCode.NOT_FOUND,
            f"no recording {name!r} below {directory}: expected {name}.wav or another kind of audio file",
            "name the directory of the recordings with --audio-root, or name the files as these turns do",
        )
    if len(found) > 1:
        shown = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
        raise EntryError(
            FailureCode.AMBIGUOUS,
            f"{len(found)} recordings {name!r} below {directory}: {shown}",
            "narrow --audio-root, or move the others away",
        )
    return found[0]


def _state_of(directory: str) -> tuple[str, int]:
    version = "" if storage.is_remote(directory) else storage.identity_of(directory)
    return version, int(time.monotonic() // _LISTED_FOR)


@lru_cache(maxsize=4)
def _listed(directory: str, version: str, moment: int) -> dict[str, list[str]]:
    """Return the recordings below a directory, which many files of one job ask for."""
    del version, moment
    return recordings_below(directory)
