import json
from typing import Any

import pytest
from hypothesis import example, given, settings

from beam_curator.entries.entry import Entry
from beam_curator.failures import Failure, FailureCode, render_failure
from beam_curator.sets.blocks import Line, LineBlock
from beam_curator.transforms.windows.training_windows import build_block
from beam_curator.transforms.yaml.yaml_rows import (
    BuiltRow,
    CountRow,
    ManifestRow,
    SpanRow,
    WindowsRow,
    build_row,
    count_rows,
    error_row,
    filter_row,
    letter_of,
    read_row,
    refusal_of,
    windows_rows,
)
from beam_curator.windows.entry_blocks import EntryBlock, PlannedEntry
from beam_curator.windows.line_windows import choose_in_row, windows_of_line
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import BAD_LINES, line_of, speech, whole_file
from tests.talks import entries, overlap_rules, window_rules


def manifest_row(raw: bytes, offset: int = 0) -> ManifestRow:
    row = read_row("a.jsonl", Line(offset=offset, raw=raw))
    assert isinstance(row, ManifestRow)
    return row


def built(raw: bytes, rules: WindowRules, offset: int = 0) -> BuiltRow:
    row = build_row(manifest_row(raw, offset), rules)
    assert isinstance(row, BuiltRow)
    return row


def curated(raw: bytes, rules: WindowRules, overlap: OverlapRules) -> WindowsRow:
    row = filter_row(built(raw, rules), overlap)
    assert isinstance(row, WindowsRow)
    return row


def test_a_row_is_its_line_with_the_place_it_came_from() -> None:
    raw = line_of(speech(name="ü.wav"))
    assert manifest_row(raw, 7) == ("a.jsonl", 7, raw.decode())


def test_a_built_row_has_columns_to_query() -> None:
    # of 6 segments of 40 s each run of three is a window of 120 s: 4 of them, 3 with a segment behind that is cut
    row = built(line_of(speech(6)), WindowRules(), offset=9)
    assert row[:-1] == ("a.jsonl", 9, "a.wav", 16000.0, 6, 4, 3)
    assert list(json.loads(row.row)) == ["audio_filepath", "audio_sample_rate", "windows", "stats", "truncation_events"]


def test_a_filtered_row_has_the_columns_of_the_parquet_files() -> None:
    row = filter_row(built(line_of(speech(6)), WindowRules(), offset=9), OverlapRules())
    assert isinstance(row, WindowsRow)
    spans = [SpanRow(0.0, 120.0), SpanRow(80.0, 200.0)]
    assert row[:-1] == ("a.jsonl", 9, "a.wav", 16000.0, 6, 4, 2, 3, spans)


@settings(max_examples=150, deadline=None)
@given(entries(), window_rules(), overlap_rules())
@example({**speech(6), "filtered_windows": 1, "x": 1e22, "é": [-0.0, 10**30]}, WindowRules(), OverlapRules())
def test_two_steps_give_the_bytes_and_columns_that_the_command_gives(
    fields: dict[str, Any], rules: WindowRules, overlap: OverlapRules
) -> None:
    raw = line_of(fields)
    row = curated(raw, rules, overlap)
    assert row.row.encode() == windows_of_line(raw, rules, overlap)
    entry = Entry.from_json(raw)
    plan = plan_entry(entry, rules)
    planned = PlannedEntry(offset=0, entry=entry, plan=plan, choice=choose_in_row(plan, overlap))
    block = EntryBlock(ref=whole_file("a.jsonl"), part=0, rules=rules, rows=(planned,))
    assert list(windows_rows(block, "full")) == [row]


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_fails_as_it_does_in_the_command(name: str) -> None:
    raw, code = BAD_LINES[name]
    line = Line(offset=5, raw=raw)
    row = read_row("a.jsonl", line)
    found = row if isinstance(row, Failure) else build_row(row, WindowRules())
    _, (expected,) = build_block(LineBlock(ref=whole_file("a.jsonl"), part=0, lines=(line,)), WindowRules())
    assert isinstance(found, Failure)
    assert (found.code.value, found.stage) == (code, "read" if code == "bad_utf8" else "build")
    assert (found.source, found.offset, found.payload) == ("a.jsonl", 5, raw)
    assert (found.message, found.cure) == (expected.message, expected.cure)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"audio_filepath": "a.wav"}, "missing_key"),
        ({"windows": 3}, "bad_type"),
        ({"windows": [{"segments": [{"start": 0}]}]}, "missing_key"),
        ({"windows": [{"segments": [{"start": 0, "end": 10**400}]}]}, "bad_time"),
    ],
)
def test_a_row_without_usable_windows_fails_in_the_overlap_step(fields: dict[str, Any], code: str) -> None:
    found = filter_row(manifest_row(line_of(fields), 3), OverlapRules())
    assert isinstance(found, Failure)
    assert (found.code.value, found.stage, found.offset, found.payload) == (code, "overlap", 3, line_of(fields))


def test_columns_that_a_row_does_not_say_are_null() -> None:
    fields = {"audio_filepath": 1, "stats": {"audio_sample_rate": 10**400}, "truncation_events": 10**30, "windows": []}
    row = filter_row(manifest_row(line_of(fields)), OverlapRules())
    assert row[:-1] == ("a.jsonl", 0, None, None, None, 0, 0, None, [])


def test_an_error_row_is_the_dead_letter() -> None:
    failure = Failure(
        code=FailureCode.BAD_UTF8, stage="read", source="a.jsonl", offset=3, message="m", cure="c", payload=b"\xff"
    )
    row = error_row(failure)
    assert row == ("bad_utf8", "read", "a.jsonl", 3, "m", "c", "/w==", False, "base64")
    assert letter_of(row).line.encode() == render_failure(failure)


def test_a_letter_has_its_columns_in_order_whatever_order_they_came_in() -> None:
    class Shuffled:
        payload_encoding, cure, code, source, offset = "utf-8", "c", "bad_json", "a.jsonl", 3
        payload, payload_truncated, message, stage = "{", False, "m", "build"

    failure = Failure(
        code=FailureCode.BAD_JSON, stage="build", source="a.jsonl", offset=3, message="m", cure="c", payload=b"{"
    )
    assert letter_of(Shuffled()).line.encode() == render_failure(failure)


def test_a_refusal_says_where_what_and_what_to_do() -> None:
    failure = Failure(code=FailureCode.BAD_JSON, stage="build", source="a.jsonl", offset=7, message="m", cure="c")
    assert str(refusal_of(failure)) == (
        "bad_json: a.jsonl at byte 7 (build): m: c; "
        "or give the step 'error_handling: {output: NAME}' and use that output"
    )


def test_counts_come_by_name() -> None:
    assert list(count_rows({"read.rows": 3, "build.rows": 2})) == [CountRow("build.rows", 2), CountRow("read.rows", 3)]
