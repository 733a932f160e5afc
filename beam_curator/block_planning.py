"""Training windows of many entries at once, in NumPy: the same plans as `training_windows.plan_entry`, faster.

All entries of a block lie behind one another in flat arrays; each step of the scan is done for every start segment of
the block together. Elementwise float64 arithmetic is that of Python floats, and each window's sums are built up in the
order of its segments, so the results are equal to the last bit. What the arrays cannot express (integer times, which
keep their type in sums; very many speakers; a recording-long segment among short ones; dropped keys that the rules
read) is left to `plan_entry`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_curator.failures import EntryError
from beam_curator.intervals import sum_left_to_right
from beam_curator.records import Entry
from beam_curator.training_windows import (
    MIN_SEGMENTS_PER_WINDOW,
    N_SPEAKER_DURATIONS,
    NO_SPEAKER,
    NOT_CUT,
    WindowPlan,
    WindowRules,
    cut_words,
    plan_entry,
    record_loss,
)

MAX_COLUMNS = 64
"""Entries with more speakers than this go through `plan_entry`: the arrays hold one column a speaker."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def plan_block(entries: Sequence[Entry], rules: WindowRules) -> list[WindowPlan | EntryError]:
    """Plan the training windows of many entries.

    Returns:
      For each entry its plan, equal to `plan_entry(entry, rules)`, or the error that would have raised.
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
        and not {"metrics", "speaker"} & set(rules.drop_fields)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segments:
    """The segments of all entries behind one another.

    Attributes:
      offsets: index of each entry's first segment, and the total number at the end; int64 [n_entries + 1].
      starts, ends, durations: seconds; float64 [n_segments].
      last: index after the last segment of the same entry; int64 [n_segments].
      narrow: bandwidth below the limit; bool [n_segments].
      worded: has word timestamps; bool [n_segments].
      speakers: number of the speaker within the entry, -1 for none; int64 [n_segments].
      n_columns: most speakers of any entry.
    """

    offsets: list[int]
    starts: Floats
    ends: Floats
    durations: Floats
    last: Ints
    narrow: Bools
    worded: Bools
    speakers: Ints
    n_columns: int

    @classmethod
    def of(cls, entries: Sequence[Entry], rules: WindowRules) -> _Segments:
        lengths = [len(entry.starts) for entry in entries]
        offsets = list(accumulate(lengths, initial=0))
        starts = np.array([time for entry in entries for time in entry.starts], dtype=np.float64)
        ends = np.array([time for entry in entries for time in entry.ends], dtype=np.float64)
        limit = rules.min_bandwidth
        numbers: list[int] = []
        n_columns = 1
        for entry in entries:
            known: dict[object, int] = {}
            numbers += [known.setdefault(label, len(known)) if label else -1 for label in entry.speakers]
            n_columns = max(n_columns, len(known))
        return cls(
            offsets=offsets,
            starts=starts,
            ends=ends,
            durations=ends - starts,
            last=np.repeat(np.array(offsets[1:], dtype=np.int64), lengths),
            narrow=np.array([width < limit for entry in entries for width in entry.bandwidths], dtype=np.bool_),
            worded=np.array([bool(item.get("words")) for entry in entries for item in entry.segments], dtype=np.bool_),
            speakers=np.array(numbers, dtype=np.int64),
            n_columns=n_columns,
        )


def _plan_plain(entries: Sequence[Entry], rules: WindowRules) -> list[WindowPlan | EntryError]:
    segments = _Segments.of(entries, rules)
    crossing, unsure = _first_crossing(segments, rules)
    barred = _first_barred(entries, segments, rules)
    scans = _Scans.of(entries, segments, rules, crossing, barred)
    windows = _Windows.of(segments, scans, rules)
    unplanned = scans.failed.union(np.flatnonzero(np.logical_or.reduceat(unsure, segments.offsets[:-1])).tolist())
    columns = _Columns.of(segments, scans, windows)
    return [
        _plan_or_error(entry, rules) if i in unplanned else columns.plan(i, entry, rules)
        for i, entry in enumerate(entries)
    ]


def _first_crossing(segments: _Segments, rules: WindowRules) -> tuple[Ints, Bools]:
    """Find, for each start segment, the first segment from it on that ends too late.

    Returns:
      Its index, or the end of the entry; and where the search is not valid, because an earlier segment of the entry
      ends too late for that start already.
    """
    latest_end = segments.ends.copy()
    for begin, end in pairwise(segments.offsets):
        piece = latest_end[begin:end]
        if (piece[1:] < piece[:-1]).any():
            np.maximum.accumulate(piece, out=piece)
    low = np.arange(len(latest_end))
    unsure = np.zeros(len(latest_end), dtype=np.bool_)
    inner = np.ones(len(latest_end), dtype=np.bool_)
    inner[segments.offsets[:-1]] = False
    before = np.flatnonzero(inner)
    unsure[before] = latest_end[before - 1] - segments.starts[before] > rules.max_duration
    high = segments.last.copy()
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        probe = np.minimum(middle, len(latest_end) - 1)
        late = latest_end[probe] - segments.starts > rules.max_duration
        high = np.where(open_ & late, middle, high)
        low = np.where(open_ & ~late, middle + 1, low)
    return low, unsure


def _next_true(flags: Bools, otherwise: Ints) -> Ints:
    """Return, for each position, the next position at or after it where the flag is set, within its entry."""
    index = np.where(flags, np.arange(len(flags)), len(flags))
    following = np.minimum.accumulate(index[::-1])[::-1]
    return np.minimum(following, otherwise)


def _first_barred(entries: Sequence[Entry], segments: _Segments, rules: WindowRules) -> Ints:
    """Find, for each start segment, the first from it on that would break the speaker rule; else the entry's end."""
    silent = np.array([label == NO_SPEAKER for entry in entries for label in entry.speakers], dtype=np.bool_)
    barred = _next_true(silent, segments.last)
    if segments.n_columns <= rules.max_speakers:
        return barred
    for begin, end in pairwise(segments.offsets):
        numbers = segments.speakers[begin:end].tolist()
        if max(numbers) >= rules.max_speakers:
            crowded = np.array(_first_crowded(numbers, rules.max_speakers), dtype=np.int64)
            np.minimum(barred[begin:end], crowded + begin, out=barred[begin:end])
    return barred


