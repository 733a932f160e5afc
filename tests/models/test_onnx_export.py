from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from beam_curator.diarization.models import ModelConfig, NotAModelError
from beam_curator.models import onnx_export as export
from beam_curator.models.nemo_backend import load_nemo
from beam_curator.models.onnx_backend import load_onnx
from beam_curator.models.onnx_export import ExportError, export_sortformer
from tests.models.conftest import Model

pytestmark = pytest.mark.heavy

NAMES = [
    *("SHA256SUMS", "config.json", "encode.onnx", "encode_unmasked.onnx"),
    *("mel_filters.npy", "pre_encode.onnx", "pre_encode_unmasked.onnx"),
]


def test_what_is_written(model: Model) -> None:
    exported = model.exported
    assert sorted(path.name for path in model.onnx.iterdir()) == NAMES
    assert exported.n_bytes == {name: (model.onnx / name).stat().st_size for name in NAMES}
    assert exported.pre_encode_difference <= 1e-6
    assert exported.encode_difference <= 2e-5
    assert ModelConfig.from_json((model.onnx / "config.json").read_bytes()) == exported.config
    assert [path.name for path in model.onnx.parent.iterdir() if path.name.endswith(".tmp")] == []


def test_the_graphs_hold_weights_and_no_table(model: Model) -> None:
    assert model.exported.n_bytes["encode.onnx"] < 1_000_000
    assert model.exported.n_bytes["pre_encode.onnx"] < 220_000


def test_the_checksums_are_those_of_sha256sum(model: Model) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum")
    subprocess.run(["sha256sum", "--check", "--status", "SHA256SUMS"], cwd=model.onnx, check=True)


def test_exporting_again_writes_the_same(streaming_model: Model, tmp_path: Path) -> None:
    directory = tmp_path / "new" / "model"
    export_sortformer(str(streaming_model.nemo), str(directory))
    first = {path.name: path.read_bytes() for path in directory.iterdir()}
    (directory / "encode.onnx").write_bytes(b"damaged")
    export_sortformer(str(streaming_model.nemo), str(directory))
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == first
    assert [path.name for path in directory.parent.iterdir()] == ["model"]


def test_a_model_of_another_file_stays_unless_told(
    streaming_model: Model, offline_model: Model, tmp_path: Path
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(offline_model.onnx, directory)
    with pytest.raises(FileExistsError, match=r"was made of another file \(model\.nemo, sha256 .*give --overwrite"):
        export_sortformer(str(streaming_model.nemo), str(directory))
    assert not load_onnx(str(directory)).config.is_streaming
    export_sortformer(str(streaming_model.nemo), str(directory), overwrite=True)
    assert load_onnx(str(directory)).config.is_streaming


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_foreign_is_removed(overwrite: bool, streaming_model: Model, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    said = f"{tmp_path} holds 'thesis.tex', which belongs to no exported model: give another directory"
    with pytest.raises(FileExistsError, match=re.escape(said)):
        export_sortformer(str(streaming_model.nemo), str(tmp_path), overwrite=overwrite)
    with pytest.raises(FileExistsError, match=r"thesis\.tex is not a directory"):
        export_sortformer(str(streaming_model.nemo), str(tmp_path / "thesis.tex"), overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_filled(streaming_model: Model, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    export_sortformer(str(streaming_model.nemo), str(tmp_path / "model"))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == NAMES


def test_graphs_that_differ_do_not_stay(
    streaming_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_DIFFERENCE", 0.0)
    with pytest.raises(ExportError, match=r"the exported graphs of model\.nemo differ from NeMo by .*, or use the "):
        export_sortformer(str(streaming_model.nemo), str(tmp_path / "model"))
    assert list(tmp_path.iterdir()) == []


def test_graphs_of_another_model_are_told_apart(streaming_model: Model, short_table_model: Model) -> None:
    other = load_nemo(str(short_table_model.nemo), device="cpu", n_threads=1)
    with pytest.raises(ExportError, match=r"differ from NeMo by \d\.\de\S+ \(embeddings; expected at most 1\.0e-04\)"):
        export._compared(other, str(streaming_model.onnx))


def test_what_rounding_explains_is_let_through(
    streaming_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_DIFFERENCE", 1e-6)
    exported = export_sortformer(str(streaming_model.nemo), str(tmp_path / "model"))
    assert streaming_model.exported.rounding is None
    assert exported.rounding is not None
    assert exported.frames_difference < 1e-6 < exported.encode_difference <= 4 * exported.rounding < 1e-4


def test_other_files_are_refused(streaming_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "other.nemo"
    path.write_bytes(b"not")
    with pytest.raises(NotAModelError, match=r"other\.nemo is no \.nemo file"):
        export_sortformer(str(path), str(tmp_path / "model"))
    assert [each.name for each in tmp_path.iterdir()] == ["other.nemo"]
