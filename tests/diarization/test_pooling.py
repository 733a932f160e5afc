import numpy as np
import pytest

from beam_curator.diarization.pooling import pooled_statistics


def test_all_frames_without_a_mask() -> None:
    frames = np.float32([[1, 10], [2, 20], [6, 60]])
    # mean 3, deviations of -2, -1, 3: the root of 14 / 2
    assert pooled_statistics(frames).tolist() == [[3, 30, np.float32(7**0.5), np.float32(700**0.5)]]


def test_an_item_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="an item has no frame to pool: leave it out"):
        pooled_statistics(np.ones((2, 3), np.float32), np.array([[True, True], [False, False]]))
    with pytest.raises(ValueError, match="an item has no frame"):
        pooled_statistics(np.ones((0, 3), np.float32))
