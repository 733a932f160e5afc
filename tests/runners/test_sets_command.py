"""`sets`: a table, a tree, or JSON of the output sets below directories."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from beam_curator.runners.options import UsageError
from beam_curator.sets.output_set import FileRecord, render_manifest
from tests.files.test_found_sets import ROWS, TURNS, read, write_run, write_set
from tests.manifests import run, run_process


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of four sets: turns, tracks and windows of them, and one that was made from the windows."""
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "turns", "diarize", TURNS, sha256="11")
    write_set(
        tmp_path / "out" / "tracks", "separate", "tracks-00000-of-00001.jsonl", inputs=[read(f"turns/{TURNS}", "11")]
    )
    write_set(tmp_path / "windows", inputs=[read(f"turns/{TURNS}", "22")])
    files = [
        FileRecord(name="clips-00000-of-00001.jsonl", n_bytes=100, sha256="33", n_rows=1200, kind="clips"),
        FileRecord(name="failures-cut-00000-of-00001.jsonl", n_bytes=10, sha256="44", n_rows=2, kind="failures-cut"),
    ]
    counts = {"cut.audio_us": 5_400_000_000, "cut.bytes": 1_000_000}
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "_MANIFEST.json").write_bytes(
        render_manifest(command="extract", config={}, inputs=[read(f"windows/{ROWS}")], counts=counts, files=files)
    )
    return tmp_path


def test_a_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sets") == 0
    assert capsys.readouterr().out.splitlines() == [
        "set         command   state     rows   hours  failures  size             made from",
        "----------  --------  --------  -----  -----  --------  ---------------  ---------------------",
        "clips       extract   complete  1,200  1.50   2         1,000,110 bytes  windows",
        "out/tracks  separate  complete  1      0.00   0         9 bytes          turns",
        "turns       diarize   complete  1      0.00   0         9 bytes",
        "windows     windows   complete  1      0.00   0         9 bytes          turns (changed since)",
    ]


def test_a_tree(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(here / "next", "windows")
    assert run("sets", "--tree", ".") == 0
    assert capsys.readouterr().out.splitlines() == [
        "next  windows, unfinished",
        "turns  diarize, complete, 1 row, 0.00 h",
        "├─ out/tracks  separate, complete, 1 row, 0.00 h",
        "└─ windows  windows, complete, 1 row, 0.00 h, made before turns changed",
        "   └─ clips  extract, complete, 1,200 rows, 1.50 h, 2 failures",
    ]


def test_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sets", "clips", "windows", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["sets"] == [
        {
            "path": "clips", "command": "extract", "state": "complete", "problem": None,
            "rows": 1200, "hours": 1.5, "failures": 2, "bytes": 1000110,
            "made_from": [{"path": "windows", "changed": False}],
        },
        {
            "path": "windows", "command": "windows", "state": "complete", "problem": None,
            "rows": 1, "hours": 0.0, "failures": 0, "bytes": 9,
            "made_from": [{"path": str(here / "turns"), "changed": True}],
        },
    ]  # fmt: skip


def drawn_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of a tree that was printed, up to the names."""
    lines = capsys.readouterr().out.splitlines()
    return [line.replace(f"{folder}/", "").partition("  diarize")[0].partition("  windows")[0] for line in lines]


def test_sets_made_from_each_other_are_all_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path / "a", "diarize", TURNS, inputs=[read(f"{tmp_path}/b/{ROWS}", "old")])
    write_set(tmp_path / "b", inputs=[read(f"{tmp_path}/a/{TURNS}")])
    run("sets", "--tree", tmp_path)
    assert drawn_in(tmp_path, capsys) == ["a", "└─ b", "   └─ a"]


def test_a_set_of_two_others_stands_below_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        write_set(tmp_path / name, "diarize", TURNS)
    write_set(tmp_path / "c", inputs=[read(f"{tmp_path}/a/{TURNS}"), read(f"{tmp_path}/b/{TURNS}")])
    write_set(tmp_path / "d", inputs=[read(f"{tmp_path}/c/{ROWS}")])
    run("sets", "--tree", tmp_path)
    assert drawn_in(tmp_path, capsys) == ["a", "└─ c", "   └─ d", "b", "└─ c"]


def test_a_set_outside_of_the_search_is_the_root_of_those_made_from_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("sets", "--tree", "windows")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{here}/turns"
    assert lines[1].startswith("└─ windows  ")


def test_a_damaged_set_is_listed_and_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "windows" / "_MANIFEST.json").write_bytes(b"{")
    assert run("sets", "windows") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[2].split() == ["windows", "damaged"]
    assert "beam-curator: windows: the manifest cannot be understood" in said.err


def test_a_set_of_a_later_version_has_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path, "polish")
    assert run("sets", tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[1:] == ["polish", "complete"]


def test_nothing_found_is_wrong_usage(tmp_path: Path) -> None:
    cure = f"no output set below {tmp_path}: give the --output of a job, or a directory above it"
    with pytest.raises(UsageError, match=cure):
        run("sets", tmp_path)
    with pytest.raises(UsageError, match="none is no directory: check the path"):
        run("sets", tmp_path / "none")
    with pytest.raises(UsageError, match="scheme http:// in http://a is not allowed"):
        run("sets", "http://a")


def test_a_hundred_sets_take_no_beam_and_little_time(tmp_path: Path) -> None:
    write_set(tmp_path / "0", "diarize", TURNS)
    for number in range(1, 100):
        write_set(tmp_path / str(number), inputs=[read(f"0/{TURNS}")] * 20)
    begin = time.monotonic()
    done = run_process("sets", tmp_path, "--tree", cwd=tmp_path)
    took = time.monotonic() - begin
    assert len(done.stdout.splitlines()) == 100
    assert took < 5  # half a second on an idle machine; loading Beam alone takes longer than that
