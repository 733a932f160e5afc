"""Random probabilities of speech, and the spans that silero-vad 6.2.3 itself makes of them: recorded.

Run as `python -m tests.vad.silero_spans` where silero-vad is installed, to record them anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RECORDED = Path(__file__).parents[1] / "data" / "silero_spans.npz"
N_CASES = 3000


def cases(n_cases: int) -> Iterator[tuple[NDArray[np.float32], int, dict[str, float]]]:
    """Yield probabilities, the number of samples, and rules."""
    random = np.random.default_rng(0)
    for _ in range(n_cases):
        n_frames = int(random.integers(0, 400))
        walk = np.cumsum(random.standard_normal(n_frames)) * random.choice([0.3, 1, 3])
        noise = random.standard_normal(n_frames) * random.choice([0, 1, 2])
        probabilities = (1 / (1 + np.exp(-(walk - walk.mean() if n_frames else walk) - noise))).astype(np.float32)
        padding = float(random.choice([0, 0.01, 0.03, 0.0301, 0.2]))
        rules = {
            "threshold": float(random.choice([0.1, 0.3, 0.5, 0.6, 0.9])),
            "min_speech": float(random.choice([0, 0.1, 0.25, 0.5])),
            "max_speech": float(random.choice([0.5, 0.8, 1, 2, 5, math.inf])),
            "min_silence": float(random.choice([0, 0.032, 0.1, 0.2, 0.5])),
            "padding": padding,
        }
        yield probabilities, max(0, n_frames * 512 - int(random.integers(0, 512))), rules


def spans_by_silero(probabilities: NDArray[np.float32], n_samples: int, rules: dict[str, float]) -> list[list[int]]:
    """Return first and last samples."""
    from silero_vad.utils_vad import get_speech_timestamps_from_probs  # type: ignore[import-not-found]

    found = get_speech_timestamps_from_probs(
        probabilities.tolist(),
        threshold=rules["threshold"],
        min_speech_duration_ms=rules["min_speech"] * 1000,
        max_speech_duration_s=rules["max_speech"],
        min_silence_duration_ms=rules["min_silence"] * 1000,
        speech_pad_ms=rules["padding"] * 1000,
        audio_length_samples=n_samples,
    )
    return [[span["start"], span["end"]] for span in found]


if __name__ == "__main__":
    spans = [spans_by_silero(*case) for case in cases(N_CASES)]
    np.savez_compressed(
        RECORDED,
        n_spans=np.array([len(some) for some in spans], np.uint16),
        ends=np.array([end for some in spans for end in some], np.uint32).reshape(-1, 2),
    )
