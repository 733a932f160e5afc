"""Rows of tracks as parts of their set, and as tables."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from beam_curator.diarization.turn_entries import files_of_entry
from beam_curator.entries.json_lines import encode
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.part_files import PartKind
from beam_curator.files.row_tables import RowTable
from beam_curator.sets.counting import Count

SEPARATE_STAGE = "separate"

TRACKS_TABLE = RowTable.of(
    "TrackRow",
    pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("recording_id", pa.string(), nullable=False),
            pa.field("speaker_id", pa.string(), nullable=False),
            pa.field("audio_filepath", pa.string(), nullable=False),
            pa.field("source_audio_filepath", pa.string(), nullable=False),
            pa.field("duration", pa.float64(), nullable=False),
            pa.field("track_duration", pa.float64(), nullable=False),
            pa.field("num_spans", pa.int64(), nullable=False),
            pa.field("row", pa.large_string(), nullable=False),
        ]
    ),
)
"""Columns of the row of a track: what people query, and the whole row as JSON."""

_AS_THEY_ARE = (
    "recording_id",
    "speaker_id",
    "audio_filepath",
    "source_audio_filepath",
    "duration",
    "track_duration",
)


def columns_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a track as columns."""
    return {
        "source": row["_origin"]["source"],
        "offset": row["_origin"]["offset"],
        **{name: row[name] for name in _AS_THEY_ARE},
        "num_spans": len(row["segments"]),
        "row": encode(row).decode(),
    }


def write_track_rows(file: AtomicFile, rows: Iterable[dict[str, Any]], row_format: str) -> None:
    """Write rows of tracks in "parquet" or "avro"."""
    TRACKS_TABLE.write(file, map(columns_of, rows), row_format)


def count_track(row: dict[str, Any]) -> Iterator[Count]:
    """Yield the counts of a track's row: its spans, and their length in microseconds."""
    yield "spans", len(row["segments"])
    yield "spans_us", round(row["duration"] * 1e6)


TRACKS = PartKind(rows="tracks", stage=SEPARATE_STAGE, count=count_track, files_of=files_of_entry)
"""Rows of tracks, each with its track."""
