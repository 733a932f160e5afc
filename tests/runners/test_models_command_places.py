"""`beam-curator models` of copies of the packaged model, where that is missing, and beside folders that are broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import beam_curator
from beam_curator.model_records import KNOWN_MODELS, warning_of
from beam_curator.models.resolving import packaged_folder
from beam_curator.runners import cli
from beam_curator.runners.options import UsageError
from tests.fakes_models import write_band_model


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert cli.run(["models", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_a_copy_of_the_packaged_model_is_told_by_its_content(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = packaged_folder("demo")
    named = said(capsys, "show", "demo").splitlines()
    for path in (Path(folder), Path(shutil.copytree(folder, tmp_path / "mine"))):
        shown = said(capsys, "show", path).splitlines()
        assert shown[0] == str(path)
        assert "  published  demo" in shown
        assert [line for line in shown[1:-1] if "published" not in line] == named[1:-1]
        described = json.loads(said(capsys, "show", path, "--format", "json"))
        assert (described["published"], described["licence"]) == ("demo", "Apache-2.0")
        assert "for demonstration and tests only" in described["warning"]


def test_another_model_of_that_name_is_not_taken_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = json.loads(said(capsys, "show", write_band_model(tmp_path / "demo"), "--format", "json"))
    assert (described["published"], described["licence"], described["warning"]) == (None, None, None)


def test_where_the_packaged_model_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_curator, "__file__", str(tmp_path / "__init__.py"))
    assert said(capsys, "show", "demo").splitlines()[-1] == (
        "  installed  no, though it should lie in this package: pip install --force-reinstall --no-deps beam-curator"
    )


def test_a_broken_folder_does_not_break_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = write_band_model(tmp_path / "mine")
    for number, weight_map in enumerate(("[]", "{}")):
        folder = tmp_path / f"broken-{number}"
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "nemotron3_diarization"}')
        (folder / "processor_config.json").write_text("{}")
        (folder / "model.safetensors.index.json").write_text(f'{{"weight_map": {weight_map}}}')
        with pytest.raises(UsageError, match=r"expected the \.safetensors file of each weight: fetch it again"):
            cli.run(["models", "show", str(folder)])
    listing = json.loads(said(capsys, "--format", "json", "--cache-dir", tmp_path))
    assert listing["others"] == [str(mine)]


def test_a_folder_of_another_model_of_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="is a model of type bert, expected nemotron3_diarization: give a folder of"):
        cli.run(["models", "show", str(tmp_path)])


def test_all_that_is_known_of_one_for_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    offline = json.loads(said(capsys, "--cache-dir", tmp_path, "--format", "json"))["models"][2]
    assert offline == {
        "name": "nvidia/diar_sortformer_4spk-v1",
        "published": "nvidia/diar_sortformer_4spk-v1",
        "task": "diarization",
        "family": "sortformer-offline",
        "summary": "hears a recording at once, so its length is limited by memory",
        "only_for": "",
        "der_of_people": None,
        "licence": "CC-BY-NC-4.0",
        "non_commercial": True,
        "warning": warning_of(KNOWN_MODELS["nvidia/diar_sortformer_4spk-v1"]),
        "n_speakers": 4,
        "frame_step": 0.08,
        "latencies": {},
        "embedding_size": None,
        "turn_preset": "default",
        "vad": "silero",
        "n_bytes": 493434880,
        "sha256": "bc74dfd8ca314240abcdc7e2949901eeaa72947a04ce1fab893e373d81f1e689",
        "packaged": False,
        "wheel": None,
        "installed": None,
    }


@pytest.fixture(autouse=True)
def _a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take lines as wide as the texts that tests expect."""
    monkeypatch.setenv("COLUMNS", "120")
