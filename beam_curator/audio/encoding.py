"""Write clips: wav and flac in 16 bits or what is asked for, ogg vorbis; the same samples give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_curator.audio.files import SinkFile, WritableFile
from beam_curator.audio.ogg import FixedSerialFile
from beam_curator.audio.spans import Samples
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
    """What a format holds, and how many samples libsndfile gets at once: what Vorbis makes of them depends on it."""

    max_channels: int
    max_sample_rate: int
    max_bytes: int
    block_samples: int


_FORMATS = {
    "wav": _Format(1024, 655_350, (1 << 32) - 1, 1 << 18),
    "flac": _Format(8, 655_350, 1 << 62, 1 << 18),
    "ogg": _Format(255, 200_000, 1 << 62, 1 << 14),
}


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
    encode_pieces([samples], sample_rate, samples.shape[1], audio_format, file, subtype)
    return file.getvalue()


def encode_pieces(
    pieces: Iterable[Samples],
    sample_rate: int,
    n_channels: int,
    audio_format: str,
    file: WritableFile,
    subtype: str | None = None,
) -> int:
    """Encode a clip that comes in pieces, with flat memory: the bytes are those of `encode_audio` of the whole clip.

    Args:
      pieces: float32 [n, n_channels] each, of any lengths.
      sample_rate: in Hz.
      n_channels: number of channels of every piece.
      audio_format: one of AUDIO_FORMATS.
      file: an open binary file that can seek; it is written from its position on, and stays open. After an error it
        holds a part of a clip.
      subtype: as for `encode_audio`.

    Returns:
      Number of samples written.

    Raises:
      EntryError, ValueError: as `encode_audio`.
      OSError: the file cannot be written.
    """
    chosen = _subtype_of(audio_format, subtype)
    _check_format(sample_rate, n_channels, audio_format)
    pages = FixedSerialFile(file) if audio_format == "ogg" else None
    sink = SinkFile(pages or file)
    blocks = _blocks(pieces, n_channels, _FORMATS[audio_format].block_samples)
    n_samples = _write(blocks, sink, sample_rate, n_channels, audio_format, chosen)
    if pages is not None:
        pages.finish()
    return n_samples


def _write(
    blocks: Iterator[Samples], sink: SinkFile, sample_rate: int, n_channels: int, audio_format: str, subtype: str
) -> int:
    """Write blocks with libsndfile; an error of the file comes before one of libsndfile."""
    import soundfile

    try:
        n_samples = _write_blocks(blocks, sink, sample_rate, n_channels, audio_format, subtype)
    except soundfile.LibsndfileError as err:
        sink.raise_error()
        raise _not_encodable(f"{n_channels} channels at {sample_rate} Hz", audio_format, err.error_string) from err
    sink.raise_error()
    return n_samples


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
    n_bytes = _WAV_HEADER_BYTES + data_bytes + data_bytes % 2
    if chosen in _REAL_SUBTYPES:
        n_bytes += _FACT_BYTES + _PEAK_BYTES[0] + _PEAK_BYTES[1] * n_channels
    if n_bytes > _FORMATS[audio_format].max_bytes:
        raise _not_encodable(f"{n_samples} samples or more", audio_format, "its sizes have 32 bits")


def _subtype_of(audio_format: str, subtype: str | None) -> str:
    if audio_format not in _FORMATS:
        raise ValueError(f"audio format {audio_format!r} is not known: choose one of {', '.join(AUDIO_FORMATS)}")
    known = SUBTYPES[audio_format]
    if subtype is not None and subtype not in known:
        raise ValueError(f"subtype {subtype!r} is not one of {audio_format}: choose one of {', '.join(known)}")
    return known[0] if subtype is None else subtype


def _write_blocks(
    blocks: Iterator[Samples], sink: SinkFile, sample_rate: int, n_channels: int, audio_format: str, subtype: str
) -> int:
    """Write blocks with libsndfile; stop at the first error of the file."""
    from beam_curator.audio.sound_files import SequentialSoundFile

    n_samples = 0
    first = next(blocks, None)
    if first is None:
        raise EntryError(FailureCode.EMPTY_AUDIO, "the clip holds no samples", "cut a span that is not empty")
    with SequentialSoundFile(
        sink, "w", sample_rate, n_channels, subtype=subtype.upper(), format=audio_format.upper()
    ) as sound:
        if subtype in _REAL_SUBTYPES:
            _leave_out_peaks(sound)
        block: Samples | None = first
        while block is not None:
            n_samples += len(block)
            check_size(n_samples, n_channels, audio_format, subtype)
            sound.write(block)
            sink.raise_error()
            block = next(blocks, None)
    return n_samples


def _leave_out_peaks(sound: Any) -> None:
    """Tell libsndfile to write no chunk of peaks: soundfile has no name for the command."""
    import soundfile

    soundfile._snd.sf_command(sound._file, _ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)


def _blocks(pieces: Iterable[Samples], n_channels: int, block_samples: int) -> Iterator[Samples]:
    """Cut pieces of any lengths into blocks of one length, the last one shorter; refuse what no format holds."""
    waiting: list[Samples] = []
    missing = block_samples
    position = 0
    for piece in pieces:
        _check_samples(piece, n_channels, position)
        position += len(piece)
        here = 0
        while len(piece) - here >= missing:
            waiting.append(piece[here : here + missing])
            yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            here += missing
            waiting, missing = [], block_samples
        if here < len(piece):
            waiting.append(piece[here:])
            missing -= len(piece) - here
    if waiting:
        yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)


def _check_samples(samples: Samples, n_channels: int, position: int) -> None:
    if samples.dtype != np.float32 or samples.ndim != 2 or samples.shape[1] != n_channels:
        raise ValueError(f"samples are {samples.dtype} {list(samples.shape)}: give float32 [n_samples, {n_channels}]")
    if not np.isfinite(samples).all():
        at = int(np.flatnonzero(~np.isfinite(samples).all(axis=1))[0])
        raise EntryError(
            FailureCode.NON_FINITE,
            f"sample {position + at} is {samples[at].tolist()}, expected finite numbers",
            "mend the recording, or write it again as 16-bit PCM",
        )


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
