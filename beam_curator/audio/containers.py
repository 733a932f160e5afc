"""Recordings that libsndfile does not open (m4a, webm, amr, …), through PyAV: the extra [av], loaded when needed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from beam_curator.audio.files import SourceFile
from beam_curator.audio.formats import DEMUXERS
from beam_curator.audio.information import AudioInfo, not_audio, truncated_audio
from beam_curator.audio.open_rules import Opening
from beam_curator.audio.spans import ForwardSpans, Samples

# other demuxers estimate a duration from the bit rate, which is no claim of the file
_KEEPS_ITS_LENGTH = frozenset({"mov", "matroska"})
# a claimed duration may include priming and padding of the codec, which decoding leaves out
_CLAIM_SLACK_SECONDS = 0.1
_SAMPLE_FORMATS = frozenset({"u8", "s16", "s32", "flt", "dbl", "u8p", "s16p", "s32p", "fltp", "dblp"})
_NO_PROTOCOLS = {"protocol_whitelist": "none"}
"""FFmpeg may open nothing by itself, whatever a file refers to: it gets an open file and the name of a demuxer."""


class PacketDecoder:
    """Decodes the first audio stream of a file with FFmpeg, without resampling.

    Args:
      source: the file.
      container: a key of `formats.DEMUXERS`.

    Raises:
      EntryError: PyAV is not installed, or the file cannot be opened.
    """

    def __init__(self, source: SourceFile, container: str) -> None:
        self._av = _load_av(container)
        self.damage: str | None = None
        self._waiting: list[Samples] = []
        self._n_waiting = 0
        self._container = self._open(source.behind(0), container)
        # without a context, FFmpeg has no decoder for the stream
        streams = [stream for stream in self._container.streams.audio if stream.codec_context is not None]
        if not streams:
            self._container.close()
            raise not_audio(f"the {container} file has no audio stream that FFmpeg decodes")
        self._stream = streams[0]
        self._frames = self._container.decode(self._stream)
        self.codec: str = self._stream.codec_context.name
        # set by the first frame, as the header may say otherwise (HE-AAC doubles its rate)
        self.sample_rate = self.n_channels = 0
        self._pull()

    def _open(self, source: SourceFile, container: str) -> Any:
        try:
            return self._av.open(
                source, mode="r", format=DEMUXERS[container], options=_NO_PROTOCOLS, metadata_errors="ignore"
            )
        except self._av.error.FFmpegError as err:
            if DEMUXERS[container] == "mov" and b"moov" not in _boxes(source):
                raise truncated_audio(f"the {container} file ends before its index (moov)") from err
            raise not_audio(f"FFmpeg does not open the {container} file: {err.strerror}") from err

    def claimed_seconds(self) -> float | None:
        """Return the duration that the header claims, None where it claims none or FFmpeg only guesses."""
        if not _KEEPS_ITS_LENGTH & set(self._container.format.name.split(",")):
            return None
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration is not None and len(self._container.streams) == 1:
            # of several streams, another one (a video) may be what lasts that long
            return float(self._container.duration) / 1e6
        return None

    def read(self, n_samples: int) -> Samples:
        """Return the next samples, fewer than asked at the end only."""
        while self._n_waiting < n_samples and self._pull():
            pass
        parts = self._waiting or [np.empty((0, max(1, self.n_channels)), np.float32)]
        whole = np.concatenate(parts)
        rest = whole[n_samples:]
        self._waiting, self._n_waiting = ([rest] if len(rest) else []), len(rest)
        return whole[:n_samples]

    def _pull(self) -> bool:
        """Decode one more frame; return whether there was one."""
        if self.damage is not None:
            return False
        try:
            frame = next(self._frames, None)
        except self._av.error.FFmpegError as err:
            self.damage = err.strerror
            return False
        if frame is None:
            return False
        if frame.format.name not in _SAMPLE_FORMATS:
            self.damage = f"samples of the kind {frame.format.name} are not read"
            return False
        samples = _samples_of(frame)
        if not self.sample_rate:
            self.sample_rate, self.n_channels = frame.sample_rate, samples.shape[1]
        # a stream may change its form on the way; what follows cannot join the samples before
        if (self.sample_rate, self.n_channels) != (frame.sample_rate, samples.shape[1]):
            self.damage = f"the stream goes on with {samples.shape[1]} channels at {frame.sample_rate} Hz"
            return False
        self._waiting.append(samples)
        self._n_waiting += len(samples)
        return True

    def close(self) -> None:
        """Release the decoder; the file stays open."""
        self._container.close()


def open_container(source: SourceFile, container: str, opening: Opening) -> tuple[AudioInfo, ForwardSpans]:
    """Open a recording with PyAV and decode it once, as nothing else tells its length.

    Raises:
      EntryError: PyAV is not installed, or the file cannot be opened or decoded, or is refused.
    """
    decoder = PacketDecoder(source, container)
    if not decoder.sample_rate and decoder.damage is not None:
        raise not_audio(f"FFmpeg does not decode the {decoder.codec} in the {container} file: {decoder.damage}")
    claimed = decoder.claimed_seconds()
    # the decoder that is open already serves the first pass
    ready = [decoder]
    spans = opening.spans(
        lambda: ready.pop() if ready else PacketDecoder(source, container), max(1, decoder.n_channels)
    )
    info = AudioInfo(
        sample_rate=decoder.sample_rate,
        n_samples=0,
        n_channels=decoder.n_channels,
        container=container,
        codec=decoder.codec,
    )
    info = info.with_samples(opening.count(spans, info))
    n_claimed = None if claimed is None else round((claimed - _CLAIM_SLACK_SECONDS) * info.sample_rate)
    if n_claimed is not None and claimed is not None and n_claimed > info.n_samples:
        n_claimed = round(claimed * info.sample_rate)
    return info.with_samples(info.n_samples, n_claimed=n_claimed, truncated=spans.damage is not None), spans


def _load_av(container: str) -> ModuleType:
    try:
        import av
    except ImportError as err:
        raise not_audio(
            f"libsndfile does not decode {container} files, and PyAV is not installed",
            "pip install 'beam-curator[av]'",
        ) from err
    return av


def _boxes(source: SourceFile) -> list[bytes]:
    """Name the boxes on the first level of an MP4 file, as far as it goes (ISO/IEC 14496-12, section 4.2)."""
    names: list[bytes] = []
    here = 0
    while len(header := source.read_at(here, 16)) >= 8 and len(names) < 1000:
        size = int.from_bytes(header[:4], "big")
        # a size of 1 says that the real one follows in 64 bits
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if here + size <= source.size:
            names.append(header[4:8])
        # 0 means up to the end of the file, and less than a header would never get on
        if size < 8:
            break
        here += size
    return names


def _samples_of(frame: Any) -> Samples:
    """Return the samples of one decoded frame, integers as shares of their full scale."""
    array = frame.to_ndarray()
    samples = array.T if frame.format.is_planar else array.reshape(-1, len(frame.layout.channels))
    if samples.dtype.kind == "u":
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / np.float32(2.0 ** (8 * samples.dtype.itemsize - 1))
    return np.ascontiguousarray(samples, np.float32)
