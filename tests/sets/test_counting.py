from __future__ import annotations

from typing import Any, get_args

import pytest

from beam_curator.failures import Failure, FailureCode
from beam_curator.separation.shares import Reason
from beam_curator.sets.blocks import BlockRef, FailureBlock, Line, LineBlock
from beam_curator.sets.counting import DROP_TEXTS, count_failures, count_lines, microseconds
from beam_curator.windows.entry_blocks import EntryBlock, PlannedEntry
from beam_curator.windows.line_windows import choose_in_row
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_counts import LOSSES, count_kept, count_windows
from tests.talks import OVERLAP, RULES, entry, segment, word

REF = BlockRef(source="a.jsonl", occurrence=0, ordinal=3, n_blocks=5, start=0, stop=9)
DIALOGUE = segment(0.0, 6.0, "a"), segment(6.0, 14.0, "b", words=[word(12.0)]), segment(14.0, 17.0, "a")


def block_of(*rows: dict[str, Any], chosen: bool = True) -> EntryBlock:
    """Make a block of entries given as keyword arguments of `entry`, or as tuples of segments."""
    planned = []
    for number, row in enumerate(rows):
        parsed = entry(*row.pop("segments"), **row)
        plan = plan_entry(parsed, RULES)
        choice = choose_in_row(plan, OVERLAP) if chosen else None
        planned.append(PlannedEntry(offset=number, entry=parsed, plan=plan, choice=choice))
    return EntryBlock(ref=REF, part=0, rules=RULES, rows=tuple(planned))


def counts_of(*segments: dict[str, Any], **more: Any) -> dict[str, int]:
    return {key.removeprefix("build."): n for key, n in count_windows(block_of({"segments": segments, **more})).items()}


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, 0), (1, 1_000_000), (0.1 + 0.2, 300_000), (1.6e-6, 2), (-1.5, -1_500_000)]
)
def test_durations_are_rounded_to_microseconds(seconds: float, expected: int) -> None:
    assert microseconds(seconds) == expected
    assert type(microseconds(seconds)) is int


def test_rows_and_bytes_that_were_read() -> None:
    lines = Line(offset=0, raw=b"{}"), Line(offset=3, raw=b'{"a":1}')
    assert count_lines(LineBlock(ref=REF, part=0, lines=lines)) == {"read.rows": 2, "read.bytes": 11}


def test_failures_by_stage_and_code() -> None:
    codes = FailureCode.BAD_JSON, FailureCode.BAD_TIME, FailureCode.BAD_JSON
    failures = [Failure(code=code, stage="build", source="a", offset=0, message="m", cure="c") for code in codes]
    assert count_failures(FailureBlock(ref=REF, part=0, stage="build", failures=tuple(failures))) == {
        "build.failures": 3,
        "build.failures.bad_json": 2,
        "build.failures.bad_time": 1,
    }


def test_windows_and_losses_of_a_block() -> None:
    block = block_of(
        {"segments": DIALOGUE},
        {"segments": [segment(0, 9), None, segment(9, 10)]},
        {"segments": [segment(0.0, 1.5), segment(1.0, 2.0)], "audio_sample_rate": 8000},
    )
    assert count_windows(block) == {
        "build.rows": 3,
        "build.segments": 7,
        "build.bad_segments": 1,
        "build.windows": 2,
        "build.truncation_events": 1,
        "build.audio_us": 29_500_000,
        "build.lost_bw": 0,
        "build.lost_sr": 2,
        "build.lost_spk": 1,
        "build.lost_win": 2,
        "build.lost_sr.at.8000": 2,
        "build.lost_spk.at.1": 1,
        "build.lost_win.at.10": 2,
        "build.rows_without_bandwidth": 0,
        "build.unsorted_rows": 0,
        "build.reversed_segments": 0,
    }


@pytest.mark.parametrize(
    ("segments", "name", "expected"),
    [
        ([segment(0.0, 9.0, "a", 7000), segment(9.0, 10.0, "a", 0)], "lost_bw", 2),
        ([segment(0.0, 9.0, "a", 7000), segment(9.0, 10.0, "a", 0)], "rows_without_bandwidth", 0),
        ([segment(0.0, 9.0, "a", 0) | {"metrics": {}}], "rows_without_bandwidth", 1),
        ([], "rows_without_bandwidth", 0),
        ([segment(0.0, 9.0), segment(0.0, 9.0)], "unsorted_rows", 0),
        ([segment(0.0, 9.0), segment(-0.1, 9.0), segment(-1.0, 9.0)], "unsorted_rows", 1),
        ([segment(0.0, 0.0), segment(3.0, 2.0), segment(3.0, 2.9)], "reversed_segments", 2),
    ],
)
def test_what_is_odd_about_rows_is_counted(segments: list[dict[str, Any]], name: str, expected: int) -> None:
    assert counts_of(*segments)[name] == expected


def test_every_start_segment_is_counted_once() -> None:
    counts = counts_of(*DIALOGUE, segment(17.0, 18.0, "a", 0))
    assert counts["segments"] == counts["windows"] + sum(counts[loss] for loss in LOSSES)


def test_windows_that_stay() -> None:
    # windows (0, 12) and (6, 17) of the dialogue share 6 s of 11: the second is nearer to 10 s
    twins = [segment(0.0, 10.0, "a"), segment(10.0, 10.0, "b"), segment(0.0, 10.0, "b"), segment(10.0, 10.0, "a")]
    block = block_of({"segments": DIALOGUE}, {"segments": twins}, {"segments": []})
    timed = [list(zip(row.plan.starts, row.plan.ends, strict=True)) for row in block.rows]
    assert timed == [[(0.0, 12.0), (6.0, 17.0)], [(0.0, 10.0), (0.0, 10.0)], []]
    assert count_kept(block) == {
        "overlap.rows": 3,
        "overlap.rows_with_windows": 2,
        "overlap.windows_in": 4,
        "overlap.windows": 3,  # the twins return together
        "overlap.dropped": 1,
        "overlap.audio_us": 21_000_000,  # but their audio counts once
    }


def test_where_nothing_was_chosen_nothing_stays() -> None:
    counts = count_kept(block_of({"segments": DIALOGUE}, chosen=False))
    assert (counts["overlap.windows"], counts["overlap.dropped"], counts["overlap.audio_us"]) == (0, 2, 0)


def test_an_empty_block_counts_nothing() -> None:
    assert count_windows(block_of()) == count_kept(block_of()) == {}


def test_every_reason_has_a_text() -> None:
    others = {"bad_segments", "overlap", "no_pieces", "duplicate", "outside", "never_alone", "no_segments"}
    of_others = {"no_length", "not_held", "no_speaker", "clip_too_short"}
    assert set(DROP_TEXTS) == {*LOSSES, *others, *of_others, *get_args(Reason)}