def _first_crowded(numbers: list[int], max_speakers: int) -> list[int]:
    """Find, for each start, where one speaker too many comes in; the window between slides over the list once.

    Example:
      >>> _first_crowded([0, 1, 0, 2, -1, 2], 2)
      [3, 3, 6, 6, 6, 6]
    """
    inside: dict[int, int] = {}
    crowded = []
    stop = 0
    for number in numbers:
        while stop < len(numbers) and (
            numbers[stop] < 0 or len(inside) + (numbers[stop] not in inside) <= max_speakers
        ):
            if numbers[stop] >= 0:
                inside[numbers[stop]] = inside.get(numbers[stop], 0) + 1
            stop += 1
        crowded.append(stop)
        if number >= 0:
            inside[number] -= 1
            if not inside[number]:
                del inside[number]
    return crowded


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scans:
    """Where the scan from each start segment ended; all int64 or float64 [n_segments].

    Attributes:
      stops: index after the last whole segment.
      cuts: words kept of the segment at `stops`, NOT_CUT where none was added.
      window_ends: end of the last segment added, in seconds.
      events: whether a segment was cut, added or not.
      failed: numbers of the entries in which a word has no usable end.
    """

    stops: Ints
    cuts: Ints
    window_ends: Floats
    events: Bools
    failed: frozenset[int]

    @classmethod
    def of(
        cls, entries: Sequence[Entry], segments: _Segments, rules: WindowRules, crossing: Ints, barred: Ints
    ) -> _Scans:
        narrow = _next_true(segments.narrow, segments.last)
        stops = np.minimum(np.minimum(crossing, barred), narrow)
        every = np.arange(len(stops))
        at = np.minimum(stops, len(stops) - 1)
        cut_times = segments.starts + rules.max_duration
        crosses = (stops == crossing) & (stops < segments.last) & (stops != narrow)
        # the start segment itself may be barred: `stops - 1` would then belong to what lies before it
        window_ends = np.where(stops > every, segments.ends[np.maximum(stops, 1) - 1], segments.ends)
        events = crosses & (segments.starts[at] < cut_times) & ~segments.narrow
        if not rules.truncation:
            events[:] = False
        cuts = np.full(len(stops), NOT_CUT, dtype=np.int64)
        failed = _cut(entries, segments, stops, cut_times, events, cuts, window_ends, stops == barred)
        return cls(stops=stops, cuts=cuts, window_ends=window_ends, events=events, failed=failed)


def _cut(
    entries: Sequence[Entry],
    segments: _Segments,
    stops: Ints,
    cut_times: Floats,
    events: Bools,
    cuts: Ints,
    window_ends: Floats,
    rejected: Bools,
) -> frozenset[int]:
    """Fill in `cuts` and `window_ends` where a segment is cut; return the entries with unusable words."""
    added = np.flatnonzero(events & ~rejected)
    cuts[added] = 0
    window_ends[added] = segments.starts[stops[added]]
    cutters: dict[int, _Cutter] = {}
    failed: set[int] = set()
    positions = np.flatnonzero(events & segments.worded[np.minimum(stops, len(stops) - 1)])
    owners = np.searchsorted(np.array(segments.offsets), positions, side="right") - 1
    for position, owner, stop, time in zip(
        positions.tolist(), owners.tolist(), stops[positions].tolist(), cut_times[positions].tolist(), strict=True
    ):
        cutter = cutters.get(stop)
        if cutter is None:
            cutter = cutters[stop] = _Cutter(entries[owner], stop - segments.offsets[owner])
        try:
            n_words, end = cutter.cut(time)
        except EntryError:
            failed.add(owner)
            continue
        if not rejected[position]:
            cuts[position] = n_words
            window_ends[position] = end
    return frozenset(failed)


