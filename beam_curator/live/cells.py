"""Places where a shard keeps its state: the shape of Beam's state cells, without Beam."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class Value(Protocol):
    """A place for one text of bytes."""

    def read(self) -> bytes | None:
        """Return the bytes; None where there are none."""
        ...

    def write(self, value: bytes, /) -> None:
        """Put bytes in place of those that are there."""
        ...

    def clear(self) -> None:
        """Remove the bytes."""
        ...


class Bag(Protocol):
    """A place for texts of bytes, without an order."""

    def read(self) -> Iterable[bytes]:
        """Return all of them."""
        ...

    def add(self, value: bytes, /) -> None:
        """Put one more in."""
        ...

    def clear(self) -> None:
        """Remove all of them."""
        ...


class Slot(NamedTuple):
    """The state of one session.

    Attributes:
      head: everything that each step writes, about 50 KB at full size.
      cache: the speaker cache, written when it is compressed.
      fifo: frames behind it, which grow step by step.
      waiting: chunks as they came, until the model has heard them.
      turns: the final turns.
    """

    head: Value
    cache: Value
    fifo: Bag
    waiting: Bag
    turns: Bag

    def clear(self) -> None:
        """Give the slot back."""
        for cell in self:
            cell.clear()


class ShardCells(NamedTuple):
    """The state of a shard.

    Attributes:
      sessions: which session is in which slot, and how far it is.
      ended: sessions that have ended.
      slots: for the state of one session each.
    """

    sessions: Value
    ended: Value
    slots: Sequence[Slot]
