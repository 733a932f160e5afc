from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.failures import EntryError, FailureCode
from beam_curator.separation.speaker_turns import SpeakerTurn, TurnsOfRow, clamp_turns, natural_order, turns_of_row
from tests.separation.meetings import meeting


def turn(start: float, end: float, speaker: str) -> SpeakerTurn:
    return SpeakerTurn(start=start, end=end, speaker=speaker)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"start": 0.5, "end": 2, "speaker": "ana", "text": "hm"}, turn(0.5, 2, "ana")),
        ([0.5, 2, "ana"], turn(0.5, 2, "ana")),
        ((0, 2, 3), turn(0, 2, "speaker_3")),
        ({"start": 0, "end": 2, "speaker": 0}, turn(0, 2, "speaker_0")),
    ],
)
def test_turns_have_three_forms(item: Any, expected: SpeakerTurn) -> None:
    assert turns_of_row({"segments": [item]}) == TurnsOfRow(key="segments", turns=(expected,))


def test_integers_and_their_names_are_one_speaker() -> None:
    found = turns_of_row({"diar_segments": [[0, 1, 2], [3, 4, "speaker_2"]]})
    assert {each.speaker for each in found.turns} == {"speaker_2"}


def test_turns_without_length_and_pieces_without_anybody_are_left_out_and_counted() -> None:
    items = [[1, 1, "a"], [2, 3, "no-speaker"], [None, "x", "no-speaker"], [3.0, 3, "b"], [4, 5, "a"]]
    found = turns_of_row({"segments": items})
    assert found == TurnsOfRow(key="segments", turns=(turn(4, 5, "a"),), n_empty=2, n_no_speaker=2)


DICTS = [{"start": 0, "end": 1, "speaker": "d"}]
OTHERS = [{"start": 0, "end": 1, "speaker": "s"}]


@pytest.mark.parametrize(
    ("row", "key", "expected"),
    [
        ({"segments": OTHERS, "diar_segments": DICTS}, "", "diar_segments"),
        ({"segments": OTHERS, "diar_segments": [[0, 1]]}, "", "segments"),  # as diarize writes with pairs
        ({"segments": OTHERS, "diar_segments": None}, "", "segments"),
        ({"segments": None, "diar_segments": DICTS}, "", "diar_segments"),
        ({"segments": OTHERS, "diar_segments": []}, "", "diar_segments"),
        ({"segments": OTHERS, "diar_segments": DICTS}, "segments", "segments"),
        ({"mine": OTHERS, "segments": 5}, "mine", "mine"),
    ],
)
def test_the_first_key_that_says_who_talks_counts(row: dict[str, Any], key: str, expected: str) -> None:
    assert turns_of_row(row, key).key == expected


def test_nobody_may_talk() -> None:
    assert turns_of_row({"segments": []}) == TurnsOfRow(key="segments", turns=())


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ({}, FailureCode.MISSING_KEY, "the row has neither 'diar_segments' nor 'segments'"),
        ({"segments": None}, FailureCode.MISSING_KEY, "the row has neither 'diar_segments' nor 'segments'"),
        ({"segments": {}}, FailureCode.BAD_TYPE, "segments is an object, expected an array"),
    ],
)
def test_a_row_without_turns_is_refused(row: dict[str, Any], code: FailureCode, message: str) -> None:
    with pytest.raises(EntryError) as caught:
        turns_of_row(row)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_a_key_that_was_named_has_to_be_there() -> None:
    with pytest.raises(EntryError, match="missing_key: key 'mine' is absent"):
        turns_of_row({"segments": DICTS}, "mine")


EXPECTED_FORM = "expected an object with start, end and speaker, or [start, end, speaker]"
EXPECTED_NAME = "expected a name or an integer from 0"


