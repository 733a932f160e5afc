"""Training windows of many entries at once, in NumPy: the same plans as `training_windows.plan_entry`, faster.

All entries of a block lie behind one another in flat arrays; each step of the scan is done for every start segment of
the block together. Elementwise float64 arithmetic is that of Python floats, and each window's sums are built up in the
order of its segments, so the results are equal to the last bit. What the arrays cannot express (integer times, which
keep their type in sums; very many speakers; a recording-long segment among short ones; dropped keys that the rules
read) is left to `plan_entry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError
from beam_curator.intervals import sum_left_to_right
from beam_curator.windows.block_scan import Bools, Floats, Ints, Scans, SegmentArrays, first_barred, first_crossing
from beam_curator.windows.row_limit import too_many_steps
from beam_curator.windows.training_windows import (
    MIN_SEGMENTS_PER_WINDOW,
    N_SPEAKER_DURATIONS,
    NOT_CUT,
    WindowPlan,
    plan_entry,
    record_loss,
)
from beam_curator.windows.window_rules import WindowRules

MAX_COLUMNS = 64
"""Entries with more speakers than this go through `plan_entry`: the arrays hold one column a speaker."""


def plan_block(entries: Sequence[Entry], rules: WindowRules) -> list[WindowPlan | EntryError]:
    """Plan the training windows of many entries.

    Returns:
      For each entry its plan, equal to `plan_entry(entry, rules)`, or the error that `plan_entry` would raise.
    """
    vectorised = [i for i, entry in enumerate(entries) if _is_plain(entry, rules)]
    plans: list[WindowPlan | EntryError | None] = [None] * len(entries)
    if vectorised:
        for i, plan in zip(vectorised, _plan_plain([entries[i] for i in vectorised], rules), strict=True):
            plans[i] = plan
    return [plan if plan is not None else _plan_or_error(entries[i], rules) for i, plan in enumerate(plans)]


def _plan_or_error(entry: Entry, rules: WindowRules) -> WindowPlan | EntryError:
    try:
        return plan_entry(entry, rules)
    except EntryError as err:
        return err


def _is_plain(entry: Entry, rules: WindowRules) -> bool:
    return (
        entry.all_float
        and bool(entry.starts)
        and entry.sample_rate >= rules.min_sample_rate
        and len({speaker for speaker in entry.speakers if speaker}) <= MAX_COLUMNS
        # dropping these keys changes what the rules see, as in the reference; plan_entry knows how
        and not {"metrics", "speaker"} & set(rules.drop_fields)
    )


def _plan_plain(entries: Sequence[Entry], rules: WindowRules) -> list[WindowPlan | EntryError]:
    segments = SegmentArrays.of(entries, rules)
    crossing, unsure = first_crossing(segments, rules)
    barred = first_barred(entries, segments, rules)
    scans = Scans.of(entries, segments, rules, crossing, barred)
    windows = _Windows.of(segments, scans, rules)
    # no entry is empty here: for an empty range, `reduceat` would return the element behind it
    unplanned = scans.failed.union(np.flatnonzero(np.logical_or.reduceat(unsure, segments.offsets[:-1])).tolist())
    columns = _Columns.of(segments, scans, windows)
    crowded = scans.crowded[segments.offsets[:-1]].tolist()
    return [
        _plan_or_error(entry, rules)
        if i in unplanned
        else too_many_steps()
        if crowded[i]
        else columns.plan(i, entry, rules)
        for i, entry in enumerate(entries)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Windows:
    """Start segments by outcome: a window, or the kind of rule that rejected them.

    Attributes:
      kept: indices of the start segments that give a window; int64 [n_windows].
      speaker_durations: a list of five seconds for each of them.
      lost: indices of the others that the rules on duration or number of segments reject; int64.
      lost_speakers: indices of those that the rule on speakers rejects; int64.
      lost_bandwidth: indices of those whose own bandwidth is too low; int64.
    """

    kept: Ints
    speaker_durations: list[list[float]]
    lost: Ints
    lost_speakers: Ints
    lost_bandwidth: Ints

    @classmethod
    def of(cls, segments: SegmentArrays, scans: Scans, rules: WindowRules) -> _Windows:
        every = np.arange(len(scans.stops))
        lengths = scans.window_ends - segments.starts
        # a cut segment, at `stops`, is a member too
        n_members = scans.stops - every + (scans.cuts != NOT_CUT)
        fits = (rules.min_duration <= lengths) & (lengths <= rules.max_duration)
        fits &= n_members >= MIN_SEGMENTS_PER_WINDOW
        tried = ~segments.narrow & ~scans.crowded
        candidates = np.flatnonzero(fits & tried)
        seconds, present = _speaker_seconds(segments, scans, candidates)
        n_speakers = present.sum(axis=1)
        good = (segments.least_speakers[candidates] <= n_speakers) & (n_speakers <= rules.max_speakers)
        return cls(
            kept=candidates[good],
            speaker_durations=_longest(seconds[good], present[good]),
            lost=np.flatnonzero(~fits & tried),
            lost_speakers=candidates[~good],
            lost_bandwidth=np.flatnonzero(segments.narrow),
        )


def _speaker_seconds(segments: SegmentArrays, scans: Scans, candidates: Ints) -> tuple[Floats, Bools]:
    """Add up the seconds of each speaker in each candidate window, in the order of its segments.

    Returns:
      Seconds, float64 [n_candidates, n_columns], and whether the speaker occurs at all, bool of the same shape.
    """
    n_columns = segments.n_columns + 1  # the last column takes the segments without a speaker
    seconds = np.zeros((len(candidates), n_columns))
    present = np.zeros((len(candidates), n_columns), dtype=np.bool_)
    flat_seconds, flat_present = seconds.reshape(-1), present.reshape(-1)
    # longest first: the windows still growing at a step are then always a prefix
    by_length = np.argsort(candidates - scans.stops[candidates], kind="stable")
    rows = by_length * n_columns
    members = candidates[by_length]
    n_left = scans.stops[members] - members
    columns = np.where(segments.speakers < 0, n_columns - 1, segments.speakers)
    for step in range(int(n_left[0]) if len(n_left) else 0):
        # n_left falls, and searchsorted wants rising values: hence the signs
        n_active = int(np.searchsorted(-n_left, -step, side="left"))
        index = members[:n_active] + step
        cell = rows[:n_active] + columns[index]
        # no cell occurs twice, since each row adds one segment a step; += would lose the second
        flat_seconds[cell] += segments.durations[index]
        flat_present[cell] = True
    # the cut segment is the last of its window, so its seconds are added last, as in the reference
    cut = np.flatnonzero(scans.cuts[candidates] != NOT_CUT)
    at = scans.stops[candidates[cut]]
    cell = cut * n_columns + columns[at]
    flat_seconds[cell] += scans.window_ends[candidates[cut]] - segments.starts[at]
    flat_present[cell] = True
    return seconds[:, :-1], present[:, :-1]


def _longest(seconds: Floats, present: Bools) -> list[list[float]]:
    """Sort each row from the longest on, keep five, and fill up with 0.0."""
    # speakers that do not occur sort behind all others as inf
    ordered = -np.sort(np.where(present, -seconds, np.inf), axis=1)[:, :N_SPEAKER_DURATIONS]
    ordered[np.isinf(ordered)] = 0.0
    padded = np.zeros((len(ordered), N_SPEAKER_DURATIONS))
    # adding 0.0 turns the -0.0 of the negated sort into 0.0
    padded[:, : ordered.shape[1]] = ordered + 0.0
    return padded.tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The outcome for the whole block as Python lists, and where each entry's part begins in them.

    Indices are those of segments within their entry. `*_at[i]` is where entry i begins in the lists of that kind.
    """

    firsts: list[int]
    stops: list[int]
    cuts: list[int]
    ends: list[float]
    speaker_durations: list[list[float]]
    kept_at: list[int]
    losses: list[tuple[int, int, int]]
    lost_at: list[int]
    lost_speakers: list[int]
    lost_speakers_at: list[int]
    lost_bandwidth: list[int]
    lost_bandwidth_at: list[int]
    total_durs: list[float]
    events: list[int]

    @classmethod
    def of(cls, segments: SegmentArrays, scans: Scans, windows: _Windows) -> _Columns:
        offsets = np.array(segments.offsets, dtype=np.int64)
        owned = np.repeat(offsets[:-1], np.diff(offsets))  # per segment, where its entry begins
        kept, lost = windows.kept, windows.lost
        durations = segments.durations.tolist()
        return cls(
            firsts=(kept - owned[kept]).tolist(),
            stops=(scans.stops[kept] - owned[kept]).tolist(),
            cuts=scans.cuts[kept].tolist(),
            ends=scans.window_ends[kept].tolist(),
            speaker_durations=windows.speaker_durations,
            # indices ascend, so each entry owns a range of them
            kept_at=np.searchsorted(kept, offsets).tolist(),
            losses=[
                *zip(
                    (lost - owned[lost]).tolist(),
                    (scans.stops[lost] - owned[lost]).tolist(),
                    scans.cuts[lost].tolist(),
                    strict=True,
                )
            ],
            lost_at=np.searchsorted(lost, offsets).tolist(),
            lost_speakers=(windows.lost_speakers - owned[windows.lost_speakers]).tolist(),
            lost_speakers_at=np.searchsorted(windows.lost_speakers, offsets).tolist(),
            lost_bandwidth=(windows.lost_bandwidth - owned[windows.lost_bandwidth]).tolist(),
            lost_bandwidth_at=np.searchsorted(windows.lost_bandwidth, offsets).tolist(),
            # np.sum adds pairwise, whose last bits differ from a sum from left to right
            total_durs=[sum_left_to_right(durations[begin:end]) for begin, end in pairwise(segments.offsets)],
            # reduceat needs every entry to have a segment, which _is_plain sees to
            events=np.add.reduceat(scans.events, offsets[:-1], dtype=np.int64).tolist(),
        )

    def plan(self, i: int, entry: Entry, rules: WindowRules) -> WindowPlan:
        """Cut the plan of entry i out of the lists."""
        own = slice(self.kept_at[i], self.kept_at[i + 1])
        firsts = self.firsts[own]
        plan = WindowPlan(
            firsts=firsts,
            stops=self.stops[own],
            cuts=self.cuts[own],
            starts=[entry.starts[first] for first in firsts],
            ends=self.ends[own],
            speaker_durations=self.speaker_durations[own],
            total_dur=self.total_durs[i],
            truncation_events=self.events[i],
        )
        counts = plan.counts
        for first in self.lost_bandwidth[self.lost_bandwidth_at[i] : self.lost_bandwidth_at[i + 1]]:
            counts.lost_bw += 1
            counts.dur_lost_bw += entry.ends[first] - entry.starts[first]
        for first in self.lost_speakers[self.lost_speakers_at[i] : self.lost_speakers_at[i + 1]]:
            counts.lost_spk += 1
            counts.dur_lost_spk += entry.ends[first] - entry.starts[first]
        for first, stop, cut in self.losses[self.lost_at[i] : self.lost_at[i + 1]]:
            record_loss(plan, entry, rules, first, stop, cut)
        return plan
