"""Commands load Beam without the libraries that no job uses; each case is a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from beam_curator.files.beam_imports import is_for_dataflow

UNUSED = ("pandas", "pymongo", "google.cloud.bigquery", "google.cloud.dataflow", "google.auth", "torch", "scipy")
LOADED = f"print(json.dumps([name for name in {UNUSED} if name in sys.modules]))"
needs_google = pytest.mark.skipif(find_spec("apitools") is None, reason="needs beam-curator[gcp]")


def said(*lines: str, for_dataflow: bool = False) -> Any:
    """Load Beam as a command does, run lines, and return what they print as JSON."""
    start = f"import json, sys; from beam_curator.runners.beam_start import start_beam; start_beam({for_dataflow=!r})"
    code = "\n".join([start, *lines])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", ["apache_beam", "apache_beam.ml.inference.base"])
def test_what_no_job_uses_stays_out(module: str) -> None:
    assert said(f"import {module}", LOADED) == []


def test_a_recording_is_heard_without_torch(tmp_path: Path) -> None:
    recording = Path(__file__).parents[2] / "examples" / "round_table.opus"
    listen = f"assert cli.run(['diarize', {str(recording)!r}, '--output', {str(tmp_path / 'out')!r}]) == 0"
    quiet = "with contextlib.redirect_stdout(io.StringIO()):"
    assert said("import contextlib, io", "from beam_curator.runners import cli", f"{quiet} {listen}", LOADED) == []


def test_what_was_left_out_can_be_imported_afterwards() -> None:
    names = [name for name in ("pandas", "pymongo") if find_spec(name) is not None]
    assert said(*(f"import {name}" for name in names), "print('true')") is True


def test_beam_counts_memory_as_ever() -> None:
    assert said("from apache_beam.ml.inference import base", "print(json.dumps(base.resource is not None))") is True


@needs_google
def test_a_store_is_served_once_a_path_names_it() -> None:
    look = (
        "from apache_beam.io.filesystems import FileSystems",
        "from apache_beam.utils import retry",
        "from beam_curator.files import storage",
        "before = retry.HttpError is not None",
        "storage.check_store('gs://bucket/a.jsonl')",
        "kind = type(FileSystems.get_filesystem('gs://bucket/a.jsonl')).__name__",
        "print(json.dumps([before, kind, retry.HttpError is not None]))",
    )
    assert said(*look) == [False, "GCSFileSystem", True]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--runner", "prism"], False),
        (["--runner", "dataflow"], True),
        (["--runner=DataflowRunner"], True),
        (["--set", "run.runner=dataflow"], True),
        (["--config", "job.yaml"], True),
        (["--config=job.yaml"], True),
        (["--config", "missing.yaml"], False),
    ],
)
def test_a_job_for_dataflow_is_told_by_its_command_line(
    arguments: list[str], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.yaml").write_text("run:\n  runner: dataflow\n")
    monkeypatch.chdir(tmp_path)
    assert is_for_dataflow(arguments) is expected


@needs_google
@pytest.mark.parametrize("expected", [False, True])
def test_googles_clients_are_there_for_dataflow(expected: bool) -> None:
    look = "from apache_beam.runners.dataflow.dataflow_runner import dataflow_api as api; print(json.dumps(bool(api)))"
    assert said(look, for_dataflow=expected) is expected


def test_the_flags_are_those_of_the_whole_beam() -> None:
    look = "import json; from beam_curator.runners.beam_options import known_flags; print(json.dumps(known_flags()))"
    whole = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert said(look) == json.loads(whole.stdout)


def test_a_complete_set_needs_no_beam(tmp_path: Path) -> None:
    talks = str(Path(__file__).parents[2] / "examples" / "talks.jsonl")
    command = ["windows", talks, "--output", str(tmp_path / "out")]
    code = f"import sys; from beam_curator.runners import cli; cli.run({command!r}); "
    code += "print('apache_beam' in sys.modules)"
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        for _ in range(2)
    ]
    assert said == ["True", "False"]
