"""The sound of a page: pictures of recordings, links to those that browsers play, and small copies of others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from beam_curator.audio import Samples
from beam_curator.audio.channels import Resampler
from beam_curator.export.envelopes import mix
from beam_curator.failures import EntryError
from beam_curator.files import storage
from beam_curator.files.clip_files import EncodedClip, SpooledEncoder
from beam_curator.files.opened_recordings import open_recording
from beam_curator.recordings.channel_files import channel_files
from beam_curator.recordings.tar_members import split_locator
from beam_curator.report.peaks import peaks_of
from beam_curator.report.spectrograms import SpectrogramMaker

PLAYED = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm", ".weba")
"""Endings of files that browsers play."""


_RATES = (8000, 12000, 16000, 24000)
"""Sample rates of Opus that suffice for speech, in Hz."""
_MEMORY = 1 << 20


class Sound(NamedTuple):
    """A recording as it is: its pictures, its length in seconds and a copy of it, or why it cannot be read."""

    peaks: str = ""
    spectrogram: str = ""
    sample_rate: int = 0
    duration: float = 0
    problem: str = ""
    copy: EncodedClip | None = None


def sound_of(path: str, copies: bool, *, spectrograms: bool = False) -> Sound:
    """Read a recording; "" is none."""
    if not path:
        return Sound()
    try:
        with open_recording(path) as reader, ExitStack() as undone:
            info = reader.info
            copy = SmallCopy(info.sample_rate) if copies else None
            undone.callback(copy.close if copy else lambda: None)
            spectrogram = SpectrogramMaker(info.sample_rate, info.n_samples) if spectrograms else None
            pieces = reader.pieces()
            pieces = map(copy.heard, pieces) if copy else pieces
            pieces = map(spectrogram.heard, pieces) if spectrogram else pieces
            peaks = peaks_of(pieces, info.n_samples)
            levels = spectrogram.levels() if spectrogram else ""
            encoded = copy.finish() if copy else None
            undone.pop_all()
            return Sound(peaks, levels, info.sample_rate, info.n_samples / info.sample_rate, copy=encoded)
    except EntryError as err:
        return Sound(problem=err.message)


def sounds_of(paths: Sequence[str], copied: Sequence[bool], *, spectrograms: bool) -> Iterator[Sound]:
    """Yield the sounds of recordings, in order; several are read at a time, as decoders leave the interpreter free.

    Args:
      paths: of the recordings.
      copied: whether each is copied.
      spectrograms: whether they have them.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield from threads.map(partial(sound_of, spectrograms=spectrograms), paths, copied)


class SmallCopy:
    """Encodes a recording as Opus while it is read: its channels mixed, at no more than 24 kHz."""

    def __init__(self, sample_rate: int) -> None:
        rate = next((rate for rate in _RATES if rate >= sample_rate), _RATES[-1])
        self._resampler = Resampler(sample_rate, rate, n_channels=1)
        self._encoder = SpooledEncoder(rate, 1, "ogg", "opus", _MEMORY)

    def heard(self, piece: Samples) -> Samples:
        """Take the next piece, float32 [n, n_channels], and return it."""
        self._write(mix(piece)[:, None], last=False)
        return piece

    def _write(self, samples: Samples, *, last: bool) -> None:
        self._encoder.write(np.clip(self._resampler.resample(samples, last=last), -1.0, 1.0, dtype=np.float32))

    def finish(self) -> EncodedClip:
        """Return the copy, once all pieces were taken."""
        self._write(np.zeros((0, 1), np.float32), last=True)
        return self._encoder.finish()

    def close(self) -> None:
        """Give the temporary file back."""
        self._encoder.close()


def link_to(path: str, directory: str) -> str:
    """Return the address of a recording for a page in a directory; "" where no browser would play it.

    Example:
      >>> link_to("/sets/a b/talk#1.wav", "/sets/report"), link_to("/sets/talk.sph", "/sets/report")
      ('../a%20b/talk%231.wav', '')
    """
    is_one_file = len(channel_files(path)) == 1 and split_locator(path)[1] is None
    if not path or storage.is_remote(path) or not is_one_file or not path.lower().endswith(PLAYED):
        return ""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(directory))
    return quote(relative, errors="surrogateescape")
