from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.clips.clip_rows import CLIPS_TABLE
from beam_curator.diarization.turn_rows import TURNS_TABLE
from beam_curator.files import row_tables
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.row_files import WINDOWS_TABLE
from beam_curator.files.row_tables import (
    ROWS_A_GROUP,
    RowTable,
    StreamOf,
    count_table,
    read_row_file,
    read_table,
    table_of,
    write_table,
)
from beam_curator.separation.track_rows import TRACKS_TABLE

TABLE = RowTable.of(
    "Sample",
    pa.schema(
        [
            pa.field("name", pa.string(), nullable=False),
            pa.field("n", pa.int64()),
            pa.field("x", pa.float64()),
            pa.field("ok", pa.bool_()),
            pa.field("row", pa.large_string(), nullable=False),
        ]
    ),
)
ROWS: list[dict[str, Any]] = [
    {"name": f"{number}é", "n": number if number % 2 else None, "x": number / 3, "ok": number % 3 == 0, "row": "{}"}
    for number in range(2 * ROWS_A_GROUP + 7)
]


def write(path: Path, rows: list[dict[str, Any]], row_format: str, table: RowTable = TABLE) -> bytes:
    with AtomicFile(str(path.parent), path.name) as file:
        table.write(file, iter(rows), row_format)
    return path.read_bytes()


@pytest.mark.parametrize("row_format", ["parquet", "avro"])
class TestBothFormats:
    def test_rows_come_back(self, tmp_path: Path, row_format: str) -> None:
        path = tmp_path / f"a.{row_format}"
        write(path, ROWS, row_format)
        assert list(read_table(str(path))) == ROWS
        assert count_table(str(path)) == len(ROWS)

    def test_a_hidden_part_has_the_format_in_its_name(self, tmp_path: Path, row_format: str) -> None:
        path = tmp_path / f".a.{row_format}.part.beam_curator.tmp"
        write(path, ROWS, row_format)
        assert list(read_table(str(path))) == ROWS
        assert count_table(str(path)) == len(ROWS)

    def test_no_rows(self, tmp_path: Path, row_format: str) -> None:
        path = tmp_path / f"a.{row_format}"
        write(path, [], row_format)
        assert list(read_table(str(path))) == []
        assert count_table(str(path)) == 0

    def test_twice_the_same_bytes(self, tmp_path: Path, row_format: str) -> None:
        assert write(tmp_path / f"a.{row_format}", ROWS, row_format) == write(
            tmp_path / f"b.{row_format}", ROWS, row_format
        )

    def test_what_the_schema_does_not_hold_leaves_no_file(self, tmp_path: Path, row_format: str) -> None:
        with pytest.raises((ValueError, TypeError)):
            write(tmp_path / f"a.{row_format}", [{"name": None, "row": "{}", "n": "text"}], row_format)
        assert not list(tmp_path.iterdir())


def test_avro_says_what_parquet_says() -> None:
    tables = {
        "Sample": TABLE,
        "ClipRow": table_of(CLIPS_TABLE),
        "TurnsRow": table_of(TURNS_TABLE),
        "TrackRow": table_of(TRACKS_TABLE),
        "CuratedRow": WINDOWS_TABLE,
    }
    for name, table in tables.items():
        assert (table.avro["name"], table.avro["namespace"]) == (name, "beam_curator")
        assert [field["name"] for field in table.avro["fields"]] == table.parquet.names
        nullable = [isinstance(field["type"], list) and "null" in field["type"] for field in table.avro["fields"]]
        assert nullable == [field.nullable for field in table.parquet]
        assert table.parquet.names[-1] == "row"
        fastavro.parse_schema(dict(table.avro))


def test_groups_are_of_a_fixed_number_of_rows(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", ROWS, "parquet")
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [ROWS_A_GROUP, ROWS_A_GROUP, 7]


def test_a_group_ends_early_where_rows_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_tables, "BYTES_A_GROUP", 10)
    rows = [ROWS[k] | {"row": "x" * n_bytes} for k, n_bytes in enumerate((4, 6, 1, 30, 2, 2))]
    write(tmp_path / "a.parquet", rows, "parquet")
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [2, 1, 1, 2]
    assert list(read_table(str(tmp_path / "a.parquet"))) == rows


def test_a_stream_counts_what_passes(tmp_path: Path) -> None:
    with AtomicFile(str(tmp_path), "a") as file:
        stream = StreamOf(file)
        assert stream.writable()
        assert (stream.write(b"abc"), stream.write(memoryview(b"de")), stream.tell()) == (3, 2, 5)
        assert not stream.seekable()
        with pytest.raises(io.UnsupportedOperation):
            stream.seek(0)
    assert (tmp_path / "a").read_bytes() == b"abcde"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
CLIP_ROW = {
    "original_file": "a.wav",
    "original_start_ms": 0.5,
    "original_end_ms": 1000,
    "extracted_path": "a_segment_000.wav",
    "segment_index": 0,
    "sha256": "00",
    "n_bytes": 44,
    "sample_rate": 8000,
    "n_channels": 1,
    "n_samples": 10,
    "real_start_sec": 0.0,
    "real_end_sec": 1.0,
    "_origin": {"source": "m.jsonl", "offset": 12},
}


class TestClipRows:
    def test_columns(self) -> None:
        assert CLIPS_TABLE.values(CLIP_ROW | {"speaker_id": ["x", 1]}) | {"row": ""} == {
            "source": "m.jsonl",
            "offset": 12,
            "original_file": "a.wav",
            "extracted_path": "a_segment_000.wav",
            "speaker_id": '["x",1]',
            "span_uuid": None,
            "start_sec": 0.0005,
            "end_sec": 1.0,
            "duration": 0.9995,
            "real_start_sec": 0.0,
            "real_end_sec": 1.0,
            "sample_rate": 8000,
            "n_channels": 1,
            "n_samples": 10,
            "n_bytes": 44,
            "sha256": "00",
            "row": "",
        }

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(st.dictionaries(st.text(max_size=6), JSON, max_size=4), max_size=4),
        st.sampled_from(["parquet", "avro"]),
    )
    def test_rows_of_any_json_come_back(
        self, tmp_path_factory: pytest.TempPathFactory, more: list[dict[str, Any]], row_format: str
    ) -> None:
        rows = [fields | {"speaker_id": fields.get("x")} | CLIP_ROW for fields in more]
        path = tmp_path_factory.mktemp("rows") / f"clips.{row_format}"
        with AtomicFile(str(path.parent), path.name) as file:
            write_table(CLIPS_TABLE, file, iter(rows), row_format)
        assert list(read_row_file(str(path))) == rows
