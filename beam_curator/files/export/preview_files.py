"""The two files of a preview, made while the clip is encoded: its samples are read once, and never held whole."""

import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

import numpy as np

from beam_curator.audio import Samples
from beam_curator.export.envelopes import Envelope
from beam_curator.export.previews import PreviewSound, Turn, draw_envelope
from beam_curator.files.atomic_files import errors_with_path
from beam_curator.files.clip_files import EncodedClip, encode_long, in_memory

_SPOOL_BYTES = 8 << 20
_PIECE_BYTES = 1 << 20


class PreviewRecorder:
    """Listens to a clip, and makes its picture and its low-rate copy.

    Args:
      n_samples: length of the clip in samples of each channel.
      sample_rate: of the clip, in Hz.
      n_channels: of the clip.
    """

    def __init__(self, n_samples: int, sample_rate: int, n_channels: int) -> None:
        self._sample_rate = sample_rate
        self._n_channels = n_channels
        self._envelope = Envelope(n_samples)
        self._sound = PreviewSound(sample_rate)
        self._file = cast(
            BinaryIO,
            tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES, prefix="beam_curator-"),  # noqa: SIM115
        )

    def add(self, samples: Samples) -> None:
        """Take the next piece of the clip, float32 [n, n_channels].

        Raises:
          EntryError: a sample is NaN or infinite.
        """
        self._envelope.add(samples)
        with errors_with_path(tempfile.gettempdir()):
            self._file.write(self._sound.add(samples).tobytes())

    def image(self, turns: Sequence[Turn], title: str) -> EncodedClip:
        """Return the picture, once the clip is complete."""
        return in_memory(draw_envelope(self._envelope, self._sample_rate, turns, title=title))

    def sound(self) -> EncodedClip:
        """Return the low-rate copy, once the clip is complete; to be called once.

        Raises:
          EntryError: it cannot be encoded.
        """
        rest = np.zeros((0, self._n_channels), np.float32)
        with errors_with_path(tempfile.gettempdir()):
            self._file.write(self._sound.add(rest, last=True).tobytes())
        return encode_long(self._pieces(), self._sound.sample_rate, 1, "ogg")

    def close(self) -> None:
        """Give the temporary file back."""
        self._file.close()

    def _pieces(self) -> Iterator[Samples]:
        self._file.seek(0)
        while data := self._file.read(_PIECE_BYTES):
            yield np.frombuffer(data, np.float32)[:, None]
