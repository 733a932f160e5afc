"""Where the scan for windows ends, for every start segment of many entries at once: half of `block_planning`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_curator.entries.entry import MAX_SECONDS, Entry
from beam_curator.failures import EntryError
from beam_curator.windows import row_limit
from beam_curator.windows.training_windows import NO_SPEAKER, NOT_CUT, cut_words, word_ends
from beam_curator.windows.window_rules import WindowRules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentArrays:
    """The segments of all entries behind one another.

    Attributes:
      offsets: index of each entry's first segment, and the total number at the end; int64 [n_entries + 1].
      starts, ends, durations: seconds; float64 [n_segments].
      last: index after the last segment of the same entry; int64 [n_segments].
      narrow: bandwidth below the limit; bool [n_segments].
      n_words: number of words with timestamps; int64 [n_segments].
      speakers: number of the speaker within the entry, -1 for none; int64 [n_segments].
      least_speakers: number that a window of the segment's entry needs; int64 [n_segments].
      n_columns: most speakers of any entry.
    """

    offsets: list[int]
    starts: Floats
    ends: Floats
    durations: Floats
    last: Ints
    narrow: Bools
    n_words: Ints
    speakers: Ints
    least_speakers: Ints
    n_columns: int

    @classmethod
    def of(cls, entries: Sequence[Entry], rules: WindowRules) -> SegmentArrays:
        """Lay out the segments of many entries."""
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
            n_words=np.array(
                [len(item.get("words") or ()) for entry in entries for item in entry.segments], dtype=np.int64
            ),
            speakers=np.array(numbers, dtype=np.int64),
            least_speakers=np.repeat([entry.least_speakers(rules.min_speakers) for entry in entries], lengths),
            n_columns=n_columns,
        )


def first_crossing(segments: SegmentArrays, rules: WindowRules) -> tuple[Ints, Bools]:
    """Find, for each start segment, the first segment from it on that ends too late.

    Returns:
      Its index, or the end of the entry; and where the search is not valid, because an earlier segment of the entry
      ends too late for that start already.
    """
    latest_end = segments.ends.copy()
    for begin, end in pairwise(segments.offsets):
        piece = latest_end[begin:end]
        if (piece[1:] < piece[:-1]).any():
            # bisection needs ascending ends; the running maximum passes the limit where the first end does
            np.maximum.accumulate(piece, out=piece)
    low = np.arange(len(latest_end))
    unsure = np.zeros(len(latest_end), dtype=np.bool_)
    inner = np.ones(len(latest_end), dtype=np.bool_)
    # the first segment of an entry has none before it
    inner[segments.offsets[:-1]] = False
    before = np.flatnonzero(inner)
    # the running maximum may come from before the start, and then tells nothing about what follows
    unsure[before] = latest_end[before - 1] - segments.starts[before] > rules.max_duration
    high = segments.last.copy()
    # one bisection for all start segments at once
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        # where a search has ended, `middle` may lie behind the last segment
        probe = np.minimum(middle, len(latest_end) - 1)
        # subtracted as in plan_entry: comparing with starts + max_duration could round differently
        late = latest_end[probe] - segments.starts > rules.max_duration
        high = np.where(open_ & late, middle, high)
        low = np.where(open_ & ~late, middle + 1, low)
    return low, unsure


def _next_true(flags: Bools, otherwise: Ints) -> Ints:
    """Return, for each position, the next position at or after it where the flag is set, within its entry."""
    index = np.where(flags, np.arange(len(flags)), len(flags))
    # from the back, so that each position sees the nearest index at or after it
    following = np.minimum.accumulate(index[::-1])[::-1]
    return np.minimum(following, otherwise)


def first_barred(entries: Sequence[Entry], segments: SegmentArrays, rules: WindowRules) -> Ints:
    """Find, for each start segment, the first from it on that would break the speaker rule; else the entry's end."""
    silent = np.array([label == NO_SPEAKER for entry in entries for label in entry.speakers], dtype=np.bool_)
    barred = _next_true(silent, segments.last)
    if segments.n_columns <= rules.max_speakers:
        return barred
    for begin, end in pairwise(segments.offsets):
        numbers = segments.speakers[begin:end].tolist()
        # speakers are numbered from 0: fewer numbers than that cannot break the rule
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
class Scans:
    """Where the scan from each start segment ended; all int64 or float64 [n_segments].

    Attributes:
      stops: index after the last whole segment.
      cuts: words kept of the segment at `stops`, NOT_CUT where none was added.
      window_ends: end of the last segment added, in seconds.
      events: whether a segment was cut, added or not.
      failed: numbers of the entries in which a word has no usable end, or an integer one.
      crowded: whether the segment's entry has more to look at than MAX_STEPS.
    """

    stops: Ints
    cuts: Ints
    window_ends: Floats
    events: Bools
    failed: frozenset[int]
    crowded: Bools

    @classmethod
    def of(
        cls, entries: Sequence[Entry], segments: SegmentArrays, rules: WindowRules, crossing: Ints, barred: Ints
    ) -> Scans:
        """Find where each scan ends: at low bandwidth, before a speaker too many, at the limit, or with the entry."""
        narrow = _next_true(segments.narrow, segments.last)
        stops = np.minimum(np.minimum(crossing, barred), narrow)
        every = np.arange(len(stops))
        at = np.minimum(stops, len(stops) - 1)
        # added here and subtracted in `first_crossing`, as `plan_entry` does: the two round differently
        cut_times = segments.starts + rules.max_duration
        # low bandwidth is looked at before the duration, the speaker rule after it, as in plan_entry
        crosses = (stops == crossing) & (stops < segments.last) & (stops != narrow)
        # the start segment itself may be barred: `stops - 1` would then belong to what lies before it
        window_ends = np.where(stops > every, segments.ends[np.maximum(stops, 1) - 1], segments.ends)
        # a cut counts even where the speaker rule then rejects the segment
        events = crosses & (segments.starts[at] < cut_times) & ~segments.narrow
        if not rules.truncation:
            events[:] = False
        crowded = _crowded(segments, stops, np.where(events, segments.n_words[at], 0))
        events &= ~crowded
        cuts = np.full(len(stops), NOT_CUT, dtype=np.int64)
        failed = _cut(entries, segments, stops, cut_times, events, cuts, window_ends, stops == barred)
        return cls(stops=stops, cuts=cuts, window_ends=window_ends, events=events, failed=failed, crowded=crowded)


