"""Times: seconds, half-open spans, and sums that are the same on every Python."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce
from typing import TypeVar

Seconds = float
"""A time or a duration in seconds; JSON integers stay integers."""

Span = tuple[Seconds, Seconds]
"""A half-open piece of a recording, `(start, end)` in seconds."""

Time = TypeVar("Time", int, float)
"""Seconds, or whole units of time."""


def united(spans: Iterable[tuple[Time, Time]]) -> list[tuple[Time, Time]]:
    """Join spans that overlap or touch; sorted.

    Example:
      >>> united([(4.0, 5.0), (0.0, 2.0), (1.0, 3.0), (3.0, 3.5)])
      [(0.0, 3.5), (4.0, 5.0)]
    """
    done: list[tuple[Time, Time]] = []
    for start, end in sorted(spans):
        if done and start <= done[-1][1]:
            done[-1] = done[-1][0], max(done[-1][1], end)
        else:
            done.append((start, end))
    return done


def sum_left_to_right(values: Iterable[Seconds]) -> Seconds:
    """Add numbers one after the other, from the integer 0.

    The built-in `sum` compensates rounding errors since Python 3.12, so its last digits depend on the interpreter.

    Example:
      >>> sum_left_to_right([0.1] * 10), sum_left_to_right([])
      (0.9999999999999999, 0)
    """
    return reduce(operator.add, values, 0)
