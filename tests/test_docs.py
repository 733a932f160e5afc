"""The docs say what the code does: tables come from it, and figures from runs of it."""

import re
import shlex
from pathlib import Path

import pytest

from beam_curator.runners import cli, exit_codes
from beam_curator.runners.reference import with_tables

ROOT = Path(__file__).parents[1]
EXAMPLE = str(ROOT / "examples" / "talks.jsonl")
TUTORIAL = (ROOT / "docs" / "windows.md").read_text(encoding="utf-8")
CUSTOMISED = re.findall(r"^\| [^|]+ \| `(--[^`]+)` \| (\d[^|]+ s) \|$", TUTORIAL, re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "docs/windows.md"])
def test_tables_are_those_of_the_code(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == with_tables(text), f"run: python -m beam_curator.runners.reference {name}"


def test_the_tutorial_has_its_customisation_runs() -> None:
    assert len(CUSTOMISED) == 7


@pytest.mark.parametrize(("flags", "figures"), CUSTOMISED)
def test_a_customisation_gives_the_figures_of_the_tutorial(
    flags: str, figures: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["windows", EXAMPLE, "--output", str(tmp_path / "out"), "--tolerate", "1", *shlex.split(flags)]) == 0
    assert f"6 entries, {figures} in " in capsys.readouterr().out


def test_the_readme_shows_what_the_example_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["windows", EXAMPLE, "--output", str(tmp_path / "out")]) == exit_codes.TOO_MANY_FAILURES
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in capsys.readouterr().out.splitlines()[:-1]:
        assert re.sub(r"\d+\.\d\d s$", "", line) in re.sub(r"(\d+\.\d\d s)$", "", shown, flags=re.MULTILINE)


def test_the_config_of_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    arguments = [
        "--config",
        "examples/windows.yaml",
        "--set",
        "windows.min_speakers=3",
        "--output",
        str(tmp_path / "out"),
    ]
    assert cli.run(["windows", *arguments]) == 0


DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/engines.md",
    "docs/performance.md",
    "docs/windows.md",
    "docs/yaml.md",
    "templates/flex/README.md",
)


def test_links_of_the_docs_lead_somewhere() -> None:
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            assert link.startswith("https://") or (ROOT / name).parent.joinpath(link).exists(), (
                f"{name} links to {link}"
            )
