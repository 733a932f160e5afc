from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError, FailureCode
from beam_curator.windows.block_planning import MAX_COLUMNS, plan_block
from beam_curator.windows.training_windows import NOT_CUT, WindowPlan, plan_entry
from beam_curator.windows.window_rules import WindowRules
from tests.talks import ABSENT, RULES, entries, entry, segment, talk, window_rules, word

TIMES = st.one_of(st.floats(-5, 30), st.sampled_from([0.0, 8.0, 12.0, 11.999999999999998, 12.000000000000002]))
SEGMENTS = st.builds(segment, TIMES, TIMES, st.sampled_from("abcd"))


def one_by_one(checked: Sequence[Entry], rules: WindowRules) -> list[WindowPlan | EntryError]:
    """Return what `plan_block` promises: the plan of each entry, or the error that it raises."""
    plans: list[WindowPlan | EntryError] = []
    for item in checked:
        try:
            plans.append(plan_entry(item, rules))
        except EntryError as err:
            plans.append(err)
    return plans


def assert_same(checked: Sequence[Entry], rules: WindowRules = RULES) -> list[WindowPlan | EntryError]:
    plans = plan_block(checked, rules)
    assert [repr(plan) for plan in plans] == [repr(plan) for plan in one_by_one(checked, rules)]
    return plans


def dialogue(n_segments: int, n_speakers: int, length: float = 1.0) -> Entry:
    """Make a sorted entry in which the speakers take turns."""
    return entry(*(segment(length * k, length * (k + 1), f"s{k % n_speakers}") for k in range(n_segments)))


def test_no_entries_give_no_plans() -> None:
    assert plan_block([], RULES) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(entries(whole_seconds=False), max_size=4), window_rules())
def test_a_block_of_float_times_is_planned_as_its_entries_are(rows: list[dict[str, Any]], rules: WindowRules) -> None:
    assert_same([Entry.from_fields(row) for row in rows], rules)


@settings(max_examples=60, deadline=None)
@given(st.lists(entries(whole_seconds=False), max_size=4), window_rules())
def test_tracks_among_other_rows_are_planned_as_they_are_alone(rows: list[dict[str, Any]], rules: WindowRules) -> None:
    track = dict.fromkeys(("separation", "track_duration", "source_audio_filepath"))
    assert_same([Entry.from_fields(row | track if number % 2 else row) for number, row in enumerate(rows)], rules)


@settings(max_examples=100, deadline=None)
@given(st.lists(entries(), max_size=3), window_rules())
def test_a_block_of_all_kinds_of_times_is_planned_as_its_entries_are(
    rows: list[dict[str, Any]], rules: WindowRules
) -> None:
    assert_same([Entry.from_fields(row) for row in rows], rules)


@settings(max_examples=300, deadline=None)
@given(st.lists(entries(bad=True), max_size=3), window_rules(), st.booleans())
def test_a_block_with_bad_segments_and_words_is_planned_as_its_entries_are(
    rows: list[dict[str, Any]], rules: WindowRules, strict: bool
) -> None:
    checked = []
    for row in rows:
        with suppress(EntryError):
            checked.append(Entry.from_fields(row, strict=strict))
    plans = assert_same(checked, rules)
    assert strict or not any(isinstance(plan, EntryError) for plan in plans)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(SEGMENTS, max_size=10), max_size=3), window_rules())
def test_any_order_of_any_times_is_planned_as_its_entries_are(
    rows: list[list[dict[str, Any]]], rules: WindowRules
) -> None:
    assert_same([entry(*segments) for segments in rows], rules)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.001, 1.0), min_size=10, max_size=120), st.integers(1, 7), st.integers(1, 8))
def test_long_windows_of_odd_lengths_add_up_in_the_same_order(
    lengths: list[float], n_speakers: int, max_speakers: int
) -> None:
    segments, clock = [], 0.0
    for k, length in enumerate(lengths):
        segments.append(segment(clock, clock + length, f"s{k % n_speakers}"))
        clock += length
    rules = replace(RULES, tolerance=1.0, min_speakers=1, max_speakers=max_speakers)
    assert_same([entry(*segments), dialogue(40, 3, 0.3)], rules)


@pytest.mark.parametrize("n_speakers", [MAX_COLUMNS, MAX_COLUMNS + 1, MAX_COLUMNS + 10])
def test_very_many_speakers_of_one_entry(n_speakers: int) -> None:
    block = [dialogue(n_speakers * 2, n_speakers), dialogue(30, 2)]
    plans = assert_same(block)
    assert_same(block, replace(RULES, max_speakers=n_speakers))
    assert len(plans) == 2


def test_what_must_not_leak_from_one_entry_into_the_next() -> None:
    # in each first entry, something is open at the end that the second must not see
    pair = segment(0.0, 4.0, "a"), segment(4.0, 9.0, "b")
    firsts = [
        (segment(0.0, 100.0, "a"),),
        (segment(0.0, 1.0, "no-speaker"),),
        (segment(0.0, 1.0, "a", 0),),
        (segment(0.0, 1.0, "c"), segment(1.0, 2.0, "d"), segment(2.0, 3.0, "e")),
        (segment(0.0, 3.0, "c", words=[word(2.0)]),),
        (),
    ]
    expected = repr(plan_entry(entry(*pair), RULES))
    for first in firsts:
        plans = assert_same([entry(*first), entry(*pair), entry(*first)])
        assert repr(plans[1]) == expected


