import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

import beam_curator
from beam_curator.diarization.models import ModelConfig, NotAModelError
from beam_curator.model_records import KNOWN_MODELS, NEMOTRON_MODEL, TITANET_MODEL
from beam_curator.models.checksums import CHECKSUMS
from beam_curator.models.describing import (
    ModelDescription,
    describe_known,
    describe_path,
    placed_models,
    published_at,
    record_of,
)
from beam_curator.models.model_files import ModelFileError, ModelLocation, ModelNotFoundError, locate
from beam_curator.models.onnx_backend import checksums_of
from beam_curator.models.resolving import packaged_folder
from tests.fakes_models import write_band_model
from tests.models.models_in_files import TRANSFORMERS, sha256

OFFLINE = KNOWN_MODELS["nvidia/diar_sortformer_4spk-v1"]
DEMO = KNOWN_MODELS["demo"]
STREAMING = KNOWN_MODELS["nvidia/diar_streaming_sortformer_4spk-v2"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SORTFORMER = """
target: nemo.collections.asr.models.sortformer_diar_models.SortformerEncLabelModel
streaming_mode: true
preprocessor: {window_stride: 0.01}
encoder: {subsampling_factor: 8}
sortformer_modules: {num_spks: 6}
"""
TITANET = """
target: nemo.collections.asr.models.label_models.EncDecSpeakerLabelModel
decoder: {emb_sizes: 256}
"""


def write_nemo(path: Path, config: str = SORTFORMER) -> Path:
    """Write an archive as NeMo's are, with this configuration, and without weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("./model_config.yaml")
        member.size = len(config)
        archive.addfile(member, io.BytesIO(config.encode()))
    return path


def cached(cache: Path, name: str, revision: str = COMMIT, *, main: bool = True) -> Path:
    """Return the folder in which the hub's client keeps a revision."""
    repository = cache / f"models--{name.replace('/', '--')}"
    if main:
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(revision)
    folder = repository / "snapshots" / revision
    folder.mkdir(parents=True)
    return folder


def write_transformers(folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in TRANSFORMERS.items():
        (folder / name).write_bytes(content)
    (folder / "config.json").write_text(json.dumps({"model_type": "nemotron3_diarization"} | config))
    return folder


def change_config(folder: Path, **changes: str) -> Path:
    """Change the config of an exported model, so that it holds together."""
    config = ModelConfig.from_json((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(replace(config, **changes).to_json())  # type: ignore[arg-type]  # name, sha256
    (folder / CHECKSUMS).write_text(checksums_of(str(folder)))
    return folder


class TestPublishedModels:
    def test_by_the_name_of_a_file_or_folder(self, tmp_path: Path) -> None:
        assert published_at("/none/diar_sortformer_4spk-v1.nemo") is OFFLINE
        assert published_at("s3://bucket/diar_sortformer_4spk-v1/") is OFFLINE
        assert published_at("gs://bucket/other") is None
        write_nemo(tmp_path / "m" / "diar_sortformer_4spk-v1.nemo")
        assert published_at(str(tmp_path / "m")) is OFFLINE

    def test_by_the_cache_of_the_hub(self, tmp_path: Path) -> None:
        assert published_at(str(cached(tmp_path, OFFLINE.name))) is OFFLINE
        assert published_at(str(cached(tmp_path, NEMOTRON_MODEL))) is KNOWN_MODELS[NEMOTRON_MODEL]
        assert published_at(str(cached(tmp_path, "somebody/else"))) is None

    def test_by_what_an_exported_one_was_made_of(self, tmp_path: Path) -> None:
        folder = write_band_model(tmp_path / "m", streaming=False)
        assert published_at(str(folder)) is None
        assert published_at(str(change_config(folder, name="diar_sortformer_4spk-v1.nemo"))) is OFFLINE
        assert STREAMING.sha256 is not None
        assert published_at(str(change_config(folder, name="mine.nemo", sha256=STREAMING.sha256))) is STREAMING

    def test_that_of_this_package_wherever_it_lies(self, tmp_path: Path) -> None:
        folder = packaged_folder("demo")
        copy = shutil.copytree(folder, tmp_path / "diar_sortformer_4spk-v1")
        for path in (folder, f"{folder}/", os.path.relpath(folder), str(copy)):
            assert published_at(path) is DEMO
            assert describe_path(path).published is DEMO

    def test_another_that_is_called_as_that_of_this_package(self, tmp_path: Path) -> None:
        folder = change_config(write_band_model(tmp_path / "demo"), name="demo.nemo")
        fetched = shutil.copytree(folder, tmp_path / "models--demo" / "snapshots" / COMMIT)
        archive = write_nemo(tmp_path / "demo.nemo")
        for path in (folder, fetched, archive):
            assert published_at(str(path)) is describe_path(str(path)).published is None
        assert published_at("gs://bucket/demo") is None

    def test_without_checksums_a_copy_is_not_told(self, tmp_path: Path) -> None:
        folder = shutil.copytree(packaged_folder("demo"), tmp_path / "mine")
        (folder / CHECKSUMS).write_bytes(b"\xff\n")
        assert published_at(str(folder)) is None
        (folder / CHECKSUMS).unlink()
        assert published_at(str(folder)) is None

    def test_by_the_hash_of_weights(self) -> None:
        assert OFFLINE.sha256 is not None
        assert published_at("", OFFLINE.sha256.upper()) is OFFLINE
        assert published_at("", sha256((Path(packaged_folder("demo")) / "encode.onnx").read_bytes())) is DEMO
        assert published_at("", "") is published_at("", "0" * 64) is None

    def test_others(self, tmp_path: Path) -> None:
        for path in ("", "/", "/none", "model.nemo", str(tmp_path), str(write_nemo(tmp_path / "m.nemo"))):
            assert published_at(path) is None


class TestKnownModels:
    def test_one_that_is_not_here(self, tmp_path: Path) -> None:
        model = describe_known(STREAMING.name, str(tmp_path))
        assert (model.record, model.published, model.location) == (STREAMING, STREAMING, None)
        assert (model.n_bytes, model.sha256) == (471_367_680, None)

    def test_one_in_the_cache_of_the_hub(self, tmp_path: Path) -> None:
        path = write_nemo(cached(tmp_path, STREAMING.name) / "m.nemo")
        location = ModelLocation(path=str(path), kind="nemo", name=STREAMING.name, revision=COMMIT)
        expected = ModelDescription(
            record=STREAMING, published=STREAMING, location=location, n_bytes=path.stat().st_size, sha256=None
        )
        assert describe_known(STREAMING.name, str(tmp_path)) == expected
        digits = hashlib.sha256(path.read_bytes()).hexdigest()
        assert describe_known(STREAMING.name, str(tmp_path), hashed=True) == replace(expected, sha256=digits)

    def test_a_revision(self, tmp_path: Path) -> None:
        write_nemo(cached(tmp_path, STREAMING.name) / "m.nemo")
        write_nemo(cached(tmp_path, STREAMING.name, "fedc", main=False) / "m.nemo")
        for revision, found in (("", COMMIT), ("@main", COMMIT), ("@fedc", "fedc")):
            location = describe_known(f"{STREAMING.name}{revision}", str(tmp_path)).location
            assert location is not None
            assert location.revision == found
        assert describe_known(f"{STREAMING.name}@v1", str(tmp_path)).location is None

    def test_one_put_there_by_hand(self, tmp_path: Path) -> None:
        path = write_nemo(tmp_path / "diar_sortformer_4spk-v1.nemo", "streaming_mode: false\n")
        model = describe_known(OFFLINE.name, str(tmp_path))
        assert model.location == ModelLocation(path=str(path), kind="nemo", name=OFFLINE.name)
        assert describe_known(f"{OFFLINE.name}@main", str(tmp_path)).location is None

    def test_weights_in_parts_have_no_hash(self, tmp_path: Path) -> None:
        folder = write_transformers(cached(tmp_path, NEMOTRON_MODEL))
        (folder / "model.safetensors").rename(folder / "part-1.safetensors")
        (folder / "part-2.safetensors").write_bytes(b"ww")
        (folder / "model.safetensors.index.json").write_text(
            '{"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}'
        )
        model = describe_known(NEMOTRON_MODEL, str(tmp_path), hashed=True)
        assert model.location is not None
        assert (model.location.kind, model.n_bytes, model.sha256) == ("transformers", 3, None)


class TestPaths:
    def test_a_nemo_file(self, tmp_path: Path) -> None:
        path = write_nemo(tmp_path / "m.nemo")
        model = describe_path(str(path))
        record = model.record
        assert (record.name, model.published, record.family) == (str(path), None, "sortformer-streaming")
        assert (record.n_speakers, record.frame_step) == (6, 0.08)
        assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    def test_a_nemo_file_that_says_little(self, tmp_path: Path) -> None:
        text = "sortformer_modules: {num_spks: '${x}'}\nencoder: 3\n"
        model = describe_path(str(write_nemo(tmp_path / "m.nemo", text)))
        record = model.record
        assert (record.family, record.n_speakers, record.frame_step) == (
            "sortformer-offline",
            None,
            None,
        )

    @pytest.mark.parametrize("number", [".nan", ".inf", "-3", "0", "0.5", "true", "1" + "0" * 400, "four", "[4]"])
    def test_a_nemo_file_with_numbers_that_are_none(self, tmp_path: Path, number: str) -> None:
        text = (
            f"sortformer_modules: {{num_spks: {number}}}\nencoder: {{subsampling_factor: {number}}}\n"
            "preprocessor: {window_stride: -0.01}\n"
        )
        model = describe_path(str(write_nemo(tmp_path / "m.nemo", text)))
        record = model.record
        assert (record.n_speakers, record.frame_step) == (None, None)

    @pytest.mark.parametrize("text", ["trained: 2024-99-99\n", "a: !!int ''\n", "[" * 3000])
    def test_a_nemo_file_that_cannot_be_read(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(NotAModelError, match=r"has no model_config\.yaml that can be read"):
            describe_path(str(write_nemo(tmp_path / "m.nemo", text)))

    def test_a_nemo_file_of_embeddings(self, tmp_path: Path) -> None:
        path = write_nemo(tmp_path / "speakerverification_en_titanet_large.nemo", TITANET)
        model = describe_path(str(path))
        record = model.record
        assert (record.family, record.n_speakers, record.frame_step, record.embedding_size) == (
            "titanet",
            None,
            None,
            256,
        )
        assert model.published is KNOWN_MODELS[TITANET_MODEL]

    def test_an_exported_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_band_model(tmp_path / "m", streaming=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        model = describe_path("~/m")
        record = model.record
        assert (record.name, record.family, record.n_speakers, record.frame_step) == (
            "~/m",
            "sortformer-offline",
            4,
            0.08,
        )
        assert record.latencies == {}
        weights = (tmp_path / "m" / "encode.onnx").read_bytes()
        assert model.n_bytes == len(weights)
        assert model.sha256 == hashlib.sha256(weights).hexdigest()

    @pytest.mark.parametrize(
        ("config", "n_speakers", "latency"),
        [
            ({}, 8, 30.4),
            ({"head_config": {"num_speakers": 5}, "chunk_length": 9, "chunk_right_context": 4}, 5, 1.04),
            ({"chunk_length": 9, "chunk_right_context": 0}, 8, 0.72),
            ({"head_config": {"num_speakers": -5}, "chunk_length": True, "chunk_right_context": -4}, 8, 30.4),
            ({"head_config": {"num_speakers": float("nan")}, "chunk_length": float("inf")}, 8, 30.4),
        ],
    )
    def test_a_folder_of_transformers(
        self, tmp_path: Path, config: dict[str, object], n_speakers: int, latency: float
    ) -> None:
        model = describe_path(str(write_transformers(tmp_path / "m", **config)))
        record = model.record
        assert (record.family, record.n_speakers, record.frame_step) == ("nemotron", n_speakers, 0.01)
        assert record.latencies == {"default": latency}
        assert model.sha256 == sha256(b"w")

    def test_a_folder_of_transformers_with_another_model(self, tmp_path: Path) -> None:
        folder = write_transformers(tmp_path / "m", model_type="bert")
        message = "is a model of type bert, expected nemotron3_diarization: give a folder of nvidia/Nemotron"
        with pytest.raises(ModelFileError, match=message):
            describe_path(str(folder))
        (folder / "processor_config.json").unlink()
        with pytest.raises(ModelFileError, match=message):
            describe_path(str(folder))

    def test_what_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(ModelNotFoundError, match="is not there"):
            describe_path(str(tmp_path / "gone"))
        with pytest.raises(ModelFileError, match="holds no model"):
            describe_path(str(tmp_path))
        with pytest.raises(NotAModelError, match="is no Sortformer but EncDecCTCModel"):
            describe_path(str(write_nemo(tmp_path / "m.nemo", "target: nemo.x.EncDecCTCModel\n")))
        folder = write_band_model(tmp_path / "m")
        shutil.copy(folder / "pre_encode.onnx", folder / "encode.onnx")
        with pytest.raises(NotAModelError, match=r"encode\.onnx was changed or is damaged"):
            describe_path(str(folder))


class TestFamilies:
    def test_of_exported_models(self, tmp_path: Path) -> None:
        for streaming, family in ((True, "sortformer-streaming"), (False, "sortformer-offline")):
            path = write_band_model(tmp_path / family, streaming=streaming)
            assert record_of(locate(str(path), name="")).family == family

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
        assert record_of(locate(str(path), name="")).family == family

    @pytest.mark.parametrize("config", ["", "- a list\n", "streaming_mode: [\n", "target: nemo.x.EncDecCTCModel\n"])
    def test_an_archive_that_does_not_say(self, tmp_path: Path, config: str) -> None:
        path = write_nemo(tmp_path / "m.nemo", config)
        with pytest.raises(NotAModelError, match=r"m\.nemo"):
            record_of(locate(str(path), name=""))

    def test_of_transformers(self, tmp_path: Path) -> None:
        assert record_of(locate(str(write_transformers(tmp_path / "t")), name="")).family == "nemotron"


def test_models_that_are_here(tmp_path: Path) -> None:
    band = write_band_model(tmp_path / "b")
    mine = write_nemo(tmp_path / "a.nemo")
    (tmp_path / ".hidden.nemo").write_bytes(mine.read_bytes())
    (tmp_path / "bad.nemo").write_bytes(b"no tar")
    write_nemo(cached(tmp_path, OFFLINE.name) / "m.nemo")
    assert [location.path for location in placed_models(str(tmp_path))] == [str(mine), str(band)]
    assert list(placed_models(str(tmp_path / "none"))) == []


def test_what_is_broken_is_passed_over(tmp_path: Path) -> None:
    mine = write_nemo(tmp_path / "mine.nemo")
    write_nemo(tmp_path / "numbers.nemo", "trained: 2024-99-99\n")
    write_transformers(tmp_path / "bert", model_type="bert")
    for number, weight_map in enumerate(("[]", "{}", '{"a": ["x"]}', '{"a": "config.json"}', "3", "[" * 100_000)):
        folder = write_transformers(tmp_path / f"parts-{number}")
        (folder / "model.safetensors.index.json").write_text(f'{{"weight_map": {weight_map}}}')
    gone = write_transformers(tmp_path / "gone")
    (gone / "model.safetensors").unlink()
    (gone / "model.safetensors").symlink_to(tmp_path / "blob")
    odd = write_band_model(tmp_path / "odd")
    change_config(odd, name=3)  # type: ignore[arg-type]  # what a file may hold
    (cached(tmp_path, OFFLINE.name) / "m.nemo").symlink_to(tmp_path / "blob")
    (cached(tmp_path, STREAMING.name) / "m.nemo").mkdir()
    assert [location.path for location in placed_models(str(tmp_path))] == [str(mine), str(odd)]
    assert [describe_known(known.name, str(tmp_path)).location for known in (OFFLINE, STREAMING)] == [None, None]


def test_one_of_this_package_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(packaged_folder("demo"), tmp_path / "copy")
    fetched = shutil.copytree(copy, cached(tmp_path, "demo"), dirs_exist_ok=True)
    assert published_at(str(fetched)) is DEMO
    monkeypatch.setattr(beam_curator, "__file__", str(tmp_path / "package" / "__init__.py"))
    assert describe_known("demo", str(tmp_path)).location is None
    assert published_at(str(copy)) is DEMO
