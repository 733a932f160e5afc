from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.clips.tables import CutFacts, clip_row, metadata_of_clip_row
from beam_curator.files.clip_index import IndexOptions, write_combined, write_index
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Shard
from beam_curator.sets.columns import ColumnKinds
from beam_curator.sets.output_set import FileRecord
from beam_curator.transforms.clips.write_index import WriteIndex
from tests.manifests import line_of, names_in, write_lines
from tests.transforms.clips.clip_sets import write_rows


def row(number: int, **fields: Any) -> dict[str, Any]:
    facts = CutFacts(
        extracted_path=f"a_segment_{number:03d}.wav",
        sha256="00",
        n_bytes=1,
        sample_rate=8000,
        n_channels=1,
        n_samples=8000,
        real_start_sec=0.0,
        real_end_sec=1.0,
    )
    times = {"original_file": "a.wav", "original_start_ms": 0, "original_end_ms": 1000}
    return clip_row(times | fields, 0, facts) | {"_origin": {"source": "m.jsonl", "offset": number}}


def shard(directory: Path, number: int, *rows: dict[str, Any]) -> Shard:
    """Write a shard of rows."""
    name = f"clips-{number:05d}-of-00002.jsonl"
    kinds = ColumnKinds()
    for each in rows:
        kinds.add(metadata_of_clip_row(each))
    write_rows(directory / name, rows)
    record = FileRecord(name=name, n_bytes=0, sha256="", n_rows=len(rows), kind="clips", position=(number,))
    return Shard(record=record, columns=kinds.columns())


HEAD = ["filename", "original_file", "segment_index", "start_sec", "end_sec", "duration"]
OPTIONS = IndexOptions(inputs=("m.jsonl",), output_format="wav", index="parquet")


class TestWriteIndex:
    def test_columns_of_all_shards_come_in_order_of_appearance(self, tmp_path: Path) -> None:
        shards = [shard(tmp_path, 0, row(0, b=1)), shard(tmp_path, 1, row(1, a="x", b=0.5), row(2, c=None))]
        records = list(write_index(OutputTarget(directory=str(tmp_path)), shards, OPTIONS))
        assert [(record.name, record.kind, record.n_rows) for record in records] == [
            ("metadata.csv", "index", 3),
            ("metadata.parquet", "index", 3),
        ]
        table = list(csv.reader(io.StringIO((tmp_path / "metadata.csv").read_text())))
        assert table[0] == [*HEAD, "b", "a", "c"]
        assert [line[6:] for line in table[1:]] == [["1", "", ""], ["0.5", "x", ""], ["", "", ""]]
        parquet = pq.read_table(tmp_path / "metadata.parquet")
        assert parquet.column_names == table[0]
        assert parquet.column("b").to_pylist() == [1.0, 0.5, None]
        summary = json.loads((tmp_path / "extraction_summary.json").read_bytes())
        assert (summary["total_segments"], summary["total_duration_sec"]) == (3, 3.0)

    def test_audiofolder_finds_the_clip_under_file_name_and_no_other_audio(self, tmp_path: Path) -> None:
        rows = [row(0, audio="x", text="hi"), row(1, noise_file_name="n.wav", file_name="f")]
        options = IndexOptions(inputs=("m.jsonl",), output_format="wav", index="huggingface")
        (record,) = write_index(OutputTarget(directory=str(tmp_path)), [shard(tmp_path, 0, *rows)], options)
        assert record.name == "metadata.csv"
        first, second = csv.DictReader((tmp_path / "metadata.csv").open())
        added = {"audio_input": "", "text": "", "noise_file_name_input": "", "file_name_input": ""}
        assert list(first) == ["file_name", *HEAD[1:], *added]
        given = {"file_name": "a_segment_000.wav", "audio_input": "x", "text": "hi"}
        assert {name: first[name] for name in ("file_name", *added)} == added | given
        given = {"file_name": "a_segment_001.wav", "noise_file_name_input": "n.wav", "file_name_input": "f"}
        assert {name: second[name] for name in ("file_name", *added)} == added | given

    def test_without_clips_there_is_a_summary_only(self, tmp_path: Path) -> None:
        out = tmp_path / "new"
        assert list(write_index(OutputTarget(directory=str(out)), [], OPTIONS)) == []
        assert names_in(out) == ["extraction_summary.json"]

    def test_the_summary_names_all_inputs(self, tmp_path: Path) -> None:
        options = IndexOptions(inputs=("a", "b/*.jsonl"), output_format="ogg")
        list(write_index(OutputTarget(directory=str(tmp_path)), [], options))
        summary = json.loads((tmp_path / "extraction_summary.json").read_bytes())
        assert (summary["manifest_path"], summary["output_format"]) == ("a, b/*.jsonl", "ogg")

    @pytest.mark.parametrize("text", ["a,b", 'say "x"', "two\nlines", "=1+1", "\r", "é\u2028", "", " "])
    def test_text_survives_the_table(self, tmp_path: Path, text: str) -> None:
        list(write_index(OutputTarget(directory=str(tmp_path)), [shard(tmp_path, 0, row(0, text=text))], OPTIONS))
        (line,) = csv.DictReader(io.StringIO((tmp_path / "metadata.csv").read_bytes().decode(), newline=""))
        assert line["text"] == text
        assert pq.read_table(tmp_path / "metadata.parquet").column("text").to_pylist() == [text]

    def test_as_a_transform_shards_are_put_in_order_and_counted_once(self, tmp_path: Path) -> None:
        shards = [shard(tmp_path, 1, row(1)), shard(tmp_path, 0, row(0))]
        with beam.Pipeline("FnApiRunner") as pipeline:
            written = (
                pipeline
                | beam.Create([*shards, shards[0]])
                | WriteIndex(OutputTarget(directory=str(tmp_path)), IndexOptions(inputs=("m",), output_format="wav"))
            )
            assert_that(
                written | beam.Map(lambda record: (record.name, record.n_rows)), equal_to([("metadata.csv", 2)])
            )
        names = [line["filename"] for line in csv.DictReader((tmp_path / "metadata.csv").open())]
        assert names == ["a_segment_000.wav", "a_segment_001.wav"]


def test_the_combined_manifest_holds_rows_only(tmp_path: Path) -> None:
    write_lines(tmp_path / "in" / "b.jsonl", [b'{"b": 1.50}', b"broken", b"[1]", b"", b"\xff"])
    write_lines(tmp_path / "in" / "deeper" / "c.jsonl", [line_of({"c": 1})])
    (tmp_path / "in" / "a.json").write_bytes(b'[\n {"a":\n  1}\n]')
    (tmp_path / "out").mkdir()
    record = write_combined(OutputTarget(directory=f"{tmp_path}/out"), [f"{tmp_path}/in"])
    lines = (tmp_path / "out" / "manifest.jsonl").read_bytes().splitlines()
    assert lines == [b'{"a":   1}', b'{"b": 1.50}', b'{"c":1}']
    assert (record.name, record.n_rows, record.kind) == ("manifest.jsonl", 3, "manifest")
