"""The options of a job of curation; the sections of the reference's configuration have its names and its defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.curate.score_rules import SCORE_KEYS, SCORED, Dnsmos, Sigmos, Utmos, score_problems
from beam_curator.diarization.diarize_rules import SPLIT, DiarizeRules, channels_problems
from beam_curator.option_names import takes_presets
from beam_curator.recordings.recording_options import RecordingOptions, limit_problems
from beam_curator.rules import check_types, number_problems, option, option_problems, raise_problems, same_option
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.sets.set_options import RowOutputOptions
from beam_curator.vad.speech_rules import SpeechRules
from beam_curator.vad.vad_options import ENERGY, SILERO, VadOptions
from beam_curator.windows.window_rules import WindowRules

ENGINES = (SILERO, ENERGY)
OTHERS = ("silence", "split", "keep")
FULL_BAND, NARROW_BAND = BANDS = ("full_band", "narrow_band")
DROP, ANNOTATE = ON_REJECT = ("drop", "annotate")
FILTERS = (
    "strict_sample_rate", "sample_rate", "channels", "band", "short", "long", "bandwidth", "clipped", "level", "snr",
    *SCORE_KEYS,
)  # fmt: skip
"""Names of all filters, in the order in which they are asked."""

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MonoConversion:
    """The sample rate that recordings have to have; nothing is resampled."""

    output_sample_rate: int = option(48000, "sample rate that --strict-sample-rate asks for, in Hz")
    strict_sample_rate: bool = option(False, "drop recordings of any other sample rate")

    def __post_init__(self) -> None:
        check_types("mono_conversion", self)
        raise_problems("mono_conversion", number_problems(self, {"output_sample_rate": (1, math.inf)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateVad:
    """Where anybody speaks."""

    enable: bool = option(True, "look for speech; otherwise a recording is taken as a whole", flag="vad-enable")
    engine: str = option(
        SILERO, "silero: the model silero-vad; energy: all that is not dead air", flag="vad", choices=ENGINES
    )
    vad_path: str = same_option(VadOptions, "vad_path")
    min_duration_sec: float = option(2.0, "shortest speech to keep, in seconds, before padding")
    max_duration_sec: float = option(60.0, "longest piece of speech, in seconds; longer ones are cut")
    threshold: float = option(0.5, "probability from which on there is speech")
    min_interval_ms: int = option(500, "shorter silences do not end a piece of speech, in milliseconds")
    speech_pad_ms: int = option(300, "added before and after speech, in milliseconds")
    neg_threshold: float | None = option(
        None, "probability below which speech may end (default: 0.15 less than --threshold)"
    )

    def __post_init__(self) -> None:
        problems = option_problems(self)
        raise_problems("vad", problems)
        problems = number_problems(
            self,
            {
                "min_duration_sec": (0, _DAY),
                "max_duration_sec": (0, _DAY),
                "threshold": (0, 1),
                "min_interval_ms": (0, 60_000),
                "speech_pad_ms": (0, 60_000),
            },
        )
        if not problems and self.min_duration_sec >= self.max_duration_sec:
            problems.append(
                f"min_duration_sec {self.min_duration_sec:g} is not below max_duration_sec "
                f"{self.max_duration_sec:g}: lower it"
            )
        if self.vad_path and self.engine != SILERO:
            problems.append(f"vad_path is of silero, and engine is {self.engine}: leave one of them out")
        raise_problems("vad", problems)
        self.speech_rules()

    def speech_rules(self) -> SpeechRules:
        """Return the rules by which probabilities become spans of speech.

        Raises:
          ValueError: they cannot hold.
        """
        return SpeechRules(
            threshold=self.threshold,
            min_speech=self.min_duration_sec,
            max_speech=self.max_duration_sec,
            min_silence=self.min_interval_ms / 1000,
            padding=self.speech_pad_ms / 1000,
            neg_threshold=self.neg_threshold,
        )

    def bare_rules(self) -> SpeechRules:
        """Return rules for speech as such, of any length; a tenth of a second beside it, noise begins."""
        return SpeechRules(threshold=self.threshold, min_speech=0, min_silence=0.25, padding=0.1)

    @property
    def needs_model(self) -> bool:
        """Whether speech is found by a model."""
        return self.enable and self.engine == SILERO


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFilter:
    """Clips of full or of narrow band, told by their measured bandwidth, or by a classifier."""

    enable: bool = same_option(
        CurateVad, "enable", default=False, help_text="keep clips of one band alone", flag="band-filter"
    )
    band_value: str = option(FULL_BAND, "band to keep", choices=BANDS)
    band_cutoff: int = option(16000, "bandwidth from which on a clip is of full band, in Hz")
    path: str = same_option(
        Dnsmos,
        "path",
        help_text="classifier of bands, a graph of your own, to use in place of --band-cutoff",
        flag="band-path",
    )

    def __post_init__(self) -> None:
        problems = option_problems(self)
        raise_problems("band_filter", problems)
        problems = score_problems(self) + number_problems(self, {"band_cutoff": (1, math.inf)})
        raise_problems("band_filter", problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concatenation:
    """How pieces of speech are put before the model that tells speakers apart."""

    silence_duration_sec: float = option(0.5, "silence between pieces of speech as a diarizer hears them, in seconds")

    def __post_init__(self) -> None:
        check_types("concatenation", self)
        raise_problems("concatenation", number_problems(self, {"silence_duration_sec": (0, 60)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerSeparation:
    """Who speaks, and which of it goes into clips."""

    enable: bool = same_option(
        CurateVad, "enable", help_text="tell speakers apart; otherwise clips are of anybody", flag="speaker-separation"
    )
    exclude_overlaps: bool = same_option(SeparationRules, "exclude_overlaps")
    min_duration: float = same_option(SeparationRules, "min_duration")
    gap_threshold: float = same_option(SeparationRules, "gap_threshold")
    buffer_time: float = same_option(SeparationRules, "buffer_time")

    def __post_init__(self) -> None:
        check_types("speaker_separation", self)
        self.rules()

    def rules(self) -> SeparationRules:
        """Return the rules of `separate`."""
        return SeparationRules(
            exclude_overlaps=self.exclude_overlaps,
            min_duration=self.min_duration,
            gap_threshold=self.gap_threshold,
            buffer_time=self.buffer_time,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampMapper:
    """Which keys rows of clips have."""

    passthrough_keys: tuple[str, ...] | None = option(
        None, "of the keys about a clip's speaker and sound, those that its row has (default: all)"
    )

    def __post_init__(self) -> None:
        check_types("timestamp_mapper", self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRules:
    """The contents of clips, and the rows that are listed."""

    others: str = option(
        "silence",
        "where others talk within a clip; silence: it is silent; split: it ends, and the next begins; keep: it goes on",
        choices=OTHERS,
    )
    collar: float = option(
        0.1, "left out of clips beside what others say, in seconds; not with --others keep or --no-exclude-overlaps"
    )
    clips: bool = option(True, "write clips: rows and audio; otherwise rows alone")
    rejected: bool = option(True, "list what filters drop; otherwise it is counted alone")

    def __post_init__(self) -> None:
        raise_problems("clips", option_problems(self) or number_problems(self, {"collar": (0, 60)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRules:
    """Limits of clips; every measure is in its row, whether or not there is a limit."""

    min_clip_duration: float | None = option(None, "shortest clip, in seconds")
    max_clip_duration: float | None = option(None, "longest clip, in seconds")
    min_sample_rate: int | None = option(None, "least sample rate of a recording, in Hz")
    max_channels: int | None = option(None, "most channels of a recording")
    min_bandwidth: int | None = option(None, "least bandwidth of a clip, in Hz")
    max_clipped_ratio: float | None = option(None, "largest share of clipped samples of a clip, 0 to 1")
    min_level: float | None = option(None, "least level of a clip, in dB of full scale (RMS)")
    min_snr: float | None = option(None, "least signal-to-noise ratio of a clip, in dB")
    on_reject: str = option(
        DROP, "what becomes of a clip beyond a limit; annotate: its row names the filter", choices=ON_REJECT
    )
    annotate: tuple[str, ...] = option((), "filters that annotate where others drop, such as snr,level")

    def __post_init__(self) -> None:
        problems = option_problems(self)
        unknown = [name for name in self.annotate if name not in FILTERS] if not problems else []
        problems += [f"annotate names {name!r}, no filter: use some of {', '.join(FILTERS)}" for name in unknown]
        raise_problems("quality", problems)
        limits = {
            "min_clip_duration": (0.0, _DAY),
            "max_clip_duration": (0.0, _DAY),
            "min_sample_rate": (1, math.inf),
            "max_channels": (1, math.inf),
            "min_bandwidth": (0, math.inf),
            "max_clipped_ratio": (0.0, 1.0),
            "min_level": (-200.0, 0.0),
            "min_snr": (-20.0, 100.0),
        }
        given = {name: limit for name, limit in limits.items() if getattr(self, name) is not None}
        raise_problems("quality", number_problems(self, given))


PRESETS: Mapping[str, Mapping[str, Any]] = {"phone-calls": {"channels": SPLIT}}
"""Kinds of recordings, and how they are heard."""


@takes_presets
@dataclass(frozen=True, slots=True, kw_only=True)
class CurateRules:
    """Which recordings and channels are heard."""

    preset: str | None = same_option(
        WindowRules,
        "preset",
        help_text="kind of recordings, which sets channels where it is not given",
        presets=PRESETS,
    )
    audio_filepath_key: str = same_option(RecordingOptions, "audio_filepath_key")
    channels: str = same_option(DiarizeRules, "channels", formerly=None)
    audio_root: str = same_option(RecordingOptions, "audio_root")
    allowed_root: tuple[str, ...] = same_option(RecordingOptions, "allowed_root")
    max_duration: float = same_option(RecordingOptions, "max_duration")
    max_decoded_bytes: int = same_option(RecordingOptions, "max_decoded_bytes")

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", str(self.channels))
        raise_problems("recordings", option_problems(self))
        problems = [] if self.audio_filepath_key else ["audio_filepath_key is empty: name a key"]
        raise_problems("recordings", problems + limit_problems(self) + channels_problems(self.channels))


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateOutputOptions(RowOutputOptions):
    """The formats of clips and rows, and the number of the files of rows."""

    output_format: AudioFormat = same_option(ClipOutputOptions, "output_format")


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateOptions:
    """All options that decide the clips of a recording, besides the model that tells speakers apart."""

    mono_conversion: MonoConversion = MonoConversion()
    vad: CurateVad = CurateVad()
    band_filter: BandFilter = BandFilter()
    dnsmos: Dnsmos = Dnsmos()
    utmos: Utmos = Utmos()
    sigmos: Sigmos = Sigmos()
    concatenation: Concatenation = Concatenation()
    speaker_separation: SpeakerSeparation = SpeakerSeparation()
    timestamp_mapper: TimestampMapper = TimestampMapper()
    clips: ClipRules = ClipRules()
    quality: QualityRules = QualityRules()
    recordings: CurateRules = CurateRules()

    @property
    def scorers(self) -> dict[str, str]:
        """The models that score clips, each with the path that is given for it; "" for the installed one."""
        asked = {name: getattr(self, name).path for name in SCORED if getattr(self, name).enable}
        return asked | ({"band": self.band_filter.path} if self.band_filter.path else {})
