"""What two spans share, as the rules of overlap say it in words."""

from __future__ import annotations

from beam_curator.intervals import Seconds, Span


def intersection(a: Span, b: Span) -> Seconds:
    """Return the length in seconds of the part that two spans share, 0 where they only touch.

    Example:
      >>> intersection((0, 10), (5, 15)), intersection((0, 10), (10, 20)), intersection((0, 10), (12, 20))
      (5, 0, 0)
    """
    return max(0, min(a[1], b[1]) - max(a[0], b[0]))


def overlap_ratio(a: Span, b: Span) -> float:
    """Return the intersection of two spans as a share of the shorter one, 0 where that has no length.

    Example:
      >>> overlap_ratio((0, 10), (5, 15)), overlap_ratio((0, 10), (2, 6)), overlap_ratio((0, 10), (8, 12))
      (0.5, 1.0, 0.5)
      >>> overlap_ratio((0, 10), (4, 4)), overlap_ratio((3, 3), (3, 3))
      (0, 0)
    """
    shorter = min(a[1] - a[0], b[1] - b[0])
    return intersection(a, b) / shorter if shorter else 0
