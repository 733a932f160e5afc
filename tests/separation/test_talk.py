from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.separation.speaker_turns import SpeakerTurn
from beam_curator.separation.talk import MicroSpan, in_seconds, stretches, united_turns
from beam_curator.sets.counting import microseconds
from tests.separation.meetings import MEETINGS, meeting


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, 0), (12, 12_000_000), (0.1, 100_000), (1.0000004, 1_000_000), (36000.08, 36000080000)]
)
def test_seconds_become_the_nearest_microsecond(seconds: float, expected: int) -> None:
    assert microseconds(seconds) == expected


@given(st.integers(0, 10**11))
def test_microseconds_come_back(number: int) -> None:
    assert microseconds(in_seconds((0, number))[1]) == number


def test_times_with_six_decimals_come_back_as_they_were() -> None:
    assert in_seconds((microseconds(0.1), microseconds(5.123456))) == (0.1, 5.123456)


def test_speakers_are_in_natural_order_and_those_who_say_nothing_stay() -> None:
    turns = meeting(s10=[(1, 2), (0, 1)], s2=[(5, 5.0000001)])
    assert list(united_turns(turns).items()) == [("s2", []), ("s10", [(0, 2_000_000)])]


def seen(talk: dict[str, list[MicroSpan]], duration: int) -> list[tuple[int, int, int, str | None]]:
    return [(each.start_us, each.end_us, each.n_talking, each.latest) for each in stretches(talk, duration)]


def test_three_speakers_at_once() -> None:
    assert seen({"a": [(0, 20)], "b": [(5, 15)], "c": [(8, 10)]}, 25) == [
        (0, 5, 1, "a"),
        (5, 8, 2, "b"),
        (8, 10, 3, "c"),
        (10, 15, 2, "b"),
        (15, 20, 1, "a"),
        (20, 25, 0, None),
    ]


def test_who_begins_anew_is_the_latest_again() -> None:
    assert seen({"a": [(0, 2), (4, 9)], "b": [(1, 9)]}, 9) == [
        (0, 1, 1, "a"),
        (1, 2, 2, "b"),
        (2, 4, 1, "b"),
        (4, 9, 2, "a"),
    ]


def test_of_those_who_begin_at_once_the_last_in_order_is_the_latest() -> None:
    assert seen({"a": [(0, 4)], "b": [(0, 2)]}, 4) == [(0, 2, 2, "b"), (2, 4, 1, "a")]


def test_nobody_talks() -> None:
    assert (seen({}, 5), seen({}, 0)) == ([(0, 5, 0, None)], [])


@given(MEETINGS)
def test_stretches_fill_the_recording(turns: list[SpeakerTurn]) -> None:
    found = list(stretches(united_turns(turns), 7_000_000))
    assert [each.start_us for each in found] == [0, *(each.end_us for each in found[:-1])]
    assert found[-1].end_us == 7_000_000
    assert all(each.start_us < each.end_us for each in found)
    for each in found:
        talking = {turn.speaker for turn in turns if microseconds(turn.start) <= each.start_us < microseconds(turn.end)}
        assert (len(talking), each.latest is None or each.latest in talking) == (each.n_talking, True)
