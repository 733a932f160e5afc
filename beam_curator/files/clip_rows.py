"""Rows of clips as tables."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from beam_curator.clips.tables import claimed_duration, metadata_of_clip_row
from beam_curator.entries.json_lines import encode
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.part_files import PartKind
from beam_curator.files.row_tables import RowTable
from beam_curator.recordings.safe_names import speaker_text
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import WrittenFile

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


def clip_file(row: dict[str, Any]) -> tuple[WrittenFile, ...]:
    """Return the one file of a row: its clip."""
    return (WrittenFile(row["extracted_path"], row["n_bytes"], row["sha256"]),)


def count_clip(row: dict[str, Any]) -> Iterator[Count]:
    """Yield the counts of a clip's row: microseconds of audio, bytes, and whether it was clamped."""
    yield "audio_us", round(row["n_samples"] * 1e6 / row["sample_rate"])
    yield "bytes", row["n_bytes"]
    if row.get("clamped"):
        yield "clamped", 1


CLIPS = PartKind(rows="clips", stage="cut", count=count_clip, files_of=clip_file, columns_of=metadata_of_clip_row)
"""Rows of clips, each with its clip."""
