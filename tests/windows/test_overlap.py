from __future__ import annotations

import copy
import math
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Span
from beam_curator.windows.overlap import NO_WINDOWS, OverlapRules, keep_non_overlapping, same_times, survivors
from tests.literal import literal_survivors
from tests.talks import OVERLAP, as_json, overlap_rules
from tests.windows.spans import intersection, overlap_ratio

TIMES = st.one_of(st.integers(0, 20), st.sampled_from([0.0, 0.1, 0.5, 3.3, 7.25, 10.0, 12.0, 12.0000001]))
SPANS = st.lists(st.tuples(TIMES, TIMES), max_size=10)
FORWARD = st.lists(st.tuples(TIMES, TIMES).map(sorted).map(tuple), max_size=10)


def rules(percentage: float, target: float = 10.0) -> OverlapRules:
    return OverlapRules(overlap_percentage=percentage, target_duration=target)


def window(start: Any, end: Any, **more: Any) -> dict[str, Any]:
    """Make a window of two segments that meet in the middle."""
    return {"segments": [{"start": start, "end": 1.0}, {"start": 1.0, "end": end}], **more}


@pytest.mark.parametrize(
    ("spans", "percentage", "kept"),
    [
        ([(0, 10), (10, 20)], 0, [(0, 10), (10, 20)]),  # touching windows never conflict
        ([(0, 10), (5, 15)], 50, [(0, 10)]),  # exactly the threshold; equally near and long: the earlier stays
        ([(0, 10), (5.000001, 15)], 50, [(0, 10), (5.000001, 15)]),
        ([(0, 10), (9.999999, 20)], 0, [(0, 10)]),  # 10 is nearer to the target than 10.000001
        ([(0, 12), (1, 9)], 50, [(0, 12)]),  # equally near: the longer stays
        ([(0, 8), (1, 13)], 50, [(1, 13)]),  # also where it is the later
        ([(0, 10), (2, 12)], 50, [(0, 10)]),
        ([(2, 12), (0, 10)], 50, [(0, 10)]),  # the order of the input does not matter
        ([(0, 12), (1, 11)], 50, [(1, 11)]),  # nearer to the target
        ([(0, 9), (1, 9.5), (2, 12)], 10, [(2, 12)]),  # who fell to a window that fell later does not come back
        ([(0, 10), (5.5, 25), (6, 12)], 50, [(0, 10), (5.5, 25)]),  # nor does it beat others
        ([(0, 10), (0, 10)], 0, [(0, 10)]),
        ([(0, 10), (0, 10)], 100, [(0, 10)]),
        ([(0, 10), (2, 10)], 100, [(0, 10)]),  # 100 % does not keep everything
        ([(0, 10), (2, 10.5)], 100, [(0, 10), (2, 10.5)]),
        ([(0, 10), (5, 5)], 1, [(0, 10), (5, 5)]),  # no length shares nothing
        ([(0, 10), (5, 5)], 0, [(0, 10)]),  # but nothing is at least 0 %
        ([], 50, []),
    ],
)
def test_of_windows_in_conflict_these_stay(spans: list[Span], percentage: float, kept: list[Span]) -> None:
    assert [spans[position] for position in survivors(spans, rules(percentage))] == kept


@settings(max_examples=200, deadline=None)
@given(SPANS, overlap_rules())
def test_survivors_are_those_of_the_rules_in_words(spans: list[Span], chosen: OverlapRules) -> None:
    assert [spans[position] for position in survivors(spans, chosen)] == literal_survivors(spans, chosen)


@settings(max_examples=200, deadline=None)
@given(FORWARD, overlap_rules())
def test_what_stays_does_not_overlap_and_what_goes_does(spans: list[Span], chosen: OverlapRules) -> None:
    def conflict(a: Span, b: Span) -> bool:
        first, second = sorted([a, b])
        return second[0] < first[1] and overlap_ratio(a, b) >= chosen.overlap_percentage / 100

    kept = survivors(spans, chosen)
    assert sorted(set(kept)) == sorted(kept)
    assert not any(conflict(spans[i], spans[j]) for i, j in combinations(kept, 2))
    lost = [span for position, span in enumerate(spans) if position not in kept]
    assert all(any(conflict(span, other) for other in spans) for span in lost)
    if chosen.overlap_percentage == 0:
        assert all(intersection(spans[i], spans[j]) == 0 for i, j in combinations(kept, 2))


