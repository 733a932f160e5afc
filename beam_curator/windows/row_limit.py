"""How large the row of one entry may become, reckoned from its segments before anything of it is built.

Windows overlap, so a row repeats each segment in as many windows as it lies in: a line of many tiny segments would
become a thousand times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from beam_curator.entries.entry import Entry
from beam_curator.entries.json_lines import encode, encode_lines
from beam_curator.failures import EntryError, FailureCode

if TYPE_CHECKING:  # plans are checked where they are made
    from beam_curator.windows.training_windows import WindowPlan

MAX_ROW_BYTES = 512 << 20
"""The limit of a row, where --max-line-bytes asks for no more."""
MAX_STEPS = 1 << 26
"""How many segments and words the windows of one entry may be tried with, together."""

_WINDOW_BYTES = 512
# a cut segment may gain the keys `words`, `text` and `end`
_CUT_BYTES = 64
# a number such as 1e15 becomes five times as long when it is written out
_LONGER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLimit:
    """How many bytes a row may take, and whether its windows repeat their segments (layout `full`)."""

    n_bytes: int = MAX_ROW_BYTES
    repeats: bool = True

    @classmethod
    def of(cls, layout: str, max_line_bytes: int) -> RowLimit:
        """Return the limit of a job: 16 times the longest line, and 512 MiB at least."""
        return cls(n_bytes=max(MAX_ROW_BYTES, 16 * max_line_bytes), repeats=layout == "full")


DEFAULT_LIMIT = RowLimit()
"""The limit of rows in layout `full` where no job sets another."""


def check_row_size(
    entry: Entry, plan: WindowPlan, dropped: tuple[str, ...], limit: RowLimit, line_bytes: int | None = None
) -> None:
    """Check how many bytes the windows and lost windows of a row take; `filtered_windows` repeats some of them.

    Args:
      entry: the row.
      plan: its windows.
      dropped: keys that the segments are written without.
      limit: how much a row may take.
      line_bytes: length of the row's line, where it is known: most rows then need no closer look.

    Raises:
      EntryError: they take more than the limit.
    """
    n_bytes = _WINDOW_BYTES * (len(plan.firsts) + len(plan.losses))
    if limit.repeats and n_bytes:
        longest = max(stop - first for first, stop, _ in plan.attempts())
        # of its windows a segment is in `longest` at most, whole or cut, and of lost ones it may stand beside as many
        most = None if line_bytes is None else line_bytes * _LONGER * 3 * (longest + 1)
        if most is None or n_bytes + most > limit.n_bytes:
            n_bytes += _segment_bytes(entry, plan, dropped)
    if n_bytes > limit.n_bytes:
        raise EntryError(
            FailureCode.ROW_TOO_LARGE,
            f"{len(entry.segments)} segments would make a row of {n_bytes} bytes, expected {limit.n_bytes} at most",
            "split the entry, join segments, use --layout spans, or raise --max-line-bytes (rows may take 16 times)",
        )


def _segment_bytes(entry: Entry, plan: WindowPlan, dropped: tuple[str, ...]) -> int:
    """Add up the segments of all windows and lost ones as they are written; cut ones count whole, with their words."""
    kept = [{key: value for key, value in item.items() if key not in dropped} for item in entry.segments]
    ends = list(accumulate((len(text) + 1 for text in encode_lines(kept).split(b"\n")), initial=0))
    cut_stops = [stop for _, stop, cut in plan.attempts() if cut >= 0]
    cut_bytes = {stop: len(encode(entry.segments[stop])) + _CUT_BYTES for stop in set(cut_stops)}
    beside = [index for first, _, _, following in plan.losses for index in (following, max(first - 1, 0))]
    return (
        sum(ends[stop] - ends[first] for first, stop, _ in plan.attempts())
        + sum(ends[index + 1] - ends[index] for index in beside)
        + sum(cut_bytes[stop] for stop in cut_stops)
    )


def too_many_steps() -> EntryError:
    """Make the error of an entry whose windows would take too long to find."""
    return EntryError(
        FailureCode.ROW_TOO_LARGE,
        f"the windows of the row hold more than {MAX_STEPS} segments and words together",
        "split the entry or join its segments, or lower --target-window-duration",
    )
