"""How wide the spectrum of a piece of audio is: `metrics.bandwidth` of a segment."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_curator.failures import EntryError, FailureCode

_N_FFT = 512
_HOP_SECONDS = 0.01
_LEAST_SHARE = 1e-5
"""Of the strongest bin's power: -50 dB."""

_BLOCK_FRAMES = 64


class BandwidthMeter:
    """Measures the bandwidth of audio that comes in pieces; how it is cut changes nothing, not a bit.

    The formula is that of NeMo Curator's `BandwidthEstimation`: the mean power spectrum of centred frames of 512
    samples, 10 ms apart, under a Blackman-Harris window; the bandwidth is the frequency of the highest bin that is
    less than 50 dB below the strongest. Two things differ. Digital silence has bandwidth 0, where the reference rates
    it with the Nyquist frequency. And there is no floor at 1e-10, by which the reference does the same with anything
    quieter than about -90 dB of full scale.

    Memory is flat: sums of the spectra, and the samples of 64 frames.

    Args:
      sample_rate: Hz, at least 100.

    Raises:
      ValueError: the sample rate is below 100 Hz, so that frames would not move.

    Example:
      >>> meter = BandwidthMeter(16000)
      >>> meter.add(np.tile(np.float32([0, 0.1, 0, -0.1]), 100_000))
      >>> meter.bandwidth()  # 4000 Hz, and the main lobe of the window
      4125
    """

    def __init__(self, sample_rate: int) -> None:
        if sample_rate < 100:
            raise ValueError(f"sample_rate {sample_rate} Hz is below 100: give the recording's")
        self._sample_rate = sample_rate
        self._hop = int(sample_rate * _HOP_SECONDS)
        self._power = np.zeros(_N_FFT // 2 + 1)
        self._held = np.zeros(_BLOCK_FRAMES * self._hop + max(0, _N_FFT - self._hop))
        # zeros before the first sample: the first frame is centred on it
        self._n_held = _N_FFT // 2

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples: float32 [n_samples], of any number and any scale.

        Raises:
          ValueError: the samples have more than one dimension.
        """
        if samples.ndim != 1:
            raise ValueError(f"samples of shape {samples.shape}, expected [n_samples]: mix the channels to one")
        position = 0
        while position < len(samples):
            piece = samples[position : position + len(self._held) - self._n_held]
            self._held[self._n_held : self._n_held + len(piece)] = piece
            self._n_held += len(piece)
            position += len(piece)
            if self._n_held == len(self._held):
                self._digest()

    def power(self) -> NDArray[np.float64]:
        """Return float64 [257]: the sum of the power spectra of all samples so far, 0 Hz to half the sample rate."""
        n_frames = 1 + (self._n_held - _N_FFT // 2) // self._hop
        if n_frames <= 0:
            return self._power.copy()
        rest = np.concatenate((self._held[: self._n_held], np.zeros(_N_FFT // 2)))
        return self._power + _power_of(rest, self._hop, n_frames)

    def bandwidth(self) -> int:
        """Return the bandwidth in Hz of all samples so far, rounded down; 0 for none and for digital silence.

        Raises:
          EntryError: a sample was not finite.
        """
        power = self.power()
        if not np.isfinite(power).all():
            raise EntryError(
                FailureCode.NON_FINITE, "a sample is not finite, expected numbers", "mend or remove the recording"
            )
        loud = np.flatnonzero(power > power.max() * _LEAST_SHARE)
        return int(loud[-1] * self._sample_rate / _N_FFT) if len(loud) else 0

    def _digest(self) -> None:
        """Add the spectra of a full block, and keep the samples that the next frame shares with it."""
        self._power += _power_of(self._held, self._hop, _BLOCK_FRAMES)
        shared = self._held[_BLOCK_FRAMES * self._hop :].copy()
        self._held[: len(shared)] = shared
        # blocks have fixed frames, so that sums add up in one order whatever the cutting
        self._n_held = len(shared)


def estimate_bandwidth(samples: NDArray[np.float32], sample_rate: int) -> int:
    """Return the bandwidth in Hz of a piece of audio, as `BandwidthMeter` measures it.

    Args:
      samples: float32 [n_samples].
      sample_rate: Hz, at least 100.

    Raises:
      EntryError: a sample is not finite.
      ValueError: more than one channel, or a sample rate below 100 Hz.

    Example:
      >>> estimate_bandwidth(np.zeros(16000, np.float32), 16000)
      0
    """
    meter = BandwidthMeter(sample_rate)
    meter.add(samples)
    return meter.bandwidth()


def _power_of(samples: NDArray[np.float64], hop: int, n_frames: int) -> NDArray[np.float64]:
    """Return float64 [257], the sum over frames of the power spectrum; frame i begins at sample `i * hop`."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, _N_FFT)[::hop][:n_frames]
    spectra: NDArray[Any] = np.fft.rfft(frames * _WINDOW)
    power: NDArray[np.float64] = np.square(spectra.real).sum(axis=0) + np.square(spectra.imag).sum(axis=0)
    return power


def _blackman_harris() -> NDArray[np.float64]:
    """Return float64 [512], the periodic four-term window of Harris (1978), -92 dB."""
    phase = 2 * np.pi * np.arange(_N_FFT) / _N_FFT
    return 0.35875 - 0.48829 * np.cos(phase) + 0.14128 * np.cos(2 * phase) - 0.01168 * np.cos(3 * phase)


_WINDOW = _blackman_harris()
