"""The outline of a recording as a waveform shows it: the largest sample in each of a number of equal pieces."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import numpy as np

from beam_curator.audio import Samples

N_PEAKS = 1500


def peaks_of(pieces: Iterable[Samples], n_samples: int, n_peaks: int = N_PEAKS) -> str:
    """Return the largest magnitudes of a recording in 255ths of full scale, a byte for each, in Base64.

    Args:
      pieces: of the recording, float32 [n, n_channels], one behind the other.
      n_samples: of each channel.
      n_peaks: pieces to cut the recording into; a short one has a peak for each sample.

    Example:
      >>> halves = np.float32([[0.5], [-1.0], [0.25], [0.0]])
      >>> list(base64.b64decode(peaks_of([halves[:3], halves[3:]], 4, 2)))
      [255, 64]
    """
    width = max(1, -(-n_samples // n_peaks))
    peaks = np.zeros(max(1, -(-n_samples // width)), np.float32)
    at = 0
    for piece in pieces:
        heights = np.abs(piece).max(axis=1)
        # pieces of the recording and of the picture end at different samples
        starts = np.unique(np.maximum(np.arange(at // width * width, at + len(piece), width), at)) - at
        slots = (at + starts) // width
        np.maximum.at(peaks, slots, np.maximum.reduceat(heights, starts))
        at += len(piece)
    return base64.b64encode(np.minimum(255, np.rint(peaks * 255)).astype(np.uint8).tobytes()).decode()
