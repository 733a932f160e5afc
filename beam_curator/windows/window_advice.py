"""Advice where few windows come out: the rule that costs most, the values that were met, and the option to change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from beam_curator.windows.window_counts import LOSSES, UNJUDGED_TRACKS
from beam_curator.windows.window_rules import WindowRules

FEW = 0.1
"""Advice is given where fewer windows than this share of the starts come out."""

_ENOUGH = 0.8
"""A limit is proposed that this share of the starts would pass."""

NO_BANDWIDTH = (
    "No segment has metrics.bandwidth, but min_bandwidth is {limit:g}: let diarize measure it (--bandwidth), "
    "or give --min-bandwidth 0."
)

UNKNOWN_BANDWIDTHS = (
    "min_bandwidth {limit:g} was not applied to tracks without metrics.bandwidth ({n:,}): diarize measures it "
    "(--bandwidth), and separate keeps it."
)


def window_advice(counts: Mapping[str, int], rules: WindowRules) -> str | None:
    """Return why few windows were built and how to get more, computed from the rows; None where enough were built.

    Where they were, tracks that were not judged by their bandwidth are told of.

    Args:
      counts: of the set, as `count_windows` makes them.
      rules: the rules of its windows.

    Example:
      >>> counts = {"build.rows": 1, "build.segments": 100, "build.lost_bw": 95}
      >>> counts |= {"build.lost_bw.at.3500": 25, "build.lost_bw.at.4000": 70}
      >>> print(window_advice(counts, WindowRules()))
      95 of 100 starts fail min_bandwidth 8000: theirs is 3,500-4,000 Hz; --min-bandwidth 3500 keeps 100 %.
    """
    n_starts = counts.get("build.segments", 0)
    if counts.get("build.windows", 0) >= FEW * n_starts:
        n_tracks = counts.get(UNJUDGED_TRACKS, 0)
        return (
            UNKNOWN_BANDWIDTHS.format(limit=rules.min_bandwidth, n=n_tracks)
            if n_tracks and rules.min_bandwidth
            else None
        )
    lost = {reason: counts.get(f"build.{reason}", 0) for reason in LOSSES}
    reason = max(lost, key=lambda name: lost[name])
    if reason == "lost_bw" and counts.get("build.rows_without_bandwidth") == counts.get("build.rows"):
        return NO_BANDWIDTH.format(limit=rules.min_bandwidth)
    met = _met(counts, reason)
    # a set of an earlier version has no values
    return f"{lost[reason]:,} of {n_starts:,} starts fail{_cure(reason, met, n_starts, rules)}" if met else None


def _cure(reason: str, met: Mapping[int, int], n_starts: int, rules: WindowRules) -> str:
    """Say which rule was not met, by which values, and the option to change."""
    if reason == "lost_bw":
        return f" min_bandwidth {rules.min_bandwidth:g}: {_too_low(met, n_starts, 'bandwidth')}"
    if reason == "lost_sr":
        return f" min_sample_rate {rules.min_sample_rate:g}: {_too_low(met, n_starts, 'sample-rate')}"
    if reason == "lost_spk":
        return (
            f" min_speakers {rules.min_speakers} and max_speakers {rules.max_speakers}: their recordings have "
            f"{_range(met)} speakers in all; check the labels, or change --min-speakers and --max-speakers."
        )
    return (
        f", as no run of segments from there lasts {rules.min_duration:g}-{rules.max_duration:g} s: their recordings "
        f"last {_range(met)} s; change --target-window-duration, or check that segments are sorted."
    )


def _met(counts: Mapping[str, int], reason: str) -> dict[int, int]:
    """Return the starts that a rule rejected by the value that was met, which is the lower end of its class."""
    prefix = f"build.{reason}.at."
    return dict(sorted((int(name[len(prefix) :]), n) for name, n in counts.items() if name.startswith(prefix)))


def _too_low(met: Mapping[int, int], n_starts: int, what: str) -> str:
    """Say which values were met, and the highest limit that enough starts would pass."""
    n_passing = n_starts - sum(met.values())
    for limit in sorted(met, reverse=True):
        n_passing += met[limit]
        if n_passing >= _ENOUGH * n_starts:
            break
    return f"theirs is {_range(met)} Hz; --min-{what} {limit} keeps {n_passing / n_starts:.0%}.".replace("%", " %")


def _range(met: Iterable[int]) -> str:
    """Return the least and the greatest value that were met."""
    low, high = min(met), max(met)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"
