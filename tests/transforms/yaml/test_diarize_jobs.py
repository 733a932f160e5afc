"""Diarization, as Beam YAML gives it to a pipeline."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import soundfile
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints.schemas import named_fields_from_element_type

from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.runners import exit_codes
from beam_curator.transforms.yaml.diarize_jobs import Diarize, DiarizeRecordings, row_asking
from beam_curator.transforms.yaml.steps import ReadManifests
from beam_curator.transforms.yaml.yaml_rows import CountRow, DiarizedRow, ManifestRow
from tests.manifests import lines_in, manifest_of, names_in, run, write_lines
from tests.sortformers import Model
from tests.yaml_runs import run_yaml

pytestmark = pytest.mark.heavy

TEMPLATE = Path(__file__).parents[3] / "templates" / "yaml" / "diarize.yaml"
ERRORS = {"output": "errors"}
FLAGS = ["--turn-preset", "v1-dihard3", "--latency", "low", "--bandwidth"]
OPTIONS: dict[str, Any] = {"turn_preset": "v1-dihard3", "latency": "low", "bandwidth": True}


@pytest.fixture
def model(streaming_model: Model) -> str:
    return str(streaming_model.onnx)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, and a file that is none."""
    folder = tmp_path_factory.mktemp("talks")
    for number, (name, rate) in enumerate({"a.wav": 16000, "b.flac": 8000}.items()):
        noise = np.random.default_rng(number).normal(0, 0.1, (number + 4) * rate)
        soundfile.write(folder / name, noise * (np.sin(np.arange(len(noise)) / rate * 4) > 0), rate)
    (folder / "c.wav").write_bytes(b"no audio")
    return folder


@pytest.fixture(scope="module")
def manifest(talks: Path) -> Path:
    """Rows that name them, a piece, one recording twice, one that is not there, and two that are no rows."""
    rows = [
        {"audio_filepath": "a.wav", "lang": "de"},
        {"audio_filepath": "b.flac", "offset": 1.5, "duration": 2},
        {"audio_filepath": "a.wav", "num_speakers": 9},
        {"audio_filepath": "gone.wav"},
        {"path": "a.wav"},
    ]
    lines = [*(json.dumps(row).encode() for row in rows), b"[]", b'{"audio_filepath": "c.wav"}']
    return write_lines(
        talks.parent / f"{talks.name}-rows" / "m.jsonl", [line.replace(b'": "', b'":"') for line in lines]
    )


def without_stage(line: bytes) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in json.loads(line).items() if key != "stage")


def text_of(row: Any) -> bytes:
    text: str = row.row
    return text.encode()


def test_a_whole_job_writes_the_set_that_the_command_writes(model: str, talks: Path, tmp_path: Path) -> None:
    shown = ["--rttm-out-dir", "pred_rttms", "--overlap-view", "--shards", "1"]
    ended = run("diarize", talks, "--output", tmp_path / "command", "--model-path", model, *FLAGS, *shown)
    assert ended == exit_codes.TOO_MANY_FAILURES
    with beam.Pipeline("FnApiRunner") as pipeline:
        counts = pipeline | Diarize(
            [str(talks)],
            f"file://{tmp_path}/out",
            model_path=model,
            rttm_out_dir="pred_rttms",
            overlap_view=True,
            shards=1,
            **OPTIONS,
        )
        assert counts.element_type == CountRow
        expected = list(manifest_of(tmp_path / "command")["counts"].items())
        assert {("diarize.turns", 2), ("diarize.failures", 1)} <= set(expected)
        assert_that(counts | beam.Reshuffle() | beam.Map(tuple), equal_to(expected))
    assert manifest_of(tmp_path / "out") == manifest_of(tmp_path / "command")
    assert set(names_in(tmp_path / "command")) - set(names_in(tmp_path / "out")) == {"summary.json"}
    assert len(list((tmp_path / "out" / "pred_rttms").glob("*.ctm"))) == 2


