"""The template of clean clips: the reference's pipeline by its parameters, with a graph of UTMOS and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

jinja2 = pytest.importorskip("jinja2")
pytest.importorskip("apache_beam.yaml.main")

from tests.manifests import manifest_of  # noqa: E402  after the libraries are known to be there
from tests.models.real_models import need_model  # noqa: E402
from tests.quality.graphs import write_loudness  # noqa: E402
from tests.transforms.curate.curate_sets import clips_in, rejected_in  # noqa: E402
from tests.yaml_runs import run_yaml  # noqa: E402

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "templates" / "yaml" / "curate.yaml"
TALK = ROOT / "tests" / "data" / "held_out" / "audio" / "talk-002-of-3.opus"

pytestmark = pytest.mark.heavy


def config_of(**variables: Any) -> dict[str, Any]:
    """Return the configuration of its step."""
    text = jinja2.Template(TEMPLATE.read_text(encoding="utf-8")).render(inputs=["in"], output="out", **variables)
    config: dict[str, Any] = yaml.safe_load(text)["pipeline"]["transforms"][0]["config"]
    return config


def test_it_has_the_parameters_of_the_reference() -> None:
    assert config_of() == {
        "inputs": ["in"], "output": "out", "model_name": "", "output_sample_rate": 48000, "strict_sample_rate": False,
        "min_duration_sec": 2.0, "silence_duration_sec": 0.5, "utmos": False, "utmos_path": "", "mos_threshold": 3.5,
        "passthrough_keys": ["speaker_id", "num_speakers", "sample_rate"],
    }  # fmt: skip
    scored = config_of(utmos="utmos22.onnx", strict=True, model="demo")
    assert scored == config_of() | {
        "utmos": True, "utmos_path": "utmos22.onnx", "strict_sample_rate": True, "model_name": "demo",
    }  # fmt: skip


def test_it_drops_what_is_below_the_reference_s_limit(tmp_path: Path) -> None:
    need_model("silero-vad")
    graph = str(write_loudness(tmp_path / "utmos.onnx", scale=130.0))
    variables = {"inputs": [str(TALK)], "output": str(tmp_path / "out"), "model": "demo", "utmos": graph}
    lines = run_yaml(TEMPLATE, tmp_path, **variables)
    clips, rejected = clips_in(tmp_path / "out"), rejected_in(tmp_path / "out")
    n_found = manifest_of(tmp_path / "out")["counts"]["curate.found"]
    assert f'INFO:root:{{"name": "curate.scored", "value": {n_found}}}' in lines
    assert clips and rejected and len(clips) + len(rejected) == n_found
    assert {(row["reason"], row["threshold"], row["score"] < 3.5) for row in rejected} == {("utmos_mos", 3.5, True)}
    assert {"speaker_id", "num_speakers", "sample_rate"} <= clips[0].keys() and "utmos_mos" not in clips[0]
