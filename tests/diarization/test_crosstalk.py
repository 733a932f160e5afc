from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.crosstalk import (
    RULES,
    CrosstalkRules,
    LevelMeter,
    owners_of,
    seconds_of,
    without_crosstalk,
)
from beam_curator.diarization.turns import Turn

VOICE = np.array([1.0, 3.0, 2.0, 5.0, 1.0, 4.0, 2.0, 1.0, 3.0, 2.0])
"""Levels of somebody who talks, one a tenth of a second."""

OTHER = np.array([4.0, 1.0, 3.0, 1.0, 2.0, 1.0, 5.0, 3.0, 1.0, 2.0])
"""Levels of another: the correlation with VOICE is below 0."""

STEP = 0.1


def turn(start: float, end: float, channel: int) -> Turn:
    return Turn(start=start, end=end, speaker=4 * channel, channel=channel)


def spans(turns: list[Turn]) -> list[tuple[float, float, Any]]:
    return [(one.start, one.end, one.channel) for one in turns]


class TestLevelMeter:
    def test_levels_are_root_mean_squares_of_whole_samples(self) -> None:
        meter = LevelMeter(11025, 1)
        assert meter.frame_step == 220 / 11025
        meter.add(np.full((440, 1), 0.5, np.float32))
        assert meter.levels().tolist() == [[0.5], [0.5]]
        assert LevelMeter(8000, 2).levels().shape == (0, 2)

    @given(st.lists(st.integers(0, 700), max_size=6))
    def test_pieces_of_any_lengths_give_the_same(self, lengths: list[int]) -> None:
        samples = np.random.default_rng(3).uniform(-1, 1, (sum(lengths), 2)).astype(np.float32)
        whole, pieces = LevelMeter(8000, 2), LevelMeter(8000, 2)
        whole.add(samples)
        for piece in np.split(samples, np.cumsum(lengths)):
            pieces.add(piece)
        np.testing.assert_array_equal(pieces.levels(), whole.levels())


class TestOwners:
    """Levels beside each other are those of channels, in the order of the factors."""

    @pytest.mark.parametrize(
        ("levels", "loudness", "owners"),
        [
            # an echo, 20 dB down: 20 * log10(0.1)
            ([VOICE, 0.1 * VOICE], [1, 1], (0, 0)),
            ([0.1 * VOICE, VOICE], [1, 1], (1, 1)),
            # somebody else, loud or soft
            ([VOICE, OTHER], [1, 1], (0, 1)),
            ([VOICE, 0.1 * OTHER], [1, 1], (0, 1)),
            # the same on both, less than 6 dB apart: that which is louder in all of the recording, else the first
            ([VOICE, 0.9 * VOICE], [1, 2], (1, 1)),
            ([VOICE, VOICE], [1, 1], (0, 0)),
            # 5.99 dB and 6.01 dB down
            ([VOICE, 0.5017 * VOICE], [1, 2], (1, 1)),
            ([VOICE, 0.5006 * VOICE], [1, 2], (0, 0)),
            # two voices, each with an echo
            ([VOICE, OTHER, 0.1 * VOICE, 0.2 * OTHER], [1, 1, 1, 1], (0, 1, 0, 1)),
            # levels that do not change rise and fall with nothing
            ([VOICE, np.full(10, 0.1)], [1, 1], (0, 1)),
            ([np.zeros(10), np.zeros(10)], [1, 1], (0, 1)),
        ],
    )
    def test_by_hand(self, levels: list[Any], loudness: list[float], owners: tuple[int, ...]) -> None:
        assert owners_of(np.stack(levels, axis=1), loudness) == owners

    def test_an_echo_correlates_by_four_fifths(self) -> None:
        """VOICE deviates from its mean 2.4 by squares of 16.4 in sum; a step in one frame moves the correlation."""
        for step, owner in ((2.0, 0), (6.0, 1)):
            echo = VOICE.copy()
            echo[4] += step
            is_alike = np.corrcoef(VOICE, echo)[0, 1] >= 0.8
            assert is_alike == (owner == 0)
            assert owners_of(np.stack((VOICE, 0.1 * echo), axis=1), (1, 1)) == (0, owner)

    @given(st.lists(st.lists(st.floats(0, 8), min_size=6, max_size=6), min_size=1, max_size=4), st.data())
    def test_an_owner_owns_itself(self, levels: list[list[float]], data: st.DataObject) -> None:
        loudness = data.draw(st.lists(st.floats(0, 8), min_size=len(levels), max_size=len(levels)))
        owners = owners_of(np.array(levels).T, loudness)
        assert all(owners[owner] == owner for owner in owners)


