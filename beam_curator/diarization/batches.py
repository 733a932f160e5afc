"""Batches of recordings: how they are planned, and how one goes on where memory lacks or an item is bad."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from beam_curator.diarization.models import Floats, Lengths

Item = TypeVar("Item")
Result = TypeVar("Result")

_CALLS_BEFORE_MORE = 64
"""Calls that must go through at the limit before twice as many items are tried again."""


@dataclass(slots=True)
class BatchLimit:
    """The number of items that fit into memory at once: learned from failures, raised again after successes.

    Attributes:
      most_items: the most items in one call; None for no limit.
    """

    most_items: int | None = None
    _calls: int = field(default=0, repr=False)

    def lower(self, n_failed: int) -> None:
        """Remember that memory lacked for `n_failed` items."""
        self.most_items, self._calls = max(1, n_failed // 2), 0

    def went_through(self, n_items: int) -> None:
        """Remember that a call with `n_items` had enough memory."""
        if self.most_items is None or n_items < self.most_items:
            return
        self._calls += 1
        if self._calls == _CALLS_BEFORE_MORE:
            self.most_items, self._calls = 2 * self.most_items, 0


def in_halves(
    call: Callable[[list[Item]], Sequence[Result]], items: Sequence[Item], limit: BatchLimit | None = None
) -> list[Result | Exception]:
    """Call a function on all items at once, and on fewer where that fails.

    Where memory lacks, both halves go on by themselves; after any other exception each item does, so that a bad one
    fails alone. What an item alone raises is its result.

    Args:
      call: list of items to as many results, in their order. It may be called again with an item that failed before,
        and so may not change it.
      items: any number.
      limit: remembers between calls how many items fitted.

    Returns:
      A result for each item, or the exception that it raises.

    Example:
      >>> in_halves(lambda numbers: [1 / number for number in numbers], [1, 0, 4])
      [1.0, ZeroDivisionError('division by zero'), 0.25]
    """
    limit = BatchLimit() if limit is None else limit
    results: list[Result | Exception] = []
    waiting = [list(items)]
    while waiting:
        part = waiting.pop()
        if limit.most_items is not None and len(part) > limit.most_items:
            # a stack: the part that comes first in the input goes on top
            waiting += [part[limit.most_items :], part[: limit.most_items]]
        elif part:
            found = _called(call, part)
            if not isinstance(found, Exception):
                limit.went_through(len(part))
                results += found
            elif len(part) > 1:
                waiting += _smaller(part, found, limit)
            else:
                results.append(found)
    return results


def _called(call: Callable[[list[Item]], Sequence[Result]], part: list[Item]) -> Sequence[Result] | Exception:
    try:
        found = call(part)
    except Exception as err:  # whatever a model raises: it belongs to the items
        # frames of the traceback hold a whole batch, and memory may just have run out
        traceback.clear_frames(err.__traceback__)
        return err
    if len(found) != len(part):
        return ValueError(f"{len(found)} results came back for {len(part)} items: one for each is expected")
    return found


def _smaller(part: list[Item], err: Exception, limit: BatchLimit) -> list[list[Item]]:
    """Return the smaller parts to try instead of one that failed, the last part first."""
    if not isinstance(err, MemoryError):
        return [[item] for item in reversed(part)]
    limit.lower(len(part))
    half = len(part) // 2
    return [part[half:], part[:half]]


def padded(items: Sequence[Sequence[Floats]]) -> tuple[Floats, Lengths]:
    """Lay items beside each other, with zeros behind the shorter ones.

    Args:
      items: at least one; each in parts that follow one another, float32 [n_frames, width].

    Returns:
      float32 [n_items, n_frames, width], and int64 [n_items], frames of each item. One item of one part is not copied.

    Example:
      >>> batch, lengths = padded([[np.float32([[1.0], [2.0]]), np.float32([[3.0]])], [np.float32([[4.0]])]])
      >>> batch[:, :, 0].tolist(), lengths.tolist()
      ([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]], [3, 1])
    """
    lengths = np.array([sum(len(part) for part in parts) for parts in items], dtype=np.int64)
    if len(items) == 1:
        (parts,) = items
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return whole[np.newaxis], lengths
    batch = np.zeros((len(items), int(lengths.max()), items[0][0].shape[1]), dtype=np.float32)
    for row, parts in zip(batch, items, strict=True):
        stop = 0
        for part in parts:
            start, stop = stop, stop + len(part)
            row[start:stop] = part
    return batch, lengths


def plan_batches(seconds: Sequence[float], budget_seconds: float, max_items: int) -> list[list[int]]:
    """Group recordings of like length, so that a batch that is padded to its longest keeps within a budget.

    Args:
      seconds: length of each recording.
      budget_seconds: the most seconds in a batch, with each item counted as long as the longest; an item alone is
        always allowed.
      max_items: items of a batch at most.

    Returns:
      Positions in `seconds`, each once: batches from long to short, equal lengths in the order of the input.

    Raises:
      ValueError: a length is negative or not finite, or a limit leaves room for nothing.

    Example:
      >>> plan_batches([3.0, 9.0, 4.0, 100.0, 4.0], budget_seconds=20.0, max_items=8)
      [[3], [1, 2], [4, 0]]
    """
    if not budget_seconds > 0:
        raise ValueError(f"budget_seconds {budget_seconds:g} is not above 0: give seconds of audio in a batch")
    if max_items < 1:
        raise ValueError(f"max_items {max_items} is below 1: give the most items of a batch")
    for position, length in enumerate(seconds):
        if not (math.isfinite(length) and length >= 0):
            raise ValueError(f"seconds[{position}] is {length}: give a length of 0 or more")
    batches: list[list[int]] = []
    longest = 0.0
    for position in sorted(range(len(seconds)), key=lambda index: -seconds[index]):
        batch = batches[-1] if batches else []
        if batch and len(batch) < max_items and (len(batch) + 1) * longest <= budget_seconds:
            batch.append(position)
        else:
            batches.append([position])
            longest = seconds[position]
    return batches
