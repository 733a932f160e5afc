from __future__ import annotations

import random

import pytest

from beam_curator.report.reference_errors import compare, errors_of, speakers_of
from beam_curator.report.shown_rows import Turn

REFERENCE = {"a": {"ann": ((0.0, 8.0),), "bob": ((8.0, 10.0), (12.0, 14.0))}}


def test_the_errors_of_a_recording_by_hand() -> None:
    turns = [(0.0, 7.0, "x"), (7.0, 11.0, "y"), (13.0, 14.0, "y"), (13.5, 14.5, "x")]
    compared = compare("a", turns, REFERENCE)
    assert compared is not None
    # x is ann, y is bob: 7-8 is ann's, nobody talks at 10-11, at 12-13 bob was missed, from 13.5 on x is too much
    assert compared.errors == [
        (7.0, 8.0, "confused"), (10.0, 11.0, "false alarm"), (12.0, 13.0, "missed"), (13.5, 14.5, "false alarm"),
    ]  # fmt: skip
    assert compared.scores == {"missed s": 1.0, "false alarm s": 2.0, "confused s": 1.0, "DER %": round(400 / 12, 2)}
    assert compared.details()["reference"][0] == [0.0, 8.0, "ann"]
    assert compare("b", turns, REFERENCE) is None


@pytest.mark.parametrize("seed", range(8))
def test_their_seconds_are_those_of_the_scorer(seed: int) -> None:
    draw = random.Random(seed)

    def some(names: str) -> list[Turn]:
        starts = [round(draw.uniform(0, 60), 2) for _ in range(25)]
        return [(start, round(start + draw.uniform(0.1, 8), 2), draw.choice(names)) for start in starts]

    reference, turns = speakers_of(some("abc")), some("wxyz")
    compared = compare("r", turns, {"r": reference})
    assert compared is not None
    for kind in ("missed", "false alarm", "confused"):
        seconds = sum(end - start for start, end, of in compared.errors if of == kind)
        assert seconds == pytest.approx(compared.scores[f"{kind} s"], abs=0.002), kind


def test_of_equal_turns_there_is_no_error() -> None:
    assert errors_of(REFERENCE["a"], REFERENCE["a"], {"ann": "ann", "bob": "bob"}) == []
