from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.clips.clip_rows import CLIPS
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartWriter, Shard
from beam_curator.files.row_tables import read_row_file
from beam_curator.transforms.jobs.merging import MergeParts, key_part
from tests.files.parts import clip, letter, target_of

ROWS, LETTERS = CLIPS.rows, CLIPS.letters


def check_shards(
    parts: Sequence[Part], target: OutputTarget, rows: list[Any], letters: list[Any], row_format: Any = "jsonl"
) -> None:
    """Merge parts in a pipeline, and compare name, rows and kind of each shard, and what its column `mark` holds."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        merged = pipeline | beam.Create(list(parts)) | MergeParts(target, row_format, CLIPS)
        clips = merged.counts | beam.CombinePerKey(sum) | beam.Filter(lambda count: count[0] == "cut.clips")
        assert_that(clips, equal_to([("cut.clips", 4)]), label="counts")
        assert_that(merged.rows | "Rows" >> beam.Map(described), equal_to(rows), label="rows")
        files = merged.files | beam.Flatten() | beam.Map(lambda record: (record.name, record.n_rows, record.kind))
        assert_that(files, equal_to([shard[:3] for shard in [*rows, *letters]]), label="files")


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
    LETTER = ("failures-cut-00000-of-00003.jsonl", 1, LETTERS)

    def test_blocks_in_order_of_first_rows(self, parts: list[Part], tmp_path: Path) -> None:
        check_shards(parts, target_of(tmp_path / "out"), [*self.BY_BLOCK], [self.LETTER])
        first = (tmp_path / "out" / "clips-00000-of-00003.jsonl").read_bytes()
        assert [json.loads(line)["extracted_path"] for line in first.splitlines()] == ["a0.wav", "b0.wav"]

    def test_as_many_shards_as_asked_for(self, parts: list[Part], tmp_path: Path) -> None:
        target = replace(target_of(tmp_path / "out"), n_shards=1)
        rows = [("clips-00000-of-00001.parquet", 4, ROWS, "text")]
        check_shards(parts, target, rows, [("failures-cut-00000-of-00001.jsonl", 1, LETTERS)], "parquet")
        merged = read_row_file(str(tmp_path / "out" / "clips-00000-of-00001.parquet"))
        assert [row["extracted_path"] for row in merged] == ["a0.wav", "b0.wav", "c0.wav", "c1.wav"]

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
