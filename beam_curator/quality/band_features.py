"""Energies of bands of 1 kHz, as a classifier of bands takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats
from beam_curator.quality.loudness import integrated_loudness

N_BANDS = 24
_N_FFT, _HOP = 4096, 1024
_LOUDNESS, _FLOOR, _NOTHING = -25.0, 1e-10, -120.0
_ROLLED_OFF = 10
"""The band, in kHz, from which on energies are lowered: by 12 dB over 14 kHz."""
_FRAMES_AT_ONCE = 256
_ORDER = (13, 14, 23, *range(15, 23), 0, 1, 2, 3, 12, *range(4, 12))
"""The bands, in kHz, by the alphabet of their names: high, high1, high10, high2 … low1 … mid1, mid10, mid2 …"""


def band_energies(samples: Floats, sample_rate: int) -> Floats:
    """Return the mean power of 24 bands of 1 kHz in dB to the strongest bin of all, as NeMo Curator takes it.

    The sound is brought to -25 LUFS before, which moves the floor of empty bands. Bands from 10 kHz on are lowered by
    up to 12 dB; those beyond half of the sample rate have -120 dB, as all have of what is shorter than 0.4 s.

    Args:
      samples: float32 [n_samples].
      sample_rate: Hz.

    Returns:
      float32 [24], in the alphabetical order of the bands' names.

    Example:
      >>> tone = np.sin(2 * np.pi * 1500 * np.arange(16000) / 16000).astype(np.float32)
      >>> int(band_energies(tone, 16000).argmax()), int((band_energies(tone, 16000) == -120).sum())
      (12, 15)
    """
    loudness = integrated_loudness(samples, sample_rate)
    if loudness is None:
        return np.full(N_BANDS, _NOTHING, np.float32)
    gain = 10 ** ((_LOUDNESS - loudness) / 20) if loudness > -100 else 1.0
    mean, most = _mean_spectrum(samples)
    bins = np.arange(len(mean)) * sample_rate / _N_FFT
    strongest = 10 * np.log10(max(_FLOOR, most * gain**2))
    energies = np.full(N_BANDS, _NOTHING)
    for band in range(N_BANDS):
        within = (bins >= 1000 * band) & (bins < 1000 * (band + 1))
        if within.any():
            power = 10 * np.log10(max(_FLOOR, mean[within].mean() * gain**2))
            energies[band] = power - strongest - max(0, band - _ROLLED_OFF) / 14 * 12
    return energies[list(_ORDER)].astype(np.float32)


def _mean_spectrum(samples: Floats) -> tuple[NDArray[np.float64], float]:
    """Return the mean power of each bin over all frames, and the largest power of any.

    Frames are centred on samples 1024 apart, with zeros around the sound, under a periodic Hann window.
    """
    padded = np.pad(samples, _N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)
    sums, most = np.zeros(_N_FFT // 2 + 1), 0.0
    for first in range(0, len(frames), _FRAMES_AT_ONCE):
        spectra = np.fft.rfft(frames[first : first + _FRAMES_AT_ONCE] * window, axis=1)
        power = np.square(spectra.real) + np.square(spectra.imag)
        sums += power.sum(axis=0)
        most = max(most, float(power.max()))
    return sums / len(frames), most
