from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.speaker_embeddings import pool_embeddings
from beam_curator.diarization.turns import Turn

FRAMES = np.float32([[1, 0], [1, 0], [0, 1], [0, 1], [3, 4], [0, 0]])


def turn(start: float, end: float, speaker: int) -> Turn:
    return Turn(start=start, end=end, speaker=speaker)


def listed(vectors: object) -> object:
    if isinstance(vectors, dict):
        return {key: listed(vector) for key, vector in vectors.items()}
    if isinstance(vectors, tuple):
        return [listed(vector) for vector in vectors]
    return None if vectors is None else np.asarray(vectors, float).round(4).tolist()


def test_a_speaker_is_the_mean_of_what_it_says_alone_and_a_turn_of_its_own() -> None:
    found = pool_embeddings(FRAMES, 1.0, [turn(0, 1, 0), turn(2, 4, 1), turn(4, 5, 0)])
    assert listed(found.speakers) == {0: [0.7071, 0.7071], 1: [0.0, 1.0]}  # [4, 4] and [0, 2]
    assert listed(found.turns) == [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]
    assert all(vector is not None and vector.dtype == np.float32 for vector in found.turns)


def test_frames_in_which_two_talk_count_for_nobody() -> None:
    found = pool_embeddings(FRAMES, 1.0, [turn(0, 3, 0), turn(2, 4, 1)])
    assert listed(found.speakers) == {0: [1.0, 0.0], 1: [0.0, 1.0]}
    assert listed(found.turns) == [[1.0, 0.0], [0.0, 1.0]]


def test_who_never_talks_alone_has_none() -> None:
    found = pool_embeddings(FRAMES, 1.0, [turn(0, 4, 0), turn(1, 2, 1), turn(1, 2, 2)])
    assert listed(found.speakers) == {0: [0.4472, 0.8944], 1: None, 2: None}  # frames 0, 2 and 3
    assert listed(found.turns) == [[0.4472, 0.8944], None, None]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.5, 1.5, [1.0, 0.0]),  # the middle of frame 0 is in, that of frame 1 is not
        (1.51, 2.49, None),  # between two middles
        (1.5, 2.5, [1.0, 0.0]),
        (2.5, 99.0, [0.4472, 0.8944]),  # frames 2 to 5, [3, 6] in sum: nothing is behind the last
    ],
)
def test_frames_count_by_their_middles(start: float, end: float, expected: list[float] | None) -> None:
    assert listed(pool_embeddings(FRAMES, 1.0, [turn(start, end, 0)]).turns) == [expected]


def test_frames_may_begin_later_than_the_recording() -> None:
    found = pool_embeddings(FRAMES, 0.08, [turn(100.16, 100.24, 0)], begin=100.0)
    assert listed(found.turns) == [[0.0, 1.0]]


def test_frames_that_cancel_out_or_are_not_there_give_none() -> None:
    assert listed(pool_embeddings(FRAMES, 1.0, [turn(5, 6, 0)]).turns) == [None]
    assert listed(pool_embeddings(FRAMES[:0], 1.0, [turn(5, 6, 0)]).turns) == [None]
    assert pool_embeddings(FRAMES, 1.0, []).speakers == {}


def test_frames_that_are_not_numbers_give_none() -> None:
    found = pool_embeddings(np.float32([[1, 0], [np.nan, 0]]), 1.0, [turn(0, 1, 0), turn(1, 2, 1)])
    assert listed(found.turns) == [[1.0, 0.0], None]


def test_half_precision_is_added_up_in_double() -> None:
    many = np.full((100_000, 2), 3.0, np.float16)
    assert listed(pool_embeddings(many, 0.08, [turn(0, 8000, 0)]).turns) == [[0.7071, 0.7071]]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.integers(0, 3)), max_size=12))
def test_a_speaker_of_one_turn_has_its_embedding_and_all_have_length_one(times: list[tuple[int, int, int]]) -> None:
    turns = [turn(start, start + length, speaker) for start, length, speaker in times]
    found = pool_embeddings(np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32), 1.0, turns)
    for speaker, vector in found.speakers.items():
        own = [found.turns[place] for place, each in enumerate(turns) if each.speaker == speaker]
        assert (vector is None) == all(each is None for each in own)
        if len(own) == 1 and vector is not None and own[0] is not None:
            assert np.allclose(vector, own[0])
    assert all(abs(float(np.linalg.norm(vector)) - 1) < 1e-6 for vector in found.turns if vector is not None)
