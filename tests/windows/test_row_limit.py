from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError, FailureCode
from beam_curator.windows import row_limit
from beam_curator.windows.block_planning import plan_block
from beam_curator.windows.line_windows import choose_in_row, windows_of_line
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.rendering import render_pieces, render_row
from beam_curator.windows.row_limit import MAX_ROW_BYTES, RowLimit, check_row_size
from beam_curator.windows.training_windows import WindowPlan, build_training_windows, plan_entry
from beam_curator.windows.window_rules import WindowRules
from tests.talks import OVERLAP, RULES, entries, entry, line, segment, talk, window_rules


def tiny(n_segments: int, seconds: float = 0.01) -> dict[str, Any]:
    """Make an entry of segments by two speakers in turn."""
    return talk(*(segment(k * seconds, (k + 1) * seconds, "ab"[k % 2]) for k in range(n_segments)))


def fits(checked: Entry, plan: WindowPlan, rules: WindowRules, limit: RowLimit, line_bytes: int | None = None) -> bool:
    try:
        check_row_size(checked, plan, rules.drop_fields, limit, line_bytes)
    except EntryError as err:
        assert err.code == FailureCode.ROW_TOO_LARGE
        return False
    return True


def test_the_limit_is_sixteen_lines_and_half_a_gigabyte_at_least() -> None:
    assert RowLimit.of("full", 32 << 20) == RowLimit(n_bytes=512 << 20, repeats=True)
    assert RowLimit.of("spans", 64 << 20) == RowLimit(n_bytes=1 << 30, repeats=False)
    assert RowLimit.of("full", 1).n_bytes == MAX_ROW_BYTES


def test_a_window_counts_its_segments_and_half_a_kilobyte() -> None:
    checked = entry(segment(0.0, 5.0, "a"), segment(5.0, 10.0, "b"))
    plan = plan_entry(checked, RULES)
    # the first start gives a window of both; the second loses one segment, has itself next to it, and the first before
    text = '{"start":0.0,"end":5.0,"speaker":"a","metrics":{"bandwidth":8000}},'
    n_bytes = 2 * 512 + 2 * (2 * len(text) + 1) + (len(text) + 1)
    assert (plan.firsts, plan.losses) == ([0], [(1, 2, -1, 1)])
    assert fits(checked, plan, RULES, RowLimit(n_bytes=n_bytes))
    with pytest.raises(EntryError, match=f"2 segments would make a row of {n_bytes} bytes, expected {n_bytes - 1} at"):
        check_row_size(checked, plan, (), RowLimit(n_bytes=n_bytes - 1))
    assert fits(checked, plan, RULES, RowLimit(n_bytes=1024, repeats=False))
    assert not fits(checked, plan, RULES, RowLimit(n_bytes=1023, repeats=False))


@settings(max_examples=200, deadline=None)
@given(entries(), window_rules(), st.sampled_from(["full", "spans"]))
def test_no_row_is_larger_than_reckoned(fields: dict[str, Any], rules: WindowRules, layout: Any) -> None:
    checked = Entry.from_fields(fields)
    plan = plan_entry(checked, rules)
    row = json.loads(render_row(checked, plan, choose_in_row(plan, OVERLAP), rules, layout))
    made = [row["windows"], row["stats"]["lost_win_full_data"]]
    n_bytes = len(json.dumps(made, separators=(",", ":"), ensure_ascii=False).encode())
    if plan.firsts or plan.losses:
        assert not fits(checked, plan, rules, RowLimit(n_bytes=n_bytes - 6, repeats=layout == "full"))


@settings(max_examples=200, deadline=None)
@given(entries(), window_rules(), st.integers(0, 20_000))
def test_the_length_of_the_line_spares_work_and_decides_nothing(
    fields: dict[str, Any], rules: WindowRules, n_bytes: int
) -> None:
    checked = Entry.from_fields(fields)
    plan, limit = plan_entry(checked, rules), RowLimit(n_bytes=n_bytes)
    assert fits(checked, plan, rules, limit, len(line(fields))) == fits(checked, plan, rules, limit)


@pytest.mark.parametrize("n_segments", [5, 12_000])
def test_a_row_with_too_many_steps_is_an_error(n_segments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if n_segments < 100:
        monkeypatch.setattr(row_limit, "MAX_STEPS", 14)  # 5 + 4 + 3 + 2 + 1 are 15
    crowded, other = Entry.from_fields(tiny(n_segments)), Entry.from_fields(tiny(4))
    first, error, last = plan_block([other, crowded, other], WindowRules())
    assert isinstance(error, EntryError)
    assert (error.code, first) == (FailureCode.ROW_TOO_LARGE, last)
    assert first == plan_entry(other, WindowRules())


@settings(max_examples=100, deadline=None)
@given(st.lists(entries(whole_seconds=False), max_size=4), window_rules(), st.integers(1, 60))
def test_steps_are_counted_alike_in_blocks_and_alone(
    rows: list[dict[str, Any]], rules: WindowRules, max_steps: int
) -> None:
    checked = [Entry.from_fields(row) for row in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_limit, "MAX_STEPS", max_steps)
        alone = [repr(planned(item, rules)) for item in checked]
        assert [repr(plan) for plan in plan_block(checked, rules)] == alone


def planned(checked: Entry, rules: WindowRules) -> WindowPlan | EntryError:
    try:
        return plan_entry(checked, rules)
    except EntryError as err:
        return err


def test_rows_on_their_own_have_the_limit_too() -> None:
    fields = tiny(4500)
    with pytest.raises(EntryError, match="4500 segments would make a row of"):
        windows_of_line(line(fields), WindowRules(), OverlapRules())
    with pytest.raises(EntryError, match="4500 segments would make a row of"):
        build_training_windows(fields, WindowRules())


def test_time_for_a_row_grows_with_its_segments() -> None:
    few, many = (seconds_for(n_segments) for n_segments in (5_000, 40_000))
    # 8 times as many; quadratic time would be 64 times
    assert many < 24 * few


def seconds_for(n_segments: int) -> float:
    rules, fields = WindowRules(), tiny(n_segments, 3.0)
    started = time.process_time()
    checked = Entry.from_fields(fields)
    (plan,) = plan_block([checked], rules)
    assert isinstance(plan, WindowPlan)
    check_row_size(checked, plan, rules.drop_fields, RowLimit())
    pieces = render_pieces(checked, plan, choose_in_row(plan, OverlapRules()), rules, "full")
    assert len(pieces) > 4 * n_segments
    return time.process_time() - started
