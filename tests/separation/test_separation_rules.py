from __future__ import annotations

from typing import Any

import pytest

from beam_curator.rules import config_of
from beam_curator.separation.separation_rules import SeparationRules


def test_names_and_defaults_are_those_of_the_reference() -> None:
    assert config_of(SeparationRules()) == {
        "exclude_overlaps": True,
        "min_duration": 0.8,
        "gap_threshold": 0.1,
        "buffer_time": 0.5,
        "buffer_mode": "shrink_at_overlaps",
        "overlap_policy": "all",
        "compact": False,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_duration": -1}, "min_duration -1 must be 0-86400: choose a value between them"),
        ({"gap_threshold": float("nan")}, "gap_threshold nan is not a finite number: give one"),
        ({"buffer_time": "1"}, "buffer_time '1' is not a number: give a number"),
        ({"buffer_time": True}, "buffer_time True is not a number: give a number"),
        ({"exclude_overlaps": 1}, "exclude_overlaps 1 is neither true nor false: give one of them"),
        ({"compact": "no"}, "compact 'no' is neither true nor false: give one of them"),
        ({"buffer_mode": "grow"}, "buffer_mode 'grow' is not known: use one of shrink_at_overlaps, pad_turns"),
        (
            {"overlap_policy": "first", "exclude_overlaps": False},
            "overlap_policy 'first' is not known: use one of all, latest",
        ),
        (
            {"overlap_policy": "latest"},
            "overlap_policy 'latest' says who gets overlaps, and exclude_overlaps leaves them out: "
            "set exclude_overlaps to false, or leave overlap_policy out",
        ),
    ],
)
def test_what_cannot_hold_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        SeparationRules(**options)
    assert str(caught.value) == f"separation rules: {message}"


def test_all_problems_are_told_together() -> None:
    with pytest.raises(ValueError) as caught:
        SeparationRules(min_duration=-1, buffer_mode="grow", overlap_policy="latest")
    assert [text.split()[0] for text in str(caught.value).removeprefix("separation rules: ").split("; ")] == [
        "min_duration",
        "buffer_mode",
        "overlap_policy",
    ]


@pytest.mark.parametrize(
    ("exclude_overlaps", "buffer_mode", "expected"),
    [
        (True, "shrink_at_overlaps", (True, False)),
        (False, "shrink_at_overlaps", (False, False)),
        (True, "pad_turns", (False, True)),
        (False, "pad_turns", (False, True)),
    ],
)
def test_what_the_buffer_does(exclude_overlaps: bool, buffer_mode: str, expected: tuple[bool, bool]) -> None:
    chosen = SeparationRules(exclude_overlaps=exclude_overlaps, buffer_mode=buffer_mode)
    assert (chosen.shrinks, chosen.pads) == expected
