from __future__ import annotations

import numpy as np
import pytest

from beam_curator.intervals import Span
from beam_curator.quality.signal_to_noise import snr_of


@pytest.mark.parametrize(
    ("powers", "speech", "expected"),
    [
        ([1, 1, 101, 101], [(1.0, 2.0)], 20.0),
        ([2, 2, 4, 4], [(1.0, 2.0)], 0.0),
        ([1, 3, 22, 22], [(1.0, 2.0)], 10.0),  # noise is 2, so that 20 are left for speech
        ([1, 1, 101, 101, 1, 101], [(2.5, 3.0), (1.0, 2.0)], 20.0),
        ([1, 50, 101, 101, 50, 1], [(0.75, 2.25)], 20.0),  # the frames on both edges count for neither
        ([0, 0, 1, 101, 0], [(1.5, 2.0)], 20.0),  # digital silence is no noise
        ([0, 0, 9, 9], [(1.0, 2.0)], None),
        ([1, 1, 9, 9], [], None),
        ([9, 9], [(0.0, 1.0)], None),
        ([9, 9], [(5.0, 6.0)], None),
        ([1, 9, 1], [(0.6, 0.9)], None),  # no frame lies within
        ([], [], None),
        ([4, 4, 2, 2], [(1.0, 2.0)], -20.0),
        ([1e-30, 1], [(0.5, 1.0)], 100.0),
        ([1, 1, 101], [(1.0, 99.0)], 20.0),
    ],
)
def test_speech_less_the_noise_over_the_noise(powers: list[float], speech: list[Span], expected: float | None) -> None:
    assert snr_of(np.array(powers, np.float64), 0.5, speech) == expected


def test_edges_that_are_meant_to_lie_on_frames_do() -> None:
    powers = np.ones(40)
    powers[28] = 101
    assert (0.56 / 0.02 > 28, 0.58 / 0.02 < 29) == (True, True)
    assert snr_of(powers, 0.02, [(0.56, 0.58)]) == 20.0
