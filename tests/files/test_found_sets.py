from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from beam_curator.files.found_sets import FoundSet, find_sets, look_at, origins_of
from beam_curator.sets.output_set import FileRecord, InputRecord, RunRecord, render_manifest

ROWS = "windows-00000-of-00001.jsonl"
TURNS = "turns-00000-of-00001.jsonl"


def write_set(
    path: Path, command: str = "windows", rows: str = ROWS, sha256: str = "00", inputs: Sequence[InputRecord] = ()
) -> Path:
    """Write the manifest of a set with one file of rows."""
    path.mkdir(parents=True, exist_ok=True)
    files = [FileRecord(name=rows, n_bytes=9, sha256=sha256, n_rows=1, kind=rows.partition("-")[0])]
    text = render_manifest(command=command, config={}, inputs=inputs, counts={}, files=files)
    (path / "_MANIFEST.json").write_bytes(text)
    return path


def write_run(path: Path, *commands: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    run = RunRecord(token="t", config_sha256="00", inputs={}, cleared=True, commands=commands)
    (path / "_RUN.json").write_bytes(run.to_json())


def read(name: str, sha256: str = "00") -> InputRecord:
    return InputRecord(name=name, n_bytes=9, sha256=sha256)


def looked_at(path: Path) -> FoundSet:
    found = look_at(str(path))
    assert found is not None
    return found


def origins(path: Path) -> list[tuple[str, bool]]:
    return [(os.path.basename(of), changed) for of, changed in origins_of(looked_at(path), look_at).items()]


class TestLookAt:
    def test_a_set_that_is_complete(self, tmp_path: Path) -> None:
        found = looked_at(write_set(tmp_path))
        assert (found.state, found.commands, found.problem) == ("complete", ("windows",), "")

    def test_a_job_that_has_not_finished(self, tmp_path: Path) -> None:
        write_run(tmp_path, "diarize")
        assert (looked_at(tmp_path).state, looked_at(tmp_path).commands) == ("unfinished", ("diarize",))

    def test_a_mark_that_was_cut_off(self, tmp_path: Path) -> None:
        (tmp_path / "_RUN.json").write_bytes(b"{")
        assert (looked_at(tmp_path).state, looked_at(tmp_path).commands) == ("unfinished", ())

    def test_a_set_whose_next_one_grows(self, tmp_path: Path) -> None:
        write_run(write_set(tmp_path) / ".next.beam_curator", "extract", "windows")
        assert (looked_at(tmp_path).state, looked_at(tmp_path).commands) == ("being replaced", ("windows",))

    def test_a_change_over_that_was_interrupted(self, tmp_path: Path) -> None:
        write_run(write_set(tmp_path / ".next.beam_curator"), "windows")
        assert looked_at(tmp_path).state == "between two sets"

    @pytest.mark.parametrize("text", [b"{", b'{"format": 99}'])
    def test_a_manifest_that_is_damaged(self, tmp_path: Path, text: bytes) -> None:
        (tmp_path / "_MANIFEST.json").write_bytes(text)
        assert looked_at(tmp_path).state == "damaged"
        assert "manifest" in looked_at(tmp_path).problem

    def test_no_set(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").touch()
        assert look_at(str(tmp_path)) is None
        assert look_at(str(tmp_path / "a.jsonl")) is None


class TestFindSets:
    def test_takes_sets_of_all_states_and_nothing_inside_of_them(self, tmp_path: Path) -> None:
        write_set(tmp_path / "b")
        write_set(tmp_path / "b" / "inside")
        write_run(tmp_path / "c" / "d", "windows")
        write_set(tmp_path / ".hidden")
        (tmp_path / "c" / "notes.txt").touch()
        found = find_sets(str(tmp_path), cache(look_at), Counter())
        assert [os.path.relpath(path, tmp_path) for path in found] == ["b", "c/d"]

    def test_takes_the_directory_itself(self, tmp_path: Path) -> None:
        assert [*find_sets(str(write_set(tmp_path)), look_at, Counter())] == [str(tmp_path)]

    def test_follows_links_and_ends(self, tmp_path: Path) -> None:
        write_set(tmp_path / "disk" / "a")
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "link").symlink_to(tmp_path / "disk")
        (tmp_path / "disk" / "back").symlink_to(tmp_path / "disk")
        found = find_sets(str(tmp_path / "here"), look_at, Counter())
        assert [*found] == [str(tmp_path / "here" / "link" / "a")]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
    def test_counts_folders_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "locked").mkdir(mode=0)
        left_out: Counter[str] = Counter()
        assert [*find_sets(str(tmp_path), look_at, left_out)] == []
        assert left_out == {"folder that cannot be read": 1}


