from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions
from beam_curator.diarization.known_models import NEMOTRON_MODEL as NEMOTRON
from beam_curator.diarization.models import NotAModelError
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.models.model_choice import (
    config_of_model,
    files_of_model,
    is_nemotron,
)
from beam_curator.models.model_descriptions import family_of, models_here
from beam_curator.models.model_files import locate
from beam_curator.models.model_places import packaged_folder
from beam_curator.transforms.diarization.model_handlers import handler_of
from beam_curator.transforms.diarization.nemotron_handler import NemotronModelHandler
from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler
from tests.fakes_models import write_band_model
from tests.models.models_in_files import TRANSFORMERS


def write_nemo(path: Path, config: str | None) -> Path:
    """Write an archive as NeMo's are, with this configuration, and without weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        if config is not None:
            member = tarfile.TarInfo("./model_config.yaml")
            member.size = len(config)
            archive.addfile(member, io.BytesIO(config.encode()))
    return path


def write_transformers(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in TRANSFORMERS.items():
        (folder / name).write_bytes(content)
    return folder


class TestFamilies:
    def test_of_exported_models(self, tmp_path: Path) -> None:
        for streaming, family in ((True, "sortformer-streaming"), (False, "sortformer-offline")):
            path = write_band_model(tmp_path / family, streaming=streaming)
            assert family_of(locate(str(path), name="")) == family

    @pytest.mark.parametrize(
        ("config", "family"),
        [
            ("streaming_mode: true\nencoder: {n_layers: 2}\n", "sortformer-streaming"),
            ("streaming_mode: false\n", "sortformer-offline"),
            ("sample_rate: 16000\n", "sortformer-offline"),
            ("target: nemo.x.SortformerEncLabelModel\nstreaming_mode: true\n", "sortformer-streaming"),
            ("target: nemo.x.EncDecSpeakerLabelModel\n", "titanet"),
        ],
    )
    def test_of_nemo_archives(self, tmp_path: Path, config: str, family: str) -> None:
        path = write_nemo(tmp_path / "m.nemo", config)
        assert family_of(locate(str(path), name="")) == family

    @pytest.mark.parametrize(
        "config", [None, "", "- a list\n", "streaming_mode: [\n", "target: nemo.x.EncDecCTCModel\n"]
    )
    def test_an_archive_that_does_not_say(self, tmp_path: Path, config: str | None) -> None:
        path = write_nemo(tmp_path / "m.nemo", config)
        with pytest.raises(NotAModelError, match=r"m\.nemo"):
            family_of(locate(str(path), name=""))
        assert list(models_here(str(tmp_path))) == []

    def test_of_transformers(self, tmp_path: Path) -> None:
        assert family_of(locate(str(write_transformers(tmp_path / "t")), name="")) == "nemotron"


class TestHandlers:
    def made(self, model: ModelOptions, **inference: Any) -> Any:
        return handler_of(model, StreamingParameters(), InferenceOptions(**inference))

    def test_of_a_sortformer(self) -> None:
        handler = self.made(ModelOptions(model_path="/m.nemo"), inference_batch_size=3)
        assert isinstance(handler, SortformerModelHandler)
        assert handler.batch_elements_kwargs()["max_batch_size"] == 3

    def test_of_nemotron(self, tmp_path: Path) -> None:
        for model in (
            ModelOptions(model_name=NEMOTRON),
            ModelOptions(model_path=str(write_transformers(tmp_path / "t"))),
        ):
            assert is_nemotron(model)
            handler = self.made(model, inference_batch_size=2)
            assert isinstance(handler, NemotronModelHandler)
            assert handler.batch_elements_kwargs()["max_batch_size"] == 2

    def test_a_path_wins_over_the_name(self, tmp_path: Path) -> None:
        path = str(write_band_model(tmp_path))
        assert not is_nemotron(ModelOptions(model_name=NEMOTRON, model_path=path))
        assert not is_nemotron(ModelOptions(model_path="gs://bucket/model"))
        assert not is_nemotron(ModelOptions(model_path="/none"))


class TestWhatDecidesTheRows:
    def test_the_name_of_the_model(self) -> None:
        named = config_of_model(ModelOptions(model_name="a/b@1", model_path="/x/m.nemo/", backend="nemo"))
        assert named == {"name": "m.nemo", "backend": "nemo", "sha256": "", "autocast": "none"}
        assert config_of_model(ModelOptions(model_name="a/b@1"))["name"] == "a/b@1"
        json.dumps(named)

    def test_of_the_model_of_this_package_the_hash_of_its_checksums(self) -> None:
        checksums = (Path(packaged_folder("demo")) / "SHA256SUMS").read_bytes()
        for model in (ModelOptions(), ModelOptions(model_name="demo")):
            assert config_of_model(model) | {"backend": ""} == {
                "name": "demo", "backend": "", "sha256": hashlib.sha256(checksums).hexdigest(), "autocast": "none"
            }  # fmt: skip
            assert files_of_model(model) == ()

    def test_files_of_a_local_model(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        nemo = write_nemo(tmp_path / "home" / "m.nemo", "")
        folder = write_band_model(tmp_path / "home" / "bands")
        (folder / ".hidden").write_bytes(b"x")
        (folder / "deeper").mkdir()
        assert files_of_model(ModelOptions(model_path=str(nemo))) == (str(nemo),)
        files = files_of_model(ModelOptions(model_path=str(folder)))
        assert [Path(name).name for name in files] == [
            *("SHA256SUMS", "config.json", "encode.onnx", "mel_filters.npy", "pre_encode.onnx")
        ]
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert files_of_model(ModelOptions(model_path="~/m.nemo")) == (str(nemo),)

    def test_of_a_store_what_tells_them_all(self) -> None:
        assert files_of_model(ModelOptions(model_name="a/b")) == ()
        assert files_of_model(ModelOptions(model_path="gs://bucket/m.nemo")) == ("gs://bucket/m.nemo",)
        assert files_of_model(ModelOptions(model_path="gs://bucket/m")) == ("gs://bucket/m/SHA256SUMS",)
