from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from beam_curator.files.clip_cutting import failure_of, row_of
from beam_curator.files.clip_rows import CLIPS, write_clip_rows

from beam_curator.clips import CutFacts
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.clip_files import ClipFiles, in_memory
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartWriter, Shard
from beam_curator.transforms.jobs.merging import MergeParts, key_part
from tests.manifests import names_in
from tests.transforms.clips.clip_sets import mark_run, request

ROWS, LETTERS = CLIPS.rows, CLIPS.letters


def target_of(directory: Path, *, resume: bool = True) -> OutputTarget:
    """Return a target that a launcher prepared, to go on where another attempt stopped."""
    mark_run(directory, "t")
    return OutputTarget(directory=str(directory), token="t", resume=resume)


def clip(target: OutputTarget, name: str, **fields: Any) -> dict[str, Any]:
    """Put bytes in place as a clip, and return their row."""
    data = in_memory(name.encode() * 10, 8000)
    ClipFiles(target).put(name, data)
    facts = CutFacts(
        extracted_path=name,
        sha256=data.sha256,
        n_bytes=data.n_bytes,
        sample_rate=8000,
        n_channels=1,
        n_samples=8000,
        real_start_sec=0.0,
        real_end_sec=1.0,
    )
    asked = request(0, 1000, original_file="a.wav", original_start_ms=0, original_end_ms=1000, **fields)
    return row_of(asked, facts, "m.jsonl", 0)


def letter() -> Any:
    error = EntryError(FailureCode.NOT_FOUND, "there is no file", "check the path")
    return failure_of(error, request(0, 1, original_file="b.wav"), "m.jsonl", 7)


def writer_of(target: OutputTarget, recording: str = "/a.wav", position: Sequence[int] = (0, 0, 0)) -> PartWriter:
    return PartWriter(CLIPS, target, recording, tuple(position), 1)


class TestPartWriter:
    def test_files_columns_and_counts(self, tmp_path: Path) -> None:
        target = target_of(tmp_path)
        writer = writer_of(target)
        for number in range(2):
            writer.add_row(clip(target, f"{number}.wav", mos=number) | {"clamped": True})
        writer.add_failure(letter())
        part = writer.write()
        assert [(record.kind, record.n_rows) for record in part.files] == [(LETTERS, 1), (ROWS, 2)]
        assert all((tmp_path / record.name).stat().st_size == record.n_bytes for record in part.files)
        assert all(record.name.startswith(".") for record in part.files)
        assert dict(part.columns)["mos"] == "int"
        assert dict(part.counts) == {
            "cut.clips": 2,
            "cut.audio_us": 2_000_000,
            "cut.bytes": 100,
            "cut.clamped": 2,
            "cut.failures": 1,
            "cut.failures.not_found": 1,
        }

    def test_no_rows_are_a_file_too(self, tmp_path: Path) -> None:
        part = writer_of(target_of(tmp_path)).write()
        assert [(record.kind, record.n_rows, record.n_bytes) for record in part.files] == [(ROWS, 0, 0)]
        assert (tmp_path / part.files[0].name).read_bytes() == b""

    def test_recordings_have_files_of_their_own(self, tmp_path: Path) -> None:
        target = target_of(tmp_path)
        for name in ("/a.wav", "/A.wav", "a.wav", "\udcff.wav"):
            writer_of(target, name).write()
        assert len(names_in(tmp_path)) == 5


class TestKept:
    @pytest.fixture
    def target(self, tmp_path: Path) -> OutputTarget:
        """Return the target of an attempt that finished a recording of two clips."""
        target = target_of(tmp_path)
        writer = writer_of(target)
        for number in range(2):
            writer.add_row(clip(target, f"{number}.wav", mos=number))
        writer.write()
        return target

    def part_file(self, directory: Path) -> Path:
        (path,) = [path for path in directory.glob(".clips-*")]  # noqa: C416  exactly one
        return path

    def test_a_whole_part_is_kept_as_it_was_written(self, target: OutputTarget, tmp_path: Path) -> None:
        kept = writer_of(target).kept(2)
        writer = writer_of(target)
        for line in self.part_file(tmp_path).read_bytes().splitlines():
            writer.add_row(json.loads(line))
        assert kept == writer.write()

    def test_not_where_the_job_begins_afresh(self, tmp_path: Path, target: OutputTarget) -> None:
        assert writer_of(target_of(tmp_path, resume=False)).kept(2) is None

    @pytest.mark.parametrize("n_requests", [1, 3])
    def test_not_where_clips_are_missing_or_too_many(self, target: OutputTarget, n_requests: int) -> None:
        assert writer_of(target).kept(n_requests) is None

    def test_not_where_there_is_none(self, target: OutputTarget) -> None:
        assert writer_of(target, "/b.wav").kept(2) is None

    @pytest.mark.parametrize("damage", ["missing", "shorter", "changed"])
    def test_not_where_a_clip_is(self, target: OutputTarget, tmp_path: Path, damage: str) -> None:
        path = tmp_path / "1.wav"
        data = path.read_bytes()
        path.unlink() if damage == "missing" else path.write_bytes(data[:-1] + (b"" if damage == "shorter" else b"!"))
        assert writer_of(target).kept(2) is None
        assert writer_of(target).kept(2, synced=True) is not None

    @pytest.mark.parametrize("n_left", [1, -1, -20])
    def test_not_where_the_part_is_torn(self, target: OutputTarget, tmp_path: Path, n_left: int) -> None:
        path = self.part_file(tmp_path)
        path.write_bytes(path.read_bytes()[:n_left])
        assert writer_of(target).kept(2) is None

    def test_not_where_bytes_of_the_part_were_lost(self, target: OutputTarget, tmp_path: Path) -> None:
        path = self.part_file(tmp_path)
        path.write_bytes(b"\0" * (path.stat().st_size - 1) + b"\n")
        assert writer_of(target).kept(2) is None

    def test_not_where_some_failed(self, target: OutputTarget) -> None:
        writer = writer_of(target)
        writer.add_failure(letter())
        writer.write()
        assert writer_of(target).kept(0) is None

    def test_a_part_that_is_not_kept_leaves_no_count_behind(self, target: OutputTarget, tmp_path: Path) -> None:
        (tmp_path / "1.wav").unlink()
        writer = writer_of(target)
        assert writer.kept(2) is None
        assert writer.write().counts == ()


