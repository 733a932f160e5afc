"""Encoding of clips: wav and flac in 16 bits or another subtype, ogg vorbis; the same samples give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_curator.audio.files import SinkFile, WritableFile
from beam_curator.audio.ogg import FixedSerialFile
from beam_curator.audio.spans import Samples, check_finite
from beam_curator.audio_formats import AUDIO_FORMATS, SUBTYPES
from beam_curator.failures import EntryError, FailureCode

_WAV_HEADER_BYTES = 44
_FACT_BYTES = 12
_PEAK_BYTES = (16, 8)
"""Of the chunk of peaks, without and for each channel; libsndfile leaves room for it also where it writes none."""

_SAMPLE_BYTES = {"pcm_u8": 1, "pcm_s8": 1, "pcm_16": 2, "pcm_24": 3, "pcm_32": 4, "float": 4, "double": 8}
_REAL_SUBTYPES = frozenset({"float", "double"})
_ADD_PEAK_CHUNK = 0x1050
"""SFC_SET_ADD_PEAK_CHUNK of sndfile.h: the chunk holds the time of writing, so that no two files would be the same."""


@dataclass(frozen=True, slots=True)
class _Format:
    """The limits of a format, and the samples that libsndfile gets at once: their number affects Vorbis's output."""

    max_channels: int
    max_sample_rate: int
    max_bytes: int
    block_samples: int


_FORMATS = {
    "wav": _Format(1024, 655_350, (1 << 32) - 1, 1 << 18),
    "flac": _Format(8, 655_350, 1 << 62, 1 << 18),
    "ogg": _Format(255, 200_000, 1 << 62, 1 << 14),
}


_MOST_32 = np.float32((1 << 31) - 128)
"""The largest float32 below 2 ** 31."""

_CACHED_SAMPLES = 1 << 14


def encode_audio(samples: Samples, sample_rate: int, audio_format: str, subtype: str | None = None) -> bytes:
    """Encode a clip in memory.

    A 16-bit recording comes out of wav and flac bit for bit. Other samples become 16-bit numbers as libsndfile makes
    them: 1.0 is 32768, clipped at -32768 and 32767; wav rounds down, flac to the nearest. Likewise recordings of 8 and
    24 bits where that is the subtype. Subtypes float and double hold any samples as they are.

    Args:
      samples: float32 [n_samples, n_channels].
      sample_rate: in Hz.
      audio_format: one of AUDIO_FORMATS.
      subtype: one of `SUBTYPES[audio_format]`; None for its first. `kept_subtype` says that of a recording.

    Raises:
      EntryError: there are no samples (`empty_audio`), some are NaN or infinite (`non_finite`), or the format cannot
        hold so many channels, such a rate, or so many samples (`not_encodable`).
      ValueError: the format or the subtype is not known.

    Example:
      >>> len(encode_audio(np.zeros((8000, 1), np.float32), 8000, "wav"))
      16044
    """
    file = io.BytesIO()
    encoder = AudioEncoder(sample_rate, samples.shape[1], audio_format, file, subtype)
    try:
        encoder.write(samples)
        encoder.finish()
    finally:
        encoder.close()
    return file.getvalue()


