"""The state of one stream in a streaming Sortformer: plain arrays, and their form in bytes."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from beam_curator.diarization.models import Floats, ModelConfig

_KIND = "beam_curator.StreamState"
_VERSION = 1

_DIMENSIONS = {"audio": 1, "mel": 2, "cache": 2, "fifo": 2, "silence_mean": 1, "cache_predictions": 2}
_COUNTERS = ("n_samples", "audio_start", "position", "n_silence")


@dataclass(slots=True, kw_only=True, eq=False)
class StreamState:
    """The state that is needed to go on with a stream. Apart from `frames`, it does not grow with the audio heard.

    Attributes:
      origin: which model and parameters it belongs to, as JSON.
      cache: float32 [<= spkcache_len, embedding_size], embeddings of frames from all of the past.
      cache_predictions: float32 [len(cache), n_speakers], their probabilities; None while they are not kept.
      fifo: float32 [<= fifo_len, embedding_size], embeddings of the latest frames.
      silence_mean: float32 [embedding_size], mean embedding of silence.
      mel: float32 [n_mel_frames, n_mels], what of the mel frames is heard again by the next chunk.
      audio: pieces of samples, float32 [n] each, that follow one another and end where the stream does.
      audio_start: sample of the stream with which they begin.
      n_samples: samples heard.
      position: frames decided.
      n_silence: frames that `silence_mean` is the mean of.
      is_closed: the last sample was heard.
      error: why it cannot go on; "" if it can.
      frames: float32 [n, width] each, the encoder's frames of what was decided since `take_frames`, for engines that
        keep them; they are no part of the bytes.
    """

    origin: str
    cache: Floats
    cache_predictions: Floats | None
    fifo: Floats
    silence_mean: Floats
    mel: Floats
    audio: list[Floats] = field(default_factory=list)
    audio_start: int = 0
    n_samples: int = 0
    position: int = 0
    n_silence: int = 0
    is_closed: bool = False
    error: str = ""
    frames: list[Floats] = field(default_factory=list)

    @classmethod
    def empty(cls, origin: str, config: ModelConfig, *, keeps_predictions: bool) -> StreamState:
        """Return the state of a stream that begins."""
        return cls(
            origin=origin,
            cache=_zeros(0, config.embedding_size),
            cache_predictions=_zeros(0, config.n_speakers) if keeps_predictions else None,
            fifo=_zeros(0, config.embedding_size),
            silence_mean=_zeros(config.embedding_size),
            mel=_zeros(0, config.mel.n_mels),
        )

    def hear(self, samples: Floats, *, is_last: bool) -> None:
        """Take samples at the end; `settle` has to follow before the caller writes to their array again.

        Raises:
          ValueError: the stream has failed.
        """
        if self.error:
            raise ValueError(f"the stream failed before ({self.error}): begin it again with a new state")
        if len(samples):
            self.audio.append(samples)
            self.n_samples += len(samples)
        self.is_closed = is_last

    def joined_audio(self) -> Floats:
        """Return all samples that are still there, float32 [n], in one array."""
        if len(self.audio) != 1:
            # the empty array makes this work without any piece, and keeps float32
            self.audio = [np.concatenate([*self.audio, _zeros(0)])]
        return self.audio[0]

    def take_frames(self) -> list[Floats]:
        """Return the encoder's frames that were decided since the previous call, float32 [n, width] each."""
        taken, self.frames = self.frames, []
        return taken

    def settle(self, first_sample: int) -> None:
        """Forget the samples before `first_sample`, and own the rest."""
        if self.is_closed:
            self._forget()
        elif first_sample > self.audio_start:
            self.audio = [self.joined_audio()[first_sample - self.audio_start :].copy()]
            self.audio_start = first_sample
        elif self.audio:
            # the latest piece is still the caller's array
            self.audio[-1] = self.audio[-1].copy()

    def fail(self, error: Exception) -> None:
        """Mark that the stream cannot go on."""
        self.error = self.error or f"{type(error).__name__}: {error}"
        self.frames = []
        self._forget()

    def _forget(self) -> None:
        self.audio, self.audio_start = [], self.n_samples
        self.mel, self.cache, self.fifo = self.mel[:0].copy(), self.cache[:0].copy(), self.fifo[:0].copy()
        self.cache_predictions = None

    def check_origin(self, origin: str) -> None:
        """Check that the state belongs to this model and these parameters.

        Raises:
          ValueError: it does not, and what differs.
        """
        if self.origin == origin:
            return
        theirs, ours = _flat(json.loads(self.origin)), _flat(json.loads(origin))
        differing = [name for name in sorted({*theirs, *ours}) if theirs.get(name) != ours.get(name)]
        listed = ", ".join(f"{name} {theirs.get(name)!r} instead of {ours.get(name)!r}" for name in differing)
        raise ValueError(f"the state is of another model or other parameters ({listed}): begin with a new state")

    def to_bytes(self) -> bytes:
        """Return the state as a NumPy archive without pickles; equal states give equal bytes."""
        header = {
            "kind": _KIND,
            "version": _VERSION,
            "origin": self.origin,
            "is_closed": self.is_closed,
            "error": self.error,
            **{name: getattr(self, name) for name in _COUNTERS},
        }
        arrays = {name: getattr(self, name) for name in _DIMENSIONS if name != "audio"}
        arrays["audio"] = self.joined_audio()
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        target = io.BytesIO()
        # NumPy gives all members one fixed date
        np.savez(target, **{name: array for name, array in arrays.items() if array is not None})
        return target.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> StreamState:
        """Read a state that `to_bytes` wrote.

        Raises:
          ValueError: it is something else, damaged, or of another version.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)), np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(arrays.pop("header").tobytes())
            kind, version = header["kind"], header["version"]
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as err:
            raise ValueError(f"{len(data)} bytes that are no state of a stream, or damaged: {err}") from err
        if (kind, version) != (_KIND, _VERSION):
            raise ValueError(
                f"a state of {kind!r}, version {version!r}, but {_KIND!r}, version {_VERSION} is expected: "
                "begin with a new state"
            )
        _check_arrays(arrays)
        return cls(
            **{name: header[name] for name in (*_COUNTERS, "origin", "is_closed", "error")},
            **{name: arrays[name] for name in ("cache", "fifo", "silence_mean", "mel")},
            cache_predictions=arrays.get("cache_predictions"),
            audio=[arrays["audio"]],
        )


def _zeros(*shape: int) -> Floats:
    return np.zeros(shape, dtype=np.float32)


def _check_arrays(arrays: Mapping[str, Any]) -> None:
    expected = set(_DIMENSIONS) - {"cache_predictions"}
    bad = sorted(expected - set(arrays) | set(arrays) - set(_DIMENSIONS))
    bad += [name for name in sorted(set(arrays) & set(_DIMENSIONS)) if not _is_right(arrays[name], _DIMENSIONS[name])]
    if bad:
        raise ValueError(f"a state of a stream that is damaged: {', '.join(bad)}: begin with a new state")


def _is_right(array: Any, n_dimensions: int) -> bool:
    return array.ndim == n_dimensions and array.dtype == np.float32


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat
