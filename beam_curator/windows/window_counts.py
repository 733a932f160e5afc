"""Counts of planned windows and of those that stay, block by block."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from beam_curator.entries.entry import Entry
from beam_curator.sets.counting import microseconds
from beam_curator.windows.entry_blocks import EntryBlock, PlannedEntry
from beam_curator.windows.window_rules import WindowRules

LOSSES = ("lost_bw", "lost_sr", "lost_spk", "lost_win")
"""Reasons for which a start segment gives no window; names are the reference's."""

UNJUDGED_TRACKS = "build.tracks_without_bandwidth"
"""Counts rows of tracks to which no rule on bandwidths was applied, as none is known; absent where there are none."""

BANDWIDTHS, SAMPLE_RATES, SPEAKERS = range(0, 48_001, 250), range(0, 192_001, 1000), range(21)
LENGTHS = (0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""Classes of values that rules reject, by their lower ends: Hz, Hz, speakers, and seconds of a whole recording."""


def count_windows(block: EntryBlock) -> dict[str, int]:
    """Count planned windows, and start segments lost by reason."""
    counts: Counter[str] = Counter()
    met: Counter[tuple[str, int]] = Counter()
    for row in block.rows:
        plan = row.plan
        counts["build.rows"] += 1
        counts["build.segments"] += len(row.entry.starts)
        counts["build.bad_segments"] += row.entry.bad_segments
        counts["build.windows"] += len(plan.firsts)
        counts["build.truncation_events"] += plan.truncation_events
        counts["build.audio_us"] += microseconds(plan.total_dur)
        for reason in LOSSES:
            counts[f"build.{reason}"] += getattr(plan.counts, reason)
        met.update(_met_values(row, block.rules))
        counts["build.rows_without_bandwidth"] += bool(row.entry.starts) and not any(row.entry.bandwidths)
        if row.entry.bandwidths[:1] == [math.inf]:
            counts[UNJUDGED_TRACKS] += 1
        counts["build.unsorted_rows"] += _is_unsorted(row.entry)
        counts["build.reversed_segments"] += _count_reversed(row.entry)
    counts.update({f"build.{reason}.at.{low}": n for (reason, low), n in met.items()})
    return dict(counts)


def _met_values(row: PlannedEntry, rules: WindowRules) -> Counter[tuple[str, int]]:
    """Count the starts that each rule rejected by the value that it met: the reason, and the lower end of its class."""
    entry, lost = row.entry, row.plan.counts
    met: Counter[tuple[str, int]] = Counter()
    if lost.lost_bw:
        low = Counter(width for width in entry.bandwidths if width < rules.min_bandwidth)
        for width, n in low.items():
            met["lost_bw", _class_of(width, BANDWIDTHS)] += n
    if lost.lost_sr:
        met["lost_sr", _class_of(entry.sample_rate, SAMPLE_RATES)] = lost.lost_sr
    if lost.lost_spk:
        met["lost_spk", _class_of(len({*filter(None, entry.speakers)}), SPEAKERS)] = lost.lost_spk
    if lost.lost_win:
        met["lost_win", _class_of(max(entry.ends) - min(entry.starts), LENGTHS)] = lost.lost_win
    return met


def _class_of(value: float, classes: Sequence[int]) -> int:
    """Return the lower end of the class that a value lies in; the first class takes all lower values.

    Example:
      >>> _class_of(3999.5, BANDWIDTHS), _class_of(11025, SAMPLE_RATES), _class_of(-1, LENGTHS)
      (3750, 11000, 0)
    """
    return classes[max(bisect_right(classes, value) - 1, 0)]


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
