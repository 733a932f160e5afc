"""Embeddings as a map: their two principal components, so that voices that sound alike lie beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 5000
"""More would neither be told apart nor be drawn quickly."""


def map_of(vectors: Sequence[NDArray[np.float32]]) -> list[tuple[float, float]]:
    """Return the place of each embedding on the map, -1 to 1; directions are compared, not lengths.

    Args:
      vectors: float32 [n_dimensions] each.

    Example:
      >>> map_of([np.float32([1, 0, 0]), np.float32([0, 2, 0]), np.float32([0, 5, 0])])
      [(1.0, 0.0), (-0.5, 0.0), (-0.5, 0.0)]
    """
    if not vectors:
        return []
    matrix = np.stack(vectors).astype(np.float64)
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    matrix -= matrix.mean(axis=0)
    _, axes = np.linalg.eigh(matrix.T @ matrix)
    places = matrix @ axes[:, [-1, -2][: axes.shape[1]]]
    if places.shape[1] < 2:
        places = np.column_stack([places, np.zeros(len(places))])
    # an axis has no sign of its own: the farthest point of each lies on the positive side
    farthest = places[np.abs(places).argmax(axis=0), [0, 1]]
    places *= np.where(farthest < 0, -1, 1)
    places /= max(float(np.abs(places).max()), 1e-12)
    return [(round(x, 4) + 0.0, round(y, 4) + 0.0) for x, y in places.tolist()]
