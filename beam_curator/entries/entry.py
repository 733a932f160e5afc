"""The entry: one manifest row, parsed and checked once, with its segments as columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from beam_curator.entries.json_lines import kind_of, parse_object
from beam_curator.entries.own_keys import TRACK_KEYS
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
      segments: those of `fields["segments"]` that can be used, objects.
      positions: where each of them stands in `fields["segments"]`.
      starts: start of each segment in seconds.
      ends: end of each segment in seconds.
      speakers: label of each segment; None, "" and other falsy labels count as no speaker.
      bandwidths: `metrics.bandwidth` of each segment in Hz, 0 where it is absent; infinite for the whole row of a track
        none of whose segments has one.
      sample_rate: `audio_sample_rate` in Hz.
      all_float: whether every time is a float (a JSON integer keeps its type in sums).
      strict: whether one bad segment or word is an error of the row.
    """

    fields: dict[str, Any]
    segments: list[dict[str, Any]]
    positions: Sequence[int]
    starts: list[Seconds]
    ends: list[Seconds]
    speakers: list[Any]
    bandwidths: list[float]
    sample_rate: float
    all_float: bool
    strict: bool

    @property
    def bad_segments(self) -> int:
        """Number of segments that are left out, because they have no usable times or another fault."""
        return len(self.fields["segments"]) - len(self.positions)

    def least_speakers(self, asked: int) -> int:
        """Return how many speakers a window needs where a number is asked for: on a track there is but one."""
        return min(asked, 1) if self.fields.keys() >= TRACK_KEYS else asked

    @classmethod
    def from_json(cls, line: bytes, *, strict: bool = False) -> Entry:
        """Parse and check one manifest line; see `from_fields`."""
        return cls.from_fields(parse_object(line), strict=strict)

    @classmethod
    def from_fields(cls, fields: dict[str, Any], *, strict: bool = False) -> Entry:
        """Check a row that is already a dict; `strict` refuses it for one bad segment, or a null for an absent value.

        Raises:
          EntryError: what is wrong with the row, where, and what to do; with the first segment, where all are bad.
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
            return cls._of_usable_segments(fields, strict)
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
            return cls._of_usable_segments(fields, strict)
        return cls(
            fields=fields,
            segments=segments,
            positions=range(len(segments)),
            starts=starts,
            ends=ends,
            speakers=speakers,
            bandwidths=_known_bandwidths(fields, segments, bandwidths),
            sample_rate=fields["audio_sample_rate"],
            all_float=times <= _FLOATS,
            strict=strict,
        )

    @classmethod
    def _of_usable_segments(cls, fields: dict[str, Any], strict: bool) -> Entry:
        """Make an entry of the segments that can be used, one by one: a null counts as an absent value."""
        _check_row(fields)
        positions = _usable(fields["segments"], strict)
        segments = [fields["segments"][position] for position in positions]
        widths = [_known(_known(item.get("metrics"), _NO_METRICS).get("bandwidth"), 0) for item in segments]
        starts, ends = [item["start"] for item in segments], [item["end"] for item in segments]
        return cls(
            fields=fields,
            segments=segments,
            positions=positions,
            starts=starts,
            ends=ends,
            speakers=[item.get("speaker") for item in segments],
            bandwidths=_known_bandwidths(fields, segments, widths),
            sample_rate=fields["audio_sample_rate"],
            all_float={*map(type, starts), *map(type, ends)} <= _FLOATS,
            strict=strict,
        )


def _known_bandwidths(fields: dict[str, Any], segments: list[dict[str, Any]], widths: list[float]) -> list[float]:
    """Return the bandwidths by which segments are judged: all infinite on a track of which none is known."""
    if any(widths) or not fields.keys() >= TRACK_KEYS:
        return widths
    is_known = any((item.get("metrics") or _NO_METRICS).get("bandwidth") is not None for item in segments)
    return widths if is_known else [math.inf] * len(segments)


def _in_range(starts: list[Seconds], ends: list[Seconds]) -> bool:
    inside = -MAX_SECONDS <= min(min(starts), min(ends)) and max(max(starts), max(ends)) <= MAX_SECONDS
    return inside and not math.isnan(sum(starts) + sum(ends))  # a NaN compares as if it were not there


def _check_row(fields: dict[str, Any]) -> None:
    """Raise the first thing that is wrong with a row besides its segments, in reading order."""
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


def _usable(segments: list[Any], strict: bool) -> list[int]:
    """Return the positions of the segments that can be used; where none of several can, raise the first error."""
    positions, errors = [], []
    for position, segment in enumerate(segments):
        try:
            _check_segment(segment, f"segments[{position}]", strict=strict)
        except EntryError as error:
            errors.append(error)
        else:
            positions.append(position)
    if errors and (strict or not positions):
        raise errors[0]
    return positions


def _known(value: Any, otherwise: Any) -> Any:
    return value if value is not None else otherwise


def _check_segment(segment: Any, where: str, *, strict: bool) -> None:
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
    absent = () if strict else (type(None),)
    metrics = segment.get("metrics", _NO_METRICS)
    _check_type(metrics, (dict, *absent), f"{where}.metrics", "an object")
    bandwidth = metrics.get("bandwidth", 0) if metrics else 0
    _check_type(bandwidth, (int, float, *absent), f"{where}.metrics.bandwidth", "a number of Hz")
    _check_type(segment.get("words", _NO_WORDS), (list, *absent), f"{where}.words", "an array")
    if isinstance(segment.get("speaker"), (list, dict)):
        _check_type(segment["speaker"], (str,), f"{where}.speaker", "a label")


def _check_type(value: Any, types: tuple[type, ...], where: str, expected: str) -> None:
    if not isinstance(value, types):
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"{where} is {kind_of(value)}, expected {expected}",
            "write it so, or leave the key out where it is not known",
        )
