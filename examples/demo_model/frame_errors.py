"""Frame errors: a quick look while training; `beam-curator score` is what counts."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray


def frame_errors(labels: NDArray[np.bool_], found: NDArray[np.bool_]) -> tuple[int, int]:
    """Count wrong speaker frames under the best naming of speakers, and those spoken.

    Args:
      labels: bool [n_frames, n_voices].
      found: bool [n_frames, n_speakers], at least as many speakers.

    Example:
      >>> frame_errors(np.array([[1, 0], [1, 1], [0, 1]], bool), np.array([[0, 1], [0, 1], [1, 1]], bool))
      (2, 4)
    """
    n_voices = labels.shape[1]
    together = labels.T.astype(np.int64) @ found.astype(np.int64)
    n_right = max(
        (sum(int(together[voice, slot]) for voice, slot in enumerate(slots)), slots)
        for slots in itertools.permutations(range(found.shape[1]), n_voices)
    )[0]
    spoken, said = labels.sum(1), found.sum(1)
    wrong: Any = np.maximum(spoken, said).sum() - n_right
    return int(wrong), int(spoken.sum())