def test_a_plan_is_what_was_worked_out_by_hand() -> None:
    crossing = segment(6.0, 14.0, "b", words=[word(9.0), word(12.0), word(13.0)])
    (plan,) = plan_block([entry(segment(0.0, 6.0, "a"), crossing, segment(14.0, 17.0, "a"))], RULES)
    assert isinstance(plan, WindowPlan)
    assert (plan.firsts, plan.stops, plan.cuts) == ([0, 1], [1, 3], [2, NOT_CUT])
    assert (plan.starts, plan.ends, plan.truncation_events) == ([0.0, 6.0], [12.0, 17.0], 1)
    assert plan.speaker_durations == [[6.0, 6.0, 0.0, 0.0, 0.0], [8.0, 3.0, 0.0, 0.0, 0.0]]
    assert plan.losses == [(2, 3, NOT_CUT, 2)]


def test_limits_are_compared_with_differences() -> None:
    # 16.1 - 4.1 is 12.000000000000002 and crosses, although 4.1 + 12.0 is 16.1
    (plan,) = assert_same([entry(segment(4.1, 10.0, "a"), segment(10.0, 16.1, "b", words=[word(16.1)]))])
    assert isinstance(plan, WindowPlan)
    assert (plan.firsts, plan.truncation_events) == ([], 1)


def test_a_recording_long_segment_among_short_ones() -> None:
    short = [segment(float(k), k + 1.0, "ab"[k % 2]) for k in range(30)]
    assert_same([entry(segment(0.0, 30.0, "c"), *short), entry(*short[:10], segment(0.0, 30.0, "c"), *short[10:])])


@pytest.mark.parametrize(
    "words",
    [
        [],
        [word(9.0), word(12.0), word(12.0), word(12.5)],
        [word(12.5), word(9.0)],
        [word(9.0, ""), word(10.0, None), {"end": 11.0}],
        [word(6.0)],
        [word(float(k)) for k in range(6, 14)],
    ],
)
def test_words_in_any_order_are_cut_alike(words: list[dict[str, Any]]) -> None:
    plans = assert_same([entry(segment(0.0, 5.0, "a"), segment(5.0, 6.0, "a"), segment(6.0, 14.0, "b", words=words))])
    assert isinstance(plans[0], WindowPlan)
    assert plans[0].truncation_events == 1


def test_integer_word_times_keep_their_type() -> None:
    assert_same([entry(segment(0.0, 9.0, "a"), segment(9.0, 14.0, "b", words=[word(11)]))])


@pytest.mark.parametrize("time", [-(10**400), -2e12], ids=["-10**400", "-2e12"])
def test_a_word_time_beyond_the_limit_costs_only_its_entry(time: float) -> None:
    bad = entry(segment(0.0, 9.0, "a"), segment(9.0, 14.0, "b", words=[word(time), word(9.5)]), strict=True)
    plans = assert_same([bad, dialogue(30, 2)])
    assert [type(plan) for plan in plans] == [EntryError, WindowPlan]


@pytest.mark.parametrize(
    "bad",
    [word(None), word("9"), {"word": "x"}, "x", word(11.0, 7)],
    ids=["null", "string", "absent", "text", "number"],
)
def test_an_entry_with_a_bad_word_gives_its_error_and_leaves_the_others_alone(bad: Any) -> None:
    good = dialogue(30, 2)
    wrong = entry(segment(0.0, 6.0, "a"), segment(6.0, 14.0, "b", words=[word(9.0), bad]), strict=True)
    plans = assert_same([good, wrong, good])
    assert [type(plan) for plan in plans] == [WindowPlan, EntryError, WindowPlan]
    assert repr(plans[2]) == repr(plan_entry(good, RULES))


def test_a_bad_word_of_a_segment_that_is_rejected_afterwards_is_found_too() -> None:
    crossing = segment(9.0, 14.0, "no-speaker", words=["x"])
    (error,) = assert_same([entry(segment(0.0, 6.0, "a"), segment(6.0, 9.0, "b"), crossing, strict=True)])
    assert isinstance(error, EntryError)
    assert error.code is FailureCode.BAD_TYPE


def test_entries_that_the_arrays_cannot_express_are_planned_too() -> None:
    low = Entry.from_fields(talk(segment(0.0, 9.0), audio_sample_rate=8000))
    whole = entry(segment(0, 5, "a"), segment(5, 10, "b"))
    plans = assert_same([low, dialogue(30, 2), entry(), whole, entry(segment(0.0, 9.0, ABSENT, ABSENT))])
    assert isinstance(plans[0], WindowPlan)
    assert isinstance(plans[3], WindowPlan)
    assert plans[0].low_sample_rate
    assert repr(plans[3].ends) == "[10]"


@pytest.mark.parametrize("dropped", [("metrics",), ("speaker",), ("words", "metrics", "speaker")])
def test_dropped_keys_that_the_rules_read(dropped: tuple[str, ...]) -> None:
    (plan,) = assert_same([dialogue(30, 2)], replace(RULES, drop_fields=dropped))
    assert isinstance(plan, WindowPlan)
    assert plan.firsts == []