class AudioEncoder:
    """Encodes a clip that is given piece by piece, with flat memory, so that many can be written at once.

    The bytes are those of `encode_audio` of the whole clip, however it is cut.
    `finish` makes the file whole; `close` lets go of what was begun, and may be called at any time.

    Args:
      sample_rate: in Hz.
      n_channels: number of channels of every piece.
      audio_format: one of AUDIO_FORMATS.
      file: an open binary file that can seek; it is written from its position on, and stays open. After an error it
        holds a part of a clip.
      subtype: as for `encode_audio`.

    Raises:
      EntryError: the format does not allow this number of channels or this sample rate (`not_encodable`).
      ValueError: the format or the subtype is not known.

    Example:
      >>> file = io.BytesIO()
      >>> encoder = AudioEncoder(8000, 1, "wav", file)
      >>> encoder.write(np.zeros((3000, 1), np.float32))
      >>> encoder.write(np.zeros((5000, 1), np.float32))
      >>> encoder.finish(), file.getvalue() == encode_audio(np.zeros((8000, 1), np.float32), 8000, "wav")
      (8000, True)
    """

    def __init__(
        self, sample_rate: int, n_channels: int, audio_format: str, file: WritableFile, subtype: str | None = None
    ) -> None:
        self._subtype = _subtype_of(audio_format, subtype)
        _check_format(sample_rate, n_channels, audio_format)
        self._rate, self._n_channels, self._format = sample_rate, n_channels, audio_format
        # a random serial number would make the bytes of every run different
        self._pages = FixedSerialFile(file) if audio_format == "ogg" else None
        self._sink = SinkFile(self._pages or file)
        self._blocks = _Blocks(n_channels, _FORMATS[audio_format].block_samples)
        self._sound: Any = None
        self._n_samples = 0

    def write(self, samples: Samples) -> None:
        """Take the next samples, float32 [n, n_channels]; they are read before it returns, and not kept.

        Raises:
          EntryError: some are NaN or infinite (`non_finite`), or the format cannot hold so many (`not_encodable`).
          ValueError: the array has another type or shape.
          OSError: the file cannot be written.
        """
        for block in self._blocks.add(samples):
            self._write(block)

    def finish(self) -> int:
        """Write the samples left over; return the number of samples of the clip.

        Raises:
          EntryError: the clip is empty (`empty_audio`), or too long for the format (`not_encodable`).
          OSError: the file cannot be written.
        """
        # the blocks, not the pieces, are what libsndfile sees: the bytes do not depend on the cutting
        rest = self._blocks.rest()
        if len(rest):
            self._write(rest)
        if self._sound is None:
            raise EntryError(FailureCode.EMPTY_AUDIO, "the clip holds no samples", "cut a span that is not empty")
        self.close()
        # closing writes the header or the last pages, and may fail too
        self._sink.raise_error()
        if self._pages is not None:
            self._pages.finish()
        return self._n_samples

    def close(self) -> None:
        """Release the file, which stays open; without `finish` it holds a part of a clip."""
        if self._sound is not None:
            with self._naming_errors():
                self._sound.close()

    def _write(self, block: Samples) -> None:
        self._n_samples += len(block)
        check_size(self._n_samples, self._n_channels, self._format, self._subtype)
        with self._naming_errors():
            if self._sound is None:
                # begun with the first samples: a clip without any must leave nothing in the file
                self._sound = self._begun()
            # libsndfile writes such numbers at once; samples it converts and writes in pieces of 8 KB
            self._sound.write(rounded_down(block) if self._format == "wav" and self._subtype == "pcm_16" else block)
        self._sink.raise_error()

    def _begun(self) -> Any:
        from beam_curator.audio.sound_files import SequentialSoundFile

        sound = SequentialSoundFile(
            self._sink, "w", self._rate, self._n_channels, subtype=self._subtype.upper(), format=self._format.upper()
        )
        if self._subtype in _REAL_SUBTYPES:
            _leave_out_peaks(sound)
        return sound

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """Turn a refusal by libsndfile into an error that names the cause; an error of the file takes precedence."""
        import soundfile

        try:
            yield
        except soundfile.LibsndfileError as err:
            self._sink.raise_error()
            what = f"{self._n_channels} channels at {self._rate} Hz"
            raise _not_encodable(what, self._format, err.error_string) from err


def rounded_down(samples: Samples) -> NDArray[np.int16]:
    """Turn samples into 16-bit numbers as libsndfile does for wav: into 32 bits, of which the lower half is cut off.

    Its source is pcm.c, f2les_clip_array.

    Args:
      samples: float32 [n_samples, n_channels], finite.

    Returns:
      int16 [n_samples, n_channels].

    Example:
      >>> rounded_down(np.float32([[0.5], [-0.1], [2.0], [-2.0]])).ravel()
      array([ 16384,  -3277,  32767, -32768], dtype=int16)
    """
    rounded = np.empty(samples.shape, np.int16)
    # what is between the steps stays in the processor's cache
    for low in range(0, len(samples), _CACHED_SAMPLES):
        scaled = samples[low : low + _CACHED_SAMPLES] * np.float32(1 << 31)
        np.clip(scaled, -(1 << 31), _MOST_32, out=scaled)
        np.rint(scaled, out=scaled)
        rounded[low : low + _CACHED_SAMPLES] = scaled.astype(np.int32) >> 16
    return rounded


