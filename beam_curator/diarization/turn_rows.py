"""Entries of a job of diarization as rows of a set: their columns and their counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from beam_curator.diarization.turn_entries import files_of_entry
from beam_curator.entries.own_keys import UNMIXED_KEY
from beam_curator.intervals import Seconds
from beam_curator.recordings.asked import piece_of
from beam_curator.recordings.channel_files import path_text
from beam_curator.sets.columns import Column, Table
from beam_curator.sets.counting import Count, microseconds
from beam_curator.sets.recording_jobs import RowKind
from beam_curator.sets.set_kinds import EMBEDDING_TABLES

DIARIZE_STAGE = "diarize"


def _computed_columns(row: dict[str, Any]) -> dict[str, Any]:
    return {"audio_filepath": path_text(row["audio_filepath"]), "num_turns": len(row["segments"])}


TURNS_TABLE = Table(
    name="TurnsRow",
    columns=(
        Column("recording_id", "text"),
        Column("audio_filepath", "text", nullable=True),
        Column("duration", "float"),
        Column("num_turns", "int"),
        Column("num_speakers", "int"),
        Column("speakers_saturated", "bool"),
        Column("rttm_filepath", "text", nullable=True),
    ),
    computed=_computed_columns,
)


def count_entry(row: dict[str, Any]) -> Iterator[Count]:
    """Yield the counts of an entry; times are in microseconds."""
    segments = row["segments"]
    yield "audio_us", microseconds(_seconds_heard(row))
    yield "segments", len(segments)
    yield "speech_us", microseconds(sum(segment["end"] - segment["start"] for segment in segments))
    yield "speakers", row["num_speakers"]
    if row.get("crosstalk_seconds"):
        yield "crosstalk_us", round(row["crosstalk_seconds"] * 1e6)
    if "non_speech_seconds" in row:
        yield "non_speech_us", microseconds(row["non_speech_seconds"])
    if "clipped_ratio" in row:
        yield "clipped", 1
    if UNMIXED_KEY in row:
        yield "unmixed", 1
    if row["speakers_saturated"]:
        yield "saturated", 1
    if not segments:
        yield "silent", 1


def _seconds_heard(row: dict[str, Any]) -> Seconds:
    """Return the length in seconds of the piece that the row of an entry asked for, or of its whole recording."""
    asked = {"offset": row.get("input_offset"), "duration": row.get("input_duration")}
    start, end = piece_of(asked | {"track_duration": row.get("track_duration")})
    duration: Seconds = row["duration"]
    return (duration if end is None else min(end, duration)) - start


TURNS = RowKind(rows="turns", stage=DIARIZE_STAGE, table=TURNS_TABLE, count=count_entry, files_of=files_of_entry)
"""Entries of recordings, each with its files."""

SPEAKER_EMBEDDINGS, TURN_EMBEDDINGS = EMBEDDING_TABLES

TURNS_WITH_EMBEDDINGS = replace(TURNS, tables=EMBEDDING_TABLES)
"""The same, and an embedding of each speaker and of each turn."""
