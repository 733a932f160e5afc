"""From RTTM to entries: the lines of each recording, as the row of a manifest that names it and has its turns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from beam_curator.diarization.rttm import LineError, RttmTurn, parse_rttm, unescape_field
from beam_curator.failures import EntryError, Failure, FailureCode
from beam_curator.sets.blocks import PAYLOAD_BYTES, Line, beginning_of


@dataclass(slots=True, kw_only=True)
class RttmRecording:
    """All that an RTTM says of one recording.

    Attributes:
      name: of the recording, unescaped; "" for a broken line that names none.
      lines: in the order of the file.
      turns: of the lines that could be read.
      error: of the first line that could not.
    """

    name: str
    lines: list[Line] = field(default_factory=list)
    turns: list[RttmTurn] = field(default_factory=list)
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
        turns = sorted((turn.start, turn.end, turn.speaker) for turn in self.turns)
        segments = [{"start": start, "end": end, "speaker": speaker} for start, end, speaker in turns]
        return {"audio_filepath": audio_filepath, "segments": segments}

    def failure(self, error: EntryError, *, stage: str, source: str) -> Failure:
        """Return the dead letter of the recording, with its lines."""
        return failure_of_lines(self.lines, error, stage=stage, source=source)


def failure_of_lines(lines: Sequence[Line], error: EntryError, *, stage: str, source: str) -> Failure:
    """Return the dead letter of lines that make one row, at the place of the first."""
    text, begin = b"\n".join(line.raw for line in lines), lines[0].offset
    failure = Failure.from_error(error, stage=stage, source=source, offset=begin, payload=beginning_of(text))
    return replace(failure, payload_truncated=len(text) > PAYLOAD_BYTES)


def recordings_of_rttm(lines: Iterable[Line]) -> list[RttmRecording]:
    """Gather the lines of an RTTM by recording, in the order of their first lines.

    A line that cannot be read fails its recording, whose turns are not all known then; one that names no recording
    stands alone. Comments and line types without turns are skipped.

    Example:
      >>> lines = [Line(offset=0, raw=b"SPEAKER a 1 2.5 1.5 <NA> <NA> bob <NA> <NA>"),
      ...          Line(offset=44, raw=b"SPEAKER a 1 0.5 1.5 <NA> <NA> eve <NA> <NA>")]
      >>> recordings_of_rttm(lines)[0].entry("a.wav")["segments"]
      [{'start': 0.5, 'end': 2.0, 'speaker': 'eve'}, {'start': 2.5, 'end': 4.0, 'speaker': 'bob'}]
    """
    found: dict[str | int, RttmRecording] = {}
    for line in lines:
        turns, error = _read(line)
        if error is None and not turns:
            continue
        name = turns[0].recording_id if turns else _name_in(line.raw)
        recording = found.setdefault(name or line.offset, RttmRecording(name=name))
        recording.lines.append(line)
        recording.turns += turns
        recording.error = recording.error or error
    return list(found.values())


def _read(line: Line) -> tuple[list[RttmTurn], EntryError | None]:
    """Return the turn of a line, if it has one, and the reason why it cannot be read, if it cannot."""
    try:
        return parse_rttm(line.raw.decode("utf-8")), None
    except UnicodeDecodeError as err:
        what = f"byte {line.raw[err.start]:#04x} at position {err.start} is not UTF-8"
        return [], EntryError(FailureCode.BAD_UTF8, f"line at byte {line.offset}: {what}", "convert the RTTM to UTF-8")
    except LineError as err:
        _, what, cure = err.args
        return [], EntryError(FailureCode.BAD_RTTM, f"line at byte {line.offset}: {what}", cure)


def _name_in(raw: bytes) -> str:
    """Return the recording that a broken line names; "" where it names none."""
    fields = raw.decode("utf-8", "backslashreplace").split()
    return unescape_field(fields[1]) if fields[0] == "SPEAKER" and len(fields) > 1 else ""
