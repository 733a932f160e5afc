"""The scripts that made the model of this package: what of them needs neither espeak-ng nor torch, and the loss."""

from __future__ import annotations

import doctest
import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

SCRIPTS = Path(__file__).parents[2] / "examples" / "demo_model"
FRAME = 1280


@pytest.fixture(scope="module", autouse=True)
def scripts_are_found() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield


def script(name: str) -> Any:
    return importlib.import_module(name)


def talk_of(*turns: tuple[int, int, int], n_frames: int = 3) -> Any:
    """Return a conversation of turns `(start, stop, voice)`, in samples, in which nothing is heard."""
    conversations = script("conversations")
    spoken = tuple(conversations.SpokenTurn(start=start, stop=stop, voice=voice) for start, stop, voice in turns)
    return conversations.Conversation(samples=np.zeros(n_frames * FRAME, np.float32), turns=spoken)


class TestLabels:
    @pytest.mark.parametrize(
        ("turns", "frames", "voices"),
        [
            ([(0, 1920, 7)], [[1], [0], [0]], [7]),  # half of frame 1 is not more than half
            ([(0, 1921, 7)], [[1], [1], [0]], [7]),
            ([(0, 1280, 7), (1281, 3840, 3)], [[1, 0], [0, 1], [0, 1]], [7, 3]),
            ([(0, 100, 5), (100, 2560, 6), (2560, 3840, 5)], [[1, 0], [1, 0], [0, 1]], [6, 5]),  # as they are heard
            ([(0, 2560, 5), (1280, 3840, 6)], [[1, 0], [1, 1], [0, 1]], [5, 6]),
            ([(0, 700, 4), (100, 700, 4)], [[1], [0], [0]], [4]),  # one voice counts once
            ([(0, 2560, 5), (3800, 3840, 6)], [[1], [1], [0]], [5]),  # too short to be heard
        ],
    )
    def test_who_speaks_in_more_than_half_of_a_frame(
        self, turns: list[tuple[int, int, int]], frames: list[list[int]], voices: list[int]
    ) -> None:
        found, numbers = script("conversations").label_frames(talk_of(*turns), 3)
        assert (found.astype(int).tolist(), numbers) == (frames, voices)
        assert found.dtype == np.bool_

    def test_where_nobody_speaks(self) -> None:
        found, numbers = script("conversations").label_frames(talk_of(), 3)
        assert (found.shape, numbers) == ((3, 0), [])


class TestFrameErrors:
    @pytest.mark.parametrize(
        ("found", "wrong"),
        [
            ([[1, 0], [1, 1], [0, 1]], 0),
            ([[0, 1], [1, 1], [1, 0]], 0),  # names do not matter
            ([[0, 0], [0, 0], [0, 0]], 4),
            ([[1, 1], [1, 1], [1, 1]], 2),
            ([[1, 0], [1, 0], [1, 0]], 2),  # one missed, one confused
            ([[1, 0, 0], [1, 0, 1], [0, 1, 0]], 1),
        ],
    )
    def test_of_two_speakers(self, found: list[list[int]], wrong: int) -> None:
        labels = np.array([[1, 0], [1, 1], [0, 1]], bool)
        assert script("frame_errors").frame_errors(labels, np.array(found, bool)) == (wrong, 4)

    def test_where_nobody_speaks_all_that_is_found_is_wrong(self) -> None:
        assert script("frame_errors").frame_errors(np.zeros((2, 0), bool), np.ones((2, 4), bool)) == (8, 0)

    def test_its_example(self) -> None:
        assert doctest.testmod(script("frame_errors")) == (0, 1)


