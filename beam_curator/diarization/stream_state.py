"""The state of one stream in a streaming Sortformer: plain arrays, and their form in bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from beam_curator.diarization.array_bytes import pack_arrays, unpack_arrays
from beam_curator.diarization.models import Floats, ModelConfig

_KIND = "beam_curator.StreamState"
_VERSION = 2

_DIMENSIONS = {"audio": 1, "mel": 2, "cache": 2, "fifo": 2, "silence_mean": 1, "cache_predictions": 2}
_COUNTERS = ("n_samples", "audio_start", "position", "n_silence", "n_moves")
_PLAIN = (*_COUNTERS, "origin", "is_closed", "error")

_HEAD, _CACHE = ("mel", "audio"), ("cache", "cache_predictions", "silence_mean")
_VERSIONS = {"head": 1, "cache": 1, "fifo": 1}
"""Of the parts of a state, each of which may change by itself."""


class Mark(NamedTuple):
    """A moment of a stream: how often frames have left its fifo, and how many are in it."""

    n_moves: int
    n_fifo: int


BEGINNING = Mark(0, 0)


class ChangedParts(NamedTuple):
    """The parts of a state that have changed since a moment, as bytes.

    Attributes:
      head: counters, mel frames and samples: written at each step.
      cache: the speaker cache, and the mean of silence; None where they are as they were.
      fifo: frames that joined the fifo; None for none.
      clears_fifo: frames have left it, so what was there before is void.
    """

    head: bytes
    cache: bytes | None
    fifo: bytes | None
    clears_fifo: bool


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
      n_moves: how often frames have left the fifo for the cache; neither changes otherwise, but for frames that join
        the fifo at its end.
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
    n_moves: int = 0
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
        return pack_arrays(_KIND, _VERSION, self._plain(), self._arrays(_DIMENSIONS))

    @classmethod
    def from_bytes(cls, data: bytes) -> StreamState:
        """Read a state that `to_bytes` wrote.

        Raises:
          ValueError: it is something else, damaged, or of another version.
        """
        header, arrays = unpack_arrays(data, _KIND, _VERSION)
        _check_arrays(arrays, _DIMENSIONS)
        kept: dict[str, Any] = {name: arrays[name] for name in ("cache", "fifo", "silence_mean", "mel")}
        return cls(
            **{name: header[name] for name in _PLAIN},
            **kept,
            cache_predictions=arrays.get("cache_predictions"),
            audio=[arrays["audio"]],
        )

    def _plain(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _PLAIN}

    def _arrays(self, names: Iterable[str]) -> dict[str, Floats]:
        self.joined_audio()
        arrays = {name: getattr(self, name) for name in names}
        arrays |= {"audio": self.audio[0]} if "audio" in arrays else {}
        return {name: array for name, array in arrays.items() if array is not None}

    def mark(self) -> Mark:
        """Return the present moment, for `changed_parts`."""
        return Mark(self.n_moves, len(self.fifo))

    def changed_parts(self, since: Mark) -> ChangedParts:
        """Return the parts that have changed since a moment; those of all moments together are the state."""
        has_moved = self.n_moves != since.n_moves
        first = 0 if has_moved else since.n_fifo
        moves, new = {"n_moves": self.n_moves}, self.fifo[first:]
        return ChangedParts(
            head=_pack("head", self._plain(), self._arrays(_HEAD)),
            cache=_pack("cache", moves, self._arrays(_CACHE)) if has_moved else None,
            fifo=_pack("fifo", {**moves, "first": first}, {"fifo": new}) if len(new) else None,
            clears_fifo=has_moved,
        )

    def restore(self, head: bytes, cache: bytes | None, fifo: Iterable[bytes]) -> None:
        """Take the parts of a stream's state into a new one of the same model and parameters.

        Args:
          head: the latest.
          cache: the latest; None while no frame has left the fifo.
          fifo: all since they were void last, in any order.

        Raises:
          ValueError: a part is missing, damaged, of another version, or of another model or other parameters.
        """
        plain, arrays = _unpacked("head", head, _HEAD)
        origin = self.origin
        for name in _PLAIN:
            setattr(self, name, plain[name])
        self.check_origin(origin)
        self.mel, self.audio = arrays["mel"], [arrays["audio"]]
        if cache is not None:
            moves, kept = _unpacked("cache", cache, _CACHE)
            self._check_moves("cache", moves["n_moves"])
            self.cache, self.cache_predictions = kept["cache"], kept.get("cache_predictions")
            self.silence_mean = kept["silence_mean"]
        elif self.n_moves:
            raise ValueError("a state of a stream without its speaker cache: begin with a new state")
        for piece, frames in sorted((_unpacked("fifo", piece, ("fifo",)) for piece in fifo), key=_first_of):
            self._check_moves("fifo", piece["n_moves"])
            if piece["first"] != len(self.fifo):
                raise ValueError(f"frames from {piece['first']} on follow {len(self.fifo)}: begin with a new state")
            self.fifo = np.concatenate([self.fifo, frames["fifo"]])

    def _check_moves(self, part: str, n_moves: int) -> None:
        if n_moves != self.n_moves:
            raise ValueError(f"{part} after {n_moves} moves, head after {self.n_moves}: begin with a new state")


def _pack(part: str, header: Mapping[str, Any], arrays: Mapping[str, Floats]) -> bytes:
    return pack_arrays(f"{_KIND}.{part}", _VERSIONS[part], header, arrays)


def _unpacked(part: str, data: bytes, names: Iterable[str]) -> tuple[dict[str, Any], dict[str, Floats]]:
    header, arrays = unpack_arrays(data, f"{_KIND}.{part}", _VERSIONS[part])
    _check_arrays(arrays, {name: _DIMENSIONS[name] for name in names})
    return header, arrays


def _first_of(piece: tuple[dict[str, Any], dict[str, Floats]]) -> int:
    first: int = piece[0]["first"]
    return first


def _zeros(*shape: int) -> Floats:
    return np.zeros(shape, dtype=np.float32)


def _check_arrays(arrays: Mapping[str, Any], dimensions: Mapping[str, int]) -> None:
    expected = set(dimensions) - {"cache_predictions"}
    bad = sorted(expected - set(arrays) | set(arrays) - set(dimensions))
    bad += [name for name in sorted(set(arrays) & set(dimensions)) if not _is_right(arrays[name], dimensions[name])]
    if bad:
        raise ValueError(f"a state of a stream that is damaged: {', '.join(bad)}: begin with a new state")


def _is_right(array: Any, n_dimensions: int) -> bool:
    return array.ndim == n_dimensions and array.dtype == np.float32


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat
