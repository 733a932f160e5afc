"""The options of a job that measures the sound of recordings."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.entries.segment_options import SegmentOptions
from beam_curator.recordings.recording_options import RecordingOptions, limit_problems
from beam_curator.rules import check_types, option, option_problems, raise_problems, same_option
from beam_curator.vad.vad_options import VadOptions, vad_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRules:
    """Which recordings and segments are measured, and how speech is told from noise."""

    audio_filepath_key: str = same_option(RecordingOptions, "audio_filepath_key")
    segments_key: str = option("segments", "key of the segments, which get metrics.bandwidth")
    bandwidth: bool = option(True, "measure the bandwidth of segments")
    vad: str | None = same_option(VadOptions, "vad", note=", for snr_db")
    vad_path: str = same_option(VadOptions, "vad_path")
    audio_root: str = same_option(RecordingOptions, "audio_root")
    allowed_root: tuple[str, ...] = same_option(RecordingOptions, "allowed_root")
    strict: bool = same_option(
        SegmentOptions,
        "strict",
        help_text="refuse a row for one bad segment; otherwise it stays as it is, and is counted",
    )
    max_duration: float = same_option(RecordingOptions, "max_duration")
    max_decoded_bytes: int = same_option(RecordingOptions, "max_decoded_bytes")

    def __post_init__(self) -> None:
        check_types("measure", self)
        problems = option_problems(self) + limit_problems(self)
        keys = ("audio_filepath_key", "segments_key")
        problems += [f"{name} is empty: name a key" for name in keys if not getattr(self, name)]
        problems += vad_problems(self)
        raise_problems("measure", problems)
