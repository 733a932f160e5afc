from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest

from beam_curator.diarization.turn_rules import TURN_PRESETS, TurnRules


def test_the_presets_are_the_published_ones_and_that_of_the_cascade() -> None:
    assert {name: astuple(rules) for name, rules in TURN_PRESETS.items()} == {
        "default": (0.5, 0.5, 0.0, 0.0, 0.0, 0.0),
        "v1-callhome": (0.53, 0.49, 0.23, 0.01, 0.42, 0.34),
        "v1-dihard3": (0.64, 0.74, 0.06, 0.0, 0.1, 0.15),
        "v2-callhome": (0.641, 0.561, 0.229, 0.079, 0.511, 0.296),
        "v2-dihard3": (0.56, 1.0, 0.063, 0.002, 0.007, 0.151),
        "cascade": (0.3, 0.1, 0.0, 0.0, 0.0, 0.0),
    }


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"onset": 1.01}, "onset 1.01 must be 0-1: choose a value between them"),
        ({"offset": -0.1}, "offset -0.1 must be 0-1: choose a value between them"),
        ({"pad_onset": float("inf")}, "pad_onset inf is not a finite number: give one"),
        ({"pad_offset": "1"}, "pad_offset '1' is not a number: give a number"),
        ({"min_duration_on": -1}, "min_duration_on -1 is below 0: raise it"),
        ({"min_duration_off": float("nan")}, "min_duration_off nan is not a finite number: give one"),
        ({"onset": 2, "min_duration_on": True}, "onset 2 must be 0-1: .*; min_duration_on True is not a number: give"),
    ],
)
def test_what_cannot_hold_is_named_together(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^turn rules: {problem}"):
        TurnRules(**options)


def test_padding_may_be_negative() -> None:
    assert TurnRules(pad_onset=-0.1).pad_onset == -0.1
