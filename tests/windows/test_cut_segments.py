"""Segments that are cut at a word, words without times, and bad segments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from beam_curator.failures import EntryError, FailureCode
from beam_curator.windows.training_windows import build_training_windows, cut_words, truncated_segment, word_ends
from tests.talks import RULES, entry, segment, talk, word

Built = dict[str, Any]
STRICT = replace(RULES, strict=True)


@pytest.mark.parametrize(
    ("ends", "latest", "expected"),
    [
        ([], 9.0, (0, 1.0)),
        ([2.0, 3.0], 1.5, (0, 1.0)),
        ([2.0, 3.0], 2.0, (1, 2.0)),
        ([3.0, 2.0, 4.0], 3.5, (2, 2.0)),
        ([2, 3], 3.0, (2, 3)),
    ],
)
def test_words_are_counted_up_to_a_time(ends: list[float], latest: float, expected: tuple[int, float]) -> None:
    talked = entry(segment(1.0, 5.0, words=[word(end) for end in ends]))
    assert repr(cut_words(talked, 0, latest)) == repr(expected)


def test_a_segment_without_words_is_cut_to_no_length() -> None:
    assert cut_words(entry(segment(1.0, 5.0)), 0, 4.0) == (0, 1.0)
    assert list(truncated_segment({"end": 5.0, "start": 1.0, "x": 1}, 0).items()) == [
        ("end", 1.0),
        ("start", 1.0),
        ("x", 1),
        ("words", []),
        ("text", ""),
    ]


def test_a_cut_segment_keeps_its_earliest_words_in_list_order() -> None:
    words = [word(3.0, "c"), word(9.0, "z"), word(1.0, ""), word(2.0, None), {"end": 2.5}, word(2.0, "b")]
    whole: Built = {"text": "c z b", "start": 0.0, "words": words, "end": 9.0, "speaker": "a"}
    cut = truncated_segment(whole, 5)
    assert list(cut) == ["text", "start", "words", "end", "speaker"]
    assert (cut["words"], cut["text"], cut["end"]) == ([words[0], *words[2:]], "c b", 2.0)
    assert len(whole["words"]) == 6


@pytest.mark.parametrize(
    ("bad", "code", "message"),
    [
        (word(None), FailureCode.BAD_TIME, "segments[1].words[1].end is null, expected seconds"),
        (word("9"), FailureCode.BAD_TIME, "segments[1].words[1].end is a string, expected seconds"),
        ({"word": "x"}, FailureCode.MISSING_KEY, "segments[1].words[1].end is absent"),
        ("x", FailureCode.BAD_TYPE, "segments[1].words[1] is a string, expected an object"),
        (None, FailureCode.BAD_TYPE, "segments[1].words[1] is null, expected an object"),
        (word(11.0, 7), FailureCode.BAD_TYPE, "segments[1].words[1].word is a number, expected a string"),
    ],
)
def test_a_bad_word_matters_only_where_a_segment_is_cut(bad: Any, code: FailureCode, message: str) -> None:
    fields = talk(segment(0.0, 6.0, "a"), segment(6.0, 14.0, "b", words=[word(9.0), bad]))
    with pytest.raises(EntryError) as caught:
        build_training_windows(fields, STRICT)
    assert (caught.value.code, caught.value.message) == (code, message)
    assert build_training_windows(fields, replace(STRICT, truncation=False))["windows"] == []
    assert len(build_training_windows(fields, RULES)["windows"]) == 1


AB, NUMBER, CD = (
    {"word": "in", "start": 6.0, "end": 9.0},
    {"word": "2016,"},
    {"word": "yes", "start": 12.0, "end": 13.0},
)


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        ([AB, NUMBER, CD], [9.0, 12.0, 13.0]),
        ([AB, NUMBER, NUMBER, {"word": "yes", "end": 13.0}], [9.0, 13.0, 13.0, 13.0]),
        ([AB, {"word": "a", "start": 10.0}, "so"], [9.0, 14.0, 14.0]),
        ([NUMBER, AB, None, word("9"), word(-2e12)], [6.0, 9.0, 14.0, 14.0, 14.0]),
        ([AB, {"start": 11.5, "end": None}, CD], [9.0, 12.0, 13.0]),
        ([], []),
        (None, []),
    ],
)
def test_a_word_without_an_end_lasts_until_its_neighbour_begins(words: list[Any] | None, ends: list[float]) -> None:
    assert word_ends(segment(6.0, 14.0, words=words)) == ends


@pytest.mark.parametrize(
    ("latest", "kept", "text", "end"),
    [(11.9, 1, "in", 9.0), (12.0, 2, "in 2016,", 12.0), (13.5, 3, "in 2016, yes", 13.0)],
)
def test_a_segment_is_cut_beside_a_word_without_times(latest: float, kept: int, text: str, end: float) -> None:
    words = [AB, NUMBER, CD]
    said = segment(6.0, 14.0, "b", words=words)
    assert cut_words(entry(said), 0, latest) == (kept, end)
    cut = truncated_segment(said, kept)
    assert (cut["words"], cut["text"], cut["end"]) == (words[:kept], text, end)


def test_numbers_and_bare_words_are_text() -> None:
    said = segment(0.0, 9.0, words=[word(1.0, 2016), "so", {"end": 3.0}, word(4.0, ["x"])])
    assert truncated_segment(said, 4)["text"] == "2016 so"


def test_bad_segments_are_left_out_and_counted() -> None:
    good = [segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b")]
    fields = talk(good[0], segment(5.0, None, "c"), None, good[1])
    built, clean = build_training_windows(fields, RULES), build_training_windows(talk(*good), RULES)
    assert built["windows"] == clean["windows"]
    assert (list(built)[-2:], built["bad_segments"]) == (["truncation_events", "bad_segments"], 2)
    assert [loss["index"] for loss in built["stats"]["lost_win_full_data"]] == [3]
    assert "bad_segments" not in clean
    with pytest.raises(EntryError, match=r"segments\[1\].end is null"):
        build_training_windows(fields, STRICT)


def test_a_word_time_beyond_any_double_is_refused() -> None:
    fields = talk(segment(0.0, 9.0, "a"), segment(9.0, 14.0, "b", words=[word(-(10**400))]))
    with pytest.raises(EntryError) as caught:
        build_training_windows(fields, STRICT)
    assert caught.value.code is FailureCode.BAD_TIME
