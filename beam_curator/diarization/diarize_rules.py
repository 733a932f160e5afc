"""The options of diarization: the model, its walk through a recording, its turns, the way it is run, and its files."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any

from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS, StreamingParameters
from beam_curator.diarization.turn_rules import TURN_PRESETS, TurnRules
from beam_curator.entries.own_keys import ORIGIN_KEY, UNMIXED_KEY
from beam_curator.model_records import name_problem
from beam_curator.option_names import accepts_former_names
from beam_curator.recordings.recording_options import RecordingOptions, limit_problems
from beam_curator.rules import check_types, number_problems, option, option_problems, raise_problems, same_option
from beam_curator.sets.set_kinds import DIARIZE
from beam_curator.vad.vad_options import ENERGY, VadOptions, vad_problems

BACKENDS = ("auto", "onnx", "nemo")
DEVICES = ("auto", "cpu", "cuda")
AUTOCASTS = ("none", "bfloat16")
DIAR_FORMATS = ("dicts", "pairs")
SPLIT = "split"
CHANNELS = ("mix", "first", "loudest", SPLIT)
"""Ways to hear a recording of several channels, besides the number of one."""

_NUMBER = re.compile("[0-9]{1,4}")

ENTRY_KEYS = (
    "audio_sample_rate",
    "duration",
    "segments",
    "exclusive_segments",
    "num_speakers",
    "speakers_saturated",
    "crosstalk_seconds",
    "non_speech_seconds",
    "clipped_ratio",
    UNMIXED_KEY,
    "recording_id",
    "rttm_filepath",
    "files",
)
"""What a job of diarization adds to a row, besides `audio_filepath` and the key of the turns."""


def channels_problems(channels: str) -> list[str]:
    """Check the way to hear several channels; return the problems."""
    if channels in CHANNELS or _NUMBER.fullmatch(channels):
        return []
    return [f"channels {channels!r} is not known: use one of {', '.join(CHANNELS)}, or the number of one, from 0"]


def number_of_channel(channels: str) -> int | None:
    """Return the number of the only channel that is heard; None where `channels` names none."""
    return int(channels) if _NUMBER.fullmatch(channels) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """The model that listens, and the backend and device that run it; `chosen_model` names one where none is given."""

    model_name: str = option(
        "",
        "cascade, demo, or a model on the hub as NAME or NAME@REVISION (default: cascade if installed, else demo)",
        also="model",
    )
    model_path: str = option(
        "", "local model, used instead of --model-name: a .nemo file, or a folder of an exported or transformers model"
    )
    cache_dir: str = option("", "directory for downloaded models (default: the cache of the hub's client)")
    sha256: str = option("", "SHA-256 that the model file must have", flag="model-sha256")
    backend: str = option(
        "auto",
        "onnx: needs no torch; nemo: runs any .nemo file; auto: the one that the model was made for",
        choices=BACKENDS,
    )
    device: str = option("auto", "device to run on; auto: a GPU if there is one, else the CPU", choices=DEVICES)
    autocast: str = option("none", "reduced precision on a GPU (nemo)", choices=AUTOCASTS)

    def __post_init__(self) -> None:
        check_types("model", self)
        problems = option_problems(self)
        bad_name = None if self.model_path or not self.model_name else name_problem(self.model_name)
        problems += [] if bad_name is None else [bad_name]
        digits = self.sha256.lower()
        if digits and (len(digits) != 64 or set(digits) - set("0123456789abcdef")):
            problems.append(f"model-sha256 {self.sha256!r} is not 64 hexadecimal digits: give all of them")
        raise_problems("model", problems)

    def named(self, name: str) -> ModelOptions:
        """Return options that name a model, where these name none."""
        return self if self.model_name or self.model_path else replace(self, model_name=name)


_OF_PRESET = " (default: the preset's)"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingOptions:
    """How a streaming Sortformer walks through a recording, in frames of 80 ms; a value not given is the preset's."""

    latency: str = option(
        "very-high",
        "preset for the six values below, which are for streaming Sortformers; all but medium are published",
        choices=tuple(LATENCY_PRESETS),
    )
    chunk_len: int | None = same_option(StreamingParameters, "chunk_len", default=None, note=_OF_PRESET)
    chunk_left_context: int | None = same_option(
        StreamingParameters, "chunk_left_context", default=None, note=_OF_PRESET
    )
    chunk_right_context: int | None = same_option(
        StreamingParameters, "chunk_right_context", default=None, note=_OF_PRESET
    )
    fifo_len: int | None = same_option(StreamingParameters, "fifo_len", default=None, note=_OF_PRESET)
    spkcache_update_period: int | None = same_option(
        StreamingParameters, "spkcache_update_period", default=None, note=_OF_PRESET
    )
    spkcache_len: int | None = same_option(StreamingParameters, "spkcache_len", default=None, note=_OF_PRESET)
    asynchronous: bool = same_option(StreamingParameters, "asynchronous")

    def __post_init__(self) -> None:
        raise_problems("streaming", option_problems(self))
        self.parameters()

    def parameters(self) -> StreamingParameters:
        """Return the preset with the values that were given."""
        return replace(LATENCY_PRESETS[self.latency], **_given(self, "latency"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """How probabilities become turns; a value that is not given is that of the preset."""

    turns: str | None = option(
        None,
        "published preset for the values below (default: the model's own)",
        flag="turn-preset",
        choices=tuple(TURN_PRESETS),
    )
    onset: float | None = same_option(TurnRules, "onset", default=None)
    offset: float | None = same_option(TurnRules, "offset", default=None)
    pad_onset: float | None = same_option(TurnRules, "pad_onset", default=None)
    pad_offset: float | None = same_option(TurnRules, "pad_offset", default=None)
    min_duration_on: float | None = same_option(TurnRules, "min_duration_on", default=None)
    min_duration_off: float | None = same_option(TurnRules, "min_duration_off", default=None)

    def __post_init__(self) -> None:
        raise_problems("turns", option_problems(self))
        self.rules()

    def rules(self, preset: str = "default") -> TurnRules:
        """Return the preset with the values that were given; `preset` stands in where none was given."""
        return replace(TURN_PRESETS[self.turns or preset], **_given(self, "turns"))


def _given(options: StreamingOptions | TurnOptions, preset: str) -> dict[str, Any]:
    """Return the values over a preset that were given, by name."""
    values = {field.name: getattr(options, field.name) for field in fields(options) if field.name != preset}
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceOptions:
    """How recordings are put before the model."""

    inference_batch_size: int = option(1, "recordings per batch; with 1, every engine writes the same bytes")
    batch_seconds: float = option(3600.0, "longest batch, in seconds of audio")
    threads: int = option(0, "model threads in each worker process; 0: the cores divided by --jobs")
    timeout: float = option(0.0, "seconds before giving up on a recording; 0: never")
    max_offline_seconds: float = option(
        0.0, "longest recording for an offline model, in seconds; 0: as the free memory allows"
    )

    def __post_init__(self) -> None:
        far = float("inf")
        limits: dict[str, tuple[float, float]] = {
            "inference_batch_size": (1, 4096),
            "batch_seconds": (1, far),
            "threads": (0, 1024),
            "timeout": (0, far),
            "max_offline_seconds": (0, far),
        }
        raise_problems("inference", [*number_problems(self, limits), *option_problems(self)])


@accepts_former_names
@dataclass(frozen=True, slots=True, kw_only=True)
class DiarizeRules:
    """Which recordings and channels are heard, and which results are written about them."""

    audio_filepath_key: str = same_option(RecordingOptions, "audio_filepath_key", formerly="filepath_key")
    diar_segments_key: str = option("diar_segments", "key to write the turns under")
    diar_format: str = option(
        "dicts", "form of a turn; dicts: object with start, end and speaker; pairs: [start, end]", choices=DIAR_FORMATS
    )
    rttm_out_dir: str = option("rttm", "folder in the output for one .rttm file per recording; empty: none")
    uem: bool = option(False, "also write a .uem file per recording: the parts that were heard")
    overlaps: bool = option(
        False, "also write a .ctm file per recording: where several speakers talk at once", flag="overlap-view"
    )
    bandwidth: bool = option(False, "estimate metrics.bandwidth of each turn, which the windows command needs")
    embeddings: bool = option(
        False, "write an embedding of each speaker and each turn as Parquet: CAM++'s of a cascade, else of the encoder"
    )
    embedding_model: str = option(
        "",
        "model to make the embeddings instead: campplus, or a TitaNet as a name on the hub or a .nemo file (nemo)",
    )
    channels: str = option(
        "mix",
        "channels to hear; mix: their mean; first: the first; loudest: the loudest of the recording; "
        "split: each by itself, as for a call with a speaker on each; or the number of one, from 0",
        formerly="mono",
    )
    vad: str | None = same_option(
        VadOptions,
        "vad",
        help_text="leave out turns where nobody speaks; silero: where Silero VAD hears no speech; energy: where "
        "nothing moves, such as digital silence; none: keep all (default: silero where it is installed, else energy; "
        "for the cascade, which finds speech by itself, energy)",
    )
    vad_path: str = same_option(VadOptions, "vad_path")
    audio_root: str = same_option(RecordingOptions, "audio_root")
    allowed_root: tuple[str, ...] = same_option(RecordingOptions, "allowed_root")
    max_duration: float = same_option(RecordingOptions, "max_duration")
    max_decoded_bytes: int = same_option(RecordingOptions, "max_decoded_bytes")

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", str(self.channels))
        check_types("diarization", self)
        problems = option_problems(self) + limit_problems(self)
        problems += channels_problems(self.channels)
        keys = ("audio_filepath_key", "diar_segments_key")
        problems += [f"{name} is empty: name a key" for name in keys if not getattr(self, name)]
        if self.diar_segments_key in (*ENTRY_KEYS, ORIGIN_KEY, "audio_filepath", self.audio_filepath_key):
            problems.append(
                f"diar_segments_key {self.diar_segments_key!r} is a key of the entry already: choose another"
            )
        if self.rttm_out_dir and not DIARIZE.has_folder(self.rttm_out_dir):
            problems.append(
                f"rttm_out_dir {self.rttm_out_dir!r} is no name of a folder of the output set: "
                "give letters and digits with rttm among them, such as rttm or pred_rttms"
            )
        if not self.rttm_out_dir and (self.uem or self.overlaps):
            problems.append("uem and overlap-view go beside .rttm files, and rttm_out_dir is empty: name a folder")
        problems += vad_problems(self)
        if self.embedding_model and not self.embeddings:
            problems.append("embedding_model makes nothing without embeddings: give embeddings, too, or leave it out")
        raise_problems("diarization", problems)

    @property
    def splits(self) -> bool:
        """Tell whether each channel is heard by itself."""
        return self.channels == SPLIT

    @property
    def channel(self) -> int | None:
        """The number of the channel to hear; None where the options name none."""
        return number_of_channel(self.channels)

    @property
    def gates_dead_air(self) -> bool:
        """Tell whether turns are left out where nothing moves."""
        return self.vad in (None, ENERGY)

    @property
    def pools_embeddings(self) -> bool:
        """Tell whether embeddings are made of the frames of the model that tells who speaks when."""
        return self.embeddings and not self.embedding_model
