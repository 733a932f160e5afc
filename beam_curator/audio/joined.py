"""Open files as the channels of one recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beam_curator.audio.information import AudioInfo
from beam_curator.audio.reading import AudioReader
from beam_curator.audio.spans import Samples
from beam_curator.audio_formats import depth_of
from beam_curator.failures import EntryError, FailureCode, readable_name

_MOST_APART = 0.01
"""Seconds: recorders that stop one after the other, and codecs that fill their last frame, differ by less."""


class JoinedSpans:
    """Pieces of several files side by side; an error names its file."""

    damage: str | None = None

    def __init__(self, readers: Sequence[AudioReader], names: Sequence[str]) -> None:
        self._files = list(zip(readers, names, strict=True))

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `[start, stop)`, float32 [n_samples, n_files]."""
        return np.concatenate([_read(reader, name, start, stop) for reader, name in self._files], axis=1)

    def close(self) -> None:
        """Release the decoders; the files stay open."""
        for reader, _ in self._files:
            reader.close()


def join_channels(readers: Sequence[AudioReader], names: Sequence[str]) -> AudioReader:
    """Read files of one channel each as one recording, in which file i is channel i.

    It ends with the shortest file; the others may be up to 10 ms longer.

    Args:
      readers: open files.
      names: of the files, for errors.

    Raises:
      EntryError: a file has several channels, or they differ in sample rate or by more in length (`bad_channels`).
    """
    infos = [reader.info for reader in readers]
    shown = [readable_name(name) for name in names]
    for info, name in zip(infos, shown, strict=True):
        if info.n_channels != 1:
            cure = "name a file of one channel for each, or this file alone as the recording"
            raise _unfit(f"{name} has {info.n_channels} channels, expected one in each file of an array", cure)
    slow, fast = _extremes([info.sample_rate for info in infos])
    if infos[slow].sample_rate != infos[fast].sample_rate:
        raise _unfit(
            f"{shown[slow]} has {infos[slow].sample_rate} Hz and {shown[fast]} {infos[fast].sample_rate} Hz, "
            "expected one sample rate",
            "resample them to one rate",
        )
    short, long = _extremes([info.n_samples for info in infos])
    n_samples, rate = infos[short].n_samples, infos[short].sample_rate
    if infos[long].n_samples - n_samples > _MOST_APART * rate:
        raise _unfit(
            f"{shown[short]} has {n_samples} samples ({n_samples / rate:.3f} s) and {shown[long]} "
            f"{infos[long].n_samples} ({infos[long].n_samples / rate:.3f} s), expected lengths within 10 ms",
            "copy the shorter file again, or cut them to one length",
        )
    return AudioReader(_joined_information(infos, n_samples), JoinedSpans(readers, names))


def _joined_information(infos: Sequence[AudioInfo], n_samples: int) -> AudioInfo:
    containers = {info.container for info in infos}
    joined = AudioInfo(
        sample_rate=infos[0].sample_rate,
        n_samples=n_samples,
        n_channels=len(infos),
        container=containers.pop() if len(containers) == 1 else "mixed",
        # tracks are written in the depth of the recording, so none may lose bits
        codec=max((info.codec for info in infos), key=depth_of),
    )
    claimed = min(info.n_samples if info.n_claimed is None else info.n_claimed for info in infos)
    return joined.with_samples(n_samples, n_claimed=claimed, truncated=any(info.truncated for info in infos))


def _extremes(values: Sequence[int]) -> tuple[int, int]:
    """Return the places of the smallest and of the largest value."""
    places = range(len(values))
    return min(places, key=values.__getitem__), max(places, key=values.__getitem__)


def _read(reader: AudioReader, name: str, start: int, stop: int) -> Samples:
    try:
        return reader.read(start, stop)
    except EntryError as err:
        raise err.about(name) from err


def _unfit(message: str, cure: str) -> EntryError:
    return EntryError(FailureCode.BAD_CHANNELS, message, cure)
