"""The options of diarization: the model, its walk through a recording, its turns, the way it is run, and its files."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from beam_curator.audio_formats import MONO
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS, StreamingParameters
from beam_curator.diarization.turn_rules import TURN_PRESETS, TurnRules
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.model_records import DEFAULT_MODEL, name_problem
from beam_curator.rules import number_problems, option, raise_problems
from beam_curator.sets.set_kinds import DIARIZE

BACKENDS = ("auto", "onnx", "nemo")
DEVICES = ("auto", "cpu", "cuda")
AUTOCASTS = ("none", "bfloat16")
DIAR_FORMATS = ("dicts", "pairs")
HEARD_MONO = tuple(how for how in MONO if how != "keep")

ENTRY_KEYS = (
    "audio_sample_rate",
    "duration",
    "segments",
    "exclusive_segments",
    "num_speakers",
    "speakers_saturated",
    "recording_id",
    "rttm_filepath",
    "files",
)
"""What a job of diarization adds to a row, besides `audio_filepath` and the key of the turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """The model that listens, and the backend and device that run it."""

    model_name: str = option(
        DEFAULT_MODEL,
        "demo, a small model for trying things out, or a model on the hub, with @revision behind it if one is wanted",
        also="model",
    )
    model_path: str = option(
        "", "model here: a .nemo file, or a folder of an exported model or of transformers; wins over the name"
    )
    cache_dir: str = option("", "directory that models are kept in (default: that of the hub's own client)")
    sha256: str = option("", "expected SHA-256 of the model file; any other file is refused", flag="model-sha256")
    backend: str = option(
        "auto", "onnx needs no torch; nemo takes any .nemo; auto: what the model is made for", choices=BACKENDS
    )
    device: str = option("auto", "cpu or cuda; auto: a GPU where there is one", choices=DEVICES)
    autocast: str = option("none", "numbers that a GPU computes with (nemo)", choices=AUTOCASTS)

    def __post_init__(self) -> None:
        problems = _unknown(self, backend=BACKENDS, device=DEVICES, autocast=AUTOCASTS)
        bad_name = None if self.model_path else name_problem(self.model_name)
        problems += [] if bad_name is None else [bad_name]
        digits = self.sha256.lower()
        if digits and (len(digits) != 64 or set(digits) - set("0123456789abcdef")):
            problems.append(f"model-sha256 {self.sha256!r} is not 64 hexadecimal digits: give all of them")
        raise_problems("model", problems)


