"""The same input and the same options give the same set, byte for byte, however the job is run."""

import json
from pathlib import Path
from subprocess import run as run_program
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest

from tests.manifests import (
    assert_nothing_left_over,
    line_of,
    lines_in,
    manifest_of,
    rows_in,
    run,
    run_process,
    small_blocks_command,
    speech,
    write_lines,
)

OPTIONS = {
    "plain": [],
    "shards": ["--shards", "4"],
    "audio file": ["--overlap-scope", "audio_file"],
    "audio file, shards": ["--overlap-scope", "audio_file", "--shards", "4"],
    "spans": ["--layout", "spans"],
    "parquet": ["--row-format", "parquet"],
    "parquet, shards": ["--row-format", "parquet", "--shards", "4"],
    "avro": ["--row-format", "avro"],
    "avro, shards": ["--row-format", "avro", "--shards", "4"],
}

SLOW = pytest.mark.slow
RARE = ("audio file", "parquet, shards", "avro", "avro, shards")
"""Options that differ from others of these in one thing that another test has."""


def write_set(directory: Path, manifest: Path, *options: str) -> bytes:
    """Write a set in this process and return its manifest."""
    assert run("windows", manifest, "--output", directory, "--tolerate", "100%", *options) == 0
    assert run("verify", directory) == 0
    return (directory / "_MANIFEST.json").read_bytes()


def write_set_with_two_workers(directory: Path, manifest: Path, *options: str) -> bytes:
    """Write a set of small blocks with `--jobs 2` and return its manifest."""
    arguments = ["windows", manifest, "--output", directory, "--tolerate", "100%", "--jobs", "2", *options]
    ended = run_program(small_blocks_command(*arguments), capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return (directory / "_MANIFEST.json").read_bytes()


def json_rows(directory: Path) -> list[str]:
    """Return the rows of a set of any format as JSON, in order of source and offset."""
    records: list[dict[str, Any]] = []
    for path in sorted(directory.glob("windows-*")):
        if path.suffix == ".parquet":
            records += pq.read_table(path).to_pylist()
        elif path.suffix == ".avro":
            with path.open("rb") as stream:
                records += fastavro.reader(stream)
    assert records == sorted(records, key=lambda record: (record["source"], record["offset"]))
    return [record["row"] for record in records] or [row.decode() for row in rows_in(directory)]


@pytest.mark.usefixtures("small_blocks")
class TestSmallBlocks:
    @pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW if name in RARE else ()) for name in OPTIONS])
    def test_again_and_with_every_bundle_repeated(self, manifest: Path, tmp_path: Path, name: str) -> None:
        first = write_set(tmp_path / "first", manifest, *OPTIONS[name])
        if name == "plain":
            assert write_set(tmp_path / "again", manifest, *OPTIONS[name]) == first
        repeated = write_set(tmp_path / "repeated", manifest, *OPTIONS[name], "--direct_runner_bundle_repeat=1")
        assert repeated == first

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["plain", "shards", "audio file, shards"])
    def test_with_two_workers(self, manifest: Path, tmp_path: Path, name: str) -> None:
        first = write_set(tmp_path / "first", manifest, *OPTIONS[name])
        assert write_set_with_two_workers(tmp_path / "workers", manifest, *OPTIONS[name]) == first

    def test_there_are_many_blocks(self, manifest: Path, tmp_path: Path) -> None:
        write_set(tmp_path / "out", manifest)
        files = [file for file in manifest_of(tmp_path / "out")["files"] if file["kind"] == "windows"]
        assert len(files) > 8
        assert sum(file["rows"] for file in files) == 40
        assert files[0]["name"].endswith(f"-of-{int(files[-1]['name'][-11:-6]):05d}.jsonl")

    def test_shards_hold_the_rows_of_the_blocks_in_order(self, manifest: Path, tmp_path: Path) -> None:
        write_set(tmp_path / "blocks", manifest)
        write_set(tmp_path / "shards", manifest, "--shards", "4")
        assert rows_in(tmp_path / "shards") == rows_in(tmp_path / "blocks")
        names = [path.name for path in sorted((tmp_path / "shards").glob("windows-*"))]
        assert names == [f"windows-0000{number}-of-00004.jsonl" for number in range(4)]
        letters = lines_in(tmp_path / "blocks", "failures-*")
        assert lines_in(tmp_path / "shards", "failures-*") == letters
        assert_nothing_left_over(tmp_path / "shards")

    @pytest.mark.parametrize("row_format", ["parquet", "avro"])
    @pytest.mark.parametrize("shards", ["0", "4"])
    def test_every_format_holds_the_same_rows(
        self, manifest: Path, tmp_path: Path, row_format: str, shards: str
    ) -> None:
        write_set(tmp_path / "jsonl", manifest)
        write_set(tmp_path / "other", manifest, "--row-format", row_format, "--shards", shards)
        assert json_rows(tmp_path / "other") == json_rows(tmp_path / "jsonl")

    def test_scopes_differ_only_where_recordings_repeat(self, manifest: Path, tmp_path: Path) -> None:
        write_set(tmp_path / "row", manifest)
        write_set(tmp_path / "file", manifest, "--overlap-scope", "audio_file")
        row, file = rows_in(tmp_path / "row"), rows_in(tmp_path / "file")
        # rows 30 to 39 repeat the recordings of rows 0 to 9, with the same number of segments
        assert file[:30] == row[:30]
        assert [json.loads(line)["filtered"] for line in file[30:]] == [[]] * 10
        assert all(json.loads(line)["filtered"] for line in row[30:])


@pytest.mark.slow
def test_blocks_of_four_megabytes(tmp_path: Path) -> None:
    lines = [line_of(speech(100, f"{number}.wav")) for number in range(2600)]
    manifest = write_lines(tmp_path / "large.jsonl", [*lines[:2000], b"broken", *lines[2000:]])
    assert 17_000_000 < manifest.stat().st_size < 24_000_000
    sets = {"one": [], "two": ["--jobs", "2"], "repeated": ["--direct_runner_bundle_repeat=1"]}
    for name, flags in sets.items():
        arguments = ["windows", manifest, "--output", tmp_path / name, "--layout", "spans", "--tolerate", "1"]
        ended = run_process(*arguments, *flags)
        assert ended.returncode == 0, ended.stderr
    written = {(tmp_path / name / "_MANIFEST.json").read_bytes() for name in sets}
    assert len(written) == 1
    assert len(list((tmp_path / "one").glob("windows-*"))) >= 5
    assert manifest_of(tmp_path / "one")["counts"]["build.windows"] == 2600 * 98
    assert len(rows_in(tmp_path / "two")) == 2600


def test_a_number_may_be_written_without_its_point(manifest: Path, tmp_path: Path) -> None:
    first = write_set(tmp_path / "first", manifest)
    assert write_set(tmp_path / "second", manifest, "--target-window-duration", "120") == first
