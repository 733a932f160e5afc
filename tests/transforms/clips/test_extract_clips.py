"""From manifests to a complete set: the composite, and the tables it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.cut_rules import CutRules
from beam_curator.files.output_target import OutputTarget
from beam_curator.transforms.clips.extract_clips import ExtractClips
from tests.manifests import manifest_of, names_in, run
from tests.transforms.clips.clip_sets import (
    clip_rows,
    extract,
    metadata_of,
    piece,
    summary_of,
    write_recording,
    write_rows,
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a manifest of three pieces of two recordings, and one of a recording that is not there."""
    write_recording(tmp_path / "in" / "a.wav")
    write_recording(tmp_path / "in" / "b.wav", 1)
    rows = [
        piece("a.wav", 0, 500, mos=0.1),
        piece("b.wav", 250, 1500, speaker_id=3),
        piece("a.wav", 500, 700),
        piece("c.wav", 0, 1),
    ]
    return write_rows(tmp_path / "in" / "m.jsonl", rows)


class TestComposite:
    def test_files_and_counts(self, manifest: Path, tmp_path: Path) -> None:
        out = tmp_path / "new" / "out"
        with beam.Pipeline("FnApiRunner") as pipeline:
            extracted = pipeline | ExtractClips([str(manifest)], str(out))
            names = extracted.files | beam.Map(lambda file: (file.name, file.n_rows))
            files = [("clips-00000-of-00001.jsonl", 3), ("failures-cut-00000-of-00001.jsonl", 1), ("metadata.csv", 3)]
            assert_that(names, equal_to(files), label="files")
            totals = extracted.counts | beam.Flatten() | beam.Filter(is_of_the_books) | beam.CombinePerKey(sum)
            counts = {
                "read.rows": 4,
                "read.bytes": manifest.stat().st_size,
                "plan.rows": 4,
                "plan.clips": 4,
                "cut.clips": 3,
                "cut.clamped": 1,
                "cut.failures": 1,
                "cut.failures.not_found": 1,
                "cut.audio_us": 1_450_000,
                "cut.bytes": 3 * 44 + 2 * 8 * 1450,
            }
            assert_that(totals, equal_to(list(counts.items())), label="counts")
        assert manifest_of(out)["counts"] == counts
        assert run("verify", out) == 0

    def test_writes_what_the_command_writes(self, manifest: Path, tmp_path: Path) -> None:
        options: dict[str, Any] = {"output_format": "flac", "row_format": "avro", "index": "parquet"}
        rules = CutRules(mono="mix", on_overrun="fail", allowed_root=(str(tmp_path),))
        target = OutputTarget(directory=str(tmp_path / "library"), n_shards=2)
        with beam.Pipeline("FnApiRunner") as pipeline:
            _ = pipeline | ExtractClips([str(manifest)], target, rules=rules, output=ClipOutputOptions(**options))
        flags = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
        flags += ["--mono", "mix", "--on-overrun", "fail", "--allowed-root", str(tmp_path), "--shards", "2"]
        extract(manifest, tmp_path / "command", *flags, code=3)
        library, command = tmp_path / "library" / "_MANIFEST.json", tmp_path / "command" / "_MANIFEST.json"
        assert library.read_bytes() == command.read_bytes()

    def test_config_holds_what_decides_the_rows(self) -> None:
        output = ClipOutputOptions(pack="webdataset", shards=5)
        config = ExtractClips(["a.jsonl"], "out", output=output).config()
        assert config["output"] == {
            "output_format": "wav",
            "row_format": "jsonl",
            "shards": 5,
            "index": "csv",
            "pack": "webdataset",
        }
        assert [*config["clips"]] == [
            *("what", "audio_filepath_key", "audio_root", "on_overrun", "mono", "sample_rate", "allowed_root"),
            *("max_duration", "max_decoded_bytes"),
        ]
        assert config["input"] == {"max_line_bytes": 32 << 20, "keep_duplicates": False}


