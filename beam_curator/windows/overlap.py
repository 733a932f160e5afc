"""Overlap: of training windows that share too much audio, keep the ones nearest to the target duration.

The algorithm is that of NVIDIA NeMo Curator's `ALMDataOverlapStage`: greedy from left to right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from beam_curator.entries.entry import MAX_SECONDS
from beam_curator.entries.json_lines import kind_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds, Span, sum_left_to_right
from beam_curator.rules import number_problems, option, option_problems, raise_problems

OverlapScope = Literal["row", "audio_file"]
OVERLAP_SCOPES = ("row", "audio_file")
"""Among which windows the rules hold: those of one entry, or those of all entries of one recording."""

_DECIMALS = 6
_SURELY_DIFFERENT = 2e-6
"""Times further apart than this differ after rounding to six decimals too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapRules:
    """How much audio two kept windows may share, and which windows compete. Names are the reference's.

    Raises:
      ValueError: all rules that cannot hold, each with value, limit and cure.
    """

    overlap_percentage: float = option(
        50.0, "drop one of two windows that share at least this percentage of the shorter one; 0: any overlap"
    )
    target_duration: float = option(120.0, "keep the window nearer to this duration, in seconds")
    scope: OverlapScope = option(
        "row",
        "windows to compare; row: those of one entry; audio_file: those of all entries of a recording",
        choices=OVERLAP_SCOPES,
    )

    def __post_init__(self) -> None:
        problems = number_problems(self, {"overlap_percentage": (0, 100), "target_duration": (-math.inf, math.inf)})
        if isinstance(self.target_duration, (int, float)) and self.target_duration <= 0:
            problems.append(f"target_duration must be positive, got {self.target_duration:g}: raise it")
        raise_problems("overlap rules", [*problems, *option_problems(self)])


def survivors(spans: Sequence[Span], rules: OverlapRules) -> list[int]:
    """Choose the spans that stay.

    Of two spans in conflict the one nearer to the target stays; of equally near ones the longer, then the earlier.
    A span removed by one that is itself removed later does not come back.

    Args:
      spans: `(start, end)` in seconds; of equal spans the first stays.
      rules: threshold and target.

    Returns:
      Positions in `spans` of those that stay, sorted by (start, end).

    Example:
      >>> survivors([(0.0, 9.0), (1.0, 9.5), (2.0, 12.0)], OverlapRules(overlap_percentage=10, target_duration=10))
      [2]
    """
    beaten_by = winners(spans, rules)
    return sorted((k for k, winner in enumerate(beaten_by) if winner is None), key=spans.__getitem__)


def winners(spans: Sequence[Span], rules: OverlapRules) -> list[int | None]:
    """Return for each span the position of the one that removed it, None where it stays: see `survivors`.

    Example:
      >>> winners([(0.0, 9.0), (1.0, 9.5), (2.0, 12.0)], OverlapRules(overlap_percentage=10, target_duration=10))
      [2, 0, None]
    """
    order = sorted(range(len(spans)), key=spans.__getitem__)
    starts = [spans[position][0] for position in order]
    ends = [spans[position][1] for position in order]
    durations = [end - start for start, end in zip(starts, ends, strict=True)]
    distances = [abs(duration - rules.target_duration) for duration in durations]
    beaten_by: list[int | None] = [None] * len(order)
    for i in range(len(order)):
        if beaten_by[i] is None:
            _compete(i, starts, ends, durations, distances, beaten_by, rules.overlap_percentage / 100)
    found: list[int | None] = [None] * len(order)
    for position, winner in zip(order, beaten_by, strict=True):
        found[position] = None if winner is None else order[winner]
    return found


def _compete(
    i: int,
    starts: list[Seconds],
    ends: list[Seconds],
    durations: list[Seconds],
    distances: list[Seconds],
    beaten_by: list[int | None],
    threshold: float,
) -> None:
    """Mark the later spans that begin before span `i` ends and lose to it as beaten, or `i` itself if it loses."""
    end, duration, distance = ends[i], durations[i], distances[i]
    for j in range(i + 1, len(starts)):
        if beaten_by[j] is not None:
            continue
        if starts[j] >= end:
            return
        # the shared part as a share of the shorter one, in steps: this loop is where the time goes
        shared = (end if end < ends[j] else ends[j]) - starts[j]
        shorter = duration if duration < durations[j] else durations[j]
        if (shared / shorter if shorter and shared > 0 else 0) >= threshold:
            # equally near: the longer one stays, of two alike the first
            if distance < distances[j] or (distance == distances[j] and duration >= durations[j]):
                beaten_by[j] = i
            else:
                beaten_by[i] = j
                return