def _crowded(segments: SegmentArrays, stops: Ints, n_words: Ints) -> Bools:
    """Tell of each segment whether the attempts of its entry have too many segments and words to look at."""
    offsets = segments.offsets
    # no entry is empty here: for an empty range, `reduceat` would return the element behind it
    n_steps = np.add.reduceat(stops - np.arange(len(stops)) + n_words, offsets[:-1])
    return np.repeat(n_steps > row_limit.MAX_STEPS, np.diff(offsets))


def _cut(
    entries: Sequence[Entry],
    segments: SegmentArrays,
    stops: Ints,
    cut_times: Floats,
    events: Bools,
    cuts: Ints,
    window_ends: Floats,
    rejected: Bools,
) -> frozenset[int]:
    """Fill in `cuts` and `window_ends` where a segment is cut; return the entries with unusable words."""
    added = np.flatnonzero(events & ~rejected)
    # without words nothing of the segment stays but its start
    cuts[added] = 0
    window_ends[added] = segments.starts[stops[added]]
    cutters: dict[int, _Cutter] = {}
    failed: set[int] = set()
    # rejected ones, too: a bad word fails the entry in either case
    positions = np.flatnonzero(events & (segments.n_words[np.minimum(stops, len(stops) - 1)] > 0))
    owners = np.searchsorted(np.array(segments.offsets), positions, side="right") - 1
    for position, owner, stop, time in zip(
        positions.tolist(), owners.tolist(), stops[positions].tolist(), cut_times[positions].tolist(), strict=True
    ):
        # many windows cut the same segment
        cutter = cutters.get(stop)
        if cutter is None:
            cutter = cutters[stop] = _Cutter(entries[owner], stop - segments.offsets[owner])
        try:
            n_words, end = cutter.cut(time)
        except EntryError:
            failed.add(owner)
            continue
        if type(end) is not float:  # an integer keeps its type, which an array would not
            failed.add(owner)
        elif not rejected[position]:
            cuts[position] = n_words
            window_ends[position] = end
    return frozenset(failed)


class _Cutter:
    """Cuts one segment at any time; words in order of their ends need one bisection a cut."""

    __slots__ = ("_ends", "_entry", "_index", "_start")

    def __init__(self, entry: Entry, index: int) -> None:
        self._entry, self._index, self._start = entry, index, entry.starts[index]
        segment = entry.segments[index]
        ends = word_ends(segment)
        plain = (
            not (entry.strict and _is_odd(segment["words"]))
            and set(map(type, ends)) <= {float}
            and all(earlier <= later for earlier, later in pairwise(ends))
        )
        self._ends: list[float] | None = ends if plain else None

    def cut(self, latest: float) -> tuple[int, float]:
        if self._ends is None:
            return cut_words(self._entry, self._index, latest)
        n_words = bisect_right(self._ends, latest)
        return n_words, self._ends[n_words - 1] if n_words else self._start


def _is_odd(words: Sequence[Any]) -> bool:
    """Say whether a word is one that a strict entry may be refused for: `cut_words` decides that."""
    return not all(
        type(word) is dict
        and type(word.get("end")) is float
        and word["end"] >= -MAX_SECONDS
        and type(word.get("word", "")) is str
        for word in words
    )
