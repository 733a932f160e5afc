"""What `make demo` runs, and what the README shows of it: from a recording to turns, tracks, windows and clips."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from beam_curator.diarization.rttm import parse_rttm
from beam_curator.models.resolving import find_model
from beam_curator.runners import cli
from tests.manifests import lines_in

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the recording in it, in which commands run."""
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "round_table.opus", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(pattern: str, out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_in(out, pattern)]


def commands_of_make() -> list[list[str]]:
    """Return what make would run where models are installed, as it says itself: arguments of `beam-curator`."""
    said = subprocess.run(
        ["make", "--dry-run", "--always-make", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.replace("\\\n", " ")
    found = re.findall(
        r"^(?:if \S*/beam-curator models [^;]*; then\s+set -x;\s+)?\S*/beam-curator ([^;\n]*)", said, re.M
    )
    return [shlex.split(arguments) for arguments in found]


def test_the_demo_installs_its_models_first() -> None:
    assert commands_of_make()[0] == ["models", "install", "cascade", "silero-vad", "dnsmos", "||", "true"]


def test_the_demo_goes_from_a_recording_to_clips(folder: Path) -> None:
    commands = commands_of_make()[1:]
    assert [command[0] for command in commands] == [
        *("diarize", "separate", "windows", "extract", "export", "curate", "report")
    ]
    assert commands[0][1] == "examples/round_table.opus"
    assert commands[0][2:4] == ["--model-name", "demo"]
    assert not any("model" in argument for command in commands[1:-2] for argument in command)
    assert commands[-2][2:4] == ["--model-name", "demo"]
    if None in (find_model("silero-vad", None), find_model("dnsmos", None)):
        commands.pop(-2)
    for command in commands:
        assert cli.run(command) == 0
    out = folder / "demo_output"
    for command in commands:
        assert cli.run(["verify", f"demo_output/{command[command.index('--output') + 1].split('/')[1]}"]) == 0
    (entry,) = rows_of("turns-*.jsonl", out / "turns")
    rttm = (out / "turns" / "rttm" / "round_table.rttm").read_text(encoding="utf-8")
    assert entry["num_speakers"] == 3
    assert len(list(parse_rttm(rttm))) == len(entry["segments"]) > 20
    tables = {kind: pq.read_table(next((out / "turns").glob(f"{kind}-embeddings-*"))) for kind in ("speaker", "turn")}
    assert 2 <= tables["speaker"].num_rows <= entry["num_speakers"]
    tracks = rows_of("tracks-*.jsonl", out / "tracks")
    assert 2 <= len(tracks) == len(list((out / "tracks" / "tracks").iterdir())) <= entry["num_speakers"]
    assert {f"{row['recording_id']}/{row['speaker_id']}" for row in tracks} <= set(tables["speaker"]["id"].to_pylist())
    (row,) = rows_of("windows-*.jsonl", out / "windows")
    n_windows = len(row["filtered_windows"])
    assert n_windows >= 1
    assert len(list((out / "clips").glob("round_table_segment_*.flac"))) == n_windows
    assert len(list((out / "export" / "clips").iterdir())) == len(entry["segments"])
    assert (out / "report" / "index.html").is_file()
    if commands[-2][0] == "curate":
        clips, rejected = (rows_of(f"{kind}-*.jsonl", out / "curated") for kind in ("clips", "rejected"))
        assert {row["reason"] for row in rejected} == {"snr"}
        assert len(list((out / "curated" / "clips" / "round_table").iterdir())) == len(clips) > 10
        assert {("dnsmos_ovrl" in row["filters_failed"]) == (row["dnsmos_ovrl"] < 3) for row in clips} == {True}


def shape_of(lines: list[str]) -> list[str]:
    """Return lines without numbers, rules and widths, which depend on the model and the machine."""
    return [re.sub(r"[ -]+", " ", re.sub(r"\d[\d,.]*", "0", line)).rstrip() for line in lines]


def blocks_of(text: str) -> list[tuple[str, list[str]]]:
    """Return the commands that a text shows, and the lines below each."""
    return [
        (line, said.splitlines()) for line, said in re.findall(r"^\$ (.+)\n((?:(?!\$ |```).*\n)*)", text, re.MULTILINE)
    ]


def test_the_readme_shows_what_comes_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first_screen, _, rest = readme.partition("## Five minutes of use")
    shown = blocks_of(rest.partition("\n## ")[0])
    assert [command.split()[0] for command, _ in shown] == ["beam-curator", "head", *["beam-curator"] * 3]
    for line, lines in shown:
        command, _, filtered = line.partition(" | ")
        if command.startswith("head"):
            printed = Path(command.split()[-1]).read_text(encoding="utf-8").splitlines()[:3]
        else:
            assert cli.run(shlex.split(command)[1:]) == 0
            printed = capsys.readouterr().out.splitlines()
        assert shape_of(printed[-1:] if filtered == "tail -1" else printed) == shape_of(lines)
    last_lines = {command.removesuffix(" | tail -1"): lines[-1:] for command, lines in shown}
    summary = {command.removesuffix(" | tail -1"): lines for command, lines in blocks_of(first_screen)}
    assert len(summary) == 4
    assert summary.items() <= last_lines.items()