class TestWithoutCrosstalk:
    def levels(self, *parts: tuple[Any, Any]) -> Any:
        """Return levels of two channels, second by second."""
        return np.concatenate([np.stack(part, axis=1) for part in parts])

    def test_an_echo_goes_and_what_is_said_beside_it_stays(self) -> None:
        levels = self.levels((VOICE, 0.1 * VOICE), (VOICE, OTHER), (0.0 * VOICE, OTHER))
        turns = [turn(0.0, 2.0, 0), turn(0.0, 3.0, 1)]
        assert spans(without_crosstalk(turns, levels, STEP)) == [(0.0, 2.0, 0), (1.0, 3.0, 1)]

    def test_a_turn_may_be_cut_in_two(self) -> None:
        levels = self.levels((0.0 * VOICE, OTHER), (VOICE, 0.1 * VOICE), (0.0 * VOICE, OTHER))
        found = without_crosstalk([turn(0.0, 3.0, 1), turn(1.0, 2.0, 0)], levels, STEP)
        assert spans(found) == [(0.0, 1.0, 1), (2.0, 3.0, 1), (1.0, 2.0, 0)]

    def test_short_rests_go_too(self) -> None:
        """The echo's turn begins 0.2 s before that of the voice, and ends 0.3 s after it."""
        levels = self.levels((VOICE, 0.1 * VOICE), (VOICE, 0.1 * VOICE))
        found = without_crosstalk([turn(0.2, 1.5, 0), turn(0.0, 1.8, 1)], levels, STEP)
        assert spans(found) == [(0.2, 1.5, 0), (1.5, 1.8, 1)]

    def test_what_has_no_turn_on_the_louder_channel_stays(self) -> None:
        levels = self.levels((VOICE, 0.1 * VOICE))
        assert spans(without_crosstalk([turn(0.0, 1.0, 1)], levels, STEP)) == [(0.0, 1.0, 1)]

    def test_what_is_too_short_is_not_judged(self) -> None:
        levels = self.levels((VOICE, 0.1 * VOICE))
        turns = [turn(0.0, 0.2, 0), turn(0.0, 0.2, 1)]
        assert without_crosstalk(turns, levels, STEP) == turns
        assert spans(without_crosstalk(turns, levels, STEP, rules=CrosstalkRules(shortest_part=0.2))) == [(0.0, 0.2, 0)]

    def test_turns_that_touch_on_one_channel_lose_both(self) -> None:
        levels = self.levels((VOICE, 0.1 * VOICE))
        turns = [turn(0.0, 1.0, 0), turn(0.0, 0.5, 1), Turn(start=0.3, end=1.0, speaker=5, channel=1)]
        assert spans(without_crosstalk(turns, levels, STEP)) == [(0.0, 1.0, 0)]

    def test_frames_begin_where_the_piece_does(self) -> None:
        levels = self.levels((VOICE, 0.1 * VOICE), (VOICE, OTHER))
        turns = [turn(7.0, 9.0, 0), turn(7.0, 9.0, 1)]
        assert spans(without_crosstalk(turns, levels, STEP, begin=7.0)) == [(7.0, 9.0, 0), (8.0, 9.0, 1)]

    def test_no_turns_and_no_frames(self) -> None:
        assert without_crosstalk([], np.empty((0, 2)), STEP) == []
        turns = [turn(0.0, 2.0, 0), turn(0.0, 2.0, 1)]
        assert without_crosstalk(turns, np.empty((0, 2)), STEP) == turns

    @given(
        st.lists(
            st.tuples(st.integers(0, 40), st.integers(1, 20), st.integers(0, 2)).map(
                lambda drawn: turn(drawn[0] / 10, (drawn[0] + drawn[1]) / 10, drawn[2])
            ),
            max_size=8,
        ),
        st.integers(0, 99),
    )
    def test_speech_that_somebody_has_is_never_lost(self, turns: list[Turn], seed: int) -> None:
        """Whenever there was a turn, there is one, but for rests: those are shorter than a quarter of a second."""
        chance = np.random.default_rng(seed)
        voices = chance.uniform(0, 1, (60, 2))
        levels = voices[:, [0, 0, 1]] * chance.choice([0.05, 0.9, 1.0], 3)
        kept = without_crosstalk(turns, levels, STEP, rules=CrosstalkRules(shortest_rest=0.0))
        cells = [
            {(cell, one.channel) for one in some for cell in range(round(one.start * 1000), round(one.end * 1000))}
            for some in (turns, kept)
        ]
        assert cells[1] <= cells[0]
        assert {cell for cell, _ in cells[0]} == {cell for cell, _ in cells[1]}
        assert seconds_of(kept) <= seconds_of(turns)


def test_the_rules_hold_for_frames_of_20_ms() -> None:
    assert (RULES.frame, RULES.part, RULES.shortest_part, RULES.margin_db) == (0.02, 1.0, 0.3, 6.0)
