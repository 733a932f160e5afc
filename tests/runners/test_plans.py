import re
from pathlib import Path

import pytest

from tests.manifests import names_in, run, write_speech


def options_shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, tuple[str, str]]:
    """Return what `--show-options` prints: name to value and reason."""
    assert run("windows", *arguments, "--show-options") == 0
    lines = re.findall(r"^  (\S+) = (.*?)\s+# (.*)$", capsys.readouterr().out, flags=re.MULTILINE)
    return {name: (value, why) for name, value, why in lines}


def test_every_option_is_shown_with_who_set_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "job.yaml"
    config.write_text("windows: {min_speakers: 3, max_speakers: 4}\nbeam: {direct_num_workers: 3}\n")
    settings = ["--set", "windows.max_speakers=6", "--set", "windows.tolerance=0.2"]
    shown = options_shown(capsys, "a.jsonl", "--config", config, *settings, "--tolerance", "0.3")
    assert shown["min_speakers"] == ("3", "config")
    assert shown["max_speakers"] == ("6", "--set")
    assert shown["tolerance"] == ("0.3", "flag")
    assert shown["min_bandwidth"] == ("8000", "default")
    assert shown["--direct_num_workers"] == ("3", "you")


def test_what_an_engine_starts_from_is_shown_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    shown = options_shown(capsys, "a.jsonl", "--runner", "flink", "--jobs", "2", "--flink-master", "localhost:8081")
    assert shown["--flink_master"] == ("localhost:8081", "you")
    assert shown["--parallelism"] == ("2", "--jobs")
    assert shown["--environment_type"] == ("EXTERNAL", "worker processes: threads of one process would share a core")


def test_nothing_is_read_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options_shown(capsys, tmp_path / "absent.jsonl", "--output", tmp_path / "out")
    assert names_in(tmp_path) == []


def test_a_plan_names_the_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_speech(tmp_path / "a.jsonl", 4)
    assert run("windows", manifest, "--output", tmp_path / "out", "--runner", "PortableRunner", "--plan") == 0
    assert "Engine: PortableRunner, that is Beam's PortableRunner\n" in capsys.readouterr().out
