"""The sound of chunks as a model hears it: one channel at 16 kHz, with the same bits however a stream is cut."""

from __future__ import annotations

import numpy as np

from beam_curator.audio import mix_channels, n_resampled, open_audio, resample
from beam_curator.audio.encoding import encode_audio, rounded_down
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats
from beam_curator.failures import EntryError, FailureCode
from beam_curator.live.messages import Chunk

_BLOCKS_A_SECOND = 12.5
_BLOCK = 1280
"""Samples at 16 kHz that are made at a time: 80 ms."""

_RAW_CODECS = {"pcm_s16le": 2, "mulaw": 1}
"""Codec to bytes of a sample."""


def samples_of(chunk: Chunk, max_seconds: float) -> Floats:
    """Decode a chunk; return float32 [n_samples] at its sample rate, the mean of its channels.

    Raises:
      EntryError: the bytes are no sound of this codec and rate, hold none, are too long, or are not finite.
    """
    if not chunk.data:
        raise EntryError(FailureCode.EMPTY_AUDIO, "a chunk without sound", "leave it out; only the last may be empty")
    if chunk.codec in _RAW_CODECS:
        width = _RAW_CODECS[chunk.codec]
        if len(chunk.data) % width:
            raise _undecodable(chunk, f"{len(chunk.data)} bytes, expected a multiple of {width}")
        _check_length(chunk, len(chunk.data) // width, max_seconds)
        return _pcm(chunk.data) if width == 2 else _MULAW[np.frombuffer(chunk.data, np.uint8)]
    with open_audio(chunk.data) as reader:
        info = reader.info
        if info.container != chunk.codec:
            raise _undecodable(chunk, f"a file of kind {info.container}")
        if info.sample_rate != chunk.sample_rate:
            raise _undecodable(chunk, f"a file at {info.sample_rate} Hz, expected {chunk.sample_rate} Hz")
        _check_length(chunk, info.n_samples, max_seconds)
        return np.ascontiguousarray(mix_channels(reader.read(), "mix")[:, 0])


def encoded_chunk(samples: Floats, sample_rate: int, codec: str) -> bytes:
    """Encode float32 [n_samples] as the sound of a chunk.

    Example:
      >>> len(encoded_chunk(np.zeros(800, np.float32), 8000, "mulaw"))
      800
    """
    if codec not in _RAW_CODECS:
        return encode_audio(samples[:, np.newaxis], sample_rate, codec)
    numbers = rounded_down(samples[:, np.newaxis])[:, 0]
    return numbers.astype("<i2").tobytes() if codec == "pcm_s16le" else _to_mulaw(numbers)


def _pcm(data: bytes) -> Floats:
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)


def _mulaw_levels() -> Floats:
    """Return the level of each byte: G.711, eight segments of sixteen steps, of which each is twice the one before."""
    inverted = ~np.arange(256, dtype=np.uint8)
    segment, step = (inverted >> 4) & 7, (inverted & 15).astype(np.int32)
    size = (((step << 3) + 132) << segment) - 132
    return (np.where(inverted & 128, -size, size) / 32768).astype(np.float32)


_MULAW = _mulaw_levels()
_MULAW_ORDER = np.argsort(_MULAW, kind="stable")


def _to_mulaw(numbers: np.ndarray[tuple[int], np.dtype[np.int16]]) -> bytes:
    """Return the byte of the nearest level for each sample."""
    levels = _MULAW[_MULAW_ORDER]
    places = np.searchsorted((levels[1:] + levels[:-1]) / 2, numbers.astype(np.float32) / 32768)
    return _MULAW_ORDER[places].astype(np.uint8).tobytes()


def _check_length(chunk: Chunk, n_samples: int, max_seconds: float) -> None:
    if n_samples > max_seconds * chunk.sample_rate:
        raise EntryError(
            FailureCode.TOO_LONG,
            f"a chunk of {n_samples / chunk.sample_rate:,.1f} s, expected {max_seconds:g} s or less",
            "cut the stream into shorter chunks, or raise --max-chunk-seconds",
        )


def _undecodable(chunk: Chunk, what: str) -> EntryError:
    return EntryError(
        FailureCode.NOT_AUDIO, f"a chunk said to be {chunk.codec} has {what}", "mend the publisher: codec, rate, bytes"
    )


class LiveResampler:
    """Brings a stream to 16 kHz in blocks of 80 ms, each made from itself and the blocks beside it.

    So its state is two blocks, and the result does not depend on the cutting. It differs from `resample` of the whole
    stream by rounding alone; at 16 kHz it is the stream itself.

    Args:
      sample_rate: of the stream in Hz, a multiple of 12.5.

    Attributes:
      n_in: samples taken.
      tail: those that are needed again.
    """

    def __init__(self, sample_rate: int) -> None:
        self.n_in = 0
        self.tail = np.empty(0, np.float32)
        self._rate = sample_rate
        self._size = round(sample_rate / _BLOCKS_A_SECOND)

    def n_needed(self, n_samples: int) -> int:
        """Return how many more samples it takes to make `n_samples` more at 16 kHz; 0 where none are asked."""
        if self._rate == MODEL_SAMPLE_RATE or n_samples <= 0:
            return max(0, n_samples)
        # a block is made once the one behind it is there
        n_blocks = self._n_made() + -(-n_samples // _BLOCK)
        return (n_blocks + 1) * self._size - self.n_in

    def _n_made(self) -> int:
        return max(0, self.n_in // self._size - 1)

    def resample(self, samples: Floats, *, is_last: bool) -> Floats:
        """Take float32 [n], the next samples; return those at 16 kHz that are ready, all of them at the end."""
        if self._rate == MODEL_SAMPLE_RATE:
            self.n_in += len(samples)
            return samples
        first_made = self._n_made()
        held = np.concatenate([self.tail, samples])
        # the tail begins with the block before the next one that is made
        begin = max(0, first_made - 1) * self._size
        self.n_in += len(samples)
        n_made = -(-self.n_in // self._size) if is_last else self._n_made()
        made = [self._block(held, begin, block) for block in range(first_made, n_made)]
        self.tail = held[max(0, n_made - 1) * self._size - begin :].copy()
        whole = np.concatenate([np.empty(0, np.float32), *made])
        n_left = n_resampled(self.n_in, self._rate, MODEL_SAMPLE_RATE) - first_made * _BLOCK
        return whole[:n_left] if is_last else whole

    def _block(self, held: Floats, begin: int, block: int) -> Floats:
        before = min(block, 1)
        first = (block - before) * self._size - begin
        around = held[first : first + (before + 2) * self._size, np.newaxis]
        made = resample(around, self._rate, MODEL_SAMPLE_RATE)[:, 0]
        return made[before * _BLOCK : (before + 1) * _BLOCK]
