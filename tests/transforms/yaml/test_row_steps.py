from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import soundfile
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.transforms.yaml.row_steps import CutClips, ExportRows, SeparateRows
from beam_curator.transforms.yaml.yaml_rows import MadeRow, ManifestRow

TURNS = [{"start": 0, "end": 1.0, "speaker": "ana"}, {"start": 1.0, "end": 2.0, "speaker": "bo"}]


@pytest.fixture
def line(tmp_path: Path) -> ManifestRow:
    """Return a line of a manifest beside its recording of two seconds."""
    soundfile.write(tmp_path / "talk.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16000), 8000)
    row = json.dumps({"audio_filepath": "talk.wav", "segments": TURNS})
    return ManifestRow(source=str(tmp_path / "m.jsonl"), offset=7, row=row)


def facts_of(made: MadeRow) -> tuple[int, str, tuple[str, ...], tuple[bytes, ...]]:
    names = tuple(name.rpartition("/")[2].rpartition(".")[2] for name in made.file_names)
    return made.offset, made.kind, names, tuple(data[:2] for data in made.files)


CLIP = (7, "clips", ("flac",), (b"fL",))
TRACK = (7, "tracks", ("wav",), (b"RI",))
EXPORTED = (7, "clips", ("flac", "json"), (b"fL", b"{\n"))


@pytest.mark.parametrize(
    ("step", "options", "expected"),
    [
        (CutClips, {"output_format": "flac", "what": "segments"}, [CLIP, CLIP]),
        (SeparateRows, {"buffer_time": 0.0}, [TRACK, TRACK]),
        (ExportRows, {"what": "segments"}, [EXPORTED, EXPORTED]),
    ],
)
def test_rows_come_with_their_files(step: Any, options: dict[str, Any], expected: list[Any], line: ManifestRow) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = pipeline | beam.Create([line]).with_output_types(ManifestRow) | step(**options)
        assert_that(rows | beam.Filter(lambda row: row.kind != "document") | beam.Map(facts_of), equal_to(expected))


def test_a_row_that_fails_goes_where_errors_are_wanted(line: ManifestRow) -> None:
    bad = line._replace(row='{"audio_filepath": "gone.wav", "segments": [[0, 1]]}')
    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = pipeline | beam.Create([bad]).with_output_types(ManifestRow)
        made: Any = rows | CutClips(error_handling={"output": "errors"})
        assert_that(made["errors"] | beam.Map(lambda error: error.code), equal_to(["not_found"]))


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="CutClips needs rows with source, offset, row"):
        _ = beam.Pipeline() | beam.Create([beam.Row(path="a.wav")]) | CutClips()


def test_options_of_sets_are_none_of_these() -> None:
    with pytest.raises(TypeError, match="shards"):
        CutClips(shards=2)
