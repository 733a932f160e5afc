from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.export.row_keys import (
    CLIPS_PER_CHUNK,
    chunks_of,
    missing_transcripts,
    n_chunks,
    rejection_of,
    scores_of,
    transcripts_of,
)
from beam_curator.failures import EntryError, FailureCode


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        (None, ()),
        (False, ()),
        ("", ()),
        ([], ()),
        ({}, ()),
        (True, ("rejected",)),
        ("snr", ("snr",)),
        (["snr", "band", "snr"], ("snr", "band")),
        ({"snr": True, "band": False, "utmos": True}, ("snr", "utmos")),
        ({"band": False}, ()),
    ],
)
def test_what_rejected_a_clip(value: object, rules: tuple[str, ...]) -> None:
    assert rejection_of({"rejected_by": value}, "rejected_by") == rules
    assert rejection_of({"other": value}, "rejected_by") == ()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (0, "a number"),
        (1.5, "a number"),
        (["snr", 1], "an array that holds something else"),
        (["snr", ""], "an array that holds something else"),
        ({"snr": 1}, "an object that holds something else"),
        ({"snr": None}, "an object that holds something else"),
        ({"": True}, "an object that holds something else"),
    ],
)
def test_other_rejections_are_refused(value: object, found: str) -> None:
    with pytest.raises(EntryError) as refused:
        rejection_of({"rejected_by": value}, "rejected_by")
    assert refused.value.code == FailureCode.BAD_TYPE
    assert refused.value.message == f"'rejected_by' is {found}, expected the rules that rejected the clip"


def test_transcripts_come_in_the_order_of_the_models() -> None:
    row = {"text": "plain", "canary_transcript": "", "parakeet_transcript": None, "text_transcript": "not this one"}
    found = transcripts_of(row, ["parakeet", "text", "canary", "whisper"])
    assert list(found.items()) == [("text", "plain"), ("canary", "")]
    assert missing_transcripts(found, ["parakeet", "text", "canary", "whisper"]) == (
        "parakeet_transcript_missing",
        "whisper_transcript_missing",
    )
    assert transcripts_of(row, []) == {}


@pytest.mark.parametrize("value", [1, ["hello"], {"text": "hello"}, True])
def test_transcripts_are_strings(value: object) -> None:
    with pytest.raises(EntryError, match=r"bad_type: 'canary_transcript' is .*, expected a string: write the trans"):
        transcripts_of({"canary_transcript": value}, ["canary"])


def test_scores_keep_their_kind_of_number() -> None:
    row: dict[str, Any] = {"utmos": 3.5, "n": 2, "huge": 10**400, "snr": None}
    assert list(scores_of(row, ["n", "snr", "utmos", "pesq", "huge"]).items()) == [
        ("n", 2),
        ("utmos", 3.5),
        ("huge", 10**400),
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("3.5", FailureCode.BAD_TYPE),
        (True, FailureCode.BAD_TYPE),
        ([3.5], FailureCode.BAD_TYPE),
        (float("nan"), FailureCode.NON_FINITE),
        (float("-inf"), FailureCode.NON_FINITE),
    ],
)
def test_scores_are_finite_numbers(value: object, code: FailureCode) -> None:
    with pytest.raises(EntryError) as refused:
        scores_of({"utmos": value}, ["utmos"])
    assert refused.value.code == code


@given(st.lists(st.integers(), max_size=50), st.integers(1, 12))
def test_chunks_put_together_are_the_clips(clips: list[int], size: int) -> None:
    chunks = list(chunks_of(clips, size))
    assert [clip for _, chunk in chunks for clip in chunk] == clips
    assert [index for index, _ in chunks] == list(range(n_chunks(len(clips), size)))
    assert all(len(chunk) == size for _, chunk in chunks[:-1])


def test_chunks_are_taken_as_they_come() -> None:
    clips = itertools.count()
    assert next(chunks_of(clips, CLIPS_PER_CHUNK)) == (0, list(range(256)))
    assert next(clips) == 256


def test_chunks_hold_something() -> None:
    with pytest.raises(ValueError, match="clips_per_chunk 0 is below 1: raise it"):
        chunks_of([], 0)
