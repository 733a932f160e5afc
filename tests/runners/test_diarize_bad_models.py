"""Models that are none, and options that cannot hold, through `diarize`: said in a line, before the job begins."""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_curator.models.checksums import CHECKSUMS
from beam_curator.models.onnx_backend import checksums_of
from beam_curator.runners.options import UsageError
from tests.fakes_models import Speech, write_band_model, write_sound
from tests.manifests import run, run_process
from tests.sortformers import Model, need_nemo

pytestmark = pytest.mark.heavy

TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1), (2.4, 3.2, 2)]


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model whose answers are worked out by hand."""
    return write_band_model(tmp_path_factory.mktemp("model") / "band")


def tar_bytes(**members: bytes) -> bytes:
    """Make a tar of files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def cut_encode(folder: Path) -> None:
    (folder / "encode.onnx").write_bytes(half((folder / "encode.onnx").read_bytes()))


def cut_filters(folder: Path) -> None:
    (folder / "mel_filters.npy").write_bytes(half((folder / "mel_filters.npy").read_bytes()))


def cut_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"format":')


def remove_encode(folder: Path) -> None:
    (folder / "encode.onnx").unlink()


def remove_checksums(folder: Path) -> None:
    (folder / CHECKSUMS).unlink()


FOLDERS: dict[Callable[[Path], None], str] = {
    cut_encode: r"encode\.onnx was changed or is damaged: its sha256 is not the one in SHA256SUMS .*: export the model",
    cut_filters: r"mel_filters\.npy was changed or is damaged",
    cut_config: r"config\.json of model .* is no JSON .*: fetch or export it again",
    remove_encode: r"lacks encode\.onnx, expected an exported model: fetch or export it again",
    remove_checksums: "is no exported model, SHA256SUMS missing: export the model again",
}
"""Damage to an exported model, and what is said of it before the job begins."""


def other_graph(folder: Path) -> None:
    shutil.copy(folder / "encode.onnx", folder / "pre_encode.onnx")
    (folder / CHECKSUMS).write_text(checksums_of(str(folder)))


def no_graph(folder: Path) -> None:
    (folder / "encode.onnx").write_text("no graph")
    (folder / CHECKSUMS).write_text(checksums_of(str(folder)))


