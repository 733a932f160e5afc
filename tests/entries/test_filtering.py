from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.entries.filter_rules import FilterRules
from beam_curator.entries.filtering import filter_line
from beam_curator.failures import EntryError, FailureCode


def filtered(row: Any, *where: str, **options: Any) -> tuple[Any, dict[str, int]]:
    """Return what is kept of a row, and the counts."""
    rules, counts = FilterRules(where=where, **options), Counter[str]()
    kept = filter_line(json.dumps(row).encode(), rules, rules.conditions(), counts)
    return None if kept is None else json.loads(kept), dict(counts)


SEGMENTS = [
    {"start": 0, "end": 2, "speaker": "ana", "metrics": {"bandwidth": 8000}},
    {"start": 2, "end": 3, "speaker": "no-speaker", "metrics": {"bandwidth": 8000}},
    {"start": 3, "end": 5, "speaker": "bo", "metrics": {"bandwidth": 3400}},
    {"start": 5, "end": 6, "speaker": "bo"},
]
ENTRY = {"audio_filepath": "a.wav", "duration": 6, "segments": SEGMENTS}


def test_a_row_is_kept_as_it_is_to_the_byte() -> None:
    rules, counts = FilterRules(where=("duration >= 2",)), Counter[str]()
    line = b'{"duration" : 2.50,"x":"\\u00e9", "duration": 6}'
    assert filter_line(line, rules, rules.conditions(), counts) == line
    assert counts == {"filter.rows": 1}


def test_segments_are_judged_where_the_row_does_not_have_the_key() -> None:
    kept, counts = filtered(ENTRY, "metrics.bandwidth >= 7000", "speaker != no-speaker", "duration > 5")
    assert kept == ENTRY | {"segments": SEGMENTS[:1]}
    assert counts == {
        "segments.in": 4,
        "segments.kept": 1,
        "segments.dropped": 3,
        "segments.dropped.speaker != no-speaker": 1,
        "segments.dropped.metrics.bandwidth >= 7000": 1,
        "segments.dropped.missing metrics.bandwidth": 1,
        "filter.rows": 1,
    }


def test_a_row_that_fails_is_dropped_with_its_segments_not_asked() -> None:
    kept, counts = filtered(ENTRY, "speaker == ana", "duration > 6")
    assert kept is None
    assert counts == {"filter.dropped": 1, "filter.dropped.duration > 6": 1}


def test_what_is_missing_is_counted_by_itself() -> None:
    assert filtered({"a": 1}, "b > 1") == (None, {"filter.dropped": 1, "filter.dropped.missing b": 1})
    assert filtered({"a": 1}, "b > 1", keep_missing=True) == ({"a": 1}, {"filter.rows": 1})
    assert filtered({"a": "1"}, "a > 1") == (None, {"filter.dropped": 1, "filter.dropped.not_comparable a": 1})
    # no segment has it either: the row lacks it
    assert filtered(ENTRY, "snr_db > 1")[1] == {"filter.dropped": 1, "filter.dropped.missing snr_db": 1}


def test_the_first_condition_that_does_not_hold_is_the_reason() -> None:
    assert "filter.dropped.a > 1" in filtered({"a": 1, "b": 1}, "a > 1 and b > 1")[1]
    assert "filter.dropped.b > 1" in filtered({"a": 1, "b": 1}, "b > 1", "a > 1")[1]


def test_rows_without_segments_stay_unless_they_lost_them() -> None:
    row = {"segments": [{"n": 1}]}
    assert filtered(row, "n > 1")[0] == {"segments": []}
    kept, counts = filtered(row, "n > 1", drop_empty=True)
    assert kept is None
    assert counts["filter.dropped.no_segments"] == counts["segments.dropped.n > 1"] == 1
    assert filtered({"segments": []}, "n > 1", of="segments", drop_empty=True)[0] == {"segments": []}


def test_rows_or_segments_may_be_asked_alone() -> None:
    row = {"n": 1, "segments": [{"n": 2}, {"n": 0}], "turns": [{"n": 1}]}
    assert filtered(row, "n >= 1")[0] == row
    assert filtered(row, "n >= 1", of="segments")[0] == row | {"segments": [{"n": 2}]}
    assert filtered(row, "n >= 2", of="segments", segments_key="turns")[0] == row | {"turns": []}
    assert filtered({"segments": [{"n": 2}]}, "n >= 1", of="rows")[0] is None


@pytest.mark.parametrize("segments", [{"a": 1}, [1], "x"])
def test_segments_that_are_none_fail_the_row(segments: Any) -> None:
    with pytest.raises(EntryError, match=r"segments is .*, expected an array of objects") as caught:
        filtered({"n": 1, "segments": segments}, "n > 0")
    assert caught.value.code is FailureCode.BAD_TYPE
    assert filtered({"n": 1, "segments": segments}, "n > 0", of="rows")[1] == {"filter.rows": 1}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"where": ("a",)}, "filter: condition 'a' is not KEY"),
        ({"where": ("a < 1",), "of": "words"}, "of 'words' is not known: use one of auto, rows, segments"),
        ({"where": ("a < 1",), "segments_key": ""}, "segments_key is empty: name a key"),
        ({"where": "a < 1"}, "where 'a < 1' is one text, expected a list of texts"),
    ],
)
def test_options_that_cannot_hold(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="filter: ") as caught:
        FilterRules(**options)
    assert problem in str(caught.value)


VALUES = st.one_of(st.none(), st.integers(0, 3), st.text("ab", max_size=1))
ROWS = st.fixed_dictionaries(
    {}, optional={"n": VALUES, "segments": st.lists(st.fixed_dictionaries({}, optional={"n": VALUES, "m": VALUES}))}
)


@given(ROWS, st.sampled_from(["auto", "rows", "segments"]), st.booleans(), st.booleans())
def test_the_books_balance(row: dict[str, Any], of: str, keep_missing: bool, drop_empty: bool) -> None:
    kept, counts = filtered(row, "n >= 1", "m != 2", of=of, keep_missing=keep_missing, drop_empty=drop_empty)
    count = Counter(counts)
    assert count["filter.rows"] + count["filter.dropped"] == 1
    assert count["filter.rows"] == (kept is not None)
    assert count["segments.in"] == count["segments.kept"] + count["segments.dropped"]
    for stage in ("filter", "segments"):
        assert count[f"{stage}.dropped"] == sum(n for name, n in counts.items() if f"{stage}.dropped." in name)
    if kept is not None:
        lost = len(row.get("segments") or ()) - len(kept.get("segments") or ())
        assert lost == count["segments.dropped"]