@pytest.mark.parametrize(
    ("item", "code", "message"),
    [
        ([0, 1], "missing_key", "segments[1] does not say who speaks, expected a speaker beside start and end"),
        (
            {"start": 0, "end": 1},
            "missing_key",
            "segments[1] does not say who speaks, expected a speaker beside start and end",
        ),
        (None, "bad_type", f"segments[1] is null, {EXPECTED_FORM}"),
        ([1, 2, 3, 4], "bad_type", f"segments[1] is an array of 4, {EXPECTED_FORM}"),
        ("abc", "bad_type", f"segments[1] is a string, {EXPECTED_FORM}"),
        ([0, 1, ""], "bad_type", f"segments[1][2] is empty, {EXPECTED_NAME}"),
        ([0, 1, None], "bad_type", f"segments[1][2] is null, {EXPECTED_NAME}"),
        ({"start": 0, "end": 1, "speaker": True}, "bad_type", f"segments[1].speaker is a boolean, {EXPECTED_NAME}"),
        ([0, 1, 1.0], "bad_type", f"segments[1][2] is 1.0, {EXPECTED_NAME}"),
        ([0, 1, -1], "bad_type", f"segments[1][2] is below 0, {EXPECTED_NAME}"),
        ([0, 1, 10**5000], "bad_type", f"segments[1][2] is beyond 2^63, {EXPECTED_NAME}"),
        ([0, 1, ["a"]], "bad_type", f"segments[1][2] is an array, {EXPECTED_NAME}"),
        ({"start": 0, "speaker": "a"}, "missing_key", "segments[1].end is absent"),
        (
            [0, math.nan, "a"],
            "bad_time",
            "segments[1][1] is nan, expected seconds between -1e+12 and 1e+12",
        ),
        (
            {"start": "0", "end": 1, "speaker": "a"},
            "bad_time",
            "segments[1].start is a string, expected seconds between -1e+12 and 1e+12",
        ),
        (
            [False, 1, "a"],
            "bad_time",
            "segments[1][0] is a boolean, expected seconds between -1e+12 and 1e+12",
        ),
        ([5, 2.5, "a"], "bad_time", "segments[1] runs from 5 to 2.5 s, expected an end after the start"),
        ([-1, 2, "a"], "bad_time", "segments[1] runs from -1 to 2 s, expected times from 0 on"),
        ([-1, -1, "a"], "bad_time", "segments[1] runs from -1 to -1 s, expected times from 0 on"),
    ],
)
def test_a_turn_that_is_none_is_named_by_its_place(item: Any, code: str, message: str) -> None:
    with pytest.raises(EntryError) as caught:
        turns_of_row({"segments": [[0, 1, "a"], item]}, strict=True)
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    "item", [None, "abc", {"start": 0, "speaker": "a"}, [None, 1, "a"], [5, 2.5, "a"], [-1, 2, "a"], [0, math.nan, "a"]]
)
def test_a_turn_without_usable_times_is_left_out_and_counted_unless_it_is_alone(item: Any) -> None:
    found = turns_of_row({"segments": [item, [0, 1, "a"], [2, 2, "b"], item]})
    assert found == TurnsOfRow(key="segments", turns=(turn(0, 1, "a"),), n_empty=1, n_bad=2)
    with pytest.raises(EntryError, match=r"segments\[0\]"):
        turns_of_row({"segments": [item, [2, 2, "b"]]})


@pytest.mark.parametrize("item", [[0, 1], {"start": None, "end": 1}, [0, 1, None], [0, 1, 1.5]])
def test_a_turn_that_may_be_anybody_s_costs_the_row(item: Any) -> None:
    with pytest.raises(EntryError, match=r"segments\[1\]"):
        turns_of_row({"segments": [[0, 1, "a"], item]})


def test_turns_end_with_their_recording() -> None:
    found = clamp_turns(meeting(a=[(0, 4), (3, 9)], b10=[(4.5, 5)], b9=[(7, 8)], c=[(5, 6), (1, 2)]), 4.5)
    assert found.turns == (turn(0, 4, "a"), turn(3, 4.5, "a"), turn(1, 2, "c"))
    assert (found.n_cut, found.n_outside, found.speakers_outside) == (1, 3, ("b9", "b10"))


def test_speakers_are_in_the_order_in_which_people_count() -> None:
    ordered = ["", "1", "1a", "2", "10", "Ana", "ana", "s01", "s1", "s1b2", "s1b10", "s2", "s10", "ü"]
    assert sorted(set(ordered), key=natural_order) == ordered
    assert sorted(ordered) != ordered


def test_digits_without_end_are_no_trouble() -> None:
    long = "9" * 10_000
    assert sorted([long, "1" + long, "8" + long[1:]], key=natural_order) == ["8" + long[1:], long, "1" + long]


@given(st.sets(st.text(alphabet="a0129_٣", max_size=5)))
def test_different_names_have_one_order(names: set[str]) -> None:
    assert len({natural_order(name) for name in names}) == len(names)
    assert sorted(sorted(names), key=natural_order) == sorted(sorted(names, reverse=True), key=natural_order)
