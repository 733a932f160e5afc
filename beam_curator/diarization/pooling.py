"""Statistics of frames over the time in which somebody speaks: the input of the head of a model of speakers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats

_DEVIATION_OF_ONE = 1e-2
"""Of a single frame, which has none."""


def pooled_statistics(frames: Floats, masks: NDArray[np.bool_] | None = None) -> Floats:
    """Return the mean and the deviation of each number of the frames that a mask keeps.

    Args:
      frames: float32 [n_frames, width].
      masks: bool [n_items, n_frames], the frames of each item, at least one; None for one item with all frames.

    Returns:
      float32 [n_items, 2 * width]: means, then deviations with n - 1 in the divisor.

    Raises:
      ValueError: an item has no frame.

    Example:
      >>> pooled_statistics(np.float32([[1], [3], [9]]), np.array([[True, True, False], [False, False, True]]))
      array([[2.       , 1.4142135],
             [9.       , 0.01     ]], dtype=float32)
    """
    kept = [frames] if masks is None else [frames[mask] for mask in masks]
    if not all(map(len, kept)):
        raise ValueError("an item has no frame to pool: leave it out")
    pooled = [np.concatenate([some.mean(axis=0, dtype=np.float64), _deviation(some)]) for some in kept]
    return np.array(pooled, np.float32)


def _deviation(frames: Floats) -> NDArray[np.floating]:
    if len(frames) == 1:
        return np.full(frames.shape[1], _DEVIATION_OF_ONE)
    return frames.std(axis=0, ddof=1, dtype=np.float64)
