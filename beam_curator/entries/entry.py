"""The entry: one manifest row, parsed and checked once, with its segments as columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn

from beam_curator.entries.json_lines import kind_of, parse_object
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds

REQUIRED_KEYS = ("audio_filepath", "segments", "audio_sample_rate")
MAX_SECONDS = 1e12
"""Times beyond this are refused: their differences could not be told from rounding, or would overflow."""

MAX_SAMPLE_RATE = 1e12

_NUMBERS = frozenset({float, int, bool})
_FLOATS = frozenset({float})
_LISTS = frozenset({list})
_NO_METRICS: dict[str, Any] = {}
_NO_WORDS: list[Any] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One manifest row: its fields as they came, and as columns the values of its segments that the rules read.

    Attributes:
      fields: the whole row, untouched, in the order of its keys.
      segments: `fields["segments"]`, a list of objects.
      starts: start of each segment in seconds.
      ends: end of each segment in seconds.
      speakers: label of each segment; None, "" and other falsy labels count as no speaker.
      bandwidths: `metrics.bandwidth` of each segment in Hz, 0 where it is absent.
      sample_rate: `audio_sample_rate` in Hz.
      all_float: whether every time is a float (a JSON integer keeps its type in sums).
    """

    fields: dict[str, Any]
    segments: list[dict[str, Any]]
    starts: list[Seconds]
    ends: list[Seconds]
    speakers: list[Any]
    bandwidths: list[float]
    sample_rate: float
    all_float: bool

    @classmethod
    def from_json(cls, line: bytes) -> Entry:
        """Parse and check one manifest line.

        Raises:
          EntryError: what is wrong with the line, where, and what to do.
        """
        return cls.from_fields(parse_object(line))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Entry:
        """Check a row that is already a dict.

        Raises:
          EntryError: what is wrong with the row, where, and what to do.
        """
        try:
            segments = fields["segments"]
            starts = [segment["start"] for segment in segments]
            ends = [segment["end"] for segment in segments]
            bandwidths = [segment.get("metrics", _NO_METRICS).get("bandwidth", 0) for segment in segments]
            speakers = [segment.get("speaker") for segment in segments]
            words = {type(segment.get("words", _NO_WORDS)) for segment in segments}
            set(speakers)
        except (KeyError, TypeError, AttributeError):
            _raise_what_is_wrong(fields)
        times = {*map(type, starts), *map(type, ends)}
        if not (
            type(segments) is list
            and times <= _NUMBERS
            and _NUMBERS.issuperset(map(type, bandwidths))
            and words <= _LISTS
            and type(fields.get("audio_sample_rate")) in _NUMBERS
            and abs(fields["audio_sample_rate"]) <= MAX_SAMPLE_RATE
            and "audio_filepath" in fields
            and (not starts or _in_range(starts, ends))
        ):
            _raise_what_is_wrong(fields)
        return cls(
            fields=fields,
            segments=segments,
            starts=starts,
            ends=ends,
            speakers=speakers,
            bandwidths=bandwidths,
            sample_rate=fields["audio_sample_rate"],
            all_float=times <= _FLOATS,
        )


def _in_range(starts: list[Seconds], ends: list[Seconds]) -> bool:
    inside = -MAX_SECONDS <= min(min(starts), min(ends)) and max(max(starts), max(ends)) <= MAX_SECONDS
    return inside and not math.isnan(sum(starts) + sum(ends))  # a NaN compares as if it were not there


def _raise_what_is_wrong(fields: dict[str, Any]) -> NoReturn:
    """Raise the first thing that is wrong with a row, in reading order."""
    for key in REQUIRED_KEYS:
        if key not in fields:
            raise EntryError(FailureCode.MISSING_KEY, f"key '{key}' is absent", f"add '{key}' to the entry")
    rate = fields["audio_sample_rate"]
    if type(rate) not in _NUMBERS or not abs(rate) <= MAX_SAMPLE_RATE:
        found = kind_of(rate) if type(rate) not in _NUMBERS else repr(rate)[:24]
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"audio_sample_rate is {found}, expected a number of Hz up to {MAX_SAMPLE_RATE:g}",
            "write the sample rate of the recording",
        )
    segments = fields["segments"]
    if type(segments) is not list:
        raise EntryError(
            FailureCode.BAD_TYPE, f"segments is {kind_of(segments)}, expected an array", "write [] where there are none"
        )
    for index, segment in enumerate(segments):
        _check_segment(segment, f"segments[{index}]")
    raise AssertionError("the row was refused, but nothing is wrong with it")  # pragma: no cover


def _check_segment(segment: Any, where: str) -> None:
    if type(segment) is not dict:
        raise EntryError(
            FailureCode.BAD_TYPE, f"{where} is {kind_of(segment)}, expected an object", "write segments as objects"
        )
    for key in ("start", "end"):
        if key not in segment:
            raise EntryError(FailureCode.MISSING_KEY, f"{where}.{key} is absent", f"add the {key} time in seconds")
        time = segment[key]
        if type(time) not in _NUMBERS or not -MAX_SECONDS <= time <= MAX_SECONDS:
            found = kind_of(time) if type(time) not in _NUMBERS else repr(time)[:24]
            raise EntryError(
                FailureCode.BAD_TIME,
                f"{where}.{key} is {found}, expected seconds between -{MAX_SECONDS:g} and {MAX_SECONDS:g}",
                f"write the {key} time in seconds as a number",
            )
    _check_type(segment.get("metrics", _NO_METRICS), (dict,), f"{where}.metrics", "an object")
    bandwidth = segment.get("metrics", _NO_METRICS).get("bandwidth", 0)
    _check_type(bandwidth, (int, float), f"{where}.metrics.bandwidth", "a number of Hz")
    _check_type(segment.get("words", _NO_WORDS), (list,), f"{where}.words", "an array")
    if isinstance(segment.get("speaker"), (list, dict)):
        _check_type(segment["speaker"], (str,), f"{where}.speaker", "a label")


def _check_type(value: Any, types: tuple[type, ...], where: str, expected: str) -> None:
    if not isinstance(value, types):
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"{where} is {kind_of(value)}, expected {expected}",
            "write it so, or leave the key out where it is not known",
        )
