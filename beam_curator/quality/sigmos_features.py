"""Spectra as SIGMOS hears them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats

_FRAME, _HOP = 960, 480
_POWER, _FLOOR = 0.3, 1e-12


def sigmos_spectra(samples: Floats) -> Floats:
    """Return the compressed spectra of a sound.

    Frames of 960 samples, 480 apart, begin 480 samples before the sound, with zeros around it, under the root of a
    periodic Hann window. Magnitudes are raised to the power of 0.3; phases stay.

    Args:
      samples: float32 [n_samples] at 48 kHz.

    Returns:
      float32 [3, n_frames, 481]: magnitude, real and imaginary part.

    Example:
      >>> sigmos_spectra(np.zeros(48000, np.float32)).shape
      (3, 101, 481)
    """
    last = len(samples) % _HOP or _HOP
    padded = np.pad(samples.astype(np.float64), (_HOP, _FRAME - last))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    spectra: NDArray[np.complex128] = np.fft.rfft(frames * _root_hann())
    magnitude = np.sqrt(np.maximum(np.square(spectra.real) + np.square(spectra.imag), _FLOOR))
    scaled = spectra * magnitude ** (_POWER - 1)
    return np.stack([magnitude**_POWER, scaled.real, scaled.imag]).astype(np.float32)


@cache
def _root_hann() -> NDArray[np.float64]:
    return np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME))
