"""The spectrogram of a recording as its page shows it: the largest power in each tile of time and frequency."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from beam_curator.audio import Samples
from beam_curator.export.envelopes import mix

N_BANDS = 64
_FLOOR_DB = -96.0
_FRAME_SECONDS = 0.032
_LEAST_COLUMNS, _MOST_COLUMNS = 200, 1500
_FRAMES_AT_ONCE = 1024


class SpectrogramMaker:
    """Hears a recording in pieces, its channels mixed, under a Hann window that moves by half of its length.

    A column is a second, but a picture has 200 to 1,500 of them, and no more than there are frames. Memory is that of
    the picture and of a piece.

    Args:
      sample_rate: Hz.
      n_samples: of each channel.

    Example:
      >>> maker = SpectrogramMaker(16000, 400)
      >>> _ = maker.heard(np.zeros((400, 2), np.float32))
      >>> len(base64.b64decode(maker.levels())) // N_BANDS
      2
    """

    def __init__(self, sample_rate: int, n_samples: int) -> None:
        # a frame has a bin for each band at least
        self._n_fft = max(2 * N_BANDS, 1 << round(np.log2(_FRAME_SECONDS * sample_rate)))
        self._hop = self._n_fft // 2
        self._window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self._n_fft) / self._n_fft)
        self._n_frames = max(1, -(-n_samples // self._hop))
        wanted = min(max(-(-n_samples // sample_rate), _LEAST_COLUMNS), _MOST_COLUMNS)
        self._powers = np.zeros((min(wanted, self._n_frames), N_BANDS))
        self._held = np.zeros(0, np.float32)
        self._n_done = 0

    def heard(self, piece: Samples) -> Samples:
        """Take the next piece, float32 [n, n_channels], and return it."""
        self._held = np.concatenate([self._held, mix(piece)])
        self._digest()
        return piece

    def levels(self) -> str:
        """Return the levels once all pieces were taken, in Base64: a byte for each tile, the highest band first.

        0 is -96 dB or less, 255 the level of a sine at full scale.
        """
        missing = (self._n_frames - self._n_done - 1) * self._hop + self._n_fft - len(self._held)
        self._held = np.pad(self._held, (0, max(0, missing)))
        self._digest()
        with np.errstate(divide="ignore"):
            decibels = 10 * np.log10(self._powers) - 20 * np.log10(self._n_fft / 4)
        levels = np.rint(255 * np.clip(1 - decibels / _FLOOR_DB, 0, 1)).astype(np.uint8)
        return base64.b64encode(np.ascontiguousarray(levels.T[::-1]).tobytes()).decode()

    def _digest(self) -> None:
        """Add all frames that are complete, and keep the samples that the next one needs."""
        n_ready = min((len(self._held) - self._n_fft) // self._hop + 1, self._n_frames - self._n_done)
        for first in range(0, n_ready, _FRAMES_AT_ONCE):
            n = min(_FRAMES_AT_ONCE, n_ready - first)
            samples = self._held[first * self._hop : (first + n - 1) * self._hop + self._n_fft]
            columns = (self._n_done + np.arange(n)) * len(self._powers) // self._n_frames
            np.maximum.at(self._powers, columns, self._powers_of(samples))
            self._n_done += n
        self._held = self._held[max(0, n_ready) * self._hop :]

    def _powers_of(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return float64 [n_frames, N_BANDS], from the lowest band up."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, self._n_fft)[:: self._hop]
        spectra = np.fft.rfft(frames * self._window, axis=1)[:, : self._n_fft // 2]
        powers: NDArray[np.float64] = np.square(spectra.real) + np.square(spectra.imag)
        return powers.reshape(len(powers), N_BANDS, -1).max(axis=2)
