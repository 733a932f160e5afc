from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.intervals import sum_left_to_right, united

SPANS = st.tuples(st.integers(-20, 20), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(0, 2), (1, 3)], [(0, 3)]),
        ([(0, 9), (1, 3)], [(0, 9)]),
        ([(4, 5), (0, 2), (2, 3)], [(0, 3), (4, 5)]),
    ],
)
def test_spans_that_overlap_or_touch_are_one(spans: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    assert united(spans) == expected


@given(st.lists(SPANS, max_size=12))
def test_united_spans_cover_the_same_and_stay_apart(spans: list[tuple[int, int]]) -> None:
    joined = united(spans)
    covered, expected = ({time for start, end in some for time in range(start, end)} for some in (joined, spans))
    assert covered == expected
    assert all(before[1] < after[0] for before, after in pairwise(joined))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], "0"),
        ([1, 2], "3"),
        ([1, 0.5], "1.5"),
        ([0.1] * 10, "0.9999999999999999"),
        # compensated addition, as in Python 3.12, gives 2.0
        ([1e16, 1.0, 1.0, -1e16], "0.0"),
        ([-0.0], "0.0"),
    ],
)
def test_sum_adds_one_after_the_other_from_the_integer_zero(values: list[float], expected: str) -> None:
    assert repr(sum_left_to_right(values)) == expected


def test_sum_takes_any_iterable() -> None:
    assert sum_left_to_right(x / 2 for x in range(4)) == 3.0
