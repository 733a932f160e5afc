"""A classifier of bands as users have one: a forest of scikit-learn, converted by skl2onnx, and recorded.

Run as `python -m tests.quality.band_forest` where scikit-learn and skl2onnx 1.20.0 can be imported, to make it anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats
from beam_curator.quality.band_features import band_energies

FOREST = Path(__file__).parents[1] / "data" / "band_forest.onnx"
RATE, FULL = 48000, 16000.0
"""Noise from this cutoff on, in Hz, is of full band."""


def noise_below(cutoff: float, seed: int) -> Floats:
    """Return a second of noise below a frequency, float32 [48000]."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(RATE))
    spectrum[round(cutoff) :] = 0
    made = np.fft.irfft(spectrum, RATE)
    return (0.5 * made / np.abs(made).max()).astype(np.float32)


def examples(seed: int, n: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return energies of noises, float32 [n, 24], and 1 for each that is of full band, else 0."""
    cutoffs = np.random.default_rng(seed).uniform(2000, 24000, n)
    energies = [band_energies(noise_below(cutoff, seed + number), RATE) for number, cutoff in enumerate(cutoffs)]
    return np.stack(energies), (cutoffs >= FULL).astype(np.int64)


def forest() -> bytes:
    """Return the graph of a forest that was fitted to such noises."""
    from skl2onnx import to_onnx  # type: ignore[import-not-found]
    from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]

    energies, classes = examples(seed=1, n=60)
    fitted = RandomForestClassifier(n_estimators=7, max_depth=3, random_state=0).fit(energies, classes)
    graph = to_onnx(fitted, energies[:1], target_opset={"": 17, "ai.onnx.ml": 3}, options={"zipmap": False})
    return bytes(graph.SerializeToString())


if __name__ == "__main__":
    FOREST.write_bytes(forest())
