"""`windows --update`: after any sequence of changes the set is, byte for byte, that of a run from nothing."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_curator.sets.blocks import BLOCK_BYTES as BLOCK_BYTES_OF_USERS
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.windows import training_windows
from tests.manifests import line_of, run, speech, write_lines
from tests.runners.test_update import files_of

NAMES = ("a.jsonl", "b.jsonl", "c.jsonl.gz")
BROKEN = b'{"broken'
BLOCK_BYTES = 1500
"""Two or three rows."""

FLAGS = {
    "rows": [],
    "spans": ["--layout", "spans"],
    "shards": ["--shards", "2"],
    "parquet": ["--row-format", "parquet"],
    "parquet in shards": ["--row-format", "parquet", "--shards", "2"],
    "among all rows": ["--overlap-scope", "audio_file"],
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in FLAGS if name not in ("rows", "shards")]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ReadManifests.__init__.__kwdefaults__, "block_bytes", BLOCK_BYTES)


def row(number: int) -> bytes:
    """Make a line of its own; every seventh is broken."""
    return line_of(speech(3 + number % 4, f"{number % 5}.wav", id=number)) if number % 7 else BROKEN


def write(folder: Path, name: str, numbers: list[int] | None) -> None:
    """Write a manifest of the rows of these numbers; None removes it."""
    path = folder / name
    if numbers is None:
        path.unlink(missing_ok=True)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(b"".join(row(number) + b"\n" for number in numbers), mtime=0))
    else:
        write_lines(path, map(row, numbers))


_ROWS = st.lists(st.integers(0, 30), max_size=8)
_CHANGES = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), st.one_of(st.none(), _ROWS)), min_size=1, max_size=2),
    min_size=2,
    max_size=3,
)


@pytest.mark.parametrize("kind", ["rows", "shards", *SLOW])
@settings(
    max_examples=12 if os.environ.get("BEAM_CURATOR_SLOW") else 2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sequence=_CHANGES, appended=st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=3, max_size=3))
def test_updates_write_the_bytes_of_a_run_from_nothing(
    kind: str,
    sequence: list[list[tuple[str, list[int] | None]]],
    appended: list[list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("manifests")
    always, out, fresh = list(range(12)), folder / "out", folder / "fresh"
    (folder / "in").mkdir()
    for changes, more in zip(sequence, appended, strict=False):
        for name, numbers in changes:
            write(folder / "in", name, numbers)
        always += more
        write(folder / "in", "always.jsonl", always)
        command = ["windows", folder / "in", *FLAGS[kind]]
        code = run(*command, "--output", out, "--update")
        shutil.rmtree(fresh, ignore_errors=True)
        assert run(*command, "--output", fresh) == code
        assert files_of(out) == files_of(fresh)
        assert run("verify", out) == 0


class TestKept:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "in").mkdir()
        for name, numbers in {"a.jsonl": [1, 2, 3, 4, 5, 6], "b.jsonl": [8, 9, 7], "c.jsonl.gz": [10, 11]}.items():
            write(tmp_path / "in", name, numbers)
        return tmp_path

    @pytest.fixture
    def built(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
        """Return the manifests, and places, of the lines whose windows are planned from now on."""
        lines: list[str] = []
        really: Callable[..., Any] = training_windows.build_block

        def noted(block: Any, *arguments: Any) -> Any:
            lines.extend(f"{os.path.basename(block.ref.source)}:{line.offset}" for line in block.lines)
            return really(block, *arguments)

        monkeypatch.setattr(training_windows, "build_block", noted)
        return lines

    def first_line(self, capsys: pytest.CaptureFixture[str]) -> str:
        return capsys.readouterr().out.splitlines()[0]

    def windows(self, folder: Path, *flags: str) -> int:
        return run("windows", folder / "in", "--output", folder / "out", "--tolerate", "100%", *flags)

    @pytest.mark.parametrize("kind", ["rows", "spans", "shards", pytest.param("parquet", marks=pytest.mark.slow)])
    def test_only_blocks_with_new_lines_are_planned(
        self, kind: str, folder: Path, built: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.windows(folder, *FLAGS[kind]) == 0
        before = set(built)
        capsys.readouterr()
        built.clear()
        write(folder / "in", "a.jsonl", [1, 2, 3, 4, 5, 6, 12])
        write(folder / "in", "0.jsonl", [13])
        (folder / "in" / "b.jsonl").unlink()
        assert self.windows(folder, *FLAGS[kind], "--update") == 0
        planned = {line.partition(":")[0] for line in built}
        assert planned == {"a.jsonl", "0.jsonl"}
        assert len(built) < len(before)
        assert "a.jsonl:0" not in built
        assert " kept, 2 new, " in self.first_line(capsys)

    def test_kept_files_are_linked_under_their_new_numbers(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.windows(folder)
        before = {path.name: path.stat().st_ino for path in (folder / "out").glob("*-of-*")}
        assert "windows-00003-of-00004.jsonl" in before
        write(folder / "in", "0.jsonl", [13])
        capsys.readouterr()
        self.windows(folder, "--update")
        assert self.first_line(capsys) == "4 blocks kept, 1 new, 0 gone"
        after = {path.name: path.stat().st_ino for path in (folder / "out").glob("*-of-*")}
        for name, inode in before.items():
            kind, number = name.partition("-0")[0], int(name.split("-of-")[0][-5:])
            assert after[f"{kind}-{number + 1:05d}-of-00005.jsonl"] == inode
        assert len(after) == len(before) + 1

    def test_a_manifest_of_another_name_keeps_its_blocks_where_no_row_says_it(
        self, folder: Path, built: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.windows(folder)
        built.clear()
        capsys.readouterr()
        os.rename(folder / "in" / "a.jsonl", folder / "in" / "z.jsonl")
        os.rename(folder / "in" / "b.jsonl", folder / "in" / "y.jsonl")
        self.windows(folder, "--update")
        # the broken line of b.jsonl is a dead letter that names it
        assert {line.partition(":")[0] for line in built} == {"y.jsonl"}

    def test_the_plan_says_so(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(ReadManifests.__init__.__kwdefaults__, "block_bytes", BLOCK_BYTES_OF_USERS)
        self.windows(folder)
        write(folder / "in", "a.jsonl", [1, 2])
        write(folder / "in", "0.jsonl", [13])
        capsys.readouterr()
        for flags in (["--plan"], []):
            assert self.windows(folder, "--update", *flags) == 0
            assert self.first_line(capsys) == "2 blocks kept, 2 new, 1 gone"
        # the set has a dead letter, which another run might spare
        assert self.windows(folder, "--update", "--plan") == 0
        assert self.first_line(capsys) == "4 blocks kept, 0 new, 0 gone"

    @pytest.mark.parametrize("kind", ["rows", "shards"])
    def test_blocks_of_the_same_lines_count_each(
        self, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "in").mkdir()
        for name in ("a", "b", "c"):
            write(tmp_path / "in", f"{name}.jsonl", [1, 2])
        self.windows(tmp_path, *FLAGS[kind])
        write(tmp_path / "in", "d.jsonl", [1, 2])
        write(tmp_path / "in", "e.jsonl", [3, 4])
        capsys.readouterr()
        for flags in (["--plan"], []):
            self.windows(tmp_path, *FLAGS[kind], "--update", *flags)
            assert self.first_line(capsys) == "3 blocks kept, 2 new, 0 gone"
        for name in ("a", "b", "e"):
            (tmp_path / "in" / f"{name}.jsonl").unlink()
        self.windows(tmp_path, *FLAGS[kind], "--update")
        assert self.first_line(capsys) == "2 blocks kept, 0 new, 3 gone"

    def test_rows_that_were_changed_are_built_again(self, folder: Path, built: list[str]) -> None:
        self.windows(folder)
        expected = files_of(folder / "out")
        rows = folder / "out" / "windows-00000-of-00004.jsonl"
        data = rows.read_bytes()
        rows.write_bytes(data.replace(b"1.wav", b"9.wav"))
        write(folder / "in", "0.jsonl", [13])
        built.clear()
        self.windows(folder, "--update")
        assert "a.jsonl:0" in built
        (folder / "in" / "0.jsonl").unlink()
        self.windows(folder, "--update")
        assert files_of(folder / "out") == expected

    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            (
                "among all rows",
                "with --overlap-scope audio_file the windows of all rows of a recording compete: all is",
            ),
            ("parquet in shards", "files of Parquet or Avro that were merged are not taken apart: all is done again"),
        ],
    )
    def test_windows_that_depend_on_others_are_all_built_again(
        self, kind: str, said: str, folder: Path, built: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.windows(folder, *FLAGS[kind])
        before = set(built)
        built.clear()
        write(folder / "in", "0.jsonl", [13])
        self.windows(folder, *FLAGS[kind], "--update")
        assert set(built) == before | {"0.jsonl:0"}
        assert said in capsys.readouterr().err

    def test_two_workers_keep_them(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.windows(folder, "--jobs", "2")
        write(folder / "in", "0.jsonl", [13])
        capsys.readouterr()
        assert self.windows(folder, "--update", "--jobs", "2") == 0
        assert self.first_line(capsys) == "4 blocks kept, 1 new, 0 gone"
        assert run("windows", folder / "in", "--output", folder / "fresh", "--tolerate", "100%", "--jobs", "2") == 0
        assert files_of(folder / "out") == files_of(folder / "fresh")
