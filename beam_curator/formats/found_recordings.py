"""From files of turns to entries: each recording that one names, as the row of a manifest with its segments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from beam_curator.diarization.rttm import LineError, parsed_lines, unescape_field
from beam_curator.failures import EntryError, Failure, FailureCode
from beam_curator.formats.annotations import Segment
from beam_curator.formats.decoding import text_of
from beam_curator.formats.registry import FieldsReader, Format, read_annotations
from beam_curator.sets.blocks import PAYLOAD_BYTES, Line, beginning_of


@dataclass(slots=True, kw_only=True)
class FoundRecording:
    """All that a file says of one recording.

    Attributes:
      name: of the recording, unescaped; "" for a broken line that names none.
      lines: in the order of the file; a file that has no lines of its own is one.
      segments: of what could be read.
      error: of the first line that could not.
    """

    name: str
    lines: list[Line] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    error: EntryError | None = None

    @property
    def offset(self) -> int:
        """Byte offset of its first line."""
        return self.lines[0].offset

    def entry(self, audio_filepath: str) -> dict[str, Any]:
        """Return the recording as the row of a manifest.

        Raises:
          EntryError: a line could not be read, so that not all turns are known.
        """
        if self.error is not None:
            raise self.error
        segments = sorted(self.segments, key=lambda segment: (segment.start, segment.end, segment.speaker))
        return {"audio_filepath": audio_filepath, "segments": [segment.fields() for segment in segments]}

    def failure(self, error: EntryError, *, stage: str, source: str) -> Failure:
        """Return the dead letter of the recording, with its lines."""
        return failure_of_lines(self.lines, error, stage=stage, source=source)


def failure_of_lines(lines: Sequence[Line], error: EntryError, *, stage: str, source: str) -> Failure:
    """Return the dead letter of lines that make one row, at the place of the first."""
    text, begin = b"\n".join(line.raw for line in lines), lines[0].offset
    failure = Failure.from_error(error, stage=stage, source=source, offset=begin, payload=beginning_of(text))
    return replace(failure, payload_truncated=len(text) > PAYLOAD_BYTES)


def recordings_of_lines(lines: Iterable[Line], read: FieldsReader) -> list[FoundRecording]:
    """Gather the lines of a file by recording, in the order of their first lines.

    A line that cannot be read fails its recording, whose turns are not all known then; one that names no recording
    stands alone. Comments and line types without turns are skipped.

    Example:
      >>> from beam_curator.formats.transcripts import rttm_segment
      >>> lines = [Line(offset=0, raw=b"SPEAKER a 1 2.5 1.5 <NA> <NA> bob <NA> <NA>"),
      ...          Line(offset=44, raw=b"SPEAKER a 1 0.5 1.5 <NA> <NA> eve <NA> <NA>")]
      >>> recordings_of_lines(lines, rttm_segment)[0].entry("a.wav")["segments"]
      [{'start': 0.5, 'end': 2.0, 'speaker': 'eve'}, {'start': 2.5, 'end': 4.0, 'speaker': 'bob'}]
    """
    found: dict[str | int, FoundRecording] = {}
    for line in lines:
        named, error = _read(line, read)
        if error is None and named is None:
            continue
        name = named[0] if named is not None else _name_in(line.raw)
        recording = found.setdefault(name or line.offset, FoundRecording(name=name))
        recording.lines.append(line)
        recording.segments += [named[1]] if named is not None else []
        recording.error = recording.error or error
    return list(found.values())


def recording_of_file(file: Line, of: Format, name: str) -> FoundRecording:
    """Return the recording of a file that is about one alone.

    Args:
      file: all of it.
      of: its format.
      name: of the recording, where the file does not say it.
    """
    found = FoundRecording(name=name, lines=[file])
    try:
        ((found.name, found.segments),) = read_annotations(of, text_of(file.raw), name).items()
    except EntryError as err:
        found.error = err
    except LineError as err:
        number, what, cure = err.args
        found.error = EntryError(FailureCode.BAD_TURNS, f"line {number}: {what}", cure)
    return found


def _read(line: Line, read: FieldsReader) -> tuple[tuple[str, Segment] | None, EntryError | None]:
    """Return the recording and segment of a line, if it has a turn, and the reason why it cannot be read."""
    try:
        return next(iter(parsed_lines(line.raw.decode("utf-8"), read)), None), None
    except UnicodeDecodeError as err:
        what = f"byte {line.raw[err.start]:#04x} at position {err.start} is not UTF-8"
        return None, EntryError(
            FailureCode.BAD_UTF8, f"line at byte {line.offset}: {what}", "convert the file to UTF-8"
        )
    except LineError as err:
        _, what, cure = err.args
        return None, EntryError(FailureCode.BAD_TURNS, f"line at byte {line.offset}: {what}", cure)


def _name_in(raw: bytes) -> str:
    """Return the recording that a broken line names; "" where it names none."""
    fields = raw.decode("utf-8", "backslashreplace").split()
    return unescape_field(fields[1]) if fields[0] == "SPEAKER" and len(fields) > 1 else ""
