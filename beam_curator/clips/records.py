"""The request for one clip, and the record of a piece of a row that cannot be requested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from beam_curator.failures import EntryError

Unit = Literal["ms", "s"]

Fields = dict[str, Any]
"""A row: JSON values by key, in the order in which they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRequest:
    """One clip to be cut out of a recording.

    Attributes:
      fields: the row as it will come out, before the cut adds its own keys. It is itself a row of combo 2 or 4, so
        that clips can be cut again; `original_file` is the path of the recording as it was given.
      combo: 2 pieces by time, 3 turns of a speaker, 4 pieces of a speaker, as the reference numbers them.
      index: position of the piece among those of its row, in time order; 0 where a row is one piece.
      start: begin of the piece as it was given, in `unit`.
      end: end of the piece as it was given, in `unit`; after `start`; None for the end of the recording.
      channel: to cut from, counted from 0; None where that is left to the rules. `fields` name it, too.
      unit: "ms" where times are milliseconds, as in the reference's rows; "s" where they are an entry's seconds.
    """

    fields: Fields
    combo: int
    index: int
    start: float
    end: float | None
    unit: Unit
    channel: int | None = None

    def sample_range(self, sample_rate: int, n_samples: int = 0) -> tuple[int, int]:
        """Return `[first, stop)` in samples at a rate in Hz, as asked for: it may lie outside of the recording.

        Milliseconds are truncated toward zero, as in the reference; seconds go to the nearest sample. A piece shorter
        than a sample may come out empty; one without an end stops at `n_samples`.

        Example:
          >>> request = ClipRequest(fields={}, combo=2, index=0, start=1.5, end=2.25, unit="s")
          >>> request.sample_range(16000)
          (24000, 36000)
          >>> ClipRequest(fields={}, combo=2, index=0, start=1, end=999, unit="ms").sample_range(22050)
          (22, 22027)
        """
        first = self._sample(self.start, sample_rate)
        return first, n_samples if self.end is None else self._sample(self.end, sample_rate)

    def _sample(self, time: float, sample_rate: int) -> int:
        return int(time * sample_rate / 1000) if self.unit == "ms" else round(time * sample_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadInterval:
    """One piece of a row that cannot be cut.

    Attributes:
      error: the problem, and its cure.
      fields: the row with only this piece, ready to be mended and run again.
    """

    error: EntryError
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One piece of a recording as a list in a row names it, not checked yet.

    Attributes:
      index: its position in time order.
      where: its place in the row, for messages: `segments[3]`.
      item: the value at that place.
    """

    index: int
    where: str
    item: Any
