"""Rows of clips as tables."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from beam_curator.clips.naming import speaker_text
from beam_curator.clips.tables import claimed_duration
from beam_curator.json_lines import encode
from beam_curator.transforms.atomic_files import AtomicFile
from beam_curator.transforms.row_tables import RowTable

CLIPS_TABLE = RowTable.of(
    "ClipRow",
    pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("original_file", pa.string(), nullable=False),
            pa.field("extracted_path", pa.string()),
            pa.field("span_uuid", pa.string()),
            pa.field("speaker_id", pa.string()),
            pa.field("start_sec", pa.float64(), nullable=False),
            pa.field("end_sec", pa.float64(), nullable=False),
            pa.field("duration", pa.float64(), nullable=False),
            pa.field("real_start_sec", pa.float64()),
            pa.field("real_end_sec", pa.float64()),
            pa.field("sample_rate", pa.int64()),
            pa.field("n_channels", pa.int64()),
            pa.field("n_samples", pa.int64()),
            pa.field("n_bytes", pa.int64()),
            pa.field("sha256", pa.string()),
            pa.field("row", pa.large_string(), nullable=False),
        ]
    ),
)
"""Columns of a row of a clip: what people query, and the whole row as JSON."""

_AS_THEY_ARE = (
    "extracted_path",
    "span_uuid",
    "real_start_sec",
    "real_end_sec",
    "sample_rate",
    "n_channels",
    "n_samples",
    "n_bytes",
    "sha256",
)


def columns_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a clip as columns."""
    speaker = row.get("speaker_id")
    return {
        "source": row["_origin"]["source"],
        "offset": row["_origin"]["offset"],
        "original_file": row["original_file"],
        "speaker_id": None if speaker is None else speaker_text(speaker),
        "start_sec": row.get("original_start_ms", 0) / 1000,
        "end_sec": row["original_end_ms"] / 1000,
        "duration": float(claimed_duration(row)),
        **{name: row.get(name) for name in _AS_THEY_ARE},
        "row": encode(row).decode(),
    }


def write_clip_rows(file: AtomicFile, rows: Iterable[dict[str, Any]], row_format: str) -> None:
    """Write rows of clips in "parquet" or "avro"."""
    CLIPS_TABLE.write(file, map(columns_of, rows), row_format)
