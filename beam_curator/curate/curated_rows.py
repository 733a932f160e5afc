"""Rows of clips, and of all that filters rejected: their keys, their columns and their counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_curator.curate.clip_plan import PlannedClip
from beam_curator.curate.filters import Filter, Scores, Verdict
from beam_curator.diarization.turn_entries import files_of_entry
from beam_curator.entries.own_keys import ORIGIN_KEY, moved_aside
from beam_curator.sets.columns import Column, Table
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import WrittenFile
from beam_curator.sets.recording_jobs import RowKind

CURATE_STAGE = "curate"
CLIPS_FOLDER = "clips"
REJECTED = "rejected"

SOUND_KEYS = ("rms_dbfs", "peak_dbfs", "clipped_ratio", "snr_db", "bandwidth", "band_prediction")
"""What is measured of every clip."""

PASSED_KEYS = ("speaker_id", "num_speakers", "speaking_duration", "sample_rate", *SOUND_KEYS)
"""The keys among which `passthrough_keys` chooses, besides those of scores."""

_OWN_KEYS = frozenset(
    {
        *PASSED_KEYS, "original_file", "original_start_ms", "original_end_ms", "duration_ms", "duration", "spans",
        "channel", "source_sha256", "recording_id", "models", "config_sha256", "filters_passed", "filters_failed",
        "files", "offset", ORIGIN_KEY,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFacts:
    """Facts about a recording that the rows of all its clips have.

    Attributes:
      original_file: as the row names it.
      recording_id: names its files.
      sample_rate: its own, Hz.
      sha256: of its bytes; "" where that is not known.
      models: name and hash of each, by what it does.
      config_sha256: of the options that decide the clips.
    """

    original_file: str
    recording_id: str
    sample_rate: int
    sha256: str
    models: Mapping[str, Mapping[str, str]]
    config_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """Facts about a clip.

    Attributes:
      recording: that it is of.
      plan: the samples that it holds.
      num_speakers: of the recording; None where speakers are not told apart.
      channel: the only one that was heard of several; None for the mean.
      scores: what was measured.
      verdict: of the filters.
    """

    recording: RecordingFacts
    plan: PlannedClip
    num_speakers: int | None
    channel: int | None
    scores: Scores
    verdict: Verdict


def clip_row(
    fields: Mapping[str, Any],
    facts: ClipFacts,
    *,
    filepath_key: str = "audio_filepath",
    passed: Sequence[str] | None = None,
    file: WrittenFile | None = None,
) -> dict[str, Any]:
    """Return the row of a clip.

    Keys of the input's row stay in their order; an own value under a key that is added here moves to the same key with
    `input_` before it. Milliseconds are rounded down, as in the reference; `spans` are exact.

    Args:
      fields: those of the row that asked for the recording.
      facts: of the clip.
      filepath_key: key that names the recording in the row.
      passed: the `PASSED_KEYS` that it has; None for all.
      file: the clip; None where none was written.
    """
    row = _values(facts, passed) | {"files": [] if file is None else [list(file)]}
    named = {} if file is None else {"audio_filepath": file.name}
    own = _OWN_KEYS | facts.scores.keys() | ({"audio_filepath"} - {filepath_key} if file is not None else set())
    return moved_aside(fields, own) | named | row


def _values(facts: ClipFacts, passed: Sequence[str] | None) -> dict[str, Any]:
    recording, plan = facts.recording, facts.plan
    rate = recording.sample_rate
    start_ms, end_ms = (sample * 1000 // rate for sample in (plan.first, plan.stop))
    about = {
        "speaker_id": plan.speaker or None,
        "num_speakers": facts.num_speakers,
        "speaking_duration": round(plan.n_held / rate, 6) if plan.speaker else None,
        "sample_rate": rate,
        **facts.scores,
    }
    values = {
        "original_file": recording.original_file,
        "original_start_ms": start_ms,
        "original_end_ms": end_ms,
        "duration_ms": end_ms - start_ms,
        "duration": round(plan.n_samples / rate, 6),
        **{key: value for key, value in about.items() if passed is None or key in passed},
        "channel": facts.channel,
        "spans": [list(span) for span in plan.spans],
        "source_sha256": recording.sha256 or None,
        "recording_id": recording.recording_id,
        "models": {task: dict(model) for task, model in recording.models.items()},
        "config_sha256": recording.config_sha256,
        "filters_passed": list(facts.verdict.passed),
        "filters_failed": list(facts.verdict.failed),
    }
    return {key: value for key, value in values.items() if value is not None}


def rejected_row(
    recording: RecordingFacts,
    level: str,
    plan: PlannedClip,
    by: Filter,
    scores: Scores,
) -> dict[str, Any]:
    """Return the row of something that a filter dropped: the reason, the score and the threshold.

    Args:
      recording: that it is of.
      level: what was dropped: a recording, a piece of speech or a clip.
      plan: its samples.
      by: the filter.
      scores: all that was measured.
    """
    row = {
        "original_file": recording.original_file,
        "level": level,
        "reason": by.name,
        "key": by.key,
        "score": scores.get(by.key),
        "threshold": by.limit,
        "original_start_ms": plan.first * 1000 // recording.sample_rate,
        "original_end_ms": plan.stop * 1000 // recording.sample_rate,
        "speaker_id": plan.speaker or None,
        "spans": [list(span) for span in plan.spans],
        "recording_id": recording.recording_id,
        "scores": {key: value for key, value in scores.items() if value is not None},
    }
    return {key: value for key, value in row.items() if value is not None}


def clip_name(recording_id: str, plan: PlannedClip, channel: int | None, audio_format: str) -> str:
    """Return the name of a clip's file below the output: who speaks, and the samples that it is cut from.

    Example:
      >>> clip_name("talk", PlannedClip(spans=((8000, 16000),), speaker="speaker_1"), None, "flac")
      'clips/talk/speaker_1_000008000-000016000.flac'
    """
    who = plan.speaker or ("speech" if channel is None else f"channel_{channel}")
    return f"{CLIPS_FOLDER}/{recording_id}/{who}_{plan.first:09d}-{plan.stop:09d}.{audio_format}"


def count_clip(row: dict[str, Any]) -> Iterator[Count]:
    """Yield the counts of a clip's row: samples of the recording that it holds, and its length in microseconds."""
    yield "samples", sum(stop - first for first, stop in row["spans"])
    yield "clips_us", round(row["duration"] * 1e6)
    for name in row["filters_failed"]:
        yield f"annotated.{name}", 1


