import tracemalloc
from pathlib import Path

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.entries.entry import Entry
from beam_curator.failures import Failure, FailureCode
from beam_curator.sets.blocks import MAX_LINE_BYTES, FailureBlock, Line, LineBlock
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.windows.training_windows import BuildTrainingWindows, build_block
from beam_curator.windows.entry_blocks import EntryBlock
from beam_curator.windows.row_limit import RowLimit
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import BAD_LINES, line_of, speech, whole_file, write_lines
from tests.talks import segment, talk


def block_of(*lines: bytes) -> LineBlock:
    numbered = tuple(Line(offset=1000 * number, raw=line) for number, line in enumerate(lines))
    return LineBlock(ref=whole_file("a.jsonl"), part=7, lines=numbered)


def test_rows_are_planned_as_the_definition_does() -> None:
    rules = WindowRules(target_window_duration=80.0)
    lines = [line_of(speech(n)) for n in (4, 0, 9)]
    built, failures = build_block(block_of(*lines), rules)
    assert failures == []
    assert (built.ref, built.part, built.rules) == (whole_file("a.jsonl"), 7, rules)
    assert [row.offset for row in built.rows] == [0, 1000, 2000]
    assert [row.entry for row in built.rows] == [Entry.from_json(line) for line in lines]
    assert [row.plan for row in built.rows] == [plan_entry(row.entry, rules) for row in built.rows]
    assert all(row.choice is None for row in built.rows)


def test_a_row_that_cannot_be_parsed_is_a_failure_with_its_line() -> None:
    good = line_of(speech(4))
    built, (failure,) = build_block(block_of(good, b"broken", good), WindowRules())
    assert [row.offset for row in built.rows] == [0, 2000]
    assert (failure.code, failure.stage, failure.source) == (FailureCode.BAD_JSON, "build", "a.jsonl")
    assert (failure.offset, failure.payload, failure.payload_truncated) == (1000, b"broken", False)


def test_each_bad_line_has_its_code_and_payload() -> None:
    _, failures = build_block(block_of(*(line for line, _ in BAD_LINES.values())), WindowRules())
    expected = [(1000 * k, code, line) for k, (line, code) in enumerate(BAD_LINES.values())]
    assert [(failure.offset, failure.code.value, failure.payload) for failure in failures] == expected


def test_a_row_that_cannot_be_planned_is_a_failure_and_its_neighbours_keep_their_plans() -> None:
    bad = speech(4)
    bad["segments"][3]["words"] = [{"word": "no end"}]
    good = line_of(speech(6))
    built, (failure,) = build_block(block_of(good, line_of(bad), good), WindowRules(strict=True))
    assert [len(row.plan.firsts) for row in built.rows] == [4, 4]
    assert (failure.code, failure.offset, failure.payload) == (FailureCode.MISSING_KEY, 1000, line_of(bad))
    assert failure.message == "segments[3].words[0].end is absent"
    built, failures = build_block(block_of(good, line_of(bad), good), WindowRules())
    assert ([len(row.plan.firsts) for row in built.rows], failures) == ([4, 2, 4], [])


def test_a_row_that_would_become_too_large_is_a_failure_and_never_built() -> None:
    tiny = [segment(k / 100, (k + 1) / 100, "ab"[k % 2]) for k in range(4500)]
    hostile, good = line_of(talk(*tiny)), line_of(speech(4))
    tracemalloc.start()
    built, (failure,) = build_block(block_of(good, hostile, good), WindowRules())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # each start loses the rest of the row: 4500 * 4500 / 2 segments of about 75 bytes
    assert [row.offset for row in built.rows] == [0, 2000]
    assert (failure.code, failure.offset, failure.payload) == (FailureCode.ROW_TOO_LARGE, 1000, hostile)
    assert peak < 32 << 20
    spans, failures = build_block(block_of(hostile), WindowRules(), RowLimit.of("spans", MAX_LINE_BYTES))
    assert (len(spans.rows[0].plan.losses), failures) == (4500, [])


def test_blocks_and_failures_come_apart(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [line_of(speech(4)), b"broken", line_of(speech(6))])
    write_lines(tmp_path / "b.jsonl", [b"[]"])
    with beam.Pipeline("FnApiRunner") as pipeline:
        lines, _ = pipeline | ReadManifests([str(tmp_path)])
        blocks, failures = lines | BuildTrainingWindows(WindowRules())
        assert_that(blocks | beam.Map(describe_rows), equal_to([(0, [2, 4])]), label="blocks")
        letters = failures | beam.FlatMap(describe_failures)
        assert_that(letters, equal_to([("build", "bad_json"), ("build", "not_an_object")]), label="failures")


def describe_rows(block: EntryBlock) -> tuple[int, list[int]]:
    return block.ref.ordinal, [len(row.plan.firsts) for row in block.rows]


def describe_failures(block: FailureBlock) -> list[tuple[str, str]]:
    return [(block.stage, described(failure)) for failure in block.failures]


def described(failure: Failure) -> str:
    return failure.code.value
