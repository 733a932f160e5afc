from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.intervals import intersection, overlap_ratio, sum_left_to_right

SPANS = st.tuples(st.integers(-20, 20), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


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


@pytest.mark.parametrize(
    ("a", "b", "shared", "ratio"),
    [
        ((0, 10), (10, 20), 0, 0),  # touch
        ((0, 10), (12, 20), 0, 0),  # apart
        ((0, 10), (5, 15), 5, 0.5),
        ((0, 10), (2, 6), 4, 1.0),  # inside
        ((0, 10), (8, 12), 2, 0.5),  # of the shorter one, which is 4 s long
        ((0, 10), (4, 4), 0, 0),  # no length
        ((3, 3), (3, 3), 0, 0),
        ((0, 10), (0, 10), 10, 1.0),
    ],
)
def test_what_two_spans_share(a: tuple[int, int], b: tuple[int, int], shared: float, ratio: float) -> None:
    assert intersection(a, b) == shared
    assert overlap_ratio(a, b) == ratio


@given(SPANS, SPANS)
def test_sharing_is_mutual_and_at_most_the_whole(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert intersection(a, b) == intersection(b, a) == len(set(range(*a)) & set(range(*b)))
    assert overlap_ratio(a, b) == overlap_ratio(b, a)
    assert 0 <= overlap_ratio(a, b) <= 1
