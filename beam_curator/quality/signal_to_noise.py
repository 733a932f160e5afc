"""How far speech stands out of the rest, where somebody tells when there is speech."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beam_curator.intervals import Seconds, Span

_ROUNDING = 1e-6
"""Of a time in frames that is meant to be whole."""

LEAST_DB, MOST_DB = -20.0, 100.0
"""Beyond these the ratio says no more, as with WADA-SNR: the rest is as loud, or is nothing."""


def snr_of(powers: NDArray[np.float64], frame_step: Seconds, speech: Sequence[Span]) -> float | None:
    """Return the ratio of speech to noise in dB, from -20 to 100, rounded to hundredths.

    Noise is the mean power of frames outside of speech, speech that of frames within it, less the noise. Frames that
    lie on an edge are in neither, and nor is digital silence outside of speech: where sound was gated or muted, there
    is nothing to compare with.

    Args:
      powers: float64 [n_frames], mean squares.
      frame_step: seconds of a frame.
      speech: spans in seconds from the first frame, of any order.

    Returns:
      None where there is no speech, or nothing but speech and digital silence.

    Example:
      >>> snr_of(np.array([1.0, 1.0, 101.0, 101.0, 1.0]), 0.5, [(1.0, 2.0)])
      20.0
    """
    within, touched = np.zeros((2, len(powers)), np.bool_)
    for start, end in speech:
        first, stop = start / frame_step, end / frame_step
        within[math.ceil(first - _ROUNDING) : max(0, math.floor(stop + _ROUNDING))] = True
        touched[math.floor(first + _ROUNDING) : max(0, math.ceil(stop - _ROUNDING))] = True
    rest = powers[~touched & (powers > 0)]
    if not within.any() or not len(rest):
        return None
    noise = float(rest.mean())
    ratio = (float(powers[within].mean()) - noise) / noise
    return LEAST_DB if ratio <= 0.01 else round(min(MOST_DB, 10 * math.log10(ratio)), 2)
