"""Rows of clips as rows of a set: their columns, their files and their counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from beam_curator.clips.tables import claimed_duration, metadata_of_clip_row
from beam_curator.entries.own_keys import UNMIXED_KEY
from beam_curator.recordings.safe_names import speaker_text
from beam_curator.sets.columns import Column, Table
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import WrittenFile
from beam_curator.sets.recording_jobs import RowKind

CUT_STAGE = "cut"


def _computed_columns(row: dict[str, Any]) -> dict[str, Any]:
    speaker = row.get("speaker_id")
    return {
        "speaker_id": None if speaker is None else speaker_text(speaker),
        "start_sec": row.get("original_start_ms", 0) / 1000,
        "end_sec": row["original_end_ms"] / 1000,
        "duration": float(claimed_duration(row)),
    }


CLIPS_TABLE = Table(
    name="ClipRow",
    columns=(
        Column("original_file", "text"),
        Column("extracted_path", "text", nullable=True),
        Column("span_uuid", "text", nullable=True),
        Column("speaker_id", "text", nullable=True),
        Column("start_sec", "float"),
        Column("end_sec", "float"),
        Column("duration", "float"),
        Column("real_start_sec", "float", nullable=True),
        Column("real_end_sec", "float", nullable=True),
        Column("sample_rate", "int", nullable=True),
        Column("n_channels", "int", nullable=True),
        Column("n_samples", "int", nullable=True),
        Column("n_bytes", "int", nullable=True),
        Column("sha256", "text", nullable=True),
    ),
    computed=_computed_columns,
)


def clip_file(row: dict[str, Any]) -> tuple[WrittenFile, ...]:
    """Return the one file of a row: its clip."""
    return (WrittenFile(row["extracted_path"], row["n_bytes"], row["sha256"]),)


def count_clip(row: dict[str, Any]) -> Iterator[Count]:
    """Yield the counts of a clip's row: microseconds of audio, bytes, whether it was clamped or not mixed."""
    yield "audio_us", round(row["n_samples"] * 1e6 / row["sample_rate"])
    yield "bytes", row["n_bytes"]
    if row.get("clamped"):
        yield "clamped", 1
    if UNMIXED_KEY in row:
        yield "unmixed", 1


CLIPS = RowKind(
    rows="clips",
    stage=CUT_STAGE,
    table=CLIPS_TABLE,
    count=count_clip,
    files_of=clip_file,
    columns_of=metadata_of_clip_row,
)
"""Rows of clips, each with its clip."""
