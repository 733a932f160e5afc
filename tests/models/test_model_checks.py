import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, ModelOptions
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.model_records import KNOWN_MODELS, NEMOTRON_MODEL, TITANET_MODEL
from beam_curator.models.model_checks import (
    ModelUseWarning,
    check_model,
    check_vad,
    config_of_model,
    files_beside,
    is_nemotron,
    notices_of,
    with_own_vad,
)
from beam_curator.models.model_files import ModelFileError, ModelNotFoundError
from beam_curator.models.resolving import packaged_folder
from beam_curator.transforms.diarization.diarize_recordings import Diarize
from beam_curator.transforms.diarization.model_handlers import handler_of
from beam_curator.transforms.diarization.nemotron_handler import NemotronModelHandler
from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler
from beam_curator.transforms.yaml import diarize_jobs as yaml_diarization
from tests.fakes_models import BandHandler, write_band_model, write_sound
from tests.models.models_in_files import NEMO, TRANSFORMERS
from tests.models.real_models import need_model

FORBIDDEN = (
    "model nvidia/diar_sortformer_4spk-v1 is under CC-BY-NC-4.0, which forbids commercial use: for that take "
    "nvidia/diar_streaming_sortformer_4spk-v2.1 (NVIDIA Open Model License)"
)

FOR_LESS = (
    "model demo is for demonstration and tests only, and gets 36 % of human speech wrong (DER): for people take "
    "cascade: beam-curator models install cascade"
)


class TestNotices:
    @pytest.mark.parametrize(
        "model",
        [
            {"model_name": "nvidia/diar_sortformer_4spk-v1"},
            {"model_name": "nvidia/diar_sortformer_4spk-v1@abc"},
            {"model_path": "/none/diar_sortformer_4spk-v1.nemo"},
            {"model_name": "auto", "model_path": "/none/diar_sortformer_4spk-v1"},
        ],
    )
    def test_of_a_licence_that_forbids_commerce(self, model: dict[str, str]) -> None:
        assert notices_of(ModelOptions(**model)) == [f"warning: {FORBIDDEN}"]

    @pytest.mark.parametrize(
        "model",
        [
            {"model_name": "nvidia/diar_streaming_sortformer_4spk-v2"},
            {"model_name": "somebody/else"},
            {"model_name": "nvidia/diar_sortformer_4spk-v1", "model_path": "/none/mine.nemo"},
            {"model_path": "/none/mine.nemo"},
        ],
    )
    def test_of_other_licences_nothing_is_said(self, model: dict[str, str]) -> None:
        assert notices_of(ModelOptions(**model)) == []

    def test_of_the_model_of_this_package(self) -> None:
        assert notices_of(ModelOptions(model_name="demo")) == [f"warning: {FOR_LESS}"]

    def test_of_a_copy_of_it(self, tmp_path: Path) -> None:
        copy = shutil.copytree(packaged_folder("demo"), tmp_path / "models" / "mine")
        for path in (packaged_folder("demo"), str(copy)):
            assert notices_of(ModelOptions(model_path=path)) == [f"warning: {FOR_LESS}"]
        other = write_band_model(tmp_path / "demo")
        assert notices_of(ModelOptions(model_path=str(other))) == []

    def test_of_a_file_that_was_renamed_if_its_hash_is_given(self) -> None:
        sha256 = KNOWN_MODELS["nvidia/diar_sortformer_4spk-v1"].sha256
        assert sha256 is not None
        for path in ("/none/mine.nemo", "gs://bucket/mine.nemo"):
            assert notices_of(ModelOptions(model_path=path, sha256=sha256.upper()), look_up=False) == [
                f"warning: {FORBIDDEN}"
            ]
            assert notices_of(ModelOptions(model_path=path), look_up=False) == []

    def test_in_a_store_only_names_count_unless_it_is_looked_up(self) -> None:
        named = ModelOptions(model_path="gs://bucket/diar_sortformer_4spk-v1.nemo")
        assert notices_of(named) == notices_of(named, look_up=False) == [f"warning: {FORBIDDEN}"]
        assert notices_of(ModelOptions(model_path="gs://bucket/other"), look_up=False) == []


