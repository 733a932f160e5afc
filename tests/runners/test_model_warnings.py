"""What a model must not, or should not, be used for, said by a job that uses it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from beam_curator.models.model_checks import ModelUseWarning
from tests.fakes_models import write_band_model, write_sound
from tests.manifests import run_main, run_process
from tests.yaml_runs import run_yaml

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]
FORBIDDEN = (
    "model nvidia/diar_sortformer_4spk-v1 is under CC-BY-NC-4.0, which forbids commercial use: for that take "
    "nvidia/diar_streaming_sortformer_4spk-v2.1 (NVIDIA Open Model License)"
)
FOR_LESS = (
    "model demo is for demonstration and tests only, and gets 36 % of human speech wrong (DER): for people take "
    "cascade: beam-curator models install cascade"
)


def test_it_is_said_once_before_the_job_begins(tmp_path: Path) -> None:
    talk = write_sound(tmp_path / "in" / "a.wav", 2.0, [(0.8, 1.6, 0)])
    model = write_band_model(tmp_path / "diar_sortformer_4spk-v1")
    done = run_process("diarize", talk, "--output", tmp_path / "out", "--model-path", model, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == f"beam-curator: warning: {FORBIDDEN}"
    assert done.stderr.count("forbids commercial use") == 1


def test_of_the_model_of_this_package_it_is_said_that_it_is_for_demonstration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = write_sound(tmp_path / "in" / "a.wav", 2.0, [(0.8, 1.6, 0)])
    done = run_main(capsys, "diarize", talk, "--output", tmp_path / "out", "--model-name", "demo")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == f"beam-curator: warning: {FOR_LESS}"
    assert done.stderr.count("for demonstration and tests only") == 1


def test_of_other_models_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk = write_sound(tmp_path / "in" / "a.wav", 2.0, [(0.8, 1.6, 0)])
    model = write_band_model(tmp_path / "mine")
    done = run_main(capsys, "diarize", talk, "--output", tmp_path / "out", "--model-path", model)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


def test_beam_yaml_says_it_too(tmp_path: Path) -> None:
    pytest.importorskip("apache_beam.yaml.main")
    write_sound(tmp_path / "in" / "a.wav", 2.0, [(0.8, 1.6, 0)])
    model = write_band_model(tmp_path / "diar_sortformer_4spk-v1")
    step = {"inputs": [str(tmp_path / "in")], "output": str(tmp_path / "out"), "model_path": str(model)}
    providers = [{"include": str(ROOT / "beam_curator" / "providers.yaml")}]
    pipeline = {"pipeline": {"type": "chain", "transforms": [{"type": "Diarize", "config": step}]}}
    (tmp_path / "job.yaml").write_text(json.dumps(pipeline | {"providers": providers}))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        run_yaml(tmp_path / "job.yaml", ROOT)
    assert [str(each.message) for each in said if each.category is ModelUseWarning] == [FORBIDDEN]
