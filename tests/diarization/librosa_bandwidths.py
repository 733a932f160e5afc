"""What librosa finds the bandwidth of noises to be, and the noises: recorded, as librosa takes 20 s to load.

Run as `python -m tests.diarization.librosa_bandwidths` to record it anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from beam_curator.audio import Samples

RECORDED = Path(__file__).parents[1] / "data" / "librosa_bandwidths.json"
RATES = (8000, 11025, 16000, 44100, 96000)
LENGTHS = (513, 4800, 22051)
SMOOTHINGS = (1, 3, 9, 30)


def noises(n_samples: int) -> list[Samples]:
    """Return a noise of each smoothing, float32 [n_samples]: the smoother, the narrower."""
    random = np.random.default_rng(n_samples)
    return [
        np.convolve(random.standard_normal(n_samples), np.hanning(smoothing + 2), "same").astype(np.float32)
        for smoothing in SMOOTHINGS
    ]


def bandwidth_by_librosa(samples: Samples, sample_rate: int) -> int:
    """Return the bandwidth in Hz, by the formula of the reference."""
    import librosa

    hop = int(sample_rate * 0.01)
    spectra = librosa.stft(samples, n_fft=512, hop_length=hop, window="blackmanharris")
    decibels = librosa.power_to_db((np.abs(spectra) ** 2).mean(axis=1), ref=512, top_db=100)
    return int(np.flatnonzero(decibels - decibels.max() > -50)[-1] * sample_rate / 512)


def bandwidths_by_librosa() -> dict[str, list[int]]:
    """Return the bandwidth of each noise, by `RATE Hz, LENGTH samples`."""
    return {
        name_of(rate, length): [bandwidth_by_librosa(noise, rate) for noise in noises(length)]
        for rate in RATES
        for length in LENGTHS
    } | {name_of(16000, 0): [bandwidth_by_librosa(np.zeros(16000, np.float32), 16000)]}


def name_of(sample_rate: int, n_samples: int) -> str:
    """Name a rate and a length; 0 stands for a second of silence."""
    return f"{sample_rate} Hz, {n_samples or 'silent'} samples"


def recorded() -> dict[str, list[int]]:
    """Return what was recorded."""
    found: dict[str, list[int]] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(bandwidths_by_librosa(), indent=1) + "\n", encoding="utf-8")
