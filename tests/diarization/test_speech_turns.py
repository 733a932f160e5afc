"""Turns cut to spans of speech, worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.diarization.speech_turns import turns_in_speech
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import Turn
from beam_curator.intervals import Span

Cut = tuple[float, float, int]


def cut(turns: list[Cut], speech: list[Span], **rules: float) -> list[Cut]:
    made = [Turn(start=start, end=end, speaker=speaker) for start, end, speaker in turns]
    found = turns_in_speech(made, speech, TurnRules(**rules))
    return [(turn.start, turn.end, turn.speaker) for turn in found]


@pytest.mark.parametrize(
    ("turns", "speech", "expected"),
    [
        ([(1.0, 2.0, 0)], [(0.5, 2.5)], [(1.0, 2.0, 0)]),
        ([(1.0, 2.0, 0)], [], []),
        # what only touches speech is not in it
        ([(1.0, 2.0, 0)], [(0.0, 1.0), (2.0, 3.0)], []),
        ([(1.0, 2.0, 0), (1.5, 4.0, 1)], [(1.25, 1.75), (3.0, 9.0)], [(1.25, 1.75, 0), (1.5, 1.75, 1), (3.0, 4.0, 1)]),
    ],
)
def test_turns_lie_within_speech(turns: list[Cut], speech: list[Span], expected: list[Cut]) -> None:
    assert cut(turns, speech) == expected


def test_a_pause_that_turns_do_not_keep_does_not_divide_them() -> None:
    speech = [(0.0, 1.0), (1.25, 2.0), (2.5, 3.0)]
    assert cut([(0.5, 3.5, 0)], speech, min_duration_off=0.5) == [(0.5, 2.0, 0), (2.5, 3.0, 0)]


def test_a_part_that_is_too_short_for_a_turn_is_left_out() -> None:
    # 0.1 s of the turn of speaker 1 lies in speech; that of speaker 2 was as short before
    turns = [(0.0, 1.0, 0), (0.9, 2.0, 1), (0.4, 0.5, 2)]
    assert cut(turns, [(0.0, 1.0)], min_duration_on=0.2) == [(0.0, 1.0, 0), (0.4, 0.5, 2)]


_TIMES = st.integers(0, 400).map(lambda ticks: ticks / 100)
_SPANS = st.lists(_TIMES, max_size=12, unique=True).map(sorted)


@given(st.lists(st.tuples(_TIMES, _TIMES, st.integers(0, 3)), max_size=8), _SPANS)
def test_each_moment_of_a_turn_is_kept_where_anybody_speaks(turns: list[Cut], edges: list[float]) -> None:
    speech = list(zip(edges[::2], edges[1::2], strict=False))
    kept = cut(turns, speech)

    def talking(found: list[Cut], middle: float) -> set[int]:
        return {speaker for start, end, speaker in found if start < middle < end}

    for tick in range(400):
        middle = tick / 100 + 0.005
        is_speech = any(start < middle < end for start, end in speech)
        assert talking(kept, middle) == (talking(turns, middle) if is_speech else set())