def test_the_template_writes_the_set_that_the_command_writes(model: str, talks: Path, tmp_path: Path) -> None:
    run("diarize", talks, "--output", tmp_path / "command", "--model-path", model, "--latency", "low", "--bandwidth")
    variables = {"inputs": [str(talks)], "output": str(tmp_path / "out"), "model": model, "latency": "low"}
    lines = run_yaml(TEMPLATE, tmp_path, **variables, bandwidth=True)
    assert 'INFO:root:{"name": "diarize.turns", "value": 2}' in lines
    assert manifest_of(tmp_path / "out") == manifest_of(tmp_path / "command")


def test_rows_of_a_manifest_become_those_of_the_command(
    model: str, manifest: Path, talks: Path, tmp_path: Path
) -> None:
    where = ["--audio-root", talks, "--rttm-out-dir", ""]
    run("diarize", manifest, "--output", tmp_path / "command", "--model-path", model, *FLAGS, *where)
    expected = lines_in(tmp_path / "command", "turns-*.jsonl")
    assert len(expected) == 3
    assert all(json.loads(line)["segments"][0]["metrics"] for line in expected)
    letters = sorted(map(without_stage, lines_in(tmp_path / "command", "failures-*.jsonl")))
    assert len(letters) == 4
    with beam.Pipeline("FnApiRunner") as pipeline:
        lines = pipeline | ReadManifests([str(manifest)])
        heard = lines | DiarizeRecordings(model_path=model, audio_root=str(talks), error_handling=ERRORS, **OPTIONS)
        assert list(heard) == ["output", "errors"]
        names = [name for name, _ in named_fields_from_element_type(heard["output"].element_type)]
        assert names == list(DiarizedRow._fields)
        rows = heard["output"] | beam.Reshuffle() | beam.Map(text_of)
        assert_that(rows, equal_to(expected), label="rows")
        errors = heard["errors"] | "Describe" >> beam.Map(lambda row: (row.code, row.stage, row.offset))
        codes = [("not_found", "diarize"), ("missing_key", "plan"), ("not_an_object", "plan"), ("not_audio", "diarize")]
        offsets = sorted(dict(letter)["offset"] for letter in letters)
        assert_that(errors, equal_to([(*code, n) for code, n in zip(codes, offsets, strict=True)]), label="errors")


def test_rows_that_name_recordings_become_those_of_the_command_on_the_files(
    model: str, talks: Path, tmp_path: Path
) -> None:
    files = [str(talks / "a.wav"), str(talks / "b.flac")]
    run("diarize", *files, "--output", tmp_path / "command", "--model-path", model, *FLAGS, "--rttm-out-dir", "")
    run("diarize", *files, "--output", tmp_path / "rttm", "--model-path", model, *FLAGS)
    with beam.Pipeline("FnApiRunner") as pipeline:
        named = pipeline | beam.Create([beam.Row(audio_filepath=name) for name in files])
        heard = named | DiarizeRecordings(model_path=model, inference_batch_size=1, **OPTIONS)
        rows = heard | beam.Reshuffle() | "Texts" >> beam.Map(text_of)
        assert_that(rows, equal_to(lines_in(tmp_path / "command", "turns-*.jsonl")), label="rows")
        columns = heard | "Columns" >> beam.Map(lambda row: (row.recording_id, row.duration, row.rttm))
        texts = {name: (tmp_path / "rttm" / "rttm" / f"{name}.rttm").read_text(encoding="utf-8") for name in "ab"}
        assert_that(columns, equal_to([("a", 4.0, texts["a"]), ("b", 5.0, texts["b"])]), label="columns")


def test_a_recording_that_fails_ends_the_job_unless_errors_are_wanted(model: str, talks: Path) -> None:
    with (
        pytest.raises(Exception, match=r"not_audio: \S+c.wav at byte 0 \(diarize\): .*; or give the step"),
        beam.Pipeline("FnApiRunner") as pipeline,
    ):
        named = pipeline | beam.Create([beam.Row(audio_filepath=str(talks / "c.wav"))])
        _ = named | DiarizeRecordings(model_path=model)