class TestModels:
    @pytest.fixture
    def talk(self, tmp_path: Path) -> Path:
        return write_sound(tmp_path / "in" / "a.wav", 4.0, TALK)

    def refused(self, talk: Path, *options: object) -> str:
        """Return what is said of options that are refused at once; nothing is written."""
        out = talk.parent.parent / "out"
        with pytest.raises(UsageError) as caught:
            run("diarize", talk, "--output", out, *options)
        assert not out.exists()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def failed(self, talk: Path, capsys: pytest.CaptureFixture[str], *options: object) -> str:
        """Return what is said of a job that fails; there is no manifest."""
        out = talk.parent.parent / "out"
        assert run("diarize", talk, "--output", out, *options) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert second.startswith("beam-curator: nothing was committed")
        assert not (out / "_MANIFEST.json").exists()
        return first.removeprefix("beam-curator: the job failed: ")

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("gone", None, r"model .*/gone is not there: give a \.nemo file, or the folder of a model"),
            ("in", None, r"folder .*/in holds no model \(found a\.wav\), expected a \.nemo file, or config\.json"),
            ("text.nemo", b"no model", r"text\.nemo is damaged \(8 bytes that are no tar\).*: fetch it again"),
            ("empty.nemo", b"", r"empty\.nemo is damaged \(0 bytes"),
            ("model.bin", b"x", r"model\.bin is a file of another kind, expected FILE\.nemo: give that, or a folder"),
        ],
    )
    def test_paths_without_a_model(self, talk: Path, name: str, content: bytes | None, message: str) -> None:
        path = talk.parent.parent / name
        if content is not None:
            path.write_bytes(content)
        assert re.search(message, self.refused(talk, "--model-path", path))

    @pytest.mark.parametrize("damage", FOLDERS)
    def test_damaged_folders(self, damage: Callable[[Path], None], talk: Path, band: Path, tmp_path: Path) -> None:
        damage(shutil.copytree(band, tmp_path / "model"))
        assert re.search(FOLDERS[damage], self.refused(talk, "--model-path", tmp_path / "model"))

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (other_graph, r"pre_encode\.onnx takes embeddings, lengths, expected mel, lengths: export the model again"),
            (no_graph, r"encode\.onnx is no graph for this onnxruntime .*: export the model again"),
        ],
    )
    def test_graphs_that_are_none(
        self,
        damage: Callable[[Path], None],
        message: str,
        talk: Path,
        band: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        damage(shutil.copytree(band, tmp_path / "model"))
        assert re.match(f"{tmp_path}/model/{message}", self.failed(talk, capsys, "--model-path", tmp_path / "model"))

    def test_files_of_nemo_that_are_none(
        self, talk: Path, streaming_model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "m.nemo"
        path.write_bytes(half(streaming_model.nemo.read_bytes()))
        assert re.match(rf"{path} ends too early \(.* bytes\)", self.failed(talk, capsys, "--model-path", path))
        path.write_bytes(tar_bytes(readme=b"no model"))
        said = self.failed(talk, capsys, "--model-path", path, "--overwrite")
        assert (
            said == f"{path} is a tar without model_config.yaml, thus no .nemo file: give a .nemo file of a Sortformer"
        )

    def test_a_hash_that_is_another(self, talk: Path, band: Path) -> None:
        said = self.refused(talk, "--model-path", band, "--model-sha256", "0" * 64)
        assert re.search(r"encode\.onnx has sha256 [0-9a-f]{64}, expected 0{64}: it is not loaded", said)
        said = self.refused(talk, "--model-path", band, "--model-sha256", "0" * 63)
        assert said.endswith("is not 64 hexadecimal digits: give all of them")

    def test_a_backend_that_it_is_not_for(self, talk: Path, band: Path, streaming_model: Model) -> None:
        said = self.refused(talk, "--model-path", streaming_model.nemo, "--backend", "onnx")
        assert f"beam-curator models export {streaming_model.nemo} DIR" in said
        said = self.refused(talk, "--model-path", band, "--backend", "nemo")
        assert said == f"{band} is an exported model, expected a .nemo file: leave --backend out"

    @pytest.mark.parametrize("kind", ["onnx", "nemo"])
    def test_a_gpu_that_is_not_there(self, kind: str, talk: Path, streaming_model: Model) -> None:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
        said = self.refused(talk, "--model-path", getattr(streaming_model, kind), "--device", "cuda")
        assert re.fullmatch(
            r"device cuda is asked for, but (onnxruntime|torch) sees no GPU here: leave --device out", said
        )

    def test_a_hub_out_of_reach(self, talk: Path, tmp_path: Path) -> None:
        need_nemo()
        environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_CACHE": str(tmp_path / "cache")}
        arguments = ("diarize", talk, "--output", tmp_path / "out")
        for name in ("nvidia/diar_streaming_sortformer_4spk-v2.1", "nobody/nothing"):
            ended = run_process(*arguments, "--model-name", name, env=environment)
            assert ended.returncode == 2, ended.stderr
            (said,) = ended.stderr.splitlines()
            assert said.startswith(f"beam-curator: model {name} cannot be fetched: the hub cannot be reached (")
            assert said.endswith("): download it elsewhere and give --model-path FILE.nemo")
            assert not (tmp_path / "out").exists()

    def test_names_that_are_none(self, talk: Path, band: Path) -> None:
        for name in ("auto", "nothing", str(band)):
            said = self.refused(talk, "--model-name", name)
            assert said.startswith(f"model: {name!r} is no model name: known are demo, cascade, nvidia/")
            assert said.endswith("; others are org/name[@revision] of the hub, or a path")
        said = self.refused(talk, "--model-name", "cascde")
        assert said.startswith("model: 'cascde' is no model name: did you mean cascade? Known are demo, ")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--latency", "lowest"), "argument --latency: invalid choice: 'lowest': did you mean low?"),
            (("--latancy", "low"), "unknown flag --latancy: did you mean --latency?"),
            (("--chunk-len", "0"), "chunk_len 0 is below 1: raise it"),
            (("--chunk-len", "1.5"), "'1.5'"),
            (("--spkcache-len", "15"), "spkcache_len 15 is too short for 4 speakers with 3 frames of silence each: "
                                       "give at least 16"),
            (("--onset", "1.5"), "onset 1.5 must be 0-1"),
            (("--turn-preset", "v3"), "argument --turn-preset: invalid choice: 'v3'"),
            (("--inference-batch-size", "0"), "inference_batch_size 0"),
            (("--rttm-out-dir", "../rttm"), "rttm_out_dir '../rttm' is no name of a folder of the output set"),
            (("--rttm-out-dir", "/tmp/rttm"), "rttm_out_dir '/tmp/rttm' is no name of a folder of the output set"),
            (("--set", "turns.onsets=0.5"), "unknown option 'turns.onsets'"),
            (("--channels", "keep"), "channels 'keep' is not known: use one of mix, first, loudest, split, or"),
            (("--model-path", "ftp://host/m.nemo"), "scheme ftp:// in ftp://host/m.nemo is not allowed"),
        ],
        ids=str,
    )  # fmt: skip
    def test_options_that_cannot_hold(self, options: tuple[str, ...], message: str, talk: Path, band: Path) -> None:
        assert message in self.refused(talk, "--model-path", band, *options)
