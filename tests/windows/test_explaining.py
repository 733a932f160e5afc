from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError
from beam_curator.windows.explaining import KEPT, changes_of, choose_windows, explain_starts
from beam_curator.windows.line_windows import choose_in_row
from beam_curator.windows.overlap import OverlapRules, survivors
from beam_curator.windows.rendering import spans_of
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_counts import LOSSES
from beam_curator.windows.window_rules import WindowRules
from tests.talks import OVERLAP, RULES, entries, entry, segment, window_rules, word


def told(one: Entry, rules: WindowRules = RULES, overlap: OverlapRules = OVERLAP) -> list[tuple[str, str]]:
    """Return the reason of each start, and why; limits of RULES are 8-12 s and 2-3 speakers."""
    [chosen] = choose_windows([one], rules, overlap)
    return [(fate.reason, fate.why) for fate in explain_starts(one, chosen, rules)]


def test_a_window_that_stays_and_the_end_of_the_segments() -> None:
    assert told(entry(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b"))) == [
        ("kept", "10 s, speakers: 2"),
        ("lost_win", "5 s, 8-12 s needed: the segments end there"),
    ]


def test_a_window_that_loses_names_the_winner() -> None:
    # 0-9 s is 1 s off the target, 1-11 s is not; they share 8 s of 9
    one = entry(segment(0.0, 1.0, "a"), segment(1.0, 9.0, "b"), segment(9.0, 11.0, "c"), segment(11.0, 30.0, "d"))
    rules = replace(RULES, truncation=False, max_speakers=2)
    assert told(one, rules)[:2] == [
        ("overlap", "shares 89 % with 1.00-11.00 s"),
        ("kept", "10 s, speakers: 2"),
    ]


def test_low_bandwidths_at_the_start_and_on_the_way() -> None:
    assert told(entry(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b", 7400))) == [
        ("lost_win", "5 s, 8-12 s needed: bandwidth 7400 Hz at 5 s, at least 8000 Hz needed"),
        ("lost_bw", "bandwidth 7400 Hz, at least 8000 Hz needed"),
    ]


def test_too_few_and_too_many_speakers() -> None:
    assert told(entry(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "a")))[0] == ("lost_spk", "speakers: 1, 2-3 needed")
    many = entry(*(segment(float(k), k + 1.0, speaker) for k, speaker in enumerate("abcd")))
    assert told(many)[0] == ("lost_win", "3 s, 8-12 s needed: more than 3 speakers at 3 s")


@pytest.mark.parametrize(
    ("following", "truncation", "why"),
    [
        (segment(5.0, 6.0, "no-speaker"), True, "5 s, 8-12 s needed: nobody speaks at 5 s"),
        (segment(5.0, 20.0, "b"), False, "5 s, 8-12 s needed: the segment at 5 s ends too late, at 20 s"),
        (segment(13.0, 20.0, "b"), True, "5 s, 8-12 s needed: the segment at 13 s ends too late, at 20 s"),
        (segment(5.0, 20.0, "b", words=[word(6.0), word(20.0)]), True,
         "6 s, 8-12 s needed: the segment at 5 s was cut, as it ends later"),
    ],
)  # fmt: skip
def test_what_ends_an_attempt(following: Any, truncation: bool, why: str) -> None:
    assert told(entry(segment(0.0, 5.0, "a"), following), replace(RULES, truncation=truncation))[0] == ("lost_win", why)


def test_a_low_sample_rate() -> None:
    one = entry(segment(0.0, 5.0, "a"), audio_sample_rate=8000)
    assert told(one) == [("lost_sr", "sample rate 8000 Hz, at least 16000 Hz needed")]


def test_bandwidths_that_are_dropped_before_they_are_checked() -> None:
    rules = replace(RULES, drop_fields=("metrics",))
    why = told(entry(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b")), rules)[0][1]
    assert why == "10 s, 8-12 s needed: drop_fields has metrics, so that no bandwidth is known"


def test_segments_go_by_their_places_in_the_row() -> None:
    one = entry(segment(0.0, None), segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b"))
    [chosen] = choose_windows([one], RULES, OVERLAP)
    assert [(fate.index, fate.start, fate.end) for fate in explain_starts(one, chosen, RULES)] == [
        (1, 0.0, 10.0),
        (2, 5.0, 10.0),
    ]


def test_windows_of_other_rows_win_in_scope_audio_file() -> None:
    short = entry(segment(0.0, 5.0, "a"), segment(5.0, 9.0, "b"))
    long = entry(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b"))
    overlap = replace(OVERLAP, scope="audio_file")
    first, second = choose_windows([short, long], RULES, overlap)
    assert explain_starts(short, first, RULES)[0].why == "shares 100 % with 0.00-10.00 s"
    assert (first.kept, second.kept) == (frozenset(), frozenset({0}))


@given(entries(bad=True), window_rules(), st.sampled_from([0.0, 30.0, 50.0, 100.0]))
@settings(max_examples=300, deadline=None)
def test_the_explanation_agrees_with_the_plan(fields: dict[str, Any], rules: WindowRules, percentage: float) -> None:
    overlap = OverlapRules(overlap_percentage=percentage, target_duration=10.0)
    try:
        one = Entry.from_fields(fields)
        plan = plan_entry(one, rules)
    except EntryError:
        assume(False)
    [chosen] = choose_windows([one], rules, overlap)
    fates = explain_starts(one, chosen, rules)
    reasons = Counter(fate.reason for fate in fates)
    kept = choose_in_row(plan, overlap).kept
    assert len(fates) == len(one.starts)
    assert {reason: reasons[reason] for reason in LOSSES} == {reason: getattr(plan.counts, reason) for reason in LOSSES}
    assert reasons[KEPT] + reasons["overlap"] == len(plan.firsts)
    assert [fates[plan.firsts[k]].reason == KEPT for k in range(len(plan.firsts))] == [
        k in kept for k in range(len(plan.firsts))
    ]


@given(entries(), window_rules())
@settings(max_examples=100, deadline=None)
def test_winners_were_not_worse_than_the_losers(fields: dict[str, Any], rules: WindowRules) -> None:
    one = Entry.from_fields(fields)
    [chosen] = choose_windows([one], rules, OVERLAP)
    spans = spans_of(chosen.plan)
    assert {k for k, winner in enumerate(chosen.winners) if winner is None} == set(survivors(spans, OVERLAP))
    for span, winner in zip(spans, chosen.winners, strict=True):
        if winner is not None:
            assert abs(winner[1] - winner[0] - 10.0) <= abs(span[1] - span[0] - 10.0)


class TestChangesOf:
    def test_each_option_that_gives_more(self) -> None:
        one = entry(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b", 7400))
        assert changes_of([one], RULES, OVERLAP, ["lost_win", "lost_bw"]) == [("--min-bandwidth 7250", 1, 1)]

    def test_of_bandwidths_the_one_that_gives_most(self) -> None:
        widths = (7400, 7400, 3100, 3100)
        talk = entry(*(segment(5.0 * k, 5.0 * k + 5, "ab"[k % 2], width) for k, width in enumerate(widths)))
        rules = replace(RULES, truncation=False, max_speakers=2)
        found = changes_of([talk], rules, replace(OVERLAP, overlap_percentage=100), ["lost_bw"])
        assert found == [("--min-bandwidth 3000", 3, 3)]

    def test_of_durations_the_nearest(self) -> None:
        one = entry(segment(0.0, 3.0, "a"), segment(3.0, 6.0, "b"))
        # 6 s are within 50 % of 10 s, and within 20 % of 6.67 s
        assert changes_of([one], RULES, OVERLAP, ["lost_win"]) == [
            ("--tolerance 0.5", 1, 1),
            ("--target-window-duration 6.67", 1, 1),
        ]

    def test_numbers_of_speakers_and_sample_rates(self) -> None:
        alone = entry(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "a"))
        assert changes_of([alone], RULES, OVERLAP, ["lost_spk"]) == [("--min-speakers 1", 1, 1)]
        many = entry(*(segment(2.5 * k, 2.5 * k + 2.5, speaker) for k, speaker in enumerate("abcd")))
        assert ("--max-speakers 4", 1, 1) in changes_of([many], RULES, OVERLAP, ["lost_win"])
        slow = entry(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b"), audio_sample_rate=8000)
        assert changes_of([slow], RULES, OVERLAP, ["lost_sr"]) == [("--min-sample-rate 8000", 1, 1)]

    def test_overlaps(self) -> None:
        # windows of 10 s from 0 and 2.5 s on share three quarters, as many as --overlap-percentage 75 drops
        one = entry(*(segment(2.5 * k, 2.5 * k + 2.5, "ab"[k % 2]) for k in range(5)))
        assert changes_of([one], RULES, OVERLAP, ["overlap"]) == [("--overlap-percentage 90", 2, 2)]

    def test_nothing_helps(self) -> None:
        assert changes_of([entry()], RULES, OVERLAP, []) == []
        assert changes_of([entry(segment(0.0, 1.0, "a"))], RULES, OVERLAP, ["lost_win"]) == []
