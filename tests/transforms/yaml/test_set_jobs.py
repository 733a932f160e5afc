"""Jobs that write whole sets, as Beam YAML gives them to a pipeline."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.transforms.yaml.set_jobs import ExportClips, ExtractClips, SeparateSpeakers
from beam_curator.transforms.yaml.yaml_rows import CountRow
from tests.manifests import TALKS, manifest_of, names_in, run
from tests.transforms.separation.track_sets import row, write_noise, write_rows

PIECES = str(TALKS.with_name("pieces.jsonl"))


def test_extraction_writes_the_set_that_the_command_writes(tmp_path: Path) -> None:
    options = ["--output-format", "flac", "--sample-rate", "16000", "--mono", "mix", "--index", "parquet"]
    run("extract", PIECES, "--output", tmp_path / "command", *options)
    with beam.Pipeline("FnApiRunner") as pipeline:
        counts = pipeline | ExtractClips(
            [PIECES], f"file://{tmp_path}/out", output_format="flac", sample_rate=16000, mono="mix", index="parquet"
        )
        assert counts.element_type == CountRow
        expected = list(manifest_of(tmp_path / "command")["counts"].items())
        assert ("cut.clips", 4) in expected
        assert_that(counts | beam.Reshuffle() | beam.Map(tuple), equal_to(expected))
    assert manifest_of(tmp_path / "out") == manifest_of(tmp_path / "command")
    assert set(names_in(tmp_path / "command")) - set(names_in(tmp_path / "out")) == {"summary.json"}


def test_export_writes_the_tree_that_the_command_writes(tmp_path: Path) -> None:
    run("export", PIECES, "--output", tmp_path / "command", "--generate-captions", "--score-keys", "snr")
    with beam.Pipeline("FnApiRunner") as pipeline:
        counts = pipeline | ExportClips([PIECES], str(tmp_path / "out"), generate_captions=True, score_keys=("snr",))
        assert counts.element_type == CountRow
        expected = list(manifest_of(tmp_path / "command")["counts"].items())
        assert ("cut.filtered", 1) in expected
        assert_that(counts | beam.Reshuffle() | beam.Map(tuple), equal_to(expected))
    assert manifest_of(tmp_path / "out") == manifest_of(tmp_path / "command")
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.flac")}
    assert len(found) == 4
    assert all((tmp_path / "command" / name).exists() for name in found)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"what": "words"}, "what 'words' is not known: use one of auto, rows, segments"),
        ({"sample_rate": 10}, "sample_rate 10 must be 1000-384000"),
        ({"output_format": "mp3"}, "output_format 'mp3' is not known: use one of wav, flac, ogg"),
        ({"row_format": "csv"}, "row_format 'csv' is not known: use one of jsonl, parquet, avro"),
        ({"pack": "zip"}, "pack 'zip' is not known: use one of none, webdataset, nemo-tar"),
        ({"shards": -1}, "shards -1 is below 0"),
        ({"max_line_bytes": 0}, "max_line_bytes 0 is below 1: raise it"),
    ],
)
def test_options_that_cannot_hold_are_refused_when_the_step_is_made(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ExtractClips(["a.jsonl"], "out", **options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"what": "words"}, "what 'words' is not known"),
        ({"embedding_algorithm": "../x"}, "embedding_algorithm '../x' must be of"),
        ({"clips_per_chunk": 0}, "clips_per_chunk 0 is below 1"),
        ({"row_format": "csv"}, "row_format 'csv' is not known"),
        ({"shards": -1}, "shards -1 is below 0"),
    ],
)
def test_options_of_an_export_are_checked_too(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ExportClips(["a.jsonl"], "out", **options)


@pytest.mark.parametrize("step", [ExtractClips, ExportClips])
def test_an_output_that_the_job_would_read_is_refused(step: type[ExtractClips] | type[ExportClips]) -> None:
    with pytest.raises(ValueError, match="lies inside the input in: choose one outside of it"):
        step(["in"], "in/out")


def test_separation_writes_the_set_that_the_command_writes(tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav", 6)
    rows = write_rows(tmp_path / "m.jsonl", row("a.wav", [0, 3, "ana"], [2, 5, "bo"]))
    options = ["--output-format", "flac", "--buffer-mode", "pad_turns", "--compact"]
    assert run("separate", rows, "--output", tmp_path / "command", *options) == 0
    with beam.Pipeline("FnApiRunner") as pipeline:
        counts = pipeline | SeparateSpeakers(
            [str(rows)], f"file://{tmp_path}/out", output_format="flac", buffer_mode="pad_turns", compact=True
        )
        assert counts.element_type == CountRow
        expected = list(manifest_of(tmp_path / "command")["counts"].items())
        assert ("separate.tracks", 2) in expected
        assert_that(counts | beam.Reshuffle() | beam.Map(tuple), equal_to(expected))
    assert manifest_of(tmp_path / "out") == manifest_of(tmp_path / "command")
    assert set(names_in(tmp_path / "command")) - set(names_in(tmp_path / "out")) == {"summary.json"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"buffer_mode": "none"}, "buffer_mode 'none' is not known: use one of shrink_at_overlaps, pad_turns"),
        ({"overlap_policy": "latest"}, "set exclude_overlaps to false"),
        ({"audio_filepath_key": ""}, "audio_filepath_key is empty"),
        ({"output_format": "mp3"}, "output_format 'mp3' is not known: use one of wav, flac, ogg"),
        ({"row_format": "csv"}, "row_format 'csv' is not known: use one of jsonl, parquet, avro"),
        ({"shards": -1}, "shards -1 is below 0"),
        ({"max_line_bytes": 0}, "max_line_bytes 0 is below 1: raise it"),
    ],
)
def test_options_of_a_separation_are_checked_too(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SeparateSpeakers(["a.jsonl"], "out", **options)