class TestInPipelines:
    """In Python and Beam YAML there is no command that could say it."""

    @pytest.fixture
    def model(self, tmp_path: Path) -> ModelOptions:
        return ModelOptions(model_path=str(write_band_model(tmp_path / "diar_sortformer_4spk-v1")))

    @pytest.fixture
    def talk(self, tmp_path: Path) -> Path:
        return write_sound(tmp_path / "in" / "a.wav", 1.0)

    def test_a_job_warns_once_when_it_is_built(self, model: ModelOptions, talk: Path, tmp_path: Path) -> None:
        with pytest.warns(ModelUseWarning) as caught:
            beam.Pipeline() | Diarize([str(talk)], str(tmp_path / "out"), model=model)
        assert [str(warning.message) for warning in caught if warning.category is ModelUseWarning] == [FORBIDDEN]

    def test_steps_of_yaml_warn(self, model: ModelOptions, talk: Path, tmp_path: Path) -> None:
        pipeline = beam.Pipeline()
        rows = pipeline | beam.Create([beam.Row(audio_filepath=str(talk))])
        with pytest.warns(ModelUseWarning, match="forbids commercial use"):
            rows | yaml_diarization.DiarizeRecordings(model_path=model.model_path)
        with pytest.warns(ModelUseWarning, match="forbids commercial use"):
            pipeline | yaml_diarization.Diarize([str(talk)], str(tmp_path / "out"), model_path=model.model_path)

    def test_others_do_not(self, model: ModelOptions, talk: Path, tmp_path: Path) -> None:
        inputs, output = [str(talk)], str(tmp_path / "out")
        other = ModelOptions(model_path=str(write_band_model(tmp_path / "other")))
        with warnings.catch_warnings():
            warnings.simplefilter("error", ModelUseWarning)
            for job in (
                Diarize(inputs, output, model=other),
                Diarize(inputs, output, model=model, warns=False),
                Diarize(inputs, output, model=model, handler=BandHandler()),
            ):
                beam.Pipeline() | job


def test_a_model_of_embeddings_tells_no_turns() -> None:
    with pytest.raises(ModelFileError, match="titanet_large is no diarization model"):
        check_model(ModelOptions(model_name=TITANET_MODEL), StreamingParameters())


def test_the_model_of_this_package_has_no_revisions() -> None:
    with pytest.raises(ValueError, match="expected demo, which lies in this package and has no revisions"):
        ModelOptions(model_name="demo@main")


@pytest.mark.parametrize("name", ["auto", "/models/x.nemo"])
def test_a_name_that_no_model_can_have_is_refused_unless_a_path_wins(name: str) -> None:
    with pytest.raises(ValueError, match=r"^model: '.*' is no model name: known are demo, .*org/name\[@revision\]"):
        ModelOptions(model_name=name)
    assert ModelOptions(model_name=name, model_path="/models/x.nemo").model_name == name


def test_another_model_of_transformers(tmp_path: Path) -> None:
    folder = write_transformers(tmp_path / "m")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelFileError, match="is a model of type bert, expected nemotron3_diarization"):
        check_model(ModelOptions(model_path=str(folder)), StreamingParameters())
    assert not is_nemotron(ModelOptions(model_path=str(folder)))


