"""The job of separation, as Beam YAML gives it to a pipeline."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.transforms.yaml.separate_jobs import SeparateSpeakers
from beam_curator.transforms.yaml.yaml_rows import CountRow
from tests.manifests import manifest_of, names_in, run
from tests.transforms.separation.track_sets import row, write_noise, write_rows


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
def test_options_that_cannot_hold_are_refused_when_the_step_is_made(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SeparateSpeakers(["a.jsonl"], "out", **options)