@pytest.mark.parametrize(
    ("spans", "kept", "same"),
    [
        ([(0.0, 10.0), (0.0, 10.0), (4.0, 12.0)], [0], [0, 1]),
        ([(0.0, 10.0), (4.0, 12.0), (0.0, 10.0)], [2, 1], [0, 1, 2]),
        ([(0.0, 10.0), (0.0000004, 10.0)], [0], [0, 1]),  # equal to six decimals
        ([(0.0, 10.0), (0.0000006, 10.0)], [0], [0]),
        ([(0.0, 10.0), (0.0, 10.000001)], [0], [0]),
        ([(0, 10), (0.0, 10.0)], [0], [0, 1]),  # integers and floats are equal
        ([(5.0, 9.0), (0.0, 4.0)], [1, 0], [0, 1]),
        ([], [], []),
    ],
)
def test_windows_of_equal_times_return_together(spans: list[Span], kept: list[int], same: list[int]) -> None:
    assert same_times(spans, kept) == same


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=8), st.sampled_from([0.3e-6, 1e-6, 2e-6, 1.0])
)
def test_equal_means_equal_after_rounding(steps: list[tuple[int, int]], step: float) -> None:
    spans = [(7.0 + start * step, 9.0 + end * step) for start, end in steps]
    kept = list(range(0, len(spans), 3))
    rounded = [(round(start, 6), round(end, 6)) for start, end in spans]
    assert same_times(spans, kept) == [k for k, pair in enumerate(rounded) if pair in [rounded[i] for i in kept]]


def test_an_entry_gets_these_keys() -> None:
    windows = [window(4.0, 14.0), window(0, 10), {"segments": []}, window(20.5, 30.0, id="x"), {"segments": None}]
    entry = {"id": 1, "stats": {"manifest_path": "m", "swift_path": "s"}, "filtered": None, "windows": windows}
    assert as_json(keep_non_overlapping(entry, OVERLAP)) == as_json(
        {
            "id": 1,
            "stats": {"manifest_path": "m", "swift_path": "s"},
            "filtered": [(10, 0), (30.0, 20.5)],
            "windows": windows,
            "total_dur_window": 29.5,
            "total_dur_list_window": [10.0, 10, 9.5],
            "total_dur_list_window_timestamps": [(14.0, 4.0), (10, 0), (30.0, 20.5)],
            "filtered_windows": [windows[1], windows[3]],
            "filtered_dur": 19.5,
            "filtered_dur_list": [10, 9.5],
            "manifest_filepath": "m",
            "swift_filepath": "s",
        }
    )


def test_of_identical_windows_one_survives_and_both_are_listed() -> None:
    found = keep_non_overlapping({"windows": [window(0.0, 10.0, id=1), window(0.0, 10.0, id=2)]}, OVERLAP)
    assert found["filtered"] == [(10.0, 0.0)]
    assert [kept["id"] for kept in found["filtered_windows"]] == [1, 2]
    assert found["filtered_dur"] == 10.0


def test_survivors_are_in_order_of_time_and_kept_windows_in_order_of_the_input() -> None:
    found = keep_non_overlapping({"windows": [window(20.0, 30.0), window(0.0, 9.0)]}, OVERLAP)
    assert (found["filtered"], found["filtered_dur_list"]) == ([(9.0, 0.0), (30.0, 20.0)], [9.0, 10.0])
    assert found["filtered_windows"] == [window(20.0, 30.0), window(0.0, 9.0)]


@pytest.mark.parametrize("stats", [None, "x", {}])
def test_paths_are_null_where_there_are_none(stats: Any) -> None:
    found = keep_non_overlapping({"windows": [window(0.0, 10.0)], "stats": stats}, OVERLAP)
    assert (found["manifest_filepath"], found["swift_filepath"]) == (None, None)