def check_shards(
    parts: Sequence[Part], target: OutputTarget, rows: list[Any], letters: list[Any], row_format: Any = "jsonl"
) -> None:
    """Merge parts in a pipeline, and compare name, rows and kind of each shard, and what its column `mark` holds."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        merged = pipeline | beam.Create(list(parts)) | MergeParts(target, row_format, write_clip_rows)
        clips = merged.counts | beam.CombinePerKey(sum) | beam.Filter(lambda count: count[0] == "cut.clips")
        assert_that(clips, equal_to([("cut.clips", 4)]), label="counts")
        assert_that(merged.rows | "Rows" >> beam.Map(described), equal_to(rows), label="rows")
        assert_that(merged.others | "Letters" >> beam.Map(described), equal_to(letters), label="letters")


def described(shard: Shard) -> tuple[Any, ...]:
    return shard.record.name, shard.record.n_rows, shard.record.kind, dict(shard.columns).get("mark")


class TestMergeParts:
    @pytest.fixture
    def parts(self, tmp_path: Path) -> list[Part]:
        """Return parts of three recordings, which began in blocks 2, 0 and 0 of three."""
        (tmp_path / "out").mkdir()
        target = target_of(tmp_path / "out")
        made = []
        for name, position, values in (("c", (2, 0, 5), [1, 0.5]), ("b", (0, 0, 9), ["x"]), ("a", (0, 0, 2), [None])):
            writer = PartWriter(CLIPS, target, name, position, 3)
            for number, value in enumerate(values):
                writer.add_row(clip(target, f"{name}{number}.wav", mark=value))
            if name == "b":
                writer.add_failure(letter())
            made.append(writer.write())
        return made

    BY_BLOCK = (
        ("clips-00000-of-00003.jsonl", 2, ROWS, "text"),
        ("clips-00002-of-00003.jsonl", 2, ROWS, "float"),
    )
    LETTER = ("failures-cut-00000-of-00003.jsonl", 1, LETTERS, None)

    def test_blocks_in_order_of_first_rows(self, parts: list[Part], tmp_path: Path) -> None:
        check_shards(parts, target_of(tmp_path / "out"), [*self.BY_BLOCK], [self.LETTER])
        first = (tmp_path / "out" / "clips-00000-of-00003.jsonl").read_bytes()
        assert [json.loads(line)["extracted_path"] for line in first.splitlines()] == ["a0.wav", "b0.wav"]

    def test_as_many_shards_as_asked_for(self, parts: list[Part], tmp_path: Path) -> None:
        target = replace(target_of(tmp_path / "out"), n_shards=1)
        rows = [("clips-00000-of-00001.parquet", 4, ROWS, "text")]
        check_shards(parts, target, rows, [("failures-cut-00000-of-00001.jsonl", 1, LETTERS, None)], "parquet")

    def test_parts_that_a_commit_has_swept_are_not_missed(self, parts: list[Part], tmp_path: Path) -> None:
        target = target_of(tmp_path / "out")
        for _ in range(2):
            check_shards(parts, target, [*self.BY_BLOCK], [self.LETTER])
            for part in parts:
                for record in part.files:
                    (tmp_path / "out" / record.name).unlink(missing_ok=True)

    def test_keys_are_kind_number_and_count(self, parts: list[Part]) -> None:
        assert [key for key, _ in key_part(parts[1], 0)] == [(LETTERS, 0, 3), (ROWS, 0, 3)]
        assert [key for key, _ in key_part(parts[0], 0)] == [(ROWS, 2, 3)]
        assert [key for key, _ in key_part(parts[0], 2)] == [(ROWS, 1, 2)]
        assert [shard.columns for _, shard in key_part(parts[1], 0)] == [(), parts[1].columns]
