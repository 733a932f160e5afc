from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

import beam_curator
from beam_curator.failures import EntryError
from beam_curator.windows.line_windows import choose_in_row, windows_of_line
from beam_curator.windows.overlap import OverlapRules, keep_non_overlapping
from beam_curator.windows.rendering import OverlapChoice
from beam_curator.windows.training_windows import WindowPlan, build_training_windows
from beam_curator.windows.window_rules import WindowRules
from tests.talks import OVERLAP, RULES, as_json, entries, line, overlap_rules, segment, talk, window_rules
from tests.windows.spans import overlap_ratio

TALK = talk(*(segment(3.0 * k, 3.0 * k + 3.0, "ab"[k % 2]) for k in range(8)))  # 24 s; windows of 12 s from 0 to 15


def test_a_line_becomes_windows_and_those_that_do_not_overlap() -> None:
    row = json.loads(windows_of_line(line(TALK), RULES, OVERLAP))
    assert row["total_dur_list_window_timestamps"] == [[12, 0], [15, 3], [18, 6], [21, 9], [24, 12], [24, 15]]
    # (3, 15) and (6, 18) fall to (0, 12), (12, 24) to (9, 21), and that to (15, 24), which is nearer to 10 s
    assert row["filtered"] == [[12, 0], [24, 15]]
    assert [window["segments"][0]["start"] for window in row["filtered_windows"]] == [0, 15]


def test_the_default_rules_find_no_window_in_a_short_talk() -> None:
    row = json.loads(windows_of_line(line(TALK), WindowRules(), OverlapRules()))
    assert (row["windows"], row["filtered_windows"], row["stats"]["lost_win"]) == ([], [], 8)


@pytest.mark.parametrize("bad", [b"", b"[]", b'{"audio_filepath":1}', line(talk(segment(None, 1.0)))])
def test_a_bad_line_raises_the_error_that_names_it(bad: bytes) -> None:
    with pytest.raises(EntryError):
        windows_of_line(bad, RULES, OVERLAP)


@settings(max_examples=150, deadline=None)
@given(entries(), window_rules(), overlap_rules())
def test_a_line_gives_what_the_two_steps_give(
    fields: dict[str, Any], rules: WindowRules, overlap: OverlapRules
) -> None:
    row = json.loads(windows_of_line(line(fields), rules, overlap))
    assert repr(row) == as_json(keep_non_overlapping(build_training_windows(fields, rules), overlap))
    kept = [(start, end) for end, start in row["filtered"]] if row["windows"] else []
    threshold = overlap.overlap_percentage / 100
    assert all(
        later[0] >= earlier[1] or overlap_ratio(earlier, later) < threshold
        for position, earlier in enumerate(kept)
        for later in kept[position + 1 :]
    )


def test_windows_compete_within_the_entry() -> None:
    plan = WindowPlan(starts=[5.0, 0.0, 5.0], ends=[15.0, 10.0, 15.0])
    assert choose_in_row(plan, OVERLAP) == OverlapChoice(survivors=[1], kept=[1])
    assert choose_in_row(plan, OverlapRules(overlap_percentage=60)) == OverlapChoice(survivors=[1, 0], kept=[0, 1, 2])


def test_the_package_offers_what_it_lists() -> None:
    assert all(hasattr(beam_curator, name) for name in beam_curator.__all__)
    assert beam_curator.windows_of_line is windows_of_line
