"""The plan of the house: each room imports those below it alone, seen in the source and at run time."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

import beam_curator
import beam_curator.files
import beam_curator.models
import beam_curator.runners
import beam_curator.transforms
from beam_curator.runners.job_options import JOBS
from beam_curator.runners.jobs import kind_of_job

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = """
import importlib, json, sys
seen = set()
found = {}
for name in sys.argv[1].split():
    importlib.import_module(name)
    found[name] = sorted(set(sys.modules) - seen)
    seen |= set(sys.modules)
print(json.dumps(found))
"""


ROOMS = (
    ("option_names",),
    ("intervals", "timelines", "failures", "rules", "audio_formats", "model_wheels", "collector"),
    ("audio", "model_records"),
    ("entries",),
    ("recordings",),
    ("sets",),
    ("windows",),
    ("clips",),
    ("vad",),
    ("diarization",),
    ("quality",),
    ("separation", "export", "scoring", "live"),
    ("formats",),
    ("curate",),
    ("report",),
    ("files",),
    ("models",),
    ("transforms",),
    ("runners",),
)
"""From the ground up; rooms beside each other do not know each other."""

LEVELS = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
HANDS = ("beam_curator.files", "beam_curator.models")
FLOORS = (*HANDS, "beam_curator.transforms", "beam_curator.runners")


def modules_of(package: ModuleType) -> list[str]:
    """Return the names of all modules of a package and of the packages below it."""
    return [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]


CORE = [name for name in modules_of(beam_curator) if not name.startswith(FLOORS)]
FILES = modules_of(beam_curator.files)
BACKENDS = modules_of(beam_curator.models)
TRANSFORMS = modules_of(beam_curator.transforms)
RUNNERS = modules_of(beam_curator.runners)
MODELS = ("torch", "onnxruntime", "nemo", "transformers")
"""Libraries that run models: loaded by what loads a model, when it does."""
WITH_MODELS = (
    "beam_curator.transforms.curate",
    "beam_curator.transforms.diarization",
    "beam_curator.transforms.jobs.model_steps",
    "beam_curator.transforms.jobs.model_results",
    "beam_curator.transforms.yaml.curate_jobs",
    "beam_curator.transforms.yaml.diarize_jobs",
    "beam_curator.transforms.yaml.curate_steps",
)
"""Modules that need Beam's RunInference, which itself loads torch where that is installed."""


