"""Log-mel frames as the P.808 model of DNSMOS hears them: those of librosa with its settings, in NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats

_N_FFT, _HOP, _N_MELS, _SAMPLE_RATE = 321, 160, 120, 16000
_LEFT_OUT = 160
"""Samples at the end of a window, which are not heard."""
_FLOOR, _RANGE_DB = 1e-10, 80.0
_ROWS = 10
"""Frames in a product of matrices: for larger ones OpenBLAS wakes threads, whose waiting takes longer than the work."""


def p808_frames(window: Floats) -> Floats:
    """Return the log-mel frames of a window, in dB to the strongest, from -1 (-80 dB) to 1.

    Frames are centred on samples 160 apart, with zeros around the window, under a periodic Hann window of 321 samples;
    the 120 bands are Slaney's.

    Args:
      window: float32 [n_samples] at 16 kHz.

    Returns:
      float32 [n_frames, 120].

    Example:
      >>> p808_frames(np.zeros(144_160, np.float32)).shape
      (900, 120)
    """
    samples = np.pad(window[:-_LEFT_OUT], _N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _N_FFT)[::_HOP] * _hann()
    spectra = np.square(np.abs(np.fft.rfft(frames, axis=1))).astype(np.float32)
    power = np.concatenate([some @ _filters().T for some in np.array_split(spectra, -(-len(spectra) // _ROWS))])
    decibels = 10 * np.log10(np.maximum(power, _FLOOR)) - 10 * np.log10(max(float(power.max()), _FLOOR))
    shifted: NDArray[np.float32] = np.maximum(decibels, decibels.max() - _RANGE_DB) + 40
    return (shifted / 40).astype(np.float32)


@cache
def _hann() -> Floats:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)).astype(np.float32)


@cache
def _filters() -> Floats:
    """Return Slaney's triangles, float32 [120, 161], each of area 1 in Hz over 2."""
    centres = np.arange(_N_FFT // 2 + 1) * _SAMPLE_RATE / _N_FFT
    edges = _hertz(np.linspace(0, _mel(_SAMPLE_RATE / 2), _N_MELS + 2))
    widths, ramps = np.diff(edges), edges[:, None] - centres
    triangles = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


_LINEAR = 200 / 3
"""Hz of a mel below 1 kHz; above, a mel is a factor."""
_LOG_STEP = np.log(6.4) / 27


def _mel(hertz: float) -> float:
    return hertz / _LINEAR if hertz < 1000 else 1000 / _LINEAR + float(np.log(hertz / 1000)) / float(_LOG_STEP)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    above = 1000 * np.exp(_LOG_STEP * (mels - 1000 / _LINEAR))
    return np.where(mels >= 1000 / _LINEAR, above, mels * _LINEAR)
