"""Options that cannot hold are refused, each with its value, limit and cure."""

from __future__ import annotations

from typing import Any

import pytest

from beam_curator.curate.curate_rules import (
    BandFilter,
    ClipRules,
    Concatenation,
    CurateRules,
    CurateVad,
    MonoConversion,
    QualityRules,
    SpeakerSeparation,
)
from beam_curator.curate.score_rules import Dnsmos, Sigmos, Utmos


@pytest.mark.parametrize(
    ("options", "values", "problem"),
    [
        (MonoConversion, {"output_sample_rate": 0}, "output_sample_rate 0 is below 1"),
        (CurateVad, {"min_duration_sec": 60}, "min_duration_sec 60 is not below max_duration_sec 60: lower it"),
        (CurateVad, {"threshold": float("nan")}, "threshold nan is not a finite number: give one"),
        (CurateVad, {"threshold": 1.5}, "threshold 1.5 must be 0-1"),
        (CurateVad, {"threshold": 0}, "threshold is 0, expected a probability above 0"),
        (
            CurateVad,
            {"max_duration_sec": 0.5, "min_duration_sec": 0},
            "max_speech is 0.5 s, expected more than 0.632 s",
        ),
        (CurateVad, {"neg_threshold": 0.9}, "neg_threshold is 0.9, expected 0 to 0.5, the threshold: lower it"),
        (CurateVad, {"neg_threshold": float("nan")}, "neg_threshold is nan, expected 0 to 0.5"),
        (CurateVad, {"vad_path": "x", "engine": "energy"}, "vad_path is of silero, and engine is energy"),
        (Concatenation, {"silence_duration_sec": 60.5}, "silence_duration_sec 60.5 must be 0-60"),
        (SpeakerSeparation, {"min_duration": -1}, "min_duration -1 must be 0-86400"),
        (BandFilter, {"path": "b.onnx"}, "band_filter: path is given, and enable is false"),
        (Utmos, {"mos_threshold": 5.5}, "mos_threshold 5.5 must be 0-5"),
        (Utmos, {"mos_threshold": float("nan")}, "mos_threshold nan is not a finite number: give one"),
        (Utmos, {"path": "u.onnx"}, "path is given, and enable is false: set it to true, too, or leave u.onnx out"),
        (Sigmos, {"col_threshold": -1}, "col_threshold -1 must be 0-5"),
        (Dnsmos, {"ovrl_threshold": float("inf")}, "ovrl_threshold inf is not a finite number: give one"),
        (Dnsmos, {"hop": 0}, "hop 0 must be 0.1-3600"),
        (Dnsmos, {"hop": "9"}, "hop '9' is not a number: give a number"),
        (QualityRules, {"annotate": ("snr", "nois")}, "annotate names 'nois', no filter: use some of"),
        (QualityRules, {"max_clipped_ratio": 2}, "max_clipped_ratio 2 must be 0-1"),
        (ClipRules, {"collar": -1.0}, "collar -1 must be 0-60"),
        (CurateRules, {"channels": "all"}, "channels 'all' is not known"),
    ],
)
def test_what_cannot_hold(options: type[Any], values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=f".*{problem}".replace("(", r"\(")):
        options(**values)


def test_the_edges_hold() -> None:
    assert CurateVad(threshold=1).speech_rules().threshold == 1
    assert Concatenation(silence_duration_sec=60) and Concatenation(silence_duration_sec=0)
    assert Sigmos(noise_threshold=None).noise_threshold is None
    assert (Dnsmos(ovrl_threshold=0).ovrl_threshold, Dnsmos(ovrl_threshold=1).ovrl_threshold) == (0, 1)
