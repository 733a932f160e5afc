"""Lag: how long chunks take from being sent until the job is through with them, counted in steps of a quarter."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate

from beam_curator.intervals import Seconds

_SMALLEST, _FACTOR = 0.01, 1.25
_LAST = 99
"""A year and more."""

SHARES = (0.5, 0.95, 0.99)

LAG = "lag_step_"
"""Prefix of the counters of steps."""


def lag_step(seconds: Seconds) -> int:
    """Return the number of the step in which a lag is counted.

    Example:
      >>> lag_step(-1.0), lag_step(0.01), lag_step(0.011), lag_step(1.0), lag_step(1e99)
      (0, 0, 1, 21, 99)
    """
    return 0 if seconds <= _SMALLEST else min(_LAST, math.ceil(math.log(seconds / _SMALLEST, _FACTOR)))


def lag_steps(sent: Iterable[float], now: float) -> dict[int, int]:
    """Count chunks by the steps of their lags.

    Args:
      sent: when each was sent, in seconds.
      now: when the job was through with them.

    Example:
      >>> lag_steps([99.0, 99.0, 100.0], 100.0)
      {21: 2, 0: 1}
    """
    return dict(Counter(lag_step(now - each) for each in sent))


def lag_within(counts: Mapping[int, int], share: float) -> Seconds:
    """Return the lag that a share of all chunks did not exceed: the upper end of a step.

    Args:
      counts: step to number of chunks, of one chunk at least.
      share: 0-1.

    Example:
      >>> counts = {lag_step(0.1): 94, lag_step(0.5): 5, lag_step(2.0): 1}
      >>> [round(lag_within(counts, share), 2) for share in SHARES]
      [0.12, 0.56, 0.56]
    """
    steps = sorted(counts)
    place = bisect_left(list(accumulate(counts[step] for step in steps)), share * sum(counts.values()))
    return _SMALLEST * _FACTOR ** steps[place]


def lag_said(counts: Mapping[int, int]) -> str:
    """Say the lags that half of the chunks and nearly all of them did not exceed; there is one at least.

    Example:
      >>> lag_said({lag_step(0.1): 94, lag_step(0.5): 6})
      'lag from sending to heard: p50 0.116 s, p95 0.555 s, p99 0.555 s, or less'
    """
    shares = ", ".join(f"p{share * 100:.0f} {lag_within(counts, share):.3g} s" for share in SHARES)
    return f"lag from sending to heard: {shares}, or less"
