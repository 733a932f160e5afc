"""Rows with measures of their recordings, as rows of a set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from beam_curator.entries.own_keys import UNMIXED_KEY, moved_aside
from beam_curator.intervals import Seconds
from beam_curator.quality.sound_meter import Sound
from beam_curator.recordings.channel_files import path_text
from beam_curator.sets.columns import Column, Table
from beam_curator.sets.counting import Count, microseconds
from beam_curator.sets.recording_jobs import RowKind
from beam_curator.sets.set_kinds import MEASURE

MEASURE_STAGE = "measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Measures of a recording, or of a piece of one.

    Attributes:
      sample_rate: its own, Hz.
      n_channels: its own.
      seconds: its length.
      sound: levels, clipping, speech over the rest.
      bandwidths: of segments, Hz, by their place in the list.
      unmixed: the channel that was measured in place of all, whose mean loses sound; None where the mean was.
      scores: of models, by key.
    """

    sample_rate: int
    n_channels: int
    seconds: Seconds
    sound: Sound
    bandwidths: Mapping[int, int] = field(default_factory=dict)
    unmixed: int | None = None
    scores: Mapping[str, float | str | None] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Return the values by the keys of a row."""
        known = {"duration": self.seconds, "audio_sample_rate": self.sample_rate, "num_channels": self.n_channels}
        unmixed = {} if self.unmixed is None else {UNMIXED_KEY: self.unmixed}
        return known | unmixed | asdict(self.sound) | dict(self.scores)


def measured_row(fields: Mapping[str, Any], measures: Measures, segments_key: str) -> dict[str, Any]:
    """Return a row with its measures.

    Keys stay in their order. A value of the row's own that differs from the one that was measured moves to the same key
    with `input_` before it, also in the `metrics` of a segment. The `duration` of a track stays: it says how long its
    speaker talks.

    Example:
      >>> sound = Sound(rms_dbfs=-20.0, peak_dbfs=-3.0, clipped_ratio=0.0, snr_db=None)
      >>> measures = Measures(sample_rate=8000, n_channels=1, seconds=2.0, sound=sound, bandwidths={0: 3400})
      >>> row = measured_row({"duration": 2.5, "segments": [{"start": 0, "end": 1}]}, measures, "segments")
      >>> row["duration"], row["input_duration"], row["segments"][0]["metrics"]
      (2.0, 2.5, {'bandwidth': 3400})
    """
    values = measures.values()
    if fields.get("track_duration") is not None:
        del values["duration"]
    row = _with_values(fields, values)
    if measures.bandwidths:
        segments = list(row[segments_key])
        for place, bandwidth in measures.bandwidths.items():
            metrics = segments[place].get("metrics")
            given = metrics if isinstance(metrics, dict) else {}
            segments[place] = segments[place] | {"metrics": _with_values(given, {"bandwidth": bandwidth})}
        row[segments_key] = segments
    return row


def _with_values(fields: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    others = {key for key, value in values.items() if fields.get(key) not in (None, value)}
    kept = moved_aside(fields, others) if others else dict(fields)
    return kept | {key: value for key, value in values.items() if key in others or kept.get(key) is None}


MEASURED_TABLE = Table(
    name="MeasuredRow",
    columns=(
        Column("audio_filepath", "text", nullable=True),
        Column("duration", "float"),
        Column("audio_sample_rate", "int"),
        Column("num_channels", "int"),
        Column("rms_dbfs", "float", nullable=True),
        Column("peak_dbfs", "float", nullable=True),
        Column("clipped_ratio", "float"),
        Column("snr_db", "float", nullable=True),
    ),
    computed=lambda row: {"audio_filepath": path_text(row.get("audio_filepath"))},
)


def count_measured(row: dict[str, Any]) -> Iterator[Count]:
    """Yield the counts of a measured row; times are in microseconds."""
    length = row["duration"] if row.get("track_duration") is None else row["track_duration"]
    yield "audio_us", microseconds(length)
    if row["clipped_ratio"]:
        yield "clipped", 1
    if row["peak_dbfs"] is None:
        yield "silent", 1
    if row["snr_db"] is None:
        yield "no_snr", 1
    if UNMIXED_KEY in row:
        yield "unmixed", 1


MEASURED = RowKind(rows=MEASURE.rows, stage=MEASURE_STAGE, table=MEASURED_TABLE, count=count_measured)
"""Rows, each with what was measured."""
