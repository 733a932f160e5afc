"""The encoder's frames of a stream: they follow its probabilities row for row, however it is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from beam_curator.diarization.sortformer_streaming import StreamingSortformer, diarize
from benchmarks.random_sortformer import talk
from tests.diarization.backends import NumpyBackend, TwiceBackend
from tests.diarization.test_sortformer_streaming import SMALL, TALK, array


class TestFrames:
    @pytest.mark.parametrize("asynchronous", [False, True])
    @pytest.mark.parametrize("through_bytes", [False, True])
    def test_they_follow_the_probabilities_row_for_row(self, asynchronous: bool, through_bytes: bool) -> None:
        model = StreamingSortformer(TwiceBackend(), replace(SMALL, asynchronous=asynchronous), keeps_frames=True)
        state, heard = model.new_state(), 0
        found, frames = [], []
        for stop in [*np.sort(np.random.default_rng(3).integers(0, len(TALK), 40)).tolist(), len(TALK)]:
            found.append(array(model.push([state], [TALK[heard:stop]], [stop == len(TALK)])[0]))
            taken = state.take_frames()
            assert sum(map(len, taken)) == len(found[-1])
            frames += taken
            heard = stop
            if through_bytes and not state.is_closed:
                state = model.state_from_bytes(state.to_bytes())
        assert state.take_frames() == []
        assert np.array_equal(np.concatenate(frames), 2 * np.concatenate(found))
        assert np.array_equal(
            np.concatenate(found), array(diarize(StreamingSortformer(NumpyBackend(), model.parameters), [TALK])[0])
        )

    def test_streams_of_one_batch_have_their_own(self) -> None:
        model = StreamingSortformer(TwiceBackend(), SMALL, keeps_frames=True)
        states = [model.new_state() for _ in range(3)]
        waves = [talk(seconds, seed=seed) for seed, seconds in enumerate((9.0, 0.005, 3.3))]
        decided = model.push(states, waves, [True] * 3)
        for state, probabilities in zip(states, decided, strict=True):
            nothing = np.empty((0, 4), np.float32)
            assert np.array_equal(np.concatenate([nothing, *state.take_frames()]), 2 * array(probabilities))

    def test_a_stream_that_fails_has_none(self) -> None:
        model = StreamingSortformer(TwiceBackend(), SMALL, keeps_frames=True)
        state = model.new_state()
        array(model.push([state], [TALK], [False])[0])
        assert state.frames
        (failure,) = model.push([state], [np.float32([np.nan])], [False])
        assert isinstance(failure, ValueError)
        assert state.take_frames() == []

    def test_who_does_not_ask_gets_none(self) -> None:
        model = StreamingSortformer(TwiceBackend(), SMALL)
        state = model.new_state()
        array(model.push([state], [TALK], [True])[0])
        assert state.take_frames() == []