_DEFAULTS = StreamingParameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingOptions:
    """How a streaming model walks through a recording, in frames of 80 ms."""

    latency: str = option("very-high", "published preset of the six values below", choices=tuple(LATENCY_PRESETS))
    chunk_len: int | None = option(None, f"frames decided in a step (default: the preset's, {_DEFAULTS.chunk_len})")
    chunk_left_context: int | None = option(None, "frames before them (default: the preset's)")
    chunk_right_context: int | None = option(None, "frames ahead of them (default: the preset's)")
    fifo_len: int | None = option(None, "frames kept before they go into the speaker cache (default: the preset's)")
    spkcache_update_period: int | None = option(None, "frames that go into the cache at once (default: the preset's)")
    spkcache_len: int | None = option(None, "frames of the speaker cache (default: the preset's)")
    asynchronous: bool = option(False, "use NeMo's other update rule (async_streaming)", flag="async-streaming")

    def __post_init__(self) -> None:
        raise_problems("streaming", _unknown(self, latency=tuple(LATENCY_PRESETS)))
        self.parameters()

    def parameters(self) -> StreamingParameters:
        """Return the preset with the values that were given."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "latency"}
        chosen = {name: value for name, value in given.items() if value is not None}
        return replace(LATENCY_PRESETS[self.latency], **chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """How probabilities become turns; a value that is not given is that of the preset."""

    turns: str = option(
        "default", "published preset of the values below", flag="turn-preset", choices=tuple(TURN_PRESETS)
    )
    onset: float | None = option(None, "a turn begins above this probability")
    offset: float | None = option(None, "a turn ends below this probability")
    pad_onset: float | None = option(None, "seconds added before a turn")
    pad_offset: float | None = option(None, "seconds added behind a turn")
    min_duration_on: float | None = option(None, "shorter turns are left out, seconds", flag="min-duration-on")
    min_duration_off: float | None = option(None, "shorter pauses are filled, seconds", flag="min-duration-off")

    def __post_init__(self) -> None:
        raise_problems("turns", _unknown(self, turns=tuple(TURN_PRESETS)))
        self.rules()

    def rules(self) -> TurnRules:
        """Return the preset with the values that were given."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "turns"}
        return replace(TURN_PRESETS[self.turns], **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceOptions:
    """How recordings are put before the model."""

    inference_batch_size: int = option(
        1, "recordings heard at once; with 1 the rows are the same bytes on every engine"
    )
    batch_seconds: float = option(3600.0, "and at most so many seconds of audio together")
    threads: int = option(0, "threads of the model in each worker process; 0: the cores, shared by --jobs")
    timeout: float = option(0.0, "seconds after which a recording is given up; 0: never")
    max_offline_seconds: float = option(
        0.0, "longest recording for a model that hears all at once; 0: from the memory that is free"
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
        raise_problems("inference", number_problems(self, limits))


@dataclass(frozen=True, slots=True, kw_only=True)
class DiarizeRules:
    """Which recordings and channels are heard, and which results are written about them."""

    filepath_key: str = option("audio_filepath", "key that names the recording in rows of a manifest")
    diar_segments_key: str = option("diar_segments", "key that the turns go under")
    diar_format: str = option(
        "dicts", "turns as objects with start, end and speaker, or as pairs of start and end", choices=DIAR_FORMATS
    )
    rttm_out_dir: str = option("rttm", "folder below the output for a .rttm file of each recording; empty: none")
    uem: bool = option(False, "write a .uem file beside: what was heard")
    overlaps: bool = option(False, "write a .ctm file beside: who talks at once, and when", flag="overlap-view")
    bandwidth: bool = option(False, "estimate metrics.bandwidth of each turn, as windows needs it")
    embeddings: bool = option(
        False, "write an embedding of each speaker and of each turn as Parquet, from the encoder of the model"
    )
    embedding_model: str = option(
        "", "model that makes the embeddings instead: a name on the hub, or a .nemo file of a TitaNet (nemo)"
    )
    mono: str = option("mix", "what is heard of several channels: their mean, or the first", choices=HEARD_MONO)
    audio_root: str = option(
        "", "directory that relative names of recordings begin at (default: that of their manifest)"
    )
    allowed_root: tuple[str, ...] = option((), "recordings must lie below one of these directories (default: anywhere)")

    def __post_init__(self) -> None:
        problems = _unknown(self, diar_format=DIAR_FORMATS, mono=HEARD_MONO)
        keys = ("filepath_key", "diar_segments_key")
        problems += [f"{name} is empty: name a key" for name in keys if not getattr(self, name)]
        if self.diar_segments_key in (*ENTRY_KEYS, ORIGIN_KEY, "audio_filepath", self.filepath_key):
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
        if self.embedding_model and not self.embeddings:
            problems.append("embedding_model makes nothing without embeddings: give embeddings, too, or leave it out")
        raise_problems("diarization", problems)

    @property
    def pools_embeddings(self) -> bool:
        """Tell whether embeddings are made of the frames of the model that tells who speaks when."""
        return self.embeddings and not self.embedding_model


def _unknown(options: object, **known: tuple[str, ...]) -> list[str]:
    return [
        f"{name} {getattr(options, name)!r} is not known: use one of {', '.join(values)}"
        for name, values in known.items()
        if getattr(options, name) not in values
    ]
