"""Counts of each block: pure functions, so that the books can be checked by hand.

Names are `stage.what`; durations are whole microseconds (`_us`), whose sum does not depend on the order of blocks.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from beam_curator.blocks import EntryBlock, FailureBlock, LineBlock
from beam_curator.intervals import Seconds
from beam_curator.records import Entry

LOSSES = ("lost_bw", "lost_sr", "lost_spk", "lost_win")
"""Reasons for which a start segment gives no window; names are the reference's."""

DROP_TEXTS = {
    "lost_bw": "the segment's own bandwidth is below min_bandwidth",
    "lost_sr": "the entry's sample rate is below min_sample_rate",
    "lost_spk": "too few or too many speakers",
    "lost_win": "no run of segments from here fits the duration",
    "overlap": "shares too much audio with a window nearer to the target",
    "no_pieces": "the row names no piece to cut",
    "duplicate": "the same piece of the same recording was asked for before",
    "only_overlapped": "others talk all the time that the speaker does",
    "too_short": "all pieces of the speaker beside overlaps are shorter than min_duration, or than the buffer",
    "never_alone": "others talk all the time, or what is said alone is too short to be embedded",
    "outside": "all turns of the speaker begin behind the end of the recording",
}
"""What each reason means by which something was dropped."""


def microseconds(seconds: Seconds) -> int:
    """Round a duration to whole microseconds."""
    return round(seconds * 1e6)


def count_lines(block: LineBlock) -> dict[str, int]:
    """Count the rows that were read, and their bytes."""
    return {"read.rows": len(block.lines), "read.bytes": sum(len(line.raw) + 1 for line in block.lines)}


def count_failures(block: FailureBlock) -> dict[str, int]:
    """Count dead letters, in all and by code."""
    counts = Counter(f"{block.stage}.failures.{failure.code}" for failure in block.failures)
    return {f"{block.stage}.failures": len(block.failures), **counts}


def count_windows(block: EntryBlock) -> dict[str, int]:
    """Count planned windows, and start segments lost by reason."""
    counts: Counter[str] = Counter()
    for row in block.rows:
        plan, losses = row.plan, row.plan.counts
        counts["build.rows"] += 1
        counts["build.segments"] += len(row.entry.starts)
        counts["build.windows"] += len(plan.firsts)
        counts["build.truncation_events"] += plan.truncation_events
        counts["build.audio_us"] += microseconds(plan.total_dur)
        counts["build.lost_bw"] += losses.lost_bw
        counts["build.lost_sr"] += losses.lost_sr
        counts["build.lost_spk"] += losses.lost_spk
        counts["build.lost_win"] += losses.lost_win
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
