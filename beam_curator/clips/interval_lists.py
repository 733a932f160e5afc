"""Lists of pieces: put in time order, checked one by one, so that a bad one does not take the others with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from beam_curator.clips.records import BadInterval, ClipRequest, Fields, Interval
from beam_curator.entries.entry import MAX_SECONDS
from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Span

MAX_TIME = MAX_SECONDS
"""Times beyond this, in whatever unit, are refused, as in entries."""

_UNITS = {"ms": "milliseconds", "s": "seconds"}


def is_time(value: Any) -> bool:
    """Say whether a value is a number that can be a time: neither a boolean, nor NaN, nor beyond `MAX_TIME`.

    Example:
      >>> is_time(3), is_time(True), is_time(None), is_time(float("nan")), is_time(-1e13)
      (True, False, False, False, False)
    """
    return type(value) in (int, float) and -MAX_TIME <= value <= MAX_TIME


def time_at(value: Any, where: str, unit: str) -> float:
    """Return a value that has to be a time.

    Args:
      value: the value found.
      where: its place in the row.
      unit: "ms" or "s".

    Raises:
      EntryError: it is none; BAD_TIME.
    """
    if not is_time(value):
        found = repr(value)[:24] if type(value) in (int, float) else kind_of(value)
        raise EntryError(
            FailureCode.BAD_TIME,
            f"{where} is {found}, expected {_UNITS[unit]} between -{MAX_TIME:g} and {MAX_TIME:g}",
            f"write the time in {_UNITS[unit]} as a number",
        )
    time: float = value
    return time


def check_forward(start: float, end: float, where: str, unit: str) -> None:
    """Raise BAD_TIME unless a piece has a length: one that is empty or reversed is never cut."""
    if not start < end:
        raise EntryError(
            FailureCode.BAD_TIME,
            f"{where} runs from {start!r} to {end!r} {unit}, expected an end after the start",
            "correct its times, or leave it out",
        )


def checked_list(row: Fields, key: str) -> list[Any]:
    """Return the list under a key.

    Raises:
      EntryError: the key is missing, or its value is not an array.
    """
    if key not in row:
        raise EntryError(FailureCode.MISSING_KEY, f"key '{key}' is absent", f"add '{key}', or choose another --what")
    items = row[key]
    if not isinstance(items, (list, tuple)):
        raise EntryError(
            FailureCode.BAD_TYPE, f"{key} is {kind_of(items)}, expected an array", "write [] where there are none"
        )
    return list(items)


def span_of(item: Any, where: str) -> Span:
    """Return begin and end in seconds of a pair `[start, end]` or an object with `start` and `end`.

    Both forms occur in the reference: its separator writes pairs, its diarizer objects.

    Raises:
      EntryError: it is neither, or a time is absent or none.

    Example:
      >>> span_of([0.5, 2], "turn"), span_of({"start": 0.5, "end": 2, "speaker": "ana"}, "turn")
      ((0.5, 2), (0.5, 2))
    """
    if isinstance(item, dict):
        for key in ("start", "end"):
            if key not in item:
                raise EntryError(FailureCode.MISSING_KEY, f"{where}.{key} is absent", f"add the {key} time in seconds")
        places, span = (f"{where}.start", f"{where}.end"), (item["start"], item["end"])
    elif isinstance(item, (list, tuple)) and len(item) == 2:
        places, span = (f"{where}[0]", f"{where}[1]"), (item[0], item[1])
    else:
        found = f"an array of {len(item)}" if isinstance(item, (list, tuple)) else kind_of(item)
        raise EntryError(
            FailureCode.BAD_TYPE,
            f"{where} is {found}, expected [start, end] or an object with start and end",
            "write its times in seconds",
        )
    return time_at(span[0], places[0], "s"), time_at(span[1], places[1], "s")


def start_of(item: Any) -> float:
    """Return the begin of a piece for putting it in order, infinity where it has none that could be used."""
    first = item[0] if isinstance(item, (list, tuple)) and item else None
    start: Any = item.get("start") if isinstance(item, dict) else first
    return float(start) if is_time(start) else math.inf


def in_time_order(items: Sequence[Any], key: str, start: Callable[[Any], float] = start_of) -> Iterator[Interval]:
    """Yield pieces by their begin; equal ones stay in order, ones without a begin come last.

    Example:
      >>> [(piece.index, piece.where) for piece in in_time_order([[5, 6], [None, 2], [1, 2]], "turns")]
      [(0, 'turns[2]'), (1, 'turns[0]'), (2, 'turns[1]')]
    """
    order = sorted(range(len(items)), key=lambda position: start(items[position]))
    for index, position in enumerate(order):
        yield Interval(index=index, where=f"{key}[{position}]", item=items[position])


def each_alone(
    pieces: Iterator[Interval], request: Callable[[Interval], ClipRequest], alone: Callable[[Interval], Fields]
) -> list[ClipRequest | BadInterval]:
    """Ask for each piece; one that cannot be asked for becomes a `BadInterval`.

    Args:
      pieces: in time order.
      request: makes the request of one piece, or raises an EntryError.
      alone: returns the row with one piece alone.
    """
    done: list[ClipRequest | BadInterval] = []
    for piece in pieces:
        try:
            done.append(request(piece))
        except EntryError as error:
            done.append(BadInterval(error=error.with_traceback(None), fields=alone(piece)))
    return done