def test_a_row_is_taken_as_a_line_where_it_is_one() -> None:
    line = ManifestRow(source="m.jsonl", offset=7, row='{"audio_filepath":"a.wav"}')
    assert row_asking(line, DiarizeRules()) == line


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("gs://a/b.wav", "", '{"audio":"gs://a/b.wav"}'),
        ("/a/b.wav", "", '{"audio":"/a/b.wav"}'),
        ("a/b.wav", "gs://root", '{"audio":"a/b.wav"}'),
        ("", "", '{"audio":""}'),
        (None, "", '{"audio":null}'),
    ],
)
def test_a_row_that_is_no_line_asks_for_what_it_names(path: str | None, root: str, expected: str) -> None:
    asking = row_asking(beam.Row(audio=path, other=1), DiarizeRules(audio_filepath_key="audio", audio_root=root))
    assert asking == (path or "", 0, expected)


def test_a_column_may_name_a_channel() -> None:
    asking = row_asking(beam.Row(audio_filepath="/b.wav", channel=1), DiarizeRules())
    assert json.loads(asking.row) == {"audio_filepath": "/b.wav", "channel": 1}
    asking = row_asking(beam.Row(audio_filepath=["/b0.wav", "gs://x/b1.wav"]), DiarizeRules())
    assert asking == ManifestRow('["/b0.wav", "gs://x/b1.wav"]', 0, '{"audio_filepath":["/b0.wav","gs://x/b1.wav"]}')
    asking = row_asking(beam.Row(audio_filepath="/b.wav", channel=None), DiarizeRules())
    assert json.loads(asking.row) == {"audio_filepath": "/b.wav"}


def test_a_relative_name_begins_where_the_job_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asking = row_asking(beam.Row(audio_filepath="b.wav"), DiarizeRules())
    assert asking.row == json.dumps({"audio_filepath": f"{tmp_path}/b.wav"}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([beam.Row(path="a.wav")], "columns path"),
        ([beam.Row(row="{}", audio_filepath="a.wav")], "columns row, audio_filepath"),
        ([1], "no schema"),
    ],
)
def test_rows_without_what_is_needed_are_refused(rows: list[Any], found: str) -> None:
    problem = f"needs rows with source, offset, row, or with audio_filepath, but its input has {found}: read with"
    with pytest.raises(ValueError, match=problem):
        _ = beam.Pipeline("FnApiRunner") | beam.Create(rows) | DiarizeRecordings(model_path="model")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"device": "tpu"}, "device 'tpu' is not known: use one of auto, cpu, cuda"),
        ({"latency": "none"}, "latency 'none' is not known"),
        ({"turn_preset": "none"}, "turns 'none' is not known"),
        ({"diar_format": "rttm"}, "diar_format 'rttm' is not known: use one of dicts, pairs"),
        ({"inference_batch_size": 0}, "inference_batch_size 0 must be 1-4096"),
        ({"model_sha256": "ab"}, "model-sha256 'ab' is not 64 hexadecimal digits"),
    ],
)
def test_options_that_cannot_hold_are_refused_when_a_step_is_made(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        DiarizeRecordings(**options)
    with pytest.raises(ValueError, match=problem):
        Diarize(["a.wav"], "out", **options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rttm_out_dir": "../x"}, r"rttm_out_dir '../x' is no name of a folder"),
        ({"row_format": "csv"}, "row_format 'csv' is not known: use one of jsonl, parquet, avro"),
        ({"shards": -1}, "shards -1 is below 0"),
        ({"max_line_bytes": 0}, "max_line_bytes 0 is below 1: raise it"),
    ],
)
def test_options_of_a_set_are_checked_too(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Diarize(["a.wav"], "out", **options)


def test_an_output_that_the_job_would_read_is_refused() -> None:
    with pytest.raises(ValueError, match="lies inside the input in: choose one outside of it"):
        Diarize(["in"], "in/out")


def test_errors_under_the_name_of_the_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="error_handling gives the errors the name of the rows"):
        DiarizeRecordings(error_handling={"output": "output"})
