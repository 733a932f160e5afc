from __future__ import annotations

import pytest

from beam_curator.diarization.rttm import RttmTurn
from beam_curator.scoring.pairing import extent_of, named, pair_recordings, recordings_of

TALK = {"x": ((0.0, 1.0),)}


def test_a_recording_of_empty_turns_alone_is_one_in_which_nobody_talks() -> None:
    turns = [("a", 1.0, 1.0, "x"), ("b", 0.0, 2.0, "y"), ("b", 3.0, 3.0, "z")]
    found = recordings_of(RttmTurn(recording_id=name, start=s, end=e, speaker=who) for name, s, e, who in turns)
    assert found == {"a": {}, "b": {"y": ((0.0, 2.0),)}}


def test_a_speaker_who_talks_twice_at_a_time_talks_once() -> None:
    turns = [
        RttmTurn(recording_id="a", start=start, end=end, speaker=speaker)
        for start, end, speaker in [(4.0, 6.0, "x"), (0.0, 2.0, "x"), (1.0, 3.0, "x"), (3.0, 4.0, "x"), (0.0, 1.0, "y")]
    ]
    assert recordings_of(turns) == {"a": {"x": ((0.0, 6.0),), "y": ((0.0, 1.0),)}}


def test_the_extent_is_that_of_all_sides() -> None:
    assert extent_of({"x": ((3.0, 4.0), (8.0, 9.0))}, {"a": ((2.5, 3.0),)}) == ((2.5, 9.0),)
    assert extent_of({"x": ((3.0, 4.0),)}, {}) == ((3.0, 4.0),)
    assert extent_of({}, {}) == ()


def test_recordings_are_matched_by_name() -> None:
    pairing = pair_recordings({"b": TALK, "a": TALK, "silent": {}}, {"c": TALK, "a": TALK})
    assert pairing.scored == ("a", "b", "silent")
    assert pairing.without_hypothesis == ("b", "silent")
    assert pairing.without_reference == ("c",)


def test_a_hypothesis_that_says_nothing_needs_no_name() -> None:
    pairing = pair_recordings({"a": TALK}, {"b": {}})
    assert (pairing.without_hypothesis, pairing.without_reference) == (("a",), ("b",))


def test_names_that_never_match_are_a_mistake() -> None:
    said = (
        "no recording is on both sides: the reference has a, the hypothesis a.wav: "
        "recordings are matched by the second field of their RTTM, so give both the same names"
    )
    with pytest.raises(ValueError, match=r"^no recording") as caught:
        pair_recordings({"a": TALK}, {"a.wav": TALK})
    assert str(caught.value) == said


def test_long_lists_of_names_are_cut_short() -> None:
    assert named(["b", "a b", "\ud800"]) == "a%20b, b, %ED%A0%80"
    assert named(f"{number:02}" for number in range(20)).endswith(", 18, 19")
    assert named(f"{number:02}" for number in range(21)).endswith(", 18, 19 and 1 more")
