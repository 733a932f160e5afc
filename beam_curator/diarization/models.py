"""A diarization model: its properties as data, and the two functions that a backend provides for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.failures import EntryError, FailureCode

Floats = NDArray[np.float32]
Lengths = NDArray[np.int64]

Normalization = Literal["none", "per_feature"]

MODEL_SAMPLE_RATE = 16000
"""All models here hear 16 kHz, mono."""

_FORMAT = 2


class NotAModelError(ValueError):
    """A file or folder that is not a model that is known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MelRules:
    """How a model hears: samples to log-mel frames, as NeMo's AudioToMelSpectrogramPreprocessor.

    Attributes:
      n_mels: number of mel bands.
      n_fft: points of the Fourier transform.
      hop_length: samples between frames.
      win_length: samples of the Hann window, centred in `n_fft`.
      preemphasis: x[n] - preemphasis * x[n - 1]; 0 for none.
      log_guard: added before the logarithm.
      normalization: "none", or "per_feature": each band of a recording to mean 0 and deviation 1.
    """

    n_mels: int
    n_fft: int = 512
    hop_length: int = 160
    win_length: int = 400
    preemphasis: float = 0.97
    log_guard: float = 2.0**-24
    normalization: Normalization = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRules:
    """How a speaker cache is compressed; names and defaults are those of NeMo's SortformerModules."""

    spkcache_sil_frames_per_spk: int = 3
    pred_score_threshold: float = 0.25
    scores_boost_latest: float = 0.05
    sil_threshold: float = 0.2
    strong_boost_rate: float = 0.75
    weak_boost_rate: float = 1.5
    min_pos_scores_rate: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The properties of a model that are needed besides its two functions.

    Attributes:
      n_speakers: slots for speakers.
      embedding_size: width of what `pre_encode` returns.
      mel: how it hears.
      is_streaming: it keeps a speaker cache; else it hears a recording at once.
      subsampling_factor: mel frames to one frame of the output.
      cache: how its speaker cache is compressed.
      streaming: the parameters it was published with.
      name: where it comes from, for people.
      sha256: hash of the file it was made from; "" where unknown.
    """

    n_speakers: int
    embedding_size: int
    mel: MelRules
    is_streaming: bool
    subsampling_factor: int = 8
    cache: CacheRules = field(default_factory=CacheRules)
    streaming: StreamingParameters = field(default_factory=StreamingParameters)
    name: str = ""
    sha256: str = ""

    @property
    def frame_step(self) -> float:
        """Seconds of one frame of the output."""
        return self.mel.hop_length * self.subsampling_factor / MODEL_SAMPLE_RATE

    def to_json(self) -> str:
        """Return the config as it is kept beside an exported model."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelConfig:
        """Read a config.

        Raises:
          NotAModelError: it is not one, or of another format.
        """
        try:
            values = json.loads(text)
        except ValueError as err:
            raise NotAModelError(f"the config of the model is no JSON: {err}") from err
        found = values.pop("format", None) if isinstance(values, dict) else None
        if found != _FORMAT:
            raise NotAModelError(
                f"the config of the model is of format {found!r}, expected {_FORMAT}: another version of beam-curator "
                "exported it: export the model again: beam-curator models export MODEL.nemo DIR"
            )
        try:
            parts = {
                "mel": _part(MelRules, values.pop("mel")),
                "cache": _part(CacheRules, values.pop("cache")),
                "streaming": _part(StreamingParameters, values.pop("streaming")),
            }
            return _part(cls, values | parts)
        except (TypeError, KeyError, ValueError) as err:
            raise NotAModelError(f"the config of the model cannot be read: {err}: export the model again") from err


def _part(kind: Any, values: Mapping[str, Any]) -> Any:
    unknown = sorted(set(values) - {field.name for field in fields(kind)})
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)}")
    return kind(**values)


class Encoded(NamedTuple):
    """The results that a model computes from embeddings.

    Attributes:
      probabilities: float32 [..., n_frames, n_speakers].
      frames: float32 [..., n_frames, width], the encoder's, before speakers are told from them: what embeddings of
        speakers are pooled from. None where nobody asked for them.
    """

    probabilities: Floats
    frames: Floats | None = None


class Backend(Protocol):
    """The two functions of a model. Everything else is NumPy, and the same for every backend.

    Attributes:
      config: the model's configuration.
      mel_filters: float32 [n_mels, n_fft // 2 + 1], the model's own filter bank.
    """

    config: ModelConfig
    mel_filters: Floats

    def pre_encode(self, mel: Floats, lengths: Lengths) -> tuple[Floats, Lengths]:
        """Turn mel frames into embeddings, one for `subsampling_factor` mel frames.

        Args:
          mel: float32 [n_items, n_mel_frames, n_mels], padded at the end of each item.
          lengths: int64 [n_items], mel frames of each item.

        Returns:
          float32 [n_items, n_frames, embedding_size], and int64 [n_items], frames of each item.

        Raises:
          OutOfMemoryError: there is not enough memory for so much at once.
        """
        ...

    def encode(self, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool = False) -> Encoded:
        """Turn embeddings into probabilities of speakers.

        Args:
          embeddings: float32 [n_items, n_frames, embedding_size], padded at the end of each item.
          lengths: int64 [n_items], frames of each item.
          keeps_frames: return the encoder's frames, too.

        Returns:
          Probabilities, 0 behind the end of an item, and frames, undefined there.

        Raises:
          OutOfMemoryError: there is not enough memory for so much at once.
        """
        ...


def encoded(backend: Backend, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool) -> list[Encoded]:
    """Run a backend, and return its results for each item, without the padding after the item's end.

    Raises:
      ValueError: a probability is not finite.
      OutOfMemoryError: there is not enough memory for so much at once.
    """
    said = backend.encode(embeddings, lengths, keeps_frames=keeps_frames)
    items = [
        Encoded(said.probabilities[item, :n], None if said.frames is None else said.frames[item, :n])
        for item, n in enumerate(lengths)
    ]
    if not all(np.isfinite(item.probabilities).all() for item in items):
        raise ValueError("the model gave probabilities that are not finite: its precision may not suffice")
    return items


class OutOfMemoryError(MemoryError):
    """A lack of memory in a backend for the items that it was given at once."""


def hearing_error(err: Exception) -> EntryError:
    """Return the error for a recording that a model could not hear."""
    if isinstance(err, EntryError):
        return err
    if isinstance(err, OutOfMemoryError):
        return EntryError(
            FailureCode.OUT_OF_MEMORY,
            f"the model lacks memory for this recording alone: {err}",
            "use a streaming model, shorter chunks, or a machine with more memory",
        )
    if isinstance(err, OSError):
        return EntryError(
            FailureCode.NOT_READABLE, f"the recording cannot be read: {err}", "check that you may read it"
        )
    return EntryError(
        FailureCode.MODEL_ERROR,
        f"the model failed: {type(err).__name__}: {str(err).partition(chr(10))[0]}",
        "run this recording alone with --verbose, and report it with the model's name",
    )
