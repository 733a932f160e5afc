from __future__ import annotations

from typing import Any

import pytest

from beam_curator.clips.cut_rules import CutRules


def test_defaults_are_the_reference_s_way() -> None:
    rules = CutRules()
    assert (rules.what, rules.audio_filepath_key, rules.on_overrun, rules.mono) == ("auto", "", "clamp", "keep")
    assert (rules.sample_rate, rules.allowed_root) == (None, ())


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        (
            "what",
            "words",
            "what 'words' is not known: use one of auto, rows, segments, diar_segments, filtered_windows",
        ),
        ("on_overrun", "drop", "on_overrun 'drop' is not known: use one of clamp, fail"),
        ("mono", "left", "mono 'left' is not known: use one of keep, mix, first"),
        ("sample_rate", 999, "sample_rate 999 must be 1000-384000: choose a rate between them"),
        ("sample_rate", 384001, "sample_rate 384001 must be 1000-384000: choose a rate between them"),
    ],
)
def test_what_cannot_hold_is_refused(option: str, value: Any, problem: str) -> None:
    changes: dict[str, Any] = {option: value}
    with pytest.raises(ValueError, match=f"clips: {problem}"):
        CutRules(**changes)


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)what 'x' .*mono 'y' .*sample_rate 1 "):
        CutRules(sample_rate=1, what="x", mono="y")


@pytest.mark.parametrize("rate", [1000, 8000, 384000])
def test_rates_that_hold(rate: int) -> None:
    assert CutRules(sample_rate=rate).sample_rate == rate