class TestTables:
    def test_rows_in_every_format(self, manifest: Path, tmp_path: Path) -> None:
        rows = clip_rows(extract(manifest, tmp_path / "jsonl", code=3))
        parquet = extract(manifest, tmp_path / "parquet", "--row-format", "parquet", code=3)
        avro = extract(manifest, tmp_path / "avro", "--row-format", "avro", code=3)
        (one,), (other,) = parquet.glob("clips-*.parquet"), avro.glob("clips-*.avro")
        with other.open("rb") as stream:
            records = list(fastavro.reader(stream))
        assert pq.read_table(one).to_pylist() == records
        assert [json.loads(record["row"]) for record in records] == rows
        for record, row in zip(records, rows, strict=True):
            assert record["source"] == str(manifest)
            assert record["extracted_path"] == row["extracted_path"]
            assert record["start_sec"] * 1000 == pytest.approx(row["original_start_ms"])
            assert record["speaker_id"] == (None if "speaker_id" not in row else str(row["speaker_id"]))
        assert (parquet / "metadata.csv").read_bytes() == (avro / "metadata.csv").read_bytes()

    def test_parquet_index_has_types(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "a.wav")
        rows = [
            piece("a.wav", 0, 100, whole=2**60 + 1, part=2**60, mos=0.25, no=None, ok=True, tags=["x"], mixed=1)
            | {"huge": 2**70},
            piece("a.wav", 100, 200, whole=-3, part=0.5, mos=None, ok=False, tags=[], mixed="1", huge=1),
            piece("a.wav", 200, 300, speaker_id=4),
        ]  # fmt: skip
        out = extract(write_rows(tmp_path / "m.jsonl", rows), tmp_path / "out", "--index", "parquet")
        table = pq.read_table(out / "metadata.parquet")
        assert table.column_names == list(metadata_of(out)[0])
        types = {field.name: field.type for field in table.schema}
        assert types == {
            **dict.fromkeys(("filename", "original_file", "tags", "mixed", "huge", "no"), pa.string()),
            **dict.fromkeys(("segment_index", "whole", "speaker_id"), pa.int64()),
            **dict.fromkeys(("start_sec", "end_sec", "duration", "part", "mos"), pa.float64()),
            "ok": pa.bool_(),
        }
        first, second, third = table.to_pylist()
        assert (first["whole"], first["part"], first["huge"]) == (2**60 + 1, 2.0**60, str(2**70))
        assert (first["tags"], first["mixed"], first["no"], first["speaker_id"]) == ("['x']", "1", None, None)
        assert (second["whole"], second["part"], second["ok"], second["mos"]) == (-3, 0.5, False, None)
        assert (third["whole"], third["speaker_id"], third["tags"]) == (None, 4, None)
        assert (out / "metadata.csv").exists()

    def test_a_directory_gives_one_combined_manifest_besides(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "in" / "a.wav")
        write_rows(tmp_path / "in" / "2.jsonl", [piece("a.wav", 100, 200)])
        write_rows(tmp_path / "in" / "1.jsonl", [piece("a.wav", 200, 300, x="é"), piece("a.wav", 0, 100)])
        with (tmp_path / "in" / "1.jsonl").open("ab") as stream:
            stream.write(b"broken\n\n")
        out = extract(tmp_path / "in", tmp_path / "out", code=3)
        lines = (tmp_path / "in" / "1.jsonl").read_bytes().splitlines()[:2]
        lines += (tmp_path / "in" / "2.jsonl").read_bytes().splitlines()
        assert (out / "manifest.jsonl").read_bytes().splitlines() == lines
        assert [row["extracted_path"] for row in clip_rows(out)] == [f"a_segment_00{n}.wav" for n in range(3)]
        assert summary_of(out)["manifest_path"] == str(tmp_path / "in")
        assert {file["kind"] for file in manifest_of(out)["files"]} == {"clips", "index", "manifest", "failures-plan"}

    def test_nothing_to_cut_is_a_complete_set(self, tmp_path: Path) -> None:
        out = extract(write_rows(tmp_path / "m.jsonl", []), tmp_path / "out")
        assert names_in(out) == ["_MANIFEST.json", "extraction_summary.json", "summary.json"]
        assert summary_of(out)["total_segments"] == 0


def is_of_the_books(count: tuple[str, int]) -> bool:
    return not count[0].startswith("progress.")
