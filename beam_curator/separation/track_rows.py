"""Rows of tracks as rows of a set: their columns and their counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from beam_curator.diarization.turn_entries import files_of_entry
from beam_curator.sets.columns import Column, Table
from beam_curator.sets.counting import Count, microseconds
from beam_curator.sets.recording_jobs import RowKind

SEPARATE_STAGE = "separate"

TRACKS_TABLE = Table(
    name="TrackRow",
    columns=(
        Column("recording_id", "text"),
        Column("speaker_id", "text"),
        Column("audio_filepath", "text"),
        Column("source_audio_filepath", "text"),
        Column("duration", "float"),
        Column("track_duration", "float"),
        Column("num_spans", "int"),
    ),
    computed=lambda row: {"num_spans": len(row["segments"])},
)


def count_track(row: dict[str, Any]) -> Iterator[Count]:
    """Yield the counts of a track's row: its spans, and their length in microseconds."""
    yield "spans", len(row["segments"])
    yield "spans_us", microseconds(row["duration"])


TRACKS = RowKind(rows="tracks", stage=SEPARATE_STAGE, table=TRACKS_TABLE, count=count_track, files_of=files_of_entry)
"""Rows of tracks, each with its track."""