def imports_of(path: Path) -> list[str]:
    """Return the modules of ours that a file imports, anywhere in it."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    found = [(node.module or "", [alias.name for alias in node.names]) for node in nodes]
    return [
        name
        for module, names in found
        for name in ([f"{module}.{name}" for name in names] if module == "beam_curator" else [module])
        if name.startswith("beam_curator.")
    ]


def room_of(module: str) -> str:
    return module.split(".")[1]


def what_comes_along(modules: Sequence[str], forbidden: Sequence[str], begin: str = "") -> dict[str, list[str]]:
    """Import modules one after the other in a fresh interpreter; return the forbidden ones that each brought in.

    `begin` is run before.
    """
    done = subprocess.run(
        [sys.executable, "-c", begin + SCRIPT, " ".join(modules)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded: dict[str, list[str]] = json.loads(done.stdout)
    assert list(loaded) == list(modules)
    hits = {name: [new for new in news if is_in(new, forbidden)] for name, news in loaded.items()}
    return {name: news for name, news in hits.items() if news}


def is_in(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


MEDIA = ("soundfile", "soxr", "av", "PIL")
"""Libraries that read and write sound and pictures: for the modules that do so alone."""
SCORERS = ("pyannote", "scipy", "pandas", "sklearn")
"""Libraries that score turns, and what they bring along: for the function that does so."""


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("beam_curator", ["apache_beam", "torch", "numpy", "pyarrow", "yaml", "zstandard", "fastavro", *MEDIA]),
        ("beam_curator.windows.block_planning", ["apache_beam", "torch", "pyarrow", "yaml", *MEDIA]),
        ("beam_curator.runners.cli", ["apache_beam", "torch", "numpy", "pyarrow", *MEDIA]),
        ("beam_curator.diarization.diarize_rules", ["apache_beam", "torch", "numpy", "pyarrow", *MEDIA]),
        ("beam_curator.runners.score_options", ["apache_beam", "numpy", *SCORERS]),
        ("beam_curator.scoring.measuring", ["apache_beam", "torch", "pyarrow", *MEDIA, *SCORERS]),
        ("beam_curator.diarization.sortformer_streaming", ["apache_beam", "torch", "onnxruntime", "pyarrow", "PIL"]),
    ],
)
def test_importing_is_cheap(module: str, forbidden: list[str]) -> None:
    assert what_comes_along([module], forbidden) == {}


def test_every_file_is_in_a_room() -> None:
    paths = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "beam_curator").rglob("*.py")]
    names = {".".join(path.parts).removesuffix(".__init__") for path in paths} - {"beam_curator"}
    assert names == {*CORE, *FLOORS, *FILES, *BACKENDS, *TRANSFORMS, *RUNNERS}
    assert {room_of(name) for name in names} == set(LEVELS)


def test_imports_go_down_only() -> None:
    wrong = []
    for path in (ROOT / "beam_curator").rglob("*.py"):
        parts = path.relative_to(ROOT / "beam_curator").with_suffix("").parts
        for name in imports_of(path) if parts != ("__init__",) else ():
            room = room_of(name)
            if room != parts[0] and LEVELS[room] >= LEVELS[parts[0]]:
                wrong.append(f"{'.'.join(parts)} imports {name}")
    assert wrong == []


def test_the_core_knows_neither_beam_nor_files_nor_models() -> None:
    assert len(CORE) >= 14
    assert what_comes_along(CORE, [*FLOORS, "apache_beam", "pyarrow", "yaml", "PIL", *MODELS]) == {}


def test_hands_know_no_pipeline() -> None:
    assert len(FILES) >= 9
    assert len(BACKENDS) >= 9
    pipelines = ["beam_curator.transforms", "beam_curator.runners", "apache_beam", *MODELS]
    assert what_comes_along([*FILES, *BACKENDS], pipelines) == {}


def test_every_module_of_transforms_needs_beam() -> None:
    paths = [path for path in (ROOT / "beam_curator" / "transforms").rglob("*.py") if path.name != "__init__.py"]
    without = [str(path.relative_to(ROOT)) for path in paths if "apache_beam" not in path.read_text()]
    assert without == []


QUICKLY = "from beam_curator.files.beam_imports import import_beam; import_beam()"
"""Load Beam without torch and other libraries of which nothing is asked."""


def test_transforms_do_not_know_runners() -> None:
    assert len(TRANSFORMS) >= 9
    assert what_comes_along(TRANSFORMS, ["beam_curator.runners"], QUICKLY) == {}


def test_transforms_without_models_know_none() -> None:
    without = [name for name in TRANSFORMS if not is_in(name, WITH_MODELS)]
    assert 9 <= len(without) < len(TRANSFORMS)
    assert what_comes_along(without, MODELS) == {}


WITHOUT_MODELS = """
import importlib, sys
sys.modules.update(dict.fromkeys(sys.argv[1].split()))
from beam_curator.files.beam_imports import import_beam
import_beam()
for name in sys.argv[2].split():
    importlib.import_module(name)
"""


def without_models(*modules: str) -> subprocess.CompletedProcess[str]:
    """Import modules in an interpreter where nothing is installed that runs or fetches models."""
    absent = " ".join([*MODELS, "onnx", "huggingface_hub"])
    command = [sys.executable, "-c", WITHOUT_MODELS, absent, " ".join(modules)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_module_needs_what_runs_models_to_be_imported() -> None:
    done = without_models(*CORE, *FILES, *BACKENDS, *TRANSFORMS, *RUNNERS)
    assert done.returncode == 0, done.stderr
    assert "import of torch halted" in without_models("beam_curator", "torch").stderr


def test_a_job_does_not_load_what_another_one_needs() -> None:
    code = "import sys; from beam_curator.runners.jobs import kind_of_job\n"
    code += "for name in ('windows', 'extract', 'export'): kind_of_job(name)\n"
    code += "print(sorted({'apache_beam.ml.inference.base', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_job_has_its_class() -> None:
    assert [kind_of_job(name).kind.command for name in JOBS] == list(JOBS)


def test_what_comes_along_is_noticed_where_it_first_does() -> None:
    found = what_comes_along(
        ["string", "beam_curator.windows.overlap", "beam_curator.windows.line_windows"], ["beam_curator.rules"]
    )
    assert found == {"beam_curator.windows.overlap": ["beam_curator.rules"]}


@pytest.mark.parametrize("name", ["transforms", "runners"])
def test_the_links_at_the_root_are_for_readers_only(name: str) -> None:
    assert (ROOT / name).resolve() == ROOT / "beam_curator" / name
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: the folder is a link for readers: import beam_curator.{name}"
    )
