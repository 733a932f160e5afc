import gc
import weakref
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.batches import BatchLimit, in_halves, padded, plan_batches
from beam_curator.diarization.models import OutOfMemoryError


class Doubling:
    """Double numbers, at most `most` at once; 13 is a number that it cannot bear."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.sizes: list[int] = []

    def __call__(self, items: list[int]) -> list[int]:
        self.sizes.append(len(items))
        if len(items) > self.most:
            raise OutOfMemoryError(f"{len(items)} items")
        if 13 in items:
            raise RuntimeError("13")
        return [2 * item for item in items]


@pytest.mark.parametrize(
    ("items", "most", "sizes"),
    [
        ([], 9, []),
        ([1, 2, 3], 9, [3]),
        (list(range(8)), 3, [8, 4, 2, 2, 2, 2]),  # what did not fit is not tried again
        (list(range(5)), 2, [5, 2, 2, 1]),
        (list(range(5)), 1, [5, 2, 1, 1, 1, 1, 1]),
    ],
)
def test_where_memory_lacks_halves_go_on(items: list[int], most: int, sizes: list[int]) -> None:
    call = Doubling(most)
    assert in_halves(call, items) == [2 * item for item in items]
    assert call.sizes == sizes


def test_one_item_that_does_not_fit_is_its_own_failure() -> None:
    results = in_halves(Doubling(0), [1, 2])
    assert [str(result) for result in results] == ["1 items", "1 items"]
    assert all(isinstance(result, OutOfMemoryError) for result in results)


def test_numpy_lacks_memory_too() -> None:
    def call(items: list[int]) -> list[int]:
        if len(items) > 1:
            raise MemoryError
        return items

    assert in_halves(call, [1, 2, 3]) == [1, 2, 3]


def test_a_bad_item_fails_alone() -> None:
    call = Doubling(9)
    results = in_halves(call, [1, 13, 3])
    assert (results[0], str(results[1]), results[2]) == (2, "13", 6)
    assert call.sizes == [3, 1, 1, 1]


def test_a_call_has_to_answer_for_each_item() -> None:
    results = in_halves(lambda items: [0], [1, 2])
    assert results == [0, 0]
    (alone,) = in_halves(lambda items: [], [1])
    assert str(alone) == "0 results came back for 1 items: one for each is expected"


def test_a_failure_does_not_hold_what_it_was_called_with() -> None:
    def call(items: list[int]) -> list[int]:
        batch = np.zeros(1000)
        held.append(weakref.ref(batch))
        raise OutOfMemoryError("too much")

    held: list[weakref.ref[np.ndarray]] = []
    (result,) = in_halves(call, [1])
    gc.collect()
    assert isinstance(result, OutOfMemoryError)
    assert held[0]() is None


def test_interrupts_are_not_results() -> None:
    def call(items: list[int]) -> list[int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_halves(call, [1, 2])


def test_a_limit_is_remembered_and_tried_again_after_many_calls() -> None:
    call, limit = Doubling(2), BatchLimit()
    in_halves(call, list(range(8)), limit)
    assert limit.most_items == 2
    call.sizes.clear()
    for _ in range(15):
        in_halves(call, list(range(8)), limit)
    assert set(call.sizes) == {2}
    call.most = 8
    for _ in range(200):
        in_halves(call, list(range(8)), limit)
    assert call.sizes[-1] == 8


def test_small_calls_say_nothing_about_a_limit() -> None:
    limit = BatchLimit(most_items=4)
    for _ in range(500):
        in_halves(Doubling(9), [1, 2, 3], limit)
    assert limit.most_items == 4


def test_one_item_of_one_part_is_not_copied() -> None:
    frames = np.ones((3, 2), np.float32)
    batch, lengths = padded([[frames]])
    assert np.shares_memory(batch, frames)
    assert (batch.shape, lengths.tolist(), lengths.dtype) == ((1, 3, 2), [3], np.int64)


@pytest.mark.parametrize(
    ("seconds", "budget", "most", "batches"),
    [
        ([], 10, 4, []),
        ([5, 5, 5], 10, 4, [[0, 1], [2]]),
        ([1, 2, 3, 4], 8, 4, [[3, 2], [1, 0]]),  # 2 x 4 fill the budget
        ([1, 2, 3, 4], 7.9, 4, [[3], [2, 1], [0]]),
        ([1, 1, 1, 1], 100, 3, [[0, 1, 2], [3]]),
        ([100, 1], 10, 4, [[0], [1]]),  # one item always goes
        ([0, 0, 0], 1, 2, [[0, 1], [2]]),
    ],
)
def test_batches_are_planned(seconds: list[float], budget: float, most: int, batches: list[list[int]]) -> None:
    assert plan_batches(seconds, budget, most) == batches


@given(st.lists(st.floats(0, 100), max_size=40), st.floats(0.1, 300), st.integers(1, 8))
def test_a_plan_keeps_its_promises(seconds: list[float], budget: float, most: int) -> None:
    batches = plan_batches(seconds, budget, most)
    assert sorted(index for batch in batches for index in batch) == list(range(len(seconds)))
    for batch in batches:
        longest = max(seconds[index] for index in batch)
        assert len(batch) == 1 or (len(batch) <= most and len(batch) * longest <= budget)
    flat = [(-seconds[index], index) for batch in batches for index in batch]
    assert all(a < b for a, b in pairwise(flat))


@pytest.mark.parametrize(
    ("seconds", "budget", "most", "message"),
    [
        ([1.0], 0, 4, "budget_seconds 0 is not above 0"),
        ([1.0], float("nan"), 4, "budget_seconds nan is not above 0"),
        ([1.0], 9, 0, "max_items 0 is below 1"),
        ([1.0, -1.0], 9, 4, r"seconds\[1\] is -1.0"),
        ([float("inf")], 9, 4, r"seconds\[0\] is inf"),
    ],
)
def test_limits_have_to_leave_room(seconds: list[float], budget: float, most: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_batches(seconds, budget, most)
