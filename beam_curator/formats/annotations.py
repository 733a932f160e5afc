"""The annotation: all that a file in a format of other tools says of one recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from beam_curator.diarization.rttm import LATEST, LineError
from beam_curator.entries.channel_key import CHANNEL_KEY
from beam_curator.intervals import Seconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word of a segment, half-open, seconds of the recording."""

    start: Seconds
    end: Seconds
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A piece of a recording in which somebody talks, half-open, in seconds.

    Attributes:
      speaker: "" where it is not known.
      text: of what is said; "" where it is not known.
      channel: from 0; None where it is not told.
      words: with their times, where these are known.
    """

    start: Seconds
    end: Seconds
    speaker: str = ""
    text: str = ""
    channel: int | None = None
    words: tuple[Word, ...] = ()

    def fields(self) -> dict[str, Any]:
        """Return the segment as an entry has it, unknown values left out.

        Example:
          >>> Segment(start=0.5, end=2, speaker="ana").fields()
          {'start': 0.5, 'end': 2, 'speaker': 'ana'}
        """
        fields: dict[str, Any] = {"start": self.start, "end": self.end}
        fields |= {"speaker": self.speaker} if self.speaker else {}
        fields |= {"text": self.text} if self.text else {}
        fields |= {CHANNEL_KEY: self.channel} if self.channel is not None else {}
        words = [{"word": word.word, "start": word.start, "end": word.end} for word in self.words]
        return fields | {"words": words} if words else fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A recording and its segments.

    Attributes:
      name: of the recording.
      audio: path or uri of its file; "" where it is not known.
      duration: seconds; None where it is not known.
      sample_rate: in Hz; None where it is not known.
      n_channels: None where it is not known.
      segments: in order of time.
    """

    name: str
    audio: str = ""
    duration: Seconds | None = None
    sample_rate: int | None = None
    n_channels: int | None = None
    segments: tuple[Segment, ...] = ()

    @property
    def end(self) -> Seconds:
        """Its duration, or where that is not known the latest end of a segment."""
        return max([self.duration or 0.0, *(segment.end for segment in self.segments)])


def checked_span(start: Seconds, end: Seconds, number: int) -> tuple[Seconds, Seconds]:
    """Return the times of a piece of a file, rounded to microseconds.

    Args:
      start, end: as the file has them.
      number: of the line, from 1.

    Raises:
      LineError: one is negative or too late, or the end comes before the start.
    """
    if start < 0:
        raise LineError(number, f"start {start:g} s, expected 0 or more", "shift the times, or remove the piece")
    if end < start:
        raise LineError(number, f"end {end:g} s, before its start {start:g} s", "exchange or correct the times")
    if not end <= LATEST:
        raise LineError(number, f"end {end:g}, expected {LATEST:g} s or before", "write the times in seconds")
    return round(start, 6), round(end, 6)


def line_at(text: str, position: int) -> int:
    """Return the number of the line, from 1, that holds a position of a text."""
    return text.count("\n", 0, position) + 1


def by_speaker(segments: Iterable[Segment]) -> dict[str, list[Segment]]:
    """Group segments by speaker, in the order in which these first talk."""
    found: dict[str, list[Segment]] = {}
    for segment in segments:
        found.setdefault(segment.speaker, []).append(segment)
    return found


def layers(spans: Sequence[tuple[int, int, T]]) -> list[list[tuple[int, int, T]]]:
    """Spread pieces over as few layers as hold them without overlaps; each is put into the first that has room.

    Args:
      spans: start, end in whole units, and whatever belongs to them; in order of time.

    Example:
      >>> layers([(0, 5, "a"), (3, 8, "b"), (5, 6, "c")])
      [[(0, 5, 'a'), (5, 6, 'c')], [(3, 8, 'b')]]
    """
    done: list[list[tuple[int, int, T]]] = []
    for span in spans:
        room = next((layer for layer in done if layer[-1][1] <= span[0]), None)
        if room is None:
            done.append([span])
        else:
            room.append(span)
    return done


def in_units(segments: Iterable[Segment], per_second: int) -> Iterator[tuple[int, int, Segment]]:
    """Yield segments with their times in whole units, in order; those without length after rounding are left out.

    Starts and ends are rounded alike, so that pieces that touch still touch.

    Example:
      >>> [times[:2] for times in in_units([Segment(start=0.5, end=1.2346), Segment(start=2, end=2.0001)], 1000)]
      [(500, 1235)]
    """
    for segment in sorted(segments, key=lambda segment: (segment.start, segment.end, segment.speaker)):
        first, last = round(segment.start * per_second), round(segment.end * per_second)
        if first < last:
            yield first, last, segment


def decimal(units: int, digits: int) -> str:
    """Return a time in whole units of so many decimals as seconds.

    Example:
      >>> decimal(12345, 3), decimal(5, 6)
      ('12.345', '0.000005')
    """
    return f"{units // 10**digits}.{units % 10**digits:0{digits}d}"


def one_line(text: str) -> str:
    """Return a text with single blanks in place of line breaks, tabs and runs of blanks."""
    return " ".join(text.split())
