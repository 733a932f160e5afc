import hashlib
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints.schemas import named_fields_from_element_type

from beam_curator.transforms.yaml.window_jobs import BuildWindowSet, ChooseWindows, HashInputs
from beam_curator.transforms.yaml.yaml_rows import CountRow, InputRow, WindowsRow
from tests.manifests import line_of, manifest_of, names_in, rows_in, run, speech, write_lines

ERRORS = {"output": "errors"}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "in/a.jsonl", [line_of(speech(4)), b"broken", line_of(speech(6))])


def text_of(row: Any) -> bytes:
    text: str = row.row
    return text.encode()


def test_rows_are_those_of_the_command_and_the_others_are_errors(manifest: Path, tmp_path: Path) -> None:
    run("windows", manifest, "--output", tmp_path / "command")
    with beam.Pipeline("FnApiRunner") as pipeline:
        chosen = pipeline | ChooseWindows([str(manifest)], error_handling=ERRORS)
        assert list(chosen) == ["output", "errors"]
        names = [name for name, _ in named_fields_from_element_type(chosen["output"].element_type)]
        assert names == list(WindowsRow._fields)
        rows = chosen["output"] | beam.Reshuffle() | beam.Map(text_of)
        assert_that(rows, equal_to(rows_in(tmp_path / "command")), label="rows")
        errors = chosen["errors"] | "Describe" >> beam.Map(lambda row: (row.code, row.stage, row.payload))
        assert_that(errors, equal_to([("bad_json", "build", "broken")]), label="errors")


def test_a_bad_row_ends_the_job_unless_errors_are_wanted(manifest: Path) -> None:
    problem = rf"bad_json: {manifest} at byte {len(line_of(speech(4))) + 1} \(build\): .*; or give the step"
    with pytest.raises(Exception, match=problem), beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | ChooseWindows([str(manifest)])


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    with beam.Pipeline("FnApiRunner") as pipeline:
        chosen = pipeline | ChooseWindows([str(tmp_path)], error_handling=ERRORS)
        codes = chosen["errors"] | beam.Map(lambda row: (row.code, row.stage, row.payload))
        assert_that(codes, equal_to([("not_found", "file", "")]))


def test_a_preset_is_an_option(tmp_path: Path) -> None:
    manifest = write_lines(tmp_path / "a.jsonl", [line_of(speech(4, audio_sample_rate=8000))])
    with beam.Pipeline("FnApiRunner") as pipeline:
        kept = pipeline | ChooseWindows([str(manifest)], preset="phone") | beam.Map(lambda row: row.n_windows)
        assert_that(kept, equal_to([2]))


def test_windows_of_one_recording_compete_if_asked(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write_lines(tmp_path / name, [line_of(speech(4))])
    with beam.Pipeline("FnApiRunner") as pipeline:
        chosen = pipeline | ChooseWindows([str(tmp_path)], overlap_scope="audio_file", layout="spans")
        kept = chosen | beam.Map(lambda row: (row.source[-7:], row.n_windows, row.n_filtered_windows))
        assert_that(kept, equal_to([("a.jsonl", 2, 1), ("b.jsonl", 2, 0)]), label="kept")
        texts = chosen | "Texts" >> beam.Map(lambda row: '"windows":[{"segments":[0,3]' in row.row)
        assert_that(texts, equal_to([True, True]), label="layout")


def test_a_whole_job_writes_the_set_that_the_command_writes(manifest: Path, tmp_path: Path) -> None:
    options = ["--target-window-duration", "80", "--overlap-percentage", "10", "--shards", "1", "--min-bandwidth", "0"]
    run("windows", manifest, "--output", tmp_path / "command", *options)
    with beam.Pipeline("FnApiRunner") as pipeline:
        counts = pipeline | BuildWindowSet(
            [str(manifest)],
            f"file://{tmp_path}/out",
            target_window_duration=80,
            overlap_percentage=10,
            shards=1,
            min_bandwidth=0,
        )
        assert counts.element_type == CountRow
        rows = counts | beam.Reshuffle() | beam.Map(tuple)
        expected = list(manifest_of(tmp_path / "command")["counts"].items())
        assert ("build.failures", 1) in expected
        assert_that(rows, equal_to(expected))
    assert manifest_of(tmp_path / "out") == manifest_of(tmp_path / "command")
    assert set(names_in(tmp_path / "command")) - set(names_in(tmp_path / "out")) == {"summary.json"}


def test_inputs_are_hashed_and_what_cannot_be_read_is_null(manifest: Path) -> None:
    (manifest.parent / "gone.jsonl").symlink_to(manifest.parent / "nowhere")
    content = manifest.read_bytes()
    with beam.Pipeline("FnApiRunner") as pipeline:
        hashed = pipeline | HashInputs([str(manifest.parent)])
        assert hashed.element_type == InputRow
        expected = [
            (str(manifest), len(content), hashlib.sha256(content).hexdigest()),
            (str(manifest.parent / "gone.jsonl"), None, None),
        ]
        assert_that(hashed | beam.Reshuffle() | beam.Map(tuple), equal_to(expected))


@pytest.mark.parametrize(
    ("given", "output"),
    [
        (["in"], "in"),
        (["in"], "in/out"),
        (["a.jsonl", "in/../out/windows-*.jsonl"], "out"),
        (["gs://bucket/in/"], "gs://bucket/in/out"),
        (["in"], ""),
    ],
)
def test_an_output_that_the_job_would_read_is_refused(given: list[str], output: str) -> None:
    with pytest.raises(ValueError, match=r"lies inside the input .*: choose one outside of it|output is empty"):
        BuildWindowSet(given, output)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"min_speakers": 7}, "min_speakers 7 exceeds max_speakers 5"),
        ({"overlap_percentage": -1}, "overlap_percentage -1"),
        ({"overlap_target_duration": 0}, "target_duration must be positive"),
        ({"layout": "wide"}, "layout 'wide' is not known: use one of full, spans"),
        ({"max_line_bytes": -1}, "max_line_bytes -1 is below 1: raise it"),
    ],
)
def test_options_that_cannot_hold_are_refused_when_the_step_is_made(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ChooseWindows(["a.jsonl"], **options)
    with pytest.raises(ValueError, match=problem):
        BuildWindowSet(["a.jsonl"], "out", **options)


def test_what_a_set_alone_can_get_wrong_is_refused_too() -> None:
    with pytest.raises(ValueError, match="row_format 'csv' is not known: use one of jsonl, parquet, avro"):
        BuildWindowSet(["a.jsonl"], "out", row_format="csv")
    with pytest.raises(ValueError, match="shards -1 is below 0"):
        BuildWindowSet(["a.jsonl"], "out", shards=-1)
    with pytest.raises(ValueError, match=r"one string, expected a list of paths: write \[a.jsonl\]"):
        HashInputs("a.jsonl")


def test_an_unknown_scope_is_refused_when_the_pipeline_is_built() -> None:
    with pytest.raises(ValueError, match="scope 'file' is not known"), beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | ChooseWindows(["a.jsonl"], overlap_scope="file")