def write_transformers(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in TRANSFORMERS.items():
        (folder / name).write_bytes(content)
    return folder


class TestHandlers:
    def made(self, model: ModelOptions, **inference: Any) -> Any:
        return handler_of(model, StreamingParameters(), InferenceOptions(**inference))

    def test_of_a_sortformer(self) -> None:
        handler = self.made(ModelOptions(model_path="/m.nemo"), inference_batch_size=3)
        assert isinstance(handler, SortformerModelHandler)
        assert handler.batch_elements_kwargs()["max_batch_size"] == 3

    def test_of_nemotron(self, tmp_path: Path) -> None:
        for model in (
            ModelOptions(model_name=NEMOTRON_MODEL),
            ModelOptions(model_path=str(write_transformers(tmp_path / "t"))),
        ):
            assert is_nemotron(model)
            handler = self.made(model, inference_batch_size=2)
            assert isinstance(handler, NemotronModelHandler)
            assert handler.batch_elements_kwargs()["max_batch_size"] == 2

    def test_a_path_wins_over_the_name(self, tmp_path: Path) -> None:
        path = str(write_band_model(tmp_path))
        assert not is_nemotron(ModelOptions(model_name=NEMOTRON_MODEL, model_path=path))
        assert not is_nemotron(ModelOptions(model_path="gs://bucket/model"))
        assert not is_nemotron(ModelOptions(model_path="/none"))


def files_of(model: ModelOptions) -> tuple[str, ...]:
    return files_beside(model, DiarizeRules())


class TestWhatDecidesTheRows:
    def test_the_name_of_the_model(self) -> None:
        named = config_of_model(ModelOptions(model_name="a/b@1", model_path="/x/m.nemo/", backend="nemo"))
        assert named == {"name": "m.nemo", "backend": "nemo", "sha256": "", "autocast": "none"}
        assert config_of_model(ModelOptions(model_name="a/b@1"))["name"] == "a/b@1"
        json.dumps(named)

    def test_of_the_model_of_this_package_the_hash_of_its_checksums(self) -> None:
        checksums = (Path(packaged_folder("demo")) / "SHA256SUMS").read_bytes()
        model = ModelOptions(model_name="demo")
        assert config_of_model(model) | {"backend": ""} == {
            "name": "demo", "backend": "", "sha256": hashlib.sha256(checksums).hexdigest(), "autocast": "none"
        }  # fmt: skip
        assert files_of(model) == ()

    def test_files_of_a_local_model(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        nemo = tmp_path / "home" / "m.nemo"
        nemo.parent.mkdir()
        nemo.write_bytes(NEMO)
        folder = write_band_model(tmp_path / "home" / "bands")
        (folder / ".hidden").write_bytes(b"x")
        (folder / "deeper").mkdir()
        assert files_of(ModelOptions(model_path=str(nemo))) == (str(nemo),)
        files = files_of(ModelOptions(model_path=str(folder)))
        assert [Path(name).name for name in files] == [
            *("SHA256SUMS", "config.json", "encode.onnx", "mel_filters.npy", "pre_encode.onnx")
        ]
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert files_of(ModelOptions(model_path="~/m.nemo")) == (str(nemo),)

    def test_of_a_store_what_tells_them_all(self) -> None:
        assert files_of(ModelOptions(model_name="a/b")) == ()
        assert files_of(ModelOptions(model_path="gs://bucket/m.nemo")) == ("gs://bucket/m.nemo",)
        assert files_of(ModelOptions(model_path="gs://bucket/m")) == ("gs://bucket/m/SHA256SUMS",)


class TestVad:
    def test_a_model_has_its_own_where_that_is_installed(self, tmp_path: Path) -> None:
        need_model("silero-vad")
        demo, mine = ModelOptions(model_name="demo"), ModelOptions(model_path=str(write_band_model(tmp_path / "mine")))
        copy = ModelOptions(model_path=packaged_folder("demo"))
        cascade = ModelOptions(model_name="cascade")
        rules = DiarizeRules()
        assert [with_own_vad(rules, model).vad for model in (demo, copy, mine, cascade)] == [
            "silero", "silero", "energy", "energy",
        ]  # fmt: skip
        assert with_own_vad(rules, demo, is_elsewhere=True).vad == "energy"

    def test_options_win(self) -> None:
        demo, cascade = ModelOptions(model_name="demo"), ModelOptions(model_name="cascade")
        assert with_own_vad(DiarizeRules(vad="none"), demo).vad == "none"
        assert with_own_vad(DiarizeRules(vad="silero"), cascade).vad == "silero"
        assert with_own_vad(DiarizeRules(vad_path="gs://bucket/silero"), cascade, is_elsewhere=True).vad == "silero"

    def test_one_that_is_asked_for_must_be_there(self, tmp_path: Path) -> None:
        gone = DiarizeRules(vad="silero", vad_path=str(tmp_path / "gone"))
        with pytest.raises(ModelNotFoundError):
            check_vad(gone, ModelOptions())
        for vad in ("energy", "none"):
            check_vad(DiarizeRules(vad=vad), ModelOptions(cache_dir=str(tmp_path)))

    def test_it_is_the_same_wherever_it_lies(self) -> None:
        def config(rules: DiarizeRules) -> Any:
            return Diarize(["a.wav"], "out", rules=rules, model=ModelOptions(model_name="demo")).config()["diarization"]

        one, other = config(DiarizeRules(vad="silero")), config(DiarizeRules(vad_path="/somewhere/silero"))
        assert one == other
        assert (one["vad"], one["vad_path"], one["vad_sha256"]) == ("silero", "", KNOWN_MODELS["silero-vad"].sha256)
        assert "vad_sha256" not in config(DiarizeRules(vad="energy"))
