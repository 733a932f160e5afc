"""Counts of planned windows and of those that stay, block by block."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from beam_curator.entries.entry import Entry
from beam_curator.sets.counting import microseconds
from beam_curator.windows.entry_blocks import EntryBlock

LOSSES = ("lost_bw", "lost_sr", "lost_spk", "lost_win")
"""Reasons for which a start segment gives no window; names are the reference's."""


def count_windows(block: EntryBlock) -> dict[str, int]:
    """Count planned windows, and start segments lost by reason."""
    counts: Counter[str] = Counter()
    for row in block.rows:
        plan = row.plan
        counts["build.rows"] += 1
        counts["build.segments"] += len(row.entry.starts)
        counts["build.windows"] += len(plan.firsts)
        counts["build.truncation_events"] += plan.truncation_events
        counts["build.audio_us"] += microseconds(plan.total_dur)
        for reason in LOSSES:
            counts[f"build.{reason}"] += getattr(plan.counts, reason)
        counts["build.rows_without_bandwidth"] += bool(row.entry.starts) and not any(row.entry.bandwidths)
        counts["build.unsorted_rows"] += _is_unsorted(row.entry)
        counts["build.reversed_segments"] += _count_reversed(row.entry)
    return dict(counts)


def _is_unsorted(entry: Entry) -> bool:
    return any(later < earlier for earlier, later in pairwise(entry.starts))


def _count_reversed(entry: Entry) -> int:
    return sum(end < start for start, end in zip(entry.starts, entry.ends, strict=True))


def count_kept(block: EntryBlock) -> dict[str, int]:
    """Count the windows that stay, and their seconds."""
    counts: Counter[str] = Counter()
    for row in block.rows:
        plan, choice = row.plan, row.choice
        survivors = choice.survivors if choice is not None else ()
        kept = len(choice.kept) if choice is not None else 0
        counts["overlap.rows"] += 1
        counts["overlap.rows_with_windows"] += bool(plan.firsts)
        counts["overlap.windows_in"] += len(plan.firsts)
        counts["overlap.windows"] += kept
        counts["overlap.dropped"] += len(plan.firsts) - kept
        counts["overlap.audio_us"] += sum(microseconds(plan.ends[k] - plan.starts[k]) for k in survivors)
    return dict(counts)
