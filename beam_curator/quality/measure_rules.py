"""The options of a job that measures the sound of recordings."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.entries.filter_rules import FilterRules
from beam_curator.entries.segment_options import SegmentOptions
from beam_curator.quality.scorers import named_scorers
from beam_curator.recordings.recording_options import RecordingOptions, limit_problems
from beam_curator.rules import check_types, number_problems, option, option_problems, raise_problems, same_option
from beam_curator.vad.vad_options import VadOptions, vad_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRules:
    """Which recordings and segments are measured, and how speech is told from noise."""

    audio_filepath_key: str = same_option(RecordingOptions, "audio_filepath_key")
    segments_key: str = same_option(FilterRules, "segments_key", note=", which get metrics.bandwidth")
    bandwidth: bool = option(True, "measure the bandwidth of segments")
    vad: str | None = same_option(VadOptions, "vad", note=", for snr_db")
    vad_path: str = same_option(VadOptions, "vad_path")
    scorers: tuple[str, ...] = option(
        (),
        "models that score how the sound is heard: dnsmos, where it is installed, utmos=FILE.onnx, sigmos=FILE.onnx, "
        "band=FILE.onnx",
        flag="scorer",
    )
    dnsmos_hop: float = option(1.0, "seconds between the windows of 9 s that dnsmos scores; more take less time")
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
        problems += vad_problems(self) + number_problems(self, {"dnsmos_hop": (0.1, 3600)})
        try:
            named_scorers(self.scorers)
        except ValueError as err:
            problems.append(str(err))
        raise_problems("measure", problems)