@pytest.mark.parametrize("windows", [[], None])
def test_an_entry_without_windows_gets_only_the_keys_it_lacks(windows: Any) -> None:
    entry = {"filtered_dur": "mine", "windows": windows, "stats": {"swift_path": "s"}}
    found = keep_non_overlapping(entry, OVERLAP)
    assert list(found) == [*entry, *(key for key in NO_WINDOWS if key != "filtered_dur")]
    assert found == NO_WINDOWS | entry
    assert as_json(list(NO_WINDOWS.items())) == as_json(
        [
            ("filtered_windows", []),
            ("filtered_dur", 0.0),
            ("filtered_dur_list", []),
            ("total_dur_window", 0.0),
            ("total_dur_list_window", []),
            ("total_dur_list_window_timestamps", []),
            ("filtered", []),
            ("manifest_filepath", None),
            ("swift_filepath", None),
        ]
    )


def test_windows_without_segments_count_for_nothing() -> None:
    found = keep_non_overlapping({"windows": [{"segments": []}, {}]}, OVERLAP)
    assert as_json([found["total_dur_window"], found["filtered_dur"], found["filtered_windows"]]) == "[0, 0, []]"


@pytest.mark.parametrize(
    ("entry", "code", "message"),
    [
        ({}, FailureCode.MISSING_KEY, "key 'windows' is absent"),
        (
            {"windows": [window(0.0, 9.0), {"segments": [{"start": 0.0}]}]},
            FailureCode.MISSING_KEY,
            "windows[1] has a segment without start or end",
        ),
        ({"windows": [{"segments": 5}]}, FailureCode.MISSING_KEY, "windows[0] has a segment without start or end"),
        ({"windows": [window(None, 9.0)]}, FailureCode.BAD_TIME, "windows[0] runs from None to 9.0"),
        ({"windows": [window(0.0, "9")]}, FailureCode.BAD_TIME, "windows[0] runs from 0.0 to '9'"),
        ({"windows": [window(-1e308, 1e308)]}, FailureCode.BAD_TIME, "windows[0] runs from -1e+308 to 1e+308"),
        ({"windows": [window(0, 10**400)]}, FailureCode.BAD_TIME, f"windows[0] runs from 0 to {10**400}"),
    ],
)
def test_a_window_without_times_is_refused(entry: dict[str, Any], code: FailureCode, message: str) -> None:
    with pytest.raises(EntryError) as caught:
        keep_non_overlapping(entry, OVERLAP)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_a_bad_window_is_named_by_its_place_in_the_entry() -> None:
    with pytest.raises(EntryError, match=r"missing_key: windows\[1\] has"):
        keep_non_overlapping({"windows": [{"segments": []}, {"segments": [{"start": 0.0}]}]}, OVERLAP)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (5, "windows is a number, expected an array"),
        ("ab", "windows is a string, expected an array"),
        ({"a": 1}, "windows is an object, expected an array"),
        ([{}, None], "windows[1] is null, expected an object"),
        ([[]], "windows[0] is an array, expected an object"),
    ],
)
def test_windows_of_a_wrong_type_are_refused(windows: Any, message: str) -> None:
    with pytest.raises(EntryError) as caught:
        keep_non_overlapping({"windows": windows}, OVERLAP)
    assert (caught.value.code, caught.value.message) == (FailureCode.BAD_TYPE, message)


def test_the_input_is_not_changed() -> None:
    entry = {"windows": [window(0.0, 10.0), window(5.0, 15.0)], "filtered": 1}
    before = copy.deepcopy(entry)
    keep_non_overlapping(entry, OVERLAP)
    assert entry == before


def test_any_percentage_and_target_in_range_will_do() -> None:
    assert survivors([(0.0, 3.0), (1.0, 4.0)], rules(66.6, math.pi)) == [0]
    assert survivors([(0.0, 3.0), (1.0, 4.0)], rules(66.7, math.pi)) == [0, 1]