class TestVoices:
    def test_held_out_ones_are_of_other_variants(self) -> None:
        voices = script("voices")
        assert (len(voices.TRAINING_VARIANTS), len(voices.HELD_OUT_VARIANTS)) == (58, 14)
        assert len({*voices.TRAINING_VARIANTS, *voices.HELD_OUT_VARIANTS}) == 58 + 14

    def test_the_same_seed_gives_the_same_ones(self) -> None:
        choose = script("voices").choose_voices
        chosen = choose(("adam", "f2"), 6, seed=2)
        assert chosen == choose(("adam", "f2"), 6, seed=2) != choose(("adam", "f2"), 6, seed=3)
        assert [voice.variant for voice in chosen] == ["adam"] * 6 + ["f2"] * 6

    @given(seed=st.integers(0, 2**32 - 1), n_speakers=st.integers(1, 4))
    def test_speakers_are_of_different_variants(self, seed: int, n_speakers: int) -> None:
        chosen = script("conversations").choose_speakers(24, n_speakers, np.random.default_rng(seed))
        assert len({number // 6 for number in chosen}) == len(chosen) == n_speakers
        assert all(0 <= number < 24 for number in chosen)

    def test_more_speakers_than_variants_are_refused(self) -> None:
        with pytest.raises(ValueError, match="larger"):
            script("conversations").choose_speakers(12, 3, np.random.default_rng(0))


def utterances(n_voices: int) -> list[list[NDArray[np.int16]]]:
    """Return noise in place of voices: three utterances each, of 0.3 to 0.9 s."""
    random = np.random.default_rng(0)
    return [
        [random.integers(-32000, 32000, int(16000 * length)).astype(np.int16) for length in (0.3, 0.6, 0.9)]
        for _ in range(n_voices)
    ]


class TestConversations:
    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n_speakers=st.integers(1, 4), seconds=st.floats(0.05, 6.0))
    def test_turns_lie_inside_and_nothing_is_clipped(self, seed: int, n_speakers: int, seconds: float) -> None:
        conversations = script("conversations")
        voices, speakers = utterances(24), [5, 11, 17, 23][:n_speakers]
        made = [
            conversations.make_conversation(voices, speakers, seconds, np.random.default_rng(seed)) for _ in range(2)
        ]
        talk = made[0]
        assert talk.samples.dtype == np.float32
        assert talk.samples.shape == (int(seconds * 16000),)
        assert np.isfinite(talk.samples).all()
        assert np.abs(talk.samples).max() <= 1
        assert all(0 <= turn.start < turn.stop <= len(talk.samples) for turn in talk.turns)
        assert [turn.start for turn in talk.turns] == sorted(turn.start for turn in talk.turns)
        assert {turn.voice for turn in talk.turns} <= set(speakers)
        assert made[1].turns == talk.turns
        assert np.array_equal(made[1].samples, talk.samples)

    def test_a_gate_leaves_what_is_said(self) -> None:
        conversations = script("conversations")
        turns = tuple(conversations.SpokenTurn(start=start, stop=stop, voice=0) for start, stop in ((1, 3), (2, 4)))
        talk = conversations.Conversation(samples=np.full(6, 0.5, np.float32), turns=turns)
        found = conversations.gated(talk)
        assert (found.dtype, found.tolist()) == (np.float32, [0, 0.5, 0.5, 0.5, 0, 0])

    @pytest.mark.parametrize("seed", range(5))
    def test_speech_is_where_the_turns_are(self, seed: int) -> None:
        conversations = script("conversations")
        habits = conversations.Habits(overlap=0, echo=0)
        talk = conversations.make_conversation(utterances(24), [0, 6], 20.0, np.random.default_rng(seed), habits)
        spoken = np.zeros(len(talk.samples), bool)
        for turn, later in zip(talk.turns, (*talk.turns[1:], None), strict=True):
            assert later is None or turn.stop <= later.start
            spoken[turn.start : turn.stop] = True
        power = talk.samples.astype(float) ** 2
        assert power[spoken].mean() > 5 * power[~spoken].mean()


class TestLoss:
    """Of two speakers in two frames, who are sure to talk one after the other."""

    LABELS = ((1.0, 0.0), (0.0, 1.0))

    def loss(self, probabilities: Any) -> float:
        torch = pytest.importorskip("torch")
        return float(script("model").diarization_loss(torch.tensor([probabilities]), torch.tensor([self.LABELS])))

    def test_of_what_is_right(self) -> None:
        assert self.loss(self.LABELS) < 1e-5

    def test_of_what_is_not_known(self) -> None:
        assert self.loss(((0.5, 0.5), (0.5, 0.5))) == pytest.approx(math.log(2))

    def test_the_order_counts_for_half_of_it(self) -> None:
        assert self.loss(((0.1, 0.9), (0.9, 0.1))) == pytest.approx(-0.5 * math.log(0.1) - 0.5 * math.log(0.9))
