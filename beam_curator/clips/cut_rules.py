"""The rules by which pieces are cut out of recordings."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.audio_formats import MONO
from beam_curator.clips.requests import WHATS
from beam_curator.option_names import accepts_former_names
from beam_curator.recordings.recording_options import RecordingOptions, limit_problems
from beam_curator.rules import check_types, option, option_problems, raise_problems, same_option

OVERRUNS = ("clamp", "fail")
MAX_SAMPLE_RATE = 384_000


@accepts_former_names
@dataclass(frozen=True, slots=True, kw_only=True)
class CutRules:
    """The options that decide which pieces are cut out of a recording, and how clips are made of them."""

    what: str = option(
        "auto",
        "pieces to cut: rows with original_file, or the segments, diar_segments or filtered_windows of entries; "
        "auto: the first of rows, filtered_windows, segments, diar_segments that a row has",
        choices=WHATS,
    )
    audio_filepath_key: str = same_option(
        RecordingOptions,
        "audio_filepath_key",
        default="",
        note=" (default: original_file, or audio_filepath in entries)",
        formerly="audio_key",
    )
    audio_root: str = same_option(RecordingOptions, "audio_root")
    on_overrun: str = option(
        "clamp",
        "if a piece reaches beyond its recording; clamp: cut the part inside; fail: report a failure",
        choices=OVERRUNS,
    )
    mono: str = option("keep", "channels of a clip; keep: all; mix: their mean; first: the first only", choices=MONO)
    sample_rate: int | None = option(None, "sample rate of the clips in Hz (default: the recording's)")
    allowed_root: tuple[str, ...] = same_option(RecordingOptions, "allowed_root")
    max_duration: float = same_option(RecordingOptions, "max_duration")
    max_decoded_bytes: int = same_option(RecordingOptions, "max_decoded_bytes")

    def __post_init__(self) -> None:
        rate = self.sample_rate
        check_types("clips", self)
        problems = option_problems(self) + limit_problems(self)
        if rate is not None and not 1000 <= rate <= MAX_SAMPLE_RATE:
            problems.append(f"sample_rate {rate} must be 1000-{MAX_SAMPLE_RATE}: choose a rate between them")
        raise_problems("clips", problems)