class _Cutter:
    """Cuts one segment at any time; words in order of their ends need one bisection a cut."""

    __slots__ = ("_ends", "_entry", "_index", "_start")

    def __init__(self, entry: Entry, index: int) -> None:
        self._entry, self._index, self._start = entry, index, entry.starts[index]
        words = entry.segments[index]["words"]
        ends: list[Any] = [word.get("end") if type(word) is dict else None for word in words]
        plain = set(map(type, ends)) <= {float} and all(type(word.get("word", "")) is str for word in words)
        ordered = plain and all(earlier <= later for earlier, later in pairwise(ends))
        self._ends: list[float] | None = ends if ordered else None

    def cut(self, latest: float) -> tuple[int, float]:
        if self._ends is None:
            return cut_words(self._entry, self._index, latest)
        n_words = bisect_right(self._ends, latest)
        return n_words, self._ends[n_words - 1] if n_words else self._start


@dataclass(frozen=True, slots=True, kw_only=True)
class _Windows:
    """What becomes of each start segment.

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
    def of(cls, segments: _Segments, scans: _Scans, rules: WindowRules) -> _Windows:
        every = np.arange(len(scans.stops))
        lengths = scans.window_ends - segments.starts
        n_members = scans.stops - every + (scans.cuts != NOT_CUT)
        fits = (rules.min_duration <= lengths) & (lengths <= rules.max_duration)
        fits &= n_members >= MIN_SEGMENTS_PER_WINDOW
        tried = ~segments.narrow
        candidates = np.flatnonzero(fits & tried)
        seconds, present = _speaker_seconds(segments, scans, candidates)
        n_speakers = present.sum(axis=1)
        good = (rules.min_speakers <= n_speakers) & (n_speakers <= rules.max_speakers)
        return cls(
            kept=candidates[good],
            speaker_durations=_longest(seconds[good], present[good]),
            lost=np.flatnonzero(~fits & tried),
            lost_speakers=candidates[~good],
            lost_bandwidth=np.flatnonzero(segments.narrow),
        )


def _speaker_seconds(segments: _Segments, scans: _Scans, candidates: Ints) -> tuple[Floats, Bools]:
    """Add up the seconds of each speaker in each candidate window, in the order of its segments.

    Returns:
      Seconds, float64 [n_candidates, n_columns], and whether the speaker occurs at all, bool of the same shape.
    """
    n_columns = segments.n_columns + 1  # the last column takes the segments without a speaker
    seconds = np.zeros((len(candidates), n_columns))
    present = np.zeros((len(candidates), n_columns), dtype=np.bool_)
    flat_seconds, flat_present = seconds.reshape(-1), present.reshape(-1)
    by_length = np.argsort(candidates - scans.stops[candidates], kind="stable")
    rows = by_length * n_columns
    members = candidates[by_length]
    n_left = scans.stops[members] - members
    columns = np.where(segments.speakers < 0, n_columns - 1, segments.speakers)
    for step in range(int(n_left[0]) if len(n_left) else 0):
        n_active = int(np.searchsorted(-n_left, -step, side="left"))
        index = members[:n_active] + step
        cell = rows[:n_active] + columns[index]
        flat_seconds[cell] += segments.durations[index]
        flat_present[cell] = True
    cut = np.flatnonzero(scans.cuts[candidates] != NOT_CUT)
    at = scans.stops[candidates[cut]]
    cell = cut * n_columns + columns[at]
    flat_seconds[cell] += scans.window_ends[candidates[cut]] - segments.starts[at]
    flat_present[cell] = True
    return seconds[:, :-1], present[:, :-1]


def _longest(seconds: Floats, present: Bools) -> list[list[float]]:
    """Sort each row from the longest on, keep five, and fill up with 0.0."""
    ordered = -np.sort(np.where(present, -seconds, np.inf), axis=1)[:, :N_SPEAKER_DURATIONS]
    ordered[np.isinf(ordered)] = 0.0
    padded = np.zeros((len(ordered), N_SPEAKER_DURATIONS))
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
    def of(cls, segments: _Segments, scans: _Scans, windows: _Windows) -> _Columns:
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
            total_durs=[sum_left_to_right(durations[begin:end]) for begin, end in pairwise(segments.offsets)],
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
