"""Entries of a job of diarization as parts of its set, and as tables."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from beam_curator.diarization.turn_entries import files_of_entry
from beam_curator.entries.json_lines import encode
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.part_files import PartKind
from beam_curator.files.row_tables import RowTable
from beam_curator.intervals import Seconds
from beam_curator.recordings.asked import piece_of
from beam_curator.sets.counting import Count
from beam_curator.sets.set_kinds import EMBEDDING_TABLES

DIARIZE_STAGE = "diarize"

TURNS_TABLE = RowTable.of(
    "TurnsRow",
    pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("recording_id", pa.string(), nullable=False),
            pa.field("audio_filepath", pa.string()),
            pa.field("duration", pa.float64(), nullable=False),
            pa.field("num_turns", pa.int64(), nullable=False),
            pa.field("num_speakers", pa.int64(), nullable=False),
            pa.field("speakers_saturated", pa.bool_(), nullable=False),
            pa.field("rttm_filepath", pa.string()),
            pa.field("row", pa.large_string(), nullable=False),
        ]
    ),
)
"""Columns of an entry: what people query, and the whole row as JSON."""

_AS_THEY_ARE = ("recording_id", "duration", "num_speakers", "speakers_saturated")


def columns_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return an entry as columns."""
    path = row["audio_filepath"]
    return {
        "source": row["_origin"]["source"],
        "offset": row["_origin"]["offset"],
        "audio_filepath": path if isinstance(path, str) else None,
        "num_turns": len(row["segments"]),
        "rttm_filepath": row.get("rttm_filepath"),
        **{name: row[name] for name in _AS_THEY_ARE},
        "row": encode(row).decode(),
    }


def write_turn_rows(file: AtomicFile, rows: Iterable[dict[str, Any]], row_format: str) -> None:
    """Write entries in "parquet" or "avro"."""
    TURNS_TABLE.write(file, map(columns_of, rows), row_format)


def count_entry(row: dict[str, Any]) -> Iterator[Count]:
    """Yield the counts of an entry; times are in microseconds."""
    segments = row["segments"]
    yield "audio_us", round(_seconds_heard(row) * 1e6)
    yield "segments", len(segments)
    yield "speech_us", round(sum(segment["end"] - segment["start"] for segment in segments) * 1e6)
    yield "speakers", row["num_speakers"]
    if row["speakers_saturated"]:
        yield "saturated", 1
    if not segments:
        yield "silent", 1


def _seconds_heard(row: dict[str, Any]) -> Seconds:
    """Return the length in seconds of the piece that the row of an entry asked for, or of its whole recording."""
    start, end = piece_of({"offset": row.get("input_offset"), "duration": row.get("input_duration")})
    duration: Seconds = row["duration"]
    return (duration if end is None else min(end, duration)) - start


TURNS = PartKind(rows="turns", stage=DIARIZE_STAGE, count=count_entry, files_of=files_of_entry)
"""Entries of recordings, each with its files."""

SPEAKER_EMBEDDINGS, TURN_EMBEDDINGS = EMBEDDING_TABLES

TURNS_WITH_EMBEDDINGS = replace(
    TURNS,
    tables={
        SPEAKER_EMBEDDINGS: lambda row: int(row["num_speakers"]),
        TURN_EMBEDDINGS: lambda row: len(row["segments"]),
    },
)
"""The same, and an embedding of each speaker and of each turn."""