class TestOriginsOf:
    def test_a_file_of_another_set(self, tmp_path: Path) -> None:
        turns = write_set(tmp_path / "turns", "diarize", TURNS)
        made = write_set(tmp_path / "made", inputs=[read(f"{turns}/{TURNS}"), read(f"{tmp_path}/a.jsonl")])
        assert origins(made) == [("turns", False)]

    def test_a_file_that_is_another_one_by_now(self, tmp_path: Path) -> None:
        turns = write_set(tmp_path / "turns", "diarize", TURNS, sha256="11")
        assert origins(write_set(tmp_path / "made", inputs=[read(f"{turns}/{TURNS}")])) == [("turns", True)]

    def test_a_file_that_is_gone(self, tmp_path: Path) -> None:
        turns = write_set(tmp_path / "turns", "diarize", TURNS)
        inputs = [read(f"{turns}/{TURNS}"), read(f"{turns}/turns-00001-of-00002.jsonl")]
        assert origins(write_set(tmp_path / "made", inputs=inputs)) == [("turns", True)]

    def test_a_set_that_is_no_longer_complete(self, tmp_path: Path) -> None:
        write_run(tmp_path / "turns", "diarize")
        assert origins(write_set(tmp_path / "made", inputs=[read(f"{tmp_path}/turns/{TURNS}")])) == [("turns", True)]

    def test_a_file_that_lies_in_a_folder_of_a_set(self, tmp_path: Path) -> None:
        tracks = write_set(tmp_path / "tracks", "separate", "tracks-00000-of-00001.jsonl")
        made = write_set(tmp_path / "made", "diarize", TURNS, inputs=[read(f"{tracks}/tracks/a_speaker_b.wav", "77")])
        assert origins(made) == [("tracks", False)]

    def test_a_foreign_file_beside_a_set(self, tmp_path: Path) -> None:
        write_set(tmp_path)
        assert origins(write_set(tmp_path / "made", inputs=[read(f"{tmp_path}/mine.jsonl")])) == []

    def test_a_relative_name_is_looked_for_above_the_set(self, tmp_path: Path) -> None:
        write_set(tmp_path / "turns", "diarize", TURNS)
        made = write_set(tmp_path / "runs" / "monday" / "made", inputs=[read(f"turns/{TURNS}")])
        assert origins(made) == [("turns", False)]

    def test_a_relative_name_is_looked_for_from_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_set(tmp_path / "here" / "turns", "diarize", TURNS)
        made = write_set(tmp_path / "there" / "made", inputs=[read(f"turns/{TURNS}")])
        assert origins(made) == []
        monkeypatch.chdir(tmp_path / "here")
        assert origins(made) == [("turns", False)]

    def test_of_two_sets_of_that_name_the_one_with_the_file(self, tmp_path: Path) -> None:
        write_set(tmp_path / "a" / "turns", "diarize", TURNS, sha256="11")
        right = write_set(tmp_path / "turns", "diarize", TURNS)
        made = looked_at(write_set(tmp_path / "a" / "made", inputs=[read(f"turns/{TURNS}")]))
        assert origins_of(made, look_at) == {os.path.realpath(right): False}

    def test_a_name_in_a_store_is_not_looked_for_from_a_disk(self, tmp_path: Path) -> None:
        assert origins(write_set(tmp_path, inputs=[read(f"gs://b/turns/{TURNS}")])) == []