def check_size(n_samples: int, n_channels: int, audio_format: str, subtype: str | None = None) -> None:
    """Refuse a clip that its format cannot hold for its length: a wav file has less than 4 GiB.

    Args:
      n_samples: a channel.
      n_channels: number of channels.
      audio_format: one of AUDIO_FORMATS.
      subtype: as for `encode_audio`.

    Raises:
      EntryError: `not_encodable`.
      ValueError: the format or the subtype is not known.

    Example:
      >>> check_size(1 << 30, 2, "flac"), check_size(1 << 30, 1, "wav")
      (None, None)
      >>> check_size(1 << 30, 1, "wav", "float")
      Traceback (most recent call last):
      beam_curator.failures.EntryError: not_encodable: wav does not hold 1073741824 samples or more: its sizes have 32 \
bits: mix the channels, choose another sample rate, or write another format
    """
    chosen = _subtype_of(audio_format, subtype)
    if chosen not in _SAMPLE_BYTES:
        return
    data_bytes = _SAMPLE_BYTES[chosen] * n_samples * n_channels
    # chunks of RIFF are padded to an even length
    n_bytes = _WAV_HEADER_BYTES + data_bytes + data_bytes % 2
    if chosen in _REAL_SUBTYPES:
        # wav in floating point has a fact chunk, too
        n_bytes += _FACT_BYTES + _PEAK_BYTES[0] + _PEAK_BYTES[1] * n_channels
    if n_bytes > _FORMATS[audio_format].max_bytes:
        raise _not_encodable(f"{n_samples} samples or more", audio_format, "its sizes have 32 bits")


def block_bytes(n_channels: int, audio_format: str) -> int:
    """Return how many bytes of samples an `AudioEncoder` may hold.

    Example:
      >>> block_bytes(2, "wav")
      2097152
    """
    return _FORMATS[audio_format].block_samples * n_channels * np.dtype(np.float32).itemsize


def _subtype_of(audio_format: str, subtype: str | None) -> str:
    if audio_format not in _FORMATS:
        raise ValueError(f"audio format {audio_format!r} is not known: choose one of {', '.join(AUDIO_FORMATS)}")
    known = SUBTYPES[audio_format]
    if subtype is not None and subtype not in known:
        raise ValueError(f"subtype {subtype!r} is not one of {audio_format}: choose one of {', '.join(known)}")
    return known[0] if subtype is None else subtype


def _leave_out_peaks(sound: Any) -> None:
    """Tell libsndfile to write no chunk of peaks: soundfile has no name for the command."""
    import soundfile

    # 0 as data size is false to libsndfile; the pointer is not read
    soundfile._snd.sf_command(sound._file, _ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)


class _Blocks:
    """Blocks of one length, cut from pieces of any lengths; samples that no format holds are refused.

    A block that lies within one piece is a view of it. Any other is a view of memory that the next block overwrites.
    """

    def __init__(self, n_channels: int, block_samples: int) -> None:
        self._n_channels = n_channels
        self._block_samples = block_samples
        self._held = np.empty((0, n_channels), np.float32)
        self._n_held = 0
        self._position = 0

    def add(self, piece: Samples) -> Iterator[Samples]:
        """Yield the blocks that a piece makes whole."""
        if piece.dtype != np.float32 or piece.ndim != 2 or piece.shape[1] != self._n_channels:
            found = f"{piece.dtype} {list(piece.shape)}"
            raise ValueError(f"samples are {found}: give float32 [n_samples, {self._n_channels}]")
        check_finite(piece, self._position)
        self._position += len(piece)
        here = 0
        while here < len(piece):
            taken = piece[here : here + self._block_samples - self._n_held]
            here += len(taken)
            if len(taken) == self._block_samples:
                yield taken
                continue
            self._hold(taken)
            if self._n_held == self._block_samples:
                yield self.rest()

    def rest(self) -> Samples:
        """Return the samples that are not in a block yet, and forget them."""
        n, self._n_held = self._n_held, 0
        return self._held[:n]

    def _hold(self, samples: Samples) -> None:
        n = self._n_held + len(samples)
        if n > len(self._held):
            # doubled, so that many small pieces are not copied over and over
            larger = np.empty((min(self._block_samples, max(n, 2 * len(self._held))), self._n_channels), np.float32)
            larger[: self._n_held] = self._held[: self._n_held]
            self._held = larger
        self._held[self._n_held : n] = samples
        self._n_held = n


def _check_format(sample_rate: int, n_channels: int, audio_format: str) -> None:
    chosen = _FORMATS[audio_format]
    if not 1 <= n_channels <= chosen.max_channels:
        raise _not_encodable(f"{n_channels} channels", audio_format, f"at least 1 and at most {chosen.max_channels}")
    if not 1 <= sample_rate <= chosen.max_sample_rate:
        raise _not_encodable(f"{sample_rate} Hz", audio_format, f"at least 1 and at most {chosen.max_sample_rate}")


def _not_encodable(what: str, audio_format: str, why: str) -> EntryError:
    return EntryError(
        FailureCode.NOT_ENCODABLE,
        f"{audio_format} does not hold {what}: {why}",
        "mix the channels, choose another sample rate, or write another format",
    )