def same_times(spans: Sequence[Span], kept: Sequence[int]) -> list[int]:
    """Return, in input order, the positions of all spans whose times equal those of a kept one to a microsecond.

    The reference finds the kept windows again by their rounded times, so equal windows of one entry all return.

    Example:
      >>> same_times([(0.0, 10.0), (0.0, 10.0), (4.0, 12.0)], [0])
      [0, 1]
    """
    # the common case, without rounding: starts further apart cannot become equal
    starts = sorted(start for start, _ in spans)
    if all(later - earlier > _SURELY_DIFFERENT for earlier, later in pairwise(starts)):
        return sorted(kept)
    rounded = [(round(start, _DECIMALS), round(end, _DECIMALS)) for start, end in spans]
    times = {rounded[position] for position in kept}
    return [position for position, span in enumerate(rounded) if span in times]


def keep_non_overlapping(entry: dict[str, Any], rules: OverlapRules) -> dict[str, Any]:
    """Filter the windows of one entry, as the reference's overlap stage does.

    Args:
      entry: a row with `windows`; never changed.
      rules: threshold and target.

    Returns:
      A copy of the entry with `filtered_windows`, `filtered`, `filtered_dur` and the other keys of the reference.

    Raises:
      EntryError: `windows` is absent, or a window has no times (the reference would drop all windows silently).
    """
    if "windows" not in entry:
        raise EntryError(FailureCode.MISSING_KEY, "key 'windows' is absent", "build training windows first")
    windows = entry["windows"]
    if not windows:
        return entry | {key: value for key, value in NO_WINDOWS.items() if key not in entry}
    usable = [(index, window) for index, window in enumerate(_checked(windows)) if window.get("segments")]
    spans = [_span_of(window, index) for index, window in usable]
    kept = survivors(spans, rules)
    stats = entry["stats"] if isinstance(entry.get("stats"), dict) else {}
    return entry | overlap_fields(
        spans,
        kept,
        filtered_windows=[usable[position][1] for position in same_times(spans, kept)],
        manifest_path=stats.get("manifest_path"),
        swift_path=stats.get("swift_path"),
    )


NO_WINDOWS: dict[str, Any] = {
    "filtered_windows": [],
    "filtered_dur": 0.0,
    "filtered_dur_list": [],
    "total_dur_window": 0.0,
    "total_dur_list_window": [],
    "total_dur_list_window_timestamps": [],
    "filtered": [],
    "manifest_filepath": None,
    "swift_filepath": None,
}
"""What an entry without windows gets, where it has no such key yet; the reference's order."""


def overlap_fields(
    spans: Sequence[Span], kept: Sequence[int], *, filtered_windows: Any, manifest_path: Any, swift_path: Any
) -> dict[str, Any]:
    """Return the keys that the overlap filter adds to an entry with windows, in the reference's order.

    Timestamps are pairs `(end, start)`, end first, as in the reference.
    """
    lengths = [end - start for start, end in spans]
    kept_lengths = [lengths[position] for position in kept]
    return {
        "total_dur_window": sum_left_to_right(lengths),
        "total_dur_list_window": lengths,
        "total_dur_list_window_timestamps": [(end, start) for start, end in spans],
        "filtered": [(spans[position][1], spans[position][0]) for position in kept],
        "filtered_windows": filtered_windows,
        "filtered_dur": sum_left_to_right(kept_lengths),
        "filtered_dur_list": kept_lengths,
        "manifest_filepath": manifest_path,
        "swift_filepath": swift_path,
    }


def _checked(windows: Any) -> list[dict[str, Any]]:
    if not isinstance(windows, list):
        raise EntryError(
            FailureCode.BAD_TYPE, f"windows is {kind_of(windows)}, expected an array", "build training windows first"
        )
    for index, window in enumerate(windows):
        if not isinstance(window, dict):
            raise EntryError(
                FailureCode.BAD_TYPE, f"windows[{index}] is {kind_of(window)}, expected an object", "build them again"
            )
    return windows


def _span_of(window: dict[str, Any], index: int) -> Span:
    segments = window["segments"]
    try:
        start, end = segments[0]["start"], segments[-1]["end"]
    except (KeyError, TypeError, IndexError) as err:
        raise EntryError(
            FailureCode.MISSING_KEY,
            f"windows[{index}] has a segment without start or end",
            "write both times in seconds",
        ) from err
    if not all(isinstance(time, (int, float)) and -MAX_SECONDS <= time <= MAX_SECONDS for time in (start, end)):
        raise EntryError(
            FailureCode.BAD_TIME, f"windows[{index}] runs from {start!r} to {end!r}", "write both times in seconds"
        )
    return start, end
