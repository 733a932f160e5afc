"""`beam-curator diarize --embeddings` from the outside: both backends, what `export` finds, models that cannot."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from beam_curator.runners.options import UsageError
from benchmarks.random_sortformer import talk
from tests.fakes_models import Speech, write_band_model, write_sound
from tests.manifests import lines_in, manifest_of, run, start_process
from tests.sortformers import Model
from tests.titanets import WIDTH, write_titanet
from tests.transforms.diarization.turn_sets import bytes_of, check_set, diarize

pytestmark = pytest.mark.heavy

TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1), (2.4, 3.2, 2)]


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model whose answers are worked out by hand."""
    return write_band_model(tmp_path_factory.mktemp("model") / "band")


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of talk-like recordings at several rates, and one whose turns are known."""
    folder = tmp_path_factory.mktemp("talks")
    for number in range(4):
        soundfile.write(folder / f"talk{number}.wav", talk(20.0 + 9 * number, seed=number), 16000)
    write_sound(folder / "b" / "tones.flac", 4.0, TALK, 44100, 2)
    return folder


def tables_of(out: Path, kind: str) -> dict[str, Any]:
    return {
        row["id"]: np.array(row["embedding"])
        for path in sorted(out.glob(f"{kind}-embeddings-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    }


def about(out: Path) -> Any:
    path = next(out.glob("turn-embeddings-*"))
    return json.loads(pq.read_schema(path).metadata[b"beam_curator"])


class TestBackends:
    @pytest.mark.parametrize("family", ["streaming", "offline"])
    def test_both_make_the_same(self, family: str, talks: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        model: Model = request.getfixturevalue(f"{family}_model")
        onnx = diarize(talks, tmp_path / "onnx", "--embeddings", model=model.onnx)
        nemo = diarize(talks, tmp_path / "nemo", "--embeddings", model=model.nemo)
        for kind in ("speaker", "turn"):
            expected, found = tables_of(nemo, kind), tables_of(onnx, kind)
            assert list(found) == list(expected)
            assert len(found) > 4
            assert max(float(np.abs(found[name] - vector).max()) for name, vector in expected.items()) <= 5e-4
        names = {backend: about(out)["model"] for backend, out in (("onnx", onnx), ("nemo", nemo))}
        digest = model.exported.config.sha256
        assert names == {
            backend: {"name": "model.nemo", "revision": "", "sha256": digest, "backend": backend} for backend in names
        }

    def test_turns_are_the_same_with_and_without(self, talks: Path, streaming_model: Model, tmp_path: Path) -> None:
        plain = diarize(talks, tmp_path / "plain", model=streaming_model.onnx)
        out = diarize(talks, tmp_path / "out", "--embeddings", model=streaming_model.onnx)
        assert lines_in(plain, "turns-*") == lines_in(out, "turns-*")
        assert manifest_of(out)["counts"]["diarize.turn-embeddings"] == manifest_of(out)["counts"]["diarize.segments"]


class TestSameSet:
    def test_however_it_is_run(self, talks: Path, band: Path, tmp_path: Path) -> None:
        one = diarize(talks, tmp_path / "one", "--embeddings", model=band)
        two = diarize(talks, tmp_path / "two", "--embeddings", "--jobs", "2", model=band)
        assert bytes_of(one) == bytes_of(two)

    def test_overwrite_leaves_no_tables_of_the_set_before(self, talks: Path, band: Path, tmp_path: Path) -> None:
        out = diarize(talks, tmp_path / "out", "--embeddings", model=band)
        with pytest.raises(UsageError, match=r"diarization\.embeddings was True, is False"):
            run("diarize", talks, "--output", out, "--model-path", band)
        diarize(talks, out, "--overwrite", model=band)
        assert not list(out.glob("*embeddings*"))

    def test_killed_and_run_again(self, streaming_model: Model, tmp_path: Path) -> None:
        folder = tmp_path / "long"
        folder.mkdir()
        for number in range(4):
            soundfile.write(folder / f"{number}.wav", talk(200.0 if number == 3 else 2.0, seed=number), 16000)
        out = tmp_path / "out"
        arguments = ("diarize", folder, "--output", out, "--embeddings", "--model-path", streaming_model.onnx)
        process = start_process(*arguments, start_new_session=True)
        while not list(out.glob("rttm/*.rttm")) and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)
        assert run(*arguments) == 0
        check_set(out)
        whole = diarize(folder, tmp_path / "whole", "--embeddings", model=streaming_model.onnx)
        assert bytes_of(out) == bytes_of(whole)


class TestOnToExport:
    @pytest.mark.parametrize("rows", ["a folder", "relative names"])
    def test_export_finds_the_embedding_of_each_turn(self, rows: str, band: Path, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        write_sound(folder / "tones.flac", 4.0, TALK, 44100, 2)
        write_sound(folder / "covered.wav", 4.0, [(0.8, 3.2, 0), (1.6, 2.4, 1)], 8000)
        inputs, flags = folder, []
        if rows != "a folder":
            inputs, flags = tmp_path / "m.jsonl", ["--audio-root", str(folder)]
            inputs.write_text('{"audio_filepath": "tones.flac"}\n{"audio_filepath": "covered.wav"}\n')
        out = diarize(inputs, tmp_path / "turns", "--embeddings", *flags, model=band)
        table = next(out.glob("turn-embeddings-*"))
        clips = tmp_path / "clips"
        options = ("--what", "segments", "--generate-embeddings", "--embeddings", table, *flags)
        assert run("export", out, "--output", clips, *options) == 0
        counts = manifest_of(clips)["counts"]
        assert (counts["cut.clips"], counts["cut.embeddings"]) == (5, 4)  # one never talks alone
        found = {path.stem: np.load(path) for path in clips.glob("*_embd/*.npy")}
        expected = tables_of(out, "turn")
        assert sorted(found) == sorted(expected)
        assert all(np.array_equal(found[name], np.float32(vector)) for name, vector in expected.items())


class TestModelsThatCannot:
    def refused(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
        try:
            code = run("diarize", *arguments, "--output", "out")
        except UsageError as err:
            return str(err)
        assert code == 2
        return capsys.readouterr().err

    def test_nemotron(self, talks: Path, capsys: pytest.CaptureFixture[str]) -> None:
        name = "nvidia/Nemotron-3-Diarization"
        said = self.refused(capsys, talks, "--embeddings", "--model-name", name)
        assert f"{name} does not give the frames that embeddings are pooled from" in said
        assert "--embedding-model campplus or nvidia/speakerverification_en_titanet_large" in said

    def test_a_model_that_was_exported_before(
        self, talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from beam_curator.models.checksums import CHECKSUMS
        from beam_curator.models.onnx_backend import checksums_of

        model = write_band_model(tmp_path / "old")
        config = model / "config.json"
        config.write_text(config.read_text().replace('"format": 2', '"format": 1'))
        (model / CHECKSUMS).write_text(checksums_of(str(model)))
        said = self.refused(capsys, talks, "--model-path", model)
        assert "is of format 1, expected 2" in said
        assert "beam-curator models export MODEL.nemo DIR" in said

    @pytest.mark.parametrize(
        ("name", "said"),
        [("gone.nemo", "gone.nemo is not there"), ("band", "is no .nemo file: give a .nemo file of a TitaNet")],
    )
    def test_another_model_for_them(
        self, name: str, said: str, talks: Path, band: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = band if name == "band" else band.parent / name
        flags = ("--model-path", band, "--embeddings", "--embedding-model", other)
        assert said in self.refused(capsys, talks, *flags)


def test_a_titanet_makes_them(talks: Path, band: Path, tmp_path: Path) -> None:
    model = write_titanet(tmp_path / "tiny.nemo")
    flags = ("--embeddings", "--embedding-model", model)
    out = diarize(talks / "b", tmp_path / "out", *flags, model=band)
    assert sorted(tables_of(out, "speaker")) == [f"tones/speaker_{number}" for number in range(3)]
    assert {len(vector) for vector in tables_of(out, "turn").values()} == {WIDTH}
    assert about(out)["model"]["name"] == "tiny.nemo"
    assert lines_in(out, "turns-*") == lines_in(diarize(talks / "b", tmp_path / "plain", model=band), "turns-*")
    write_titanet(model, seed=1)
    with pytest.raises(UsageError, match=r"tiny\.nemo has changed"):
        run("diarize", talks / "b", "--output", out, "--model-path", band, *flags)
