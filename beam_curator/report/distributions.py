"""Distributions of values, as bars whose edges are the thresholds that one may try, each with an exact count."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from beam_curator.intervals import Seconds
from beam_curator.sets.counting import microseconds

MOST_EXACT = 50_000
"""Different values that are held; further ones go into the bars that those give."""
MOST_EDGES = 200
_STEPS = (1, 2, 5, 10)


class Distribution:
    """Counts values and their seconds; memory is bounded, whatever their number.

    Args:
      limits: values that shall be edges, such as a threshold in force.
    """

    def __init__(self, limits: Sequence[float] = ()) -> None:
        self._limits = limits
        self._values: dict[float, list[int]] = {}
        self.edges: list[float] = []
        self._bars: list[list[int]] = []

    def add(self, value: float, seconds: Seconds) -> None:
        """Count a value, and the seconds that it stands for."""
        if self.edges:
            self._put(value, 1, microseconds(seconds))
            return
        counted = self._values.setdefault(value, [0, 0])
        counted[0] += 1
        counted[1] += microseconds(seconds)
        if len(self._values) > MOST_EXACT:
            self._fold()

    def bars(self) -> list[list[int]]:
        """Return for each edge the values from it on, below the next: their number, and their microseconds.

        The first bar is that of the least value or less, so that nothing is left out.

        Example:
          >>> found = Distribution()
          >>> for value in (3, 1, 3):
          ...     found.add(value, 0.5)
          >>> found.bars(), found.edges
          ([[1, 500000], [2, 1000000]], [1, 3])
        """
        if not self.edges:
            self._fold()
        return self._bars

    def _fold(self) -> None:
        values, self._values = self._values, {}
        self.edges = edges_of(sorted(values), self._limits)
        self._bars = [[0, 0] for _ in self.edges]
        for value, counted in values.items():
            self._put(value, *counted)

    def _put(self, value: float, n: int, us: int) -> None:
        if value < self.edges[0]:
            self.edges.insert(0, value)
            self._bars.insert(0, [0, 0])
        bar = self._bars[bisect_right(self.edges, value) - 1]
        bar[0] += n
        bar[1] += us


def edges_of(values: Sequence[float], limits: Sequence[float] = ()) -> list[float]:
    """Return the values themselves where there are few; else round numbers from the least on, and the limits.

    Args:
      values: ascending, no two equal.
      limits: further edges, unless they are beyond the values.

    Example:
      >>> edges_of([1, 2, 5], [3]), edges_of([n / 7 for n in range(1000)])[:4]
      ([1, 2, 3, 5], [0.0, 1.0, 2.0, 3.0])
    """
    own = [limit for limit in limits if values and values[0] <= limit <= values[-1]]
    if len(values) <= MOST_EDGES:
        return sorted({*values, *own})
    # a few values far away from all others do not decide the width of the bars
    low, high = values[len(values) // 200], values[-1 - len(values) // 200]
    step = _step((high - low) / (MOST_EDGES * 0.9))
    first, last = math.floor(low / step), math.floor(high / step)
    rounded = [_round(n * step, step) for n in range(first, last + 1)]
    return sorted({values[0], *own, *(edge for edge in rounded if edge > values[0])})


def _step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    return next(factor * power for factor in _STEPS if factor * power >= least * (1 - 1e-9))


def _round(value: float, step: float) -> float:
    return round(value, max(0, 2 - math.floor(math.log10(step))))


def kept_from(bars: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return how much each edge would keep as the least value: the number, and the microseconds.

    Example:
      >>> kept_from([[1, 10], [2, 40]])
      [(3, 50), (2, 40)]
    """
    numbers, us = ([*accumulate(bar[part] for bar in reversed(bars))] for part in (0, 1))
    return [*zip(reversed(numbers), reversed(us), strict=True)]
