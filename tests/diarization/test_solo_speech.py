from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.solo_speech import SoloPart, cut_solo_parts, joined_embeddings, plan_solo_parts
from beam_curator.diarization.turns import Turn


def turn(start: float, end: float, speaker: int) -> Turn:
    return Turn(start=start, end=end, speaker=speaker)


def part(first: int, stop: int, turn: int = 0) -> SoloPart:
    return SoloPart(first=first, stop=stop, turn=turn)


@pytest.mark.parametrize(
    ("turns", "begin", "expected"),
    [
        ([], 0.0, []),
        ([turn(0, 1, 0)], 0.0, [(0, 16000, 0)]),
        ([turn(0, 2, 0), turn(1, 3, 1)], 0.0, [(0, 16000, 0), (32000, 48000, 1)]),
        ([turn(0, 3, 0), turn(1, 2, 1)], 0.0, [(0, 16000, 0), (32000, 48000, 0)]),  # never alone: turn 1
        ([turn(5, 6, 1), turn(2, 3, 0)], 2.0, [(0, 16000, 1), (48000, 64000, 0)]),
        ([turn(0, 0.09, 0), turn(1, 1.1, 0)], 0.0, [(16000, 17600, 1)]),
        ([turn(0, 20, 0)], 0.0, [(0, 320000, 0)]),
        ([turn(0, 50, 0)], 0.0, [(0, 266666, 0), (266666, 533333, 0), (533333, 800000, 0)]),
    ],
)
def test_parts_are_what_one_says_alone(turns: list[Turn], begin: float, expected: list[tuple[int, int, int]]) -> None:
    assert [(found.first, found.stop, found.turn) for found in plan_solo_parts(turns, begin)] == expected


def test_parts_are_cut_out_of_what_is_heard() -> None:
    heard = np.arange(100_000, dtype=np.float32)
    parts = [part(0, 1600), part(1600, 3201), part(50_000, 60_000), part(98_000, 101_000), part(99_000, 120_000, 1)]
    found = list(cut_solo_parts(np.split(heard, [0, 10, 1599, 2000, 49_000, 50_001]), parts))
    assert [(each.first, samples[0], samples[-1]) for each, samples in found] == [
        (0, 0, 1599), (1600, 1600, 3200), (50_000, 50_000, 59_999), (98_000, 98_000, 99_999)
    ]  # fmt: skip


@given(
    st.integers(0, 9000),
    st.lists(st.tuples(st.integers(0, 9000), st.integers(1600, 3000)), max_size=6),
    st.lists(st.integers(0, 9000), max_size=6),
)
def test_cutting_does_not_depend_on_pieces(n: int, spans: list[tuple[int, int]], cuts: list[int]) -> None:
    heard = np.arange(n, dtype=np.float32)
    parts = sorted(part(first, first + length) for first, length in spans)
    found = list(cut_solo_parts(np.split(heard, sorted(min(cut, n) for cut in cuts)), parts))
    expected = [(each, heard[each.first : each.stop]) for each in parts if n - each.first >= 1600]
    assert [each for each, _ in found] == [each for each, _ in expected]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(found, expected, strict=True))


def test_embeddings_weigh_as_much_as_their_speech_is_long() -> None:
    turns = [turn(0, 4, 0), turn(5, 6, 0), turn(7, 8, 1), turn(9, 9.05, 2)]
    embedded = [
        (part(0, 48000), np.float32([10, 0])),
        (part(48000, 64000), np.float32([0, 3])),
        (part(80000, 96000, 1), np.float32([0, 2])),
        (part(112000, 128000, 2), np.float32([0, 0])),
    ]
    found = joined_embeddings(turns, embedded)
    np.testing.assert_allclose(found.turns[0], np.float32([3, 1]) / np.sqrt(10), rtol=1e-6)
    np.testing.assert_allclose(found.turns[1], [0, 1])
    np.testing.assert_allclose(found.speakers[0], np.float32([3, 2]) / np.sqrt(13), rtol=1e-6)
    assert (found.turns[2], found.turns[3], found.speakers[1], found.speakers[2]) == (None, None, None, None)
