"""Energies of bands by librosa and pyloudnorm, and the sounds: recorded, as neither is a dependency.

Run as `python -m tests.quality.band_references` where librosa 0.11.0 and pyloudnorm 0.2.0 can be imported, to record
them anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beam_curator.diarization.models import Floats

RECORDED = Path(__file__).parents[1] / "data" / "band_energies.json"
BANDS = ("low1", "low2", "low3", *(f"mid{number}" for number in range(1, 11)), "high",
         *(f"high{number}" for number in range(1, 11)))  # fmt: skip
"""Names of bands of 1 kHz, from 0 Hz on."""


class SoundAtRate(NamedTuple):
    """float32 [n_samples], and Hz."""

    samples: Floats
    sample_rate: int


def sounds() -> dict[str, SoundAtRate]:
    """Return noises of several bands, levels, lengths and rates."""
    random = np.random.default_rng(11)

    def noise(seconds: float, rate: int, cutoff: float, level: float) -> SoundAtRate:
        spectrum = np.fft.rfft(random.standard_normal(round(seconds * rate)))
        spectrum[round(cutoff * seconds) :] = 0
        made = np.fft.irfft(spectrum, round(seconds * rate))
        swelling = 0.55 + 0.45 * np.sin(2 * np.pi * 0.7 * np.arange(len(made)) / rate)
        return SoundAtRate((level * made / np.abs(made).max() * swelling).astype(np.float32), rate)

    return {
        "full band, 48 kHz": noise(3.3, 48000, 24000, 0.5),
        "4 kHz wide, 48 kHz": noise(3.3, 48000, 4000, 0.5),
        "4 kHz wide, -40 dB": noise(3.3, 48000, 4000, 0.005),
        "44.1 kHz": noise(2.0, 44100, 15000, 0.9),
        "16 kHz": noise(12.5, 16000, 8000, 0.2),
        "8 kHz": noise(1.0, 8000, 3400, 0.3),
        "11,025 Hz": noise(0.41, 11025, 5000, 0.3),
        "0.4 s": noise(0.4, 48000, 20000, 0.3),
        "0.39 s": noise(0.39, 48000, 20000, 0.3),
        "below all gates": noise(1.0, 48000, 20000, 1e-5),
        "longer than the filter takes at once": noise(11.5, 48000, 12000, 0.4),
    }


def energies_by_librosa(samples: Floats, sample_rate: int) -> tuple[float | None, list[float]]:
    """Return the loudness, None where there is none, and the energies of bands by the alphabet of their names."""
    import librosa
    import pyloudnorm  # type: ignore[import-not-found]

    try:
        loudness = float(pyloudnorm.Meter(sample_rate).integrated_loudness(samples))
    except ValueError:
        return None, [-120.0] * len(BANDS)
    normalized = pyloudnorm.normalize.loudness(samples, loudness, -25.0) if loudness > -100 else samples
    power = np.abs(librosa.stft(normalized, n_fft=4096)) ** 2
    bins = librosa.fft_frequencies(sr=sample_rate, n_fft=4096)
    found = {}
    for band, name in enumerate(BANDS):
        within = (bins >= 1000 * band) & (bins < 1000 * band + 1000)
        energy = librosa.power_to_db(np.mean(power[within]), ref=np.max(power)) if within.any() else -120.0
        lowered = (1000 * band - 10000) / 14000 * 12 if band >= 10 and within.any() else 0.0
        found[f"band_energy_{name}"] = float(energy) - lowered
    return (loudness if np.isfinite(loudness) else None), [found[name] for name in sorted(found)]


def recorded() -> dict[str, dict[str, Any]]:
    """Return the recorded results, by the name of the sound."""
    found: dict[str, dict[str, Any]] = json.loads(RECORDED.read_bytes())
    return found


def references() -> dict[str, dict[str, Any]]:
    """Return the results of both libraries, by the name of the sound."""
    results = {name: energies_by_librosa(*sound) for name, sound in sounds().items()}
    return {name: {"loudness": loudness, "energies": energies} for name, (loudness, energies) in results.items()}


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(references(), indent=1) + "\n", encoding="utf-8")
