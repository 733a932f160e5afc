from __future__ import annotations

import math
from typing import Any

import pytest

from beam_curator.scoring.scores import (
    Conditions,
    Rates,
    RecordingScore,
    macro_rates,
    speaker_counts,
    weighted_rates,
)

NO_RATES = Rates(der=None, missed=None, false_alarm=None, confused=None, jer=None)


def score(**changes: Any) -> RecordingScore:
    """Make a score of 10 s speech of two speakers without an error."""
    fields: dict[str, Any] = {
        "recording_id": "a",
        "scored": 20.0,
        "speech": 10.0,
        "missed": 0.0,
        "false_alarm": 0.0,
        "confused": 0.0,
        "jaccard_error": 0.0,
        "n_jaccard": 2,
        "n_reference_speakers": 2,
        "n_hypothesis_speakers": 2,
    }
    return RecordingScore(**fields | changes)


SILENT = score(speech=0.0, false_alarm=3.0, n_jaccard=0, n_reference_speakers=0, n_hypothesis_speakers=1)


def test_rates_are_percent_of_the_speech() -> None:
    rates = score(missed=1.0, false_alarm=2.0, confused=0.5, jaccard_error=0.5).rates
    assert rates == Rates(der=35.0, missed=10.0, false_alarm=20.0, confused=5.0, jer=25.0)


def test_weighted_by_speech_and_the_plain_mean_differ() -> None:
    scores = [score(missed=5.0, jaccard_error=1.0), score(speech=30.0, missed=3.0, jaccard_error=0.4, n_jaccard=4)]
    assert weighted_rates(scores).der == 20.0  # 8 of 40 s
    assert macro_rates(scores).der == 30.0  # 50 % and 10 %
    assert weighted_rates(scores).jer == pytest.approx(1.4 / 6 * 100)
    assert macro_rates(scores).jer == pytest.approx((50 + 10) / 2)


def test_false_alarms_alone_are_in_the_weighted_rate_only() -> None:
    scores = [score(missed=1.0), SILENT]
    assert SILENT.rates == NO_RATES
    assert weighted_rates(scores) == Rates(der=40.0, missed=10.0, false_alarm=30.0, confused=0.0, jer=0.0)
    assert macro_rates(scores) == Rates(der=10.0, missed=10.0, false_alarm=0.0, confused=0.0, jer=0.0)


def test_without_any_speech_there_is_no_rate() -> None:
    assert weighted_rates([SILENT]) == macro_rates([SILENT]) == NO_RATES


def test_speakers_are_counted_per_recording() -> None:
    counts = speaker_counts([score(), score(n_hypothesis_speakers=5), score(n_hypothesis_speakers=1), SILENT])
    assert (counts.n_right, counts.accuracy) == (1, 25.0)
    assert counts.mean_error == (0 + 3 + 1 + 1) / 4
    assert [score(n_hypothesis_speakers=n).count_error for n in (0, 2, 3)] == [-2, 0, 1]


@pytest.mark.parametrize("collar", [-0.1, math.nan, math.inf])
def test_a_collar_is_seconds(collar: float) -> None:
    with pytest.raises(ValueError, match=r"^collar \S+, expected seconds, 0 or more: give for example 0\.25$"):
        Conditions(collar=collar)
