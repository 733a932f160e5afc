import subprocess
import sys
from pathlib import Path

import pytest

import beam_curator
from beam_curator.models.model_places import hub_folder, models_folder, packaged_folder

VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "/home/me/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x", "HF_HOME": "~/hf"}, "/home/me/hf/hub"),
        ({"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old"}, "/old"),
        ({"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "~/new"}, "/home/me/new"),
        ({"HF_HOME": "", "HF_HUB_CACHE": ""}, "/home/me/.cache/huggingface/hub"),
    ],
)
def test_of_the_hub(environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for nothing in ("", None):
        assert hub_folder(nothing) == folder
    assert hub_folder("~/given") == "/home/me/given"


@pytest.mark.parametrize(
    "environment", [{}, {"XDG_CACHE_HOME": "/x"}, {"HF_HOME": "/hf"}, {"HF_HOME": "/hf", "HF_HUB_CACHE": "/new"}]
)
def test_it_is_that_of_the_hubs_own_client(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-c", "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{hub_folder('')}\n"


def test_of_models_put_there_by_hand() -> None:
    assert models_folder("") == models_folder(None) == "/home/me/.cache/beam_curator/models"
    assert models_folder("~/m") == "/home/me/m"


def test_of_this_package() -> None:
    assert packaged_folder("demo") == str(Path(beam_curator.__file__).parent / "models" / "demo")
