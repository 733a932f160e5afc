import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints.schemas import named_fields_from_element_type

from beam_curator.transforms.yaml.steps import (
    BuildTrainingWindows,
    FilterOverlaps,
    ReadManifests,
    RenderFailures,
    check_columns,
    error_output,
    paths_of,
)
from beam_curator.transforms.yaml.yaml_rows import ManifestRow
from beam_curator.windows.line_windows import windows_of_line
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import line_of, speech, write_lines

GOOD, LAST = line_of(speech(4)), line_of(speech(6))
ERRORS = {"output": "errors"}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A good line, one that is no JSON, one that is no UTF-8, one that is too long for 2,000 bytes, a good line."""
    return write_lines(tmp_path / "a.jsonl", [GOOD, b"broken", b"\xff", b"x" * 2001, LAST])


def offsets_of(row: Any) -> int:
    offset: int = row.offset
    return offset


def described(row: Any) -> tuple[str, str, int, str, str]:
    return row.code, row.stage, row.offset, row.payload[:6], row.payload_encoding


def columns_of(rows: beam.PCollection[Any]) -> list[str]:
    return [name for name, _ in named_fields_from_element_type(rows.element_type)]


def row_of(fields: Any, offset: int = 0) -> ManifestRow:
    return ManifestRow("a.jsonl", offset, line_of(fields).decode())


def test_lines_are_read_and_the_others_are_errors(manifest: Path) -> None:
    broken = len(GOOD) + 1
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadManifests([str(manifest)], max_line_bytes=2000, error_handling=ERRORS)
        assert list(read) == ["output", "errors"]
        assert columns_of(read["output"]) == ["source", "offset", "row"]
        assert columns_of(read["errors"])[-3:] == ["payload", "payload_truncated", "payload_encoding"]
        rows = read["output"] | beam.Reshuffle() | beam.Map(tuple)
        source = str(manifest)
        lines = [(0, GOOD), (broken, b"broken"), (broken + 7 + 2 + 2002, LAST)]
        assert_that(rows, equal_to([(source, offset, raw.decode()) for offset, raw in lines]), label="rows")
        errors = read["errors"] | "Shuffle" >> beam.Reshuffle() | beam.Map(described)
        expected = [
            ("bad_utf8", "read", broken + 7, "/w==", "base64"),
            ("line_too_long", "read", broken + 9, "xxxxxx", "utf-8"),
        ]
        assert_that(errors, equal_to(expected), label="errors")


def test_a_line_that_is_no_text_ends_the_job_unless_errors_are_wanted(manifest: Path) -> None:
    problem = rf"bad_utf8: {manifest} at byte {len(GOOD) + 8} \(read\): .* 'error_handling"
    with pytest.raises(Exception, match=problem), beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | ReadManifests([str(manifest)])


def test_a_file_url_is_a_local_path_and_a_repeated_file_is_read_once_unless_asked(tmp_path: Path) -> None:
    write_lines(tmp_path / "a b's.jsonl", [GOOD])
    inputs = [f"file://{tmp_path}/a b's.jsonl", str(tmp_path)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        once = pipeline | "Once" >> ReadManifests(inputs) | "1" >> beam.Map(offsets_of)
        twice = pipeline | "Twice" >> ReadManifests(inputs, keep_duplicates=True) | "2" >> beam.Map(offsets_of)
        assert_that(once, equal_to([0]), label="once")
        assert_that(twice, equal_to([0, 0]), label="twice")


def test_windows_are_built_by_the_rules_given() -> None:
    rows = [row_of(speech(4)), row_of({}, 7), row_of(speech(6), 9)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | beam.Create(rows).with_output_types(ManifestRow)
        built = made | BuildTrainingWindows(target_window_duration=80, drop_fields=(), error_handling=ERRORS)
        counts = built["output"] | beam.Reshuffle() | beam.Map(lambda row: (row.offset, row.n_segments, row.n_windows))
        assert_that(counts, equal_to([(0, 4, 3), (9, 6, 5)]), label="rows")  # two segments of 40 s each
        errors = built["errors"] | "Describe" >> beam.Map(described)
        assert_that(errors, equal_to([("missing_key", "build", 7, "{}", "utf-8")]), label="errors")


def test_overlaps_are_filtered_by_the_rules_given() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | beam.Create([row_of(speech(6))]).with_output_types(ManifestRow)
        built = made | BuildTrainingWindows() | beam.Reshuffle()
        half = built | "Half" >> FilterOverlaps() | "1" >> beam.Map(lambda row: row.n_filtered_windows)
        none = built | "None" >> FilterOverlaps(overlap_percentage=0)
        assert columns_of(none)[5:] == ["n_windows", "n_filtered_windows", "truncation_events", "filtered", "row"]
        spans = (
            none
            | "Shuffle" >> beam.Reshuffle()
            | beam.Map(lambda row: [(span.start, span.end) for span in row.filtered])
        )
        assert_that(half, equal_to([2]), label="half")
        # (0, 120) beats (40, 160) and (80, 200), then (120, 240) has nobody to fear
        assert_that(spans, equal_to([[(0.0, 120.0), (120.0, 240.0)]]), label="none")


@pytest.mark.parametrize("step", [BuildTrainingWindows(), FilterOverlaps()])
def test_a_bad_row_ends_the_job_unless_errors_are_wanted(step: Any) -> None:
    problem = r"missing_key: a.jsonl at byte 7 \((build|overlap)\): .*; or give the step"
    with pytest.raises(Exception, match=problem), beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([row_of({}, 7)]).with_output_types(ManifestRow) | step


def test_the_steps_in_a_chain_give_the_rows_of_the_command(manifest: Path) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadManifests([str(manifest)], error_handling=ERRORS)
        built = read["output"] | BuildTrainingWindows(error_handling=ERRORS)
        kept = built["output"] | FilterOverlaps(error_handling=ERRORS)
        expected = [windows_of_line(raw, WindowRules(), OverlapRules()).decode() for raw in (GOOD, LAST)]
        assert_that(kept["output"] | beam.Map(lambda row: row.row), equal_to(expected), label="rows")
        letters = built["errors"] | RenderFailures() | beam.Map(lambda row: json.loads(row.line)["payload"][:6])
        assert_that(letters, equal_to(["broken", "xxxxxx"]), label="letters")


def test_rows_need_the_columns_that_a_step_reads() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        lines = pipeline | beam.Create([beam.Row(line="{}", offset=3)])
        texts = pipeline | "Texts" >> beam.Create(["{}"])
        found = "needs rows with source, offset, row, but its input has columns line, offset: read with ReadManifests"
        with pytest.raises(ValueError, match=f"BuildTrainingWindows {found}"):
            _ = lines | BuildTrainingWindows()
        with pytest.raises(ValueError, match=r"FilterOverlaps needs .* but its input has no schema: read with"):
            _ = texts | FilterOverlaps()
        with pytest.raises(ValueError, match=r"RenderFailures needs rows with code, .* give it the error outputs"):
            _ = lines | RenderFailures()
        check_columns(lines, "a step", ("line",), "nothing to mend")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, r"error_handling {} is not understood: write {output: NAME}"),
        ({"output": ""}, "is not understood"),
        ({"outputs": "errors"}, "is not understood"),
        ({"output": "errors", "threshold": "1"}, "is not understood"),
        ("errors", "is not understood"),
        ({"output": "output"}, "gives the errors the name of the rows, 'output': choose another"),
    ],
)
def test_error_handling_names_one_output(given: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        error_output(given)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("a.jsonl", r"inputs 'a.jsonl' is one string, expected a list of paths: write \[a.jsonl\]"),
        ([], r"inputs \[\] is not a list of paths"),
        ([""], "is not a list of paths"),
        ([3], "is not a list of paths"),
        (None, "inputs None is not a list of paths"),
    ],
)
def test_inputs_are_a_list_of_paths(given: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        paths_of(given)


def test_options_that_cannot_hold_are_refused_when_the_step_is_made() -> None:
    with pytest.raises(ValueError, match="window rules: min_speakers 7 exceeds max_speakers 5"):
        BuildTrainingWindows(min_speakers=7)
    with pytest.raises(ValueError, match=r"expected a list of keys: write \['words'\]"):
        BuildTrainingWindows(drop_fields="words")  # type: ignore[arg-type]  # as YAML may have it
    with pytest.raises(ValueError, match="overlap rules: overlap_percentage 101"):
        FilterOverlaps(overlap_percentage=101)
    with pytest.raises(ValueError, match="input: max_line_bytes 0 is below 1: raise it"):
        ReadManifests(["a.jsonl"], max_line_bytes=0)


def test_an_input_that_names_nothing_ends_the_job_whatever_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"none\.jsonl is not there"), beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | ReadManifests([str(tmp_path / "none.jsonl")], error_handling=ERRORS)
