from __future__ import annotations

import pytest

from beam_curator.audio import AudioInfo
from beam_curator.failures import EntryError, FailureCode
from beam_curator.separation.recording_plan import plan_recording
from tests.separation.meetings import meeting, rules

INFO = AudioInfo(sample_rate=8000, n_samples=80000, n_channels=1, container="wav", codec="pcm_16")
CUT_OFF = INFO.with_samples(40000, truncated=True)


def test_tracks_are_those_of_the_speakers_who_get_some() -> None:
    turns = meeting(A=[(0, 2), (9, 12)], B=[(0.5, 1)], C=[(10, 11), (20, 30)], D=[(3, 3.00001)])
    plan = plan_recording(turns, INFO, rules())
    assert [found.speaker for found in plan.speakers] == ["A"]
    assert plan.tracks[0].kept == ((0, 4000), (8000, 16000), (72000, 80000))
    assert plan.dropped == {"C": "outside", "B": "only_overlapped", "D": "too_short"}
    assert (plan.n_cut, plan.n_outside) == (1, 2)


@pytest.mark.parametrize(("end", "fails"), [(5, False), (5.001, True), (30, True)])
def test_of_a_recording_that_was_cut_off_turns_must_be_there(end: float, fails: bool) -> None:
    turns = meeting(A=[(1, end)])
    if not fails:
        assert plan_recording(turns, CUT_OFF, rules()).tracks[0].kept == ((8000, 40000),)
        return
    with pytest.raises(EntryError, match=r"was cut off behind 5\.000 s; turns that end later: 1") as caught:
        plan_recording(turns, CUT_OFF, rules())
    assert caught.value.code is FailureCode.TRUNCATED_AUDIO


def test_nobody_talks() -> None:
    plan = plan_recording([], INFO, rules())
    assert (plan.speakers, plan.tracks, plan.dropped) == ((), (), {})