CLIPS_TABLE = Table(
    name="CuratedClip",
    columns=(
        Column("recording_id", "text"),
        Column("speaker_id", "text", nullable=True),
        Column("audio_filepath", "text", nullable=True),
        Column("original_file", "text"),
        Column("original_start_ms", "int"),
        Column("original_end_ms", "int"),
        Column("duration", "float"),
        Column("snr_db", "float", nullable=True),
        Column("bandwidth", "int", nullable=True),
        *(Column(key, "float", nullable=True) for key in ("dnsmos_ovrl", "utmos_mos", "sigmos_ovrl")),
    ),
    computed=lambda row: {},
)

REJECTED_TABLE = Table(
    name="RejectedSpeech",
    columns=(
        Column("recording_id", "text"),
        Column("level", "text"),
        Column("reason", "text"),
        Column("original_file", "text"),
        Column("original_start_ms", "int"),
        Column("original_end_ms", "int"),
    ),
    computed=lambda row: {},
)

CURATED_CLIPS = RowKind(
    rows="clips",
    stage=CURATE_STAGE,
    table=CLIPS_TABLE,
    count=count_clip,
    files_of=files_of_entry,
    tables=(REJECTED,),
    tables_of_rows={REJECTED: REJECTED_TABLE},
)
"""Rows of clips, each with its clip, and rows of what filters dropped."""
