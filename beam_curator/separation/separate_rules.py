"""The options of a job of separation, besides the rules by which speech is shared out."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.entries.segment_options import SegmentOptions
from beam_curator.option_names import accepts_former_names
from beam_curator.recordings.recording_options import RecordingOptions, limit_problems
from beam_curator.rules import check_types, option, raise_problems, same_option
from beam_curator.sets.set_options import RowOutputOptions

TRACKS_FOLDER = "tracks"
"""Of the tracks, below the output."""


@accepts_former_names
@dataclass(frozen=True, slots=True, kw_only=True)
class SeparateRules:
    """Which recordings rows name, and where the turns of their speakers are."""

    audio_filepath_key: str = same_option(RecordingOptions, "audio_filepath_key", formerly="filepath_key")
    diar_segments_key: str = option(
        "", "key of the turns (default: diar_segments, or segments if that names no speakers)"
    )
    audio_root: str = same_option(RecordingOptions, "audio_root")
    allowed_root: tuple[str, ...] = same_option(RecordingOptions, "allowed_root")
    strict: bool = same_option(SegmentOptions, "strict")
    max_duration: float = same_option(RecordingOptions, "max_duration")
    max_decoded_bytes: int = same_option(RecordingOptions, "max_decoded_bytes")

    def __post_init__(self) -> None:
        check_types("separate", self)
        key = self.audio_filepath_key
        problems = [] if key else ["audio_filepath_key is empty: name a key"]
        if self.diar_segments_key and self.diar_segments_key == key:
            problems.append(f"diar_segments_key and audio_filepath_key are both {key!r}: name the key of the turns")
        raise_problems("separate", problems + limit_problems(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackOutputOptions(RowOutputOptions):
    """The formats of tracks and rows, and the number of the files of rows."""

    output_format: AudioFormat = same_option(
        ClipOutputOptions,
        "output_format",
        help_text="format of the tracks; wav and flac keep the recording's bit depth",
    )
