"""Scores of sounds by `speechmos`, and the sounds: recorded, as it is no dependency.

Run as `python -m tests.quality.dnsmos_scores` where speechmos 0.0.1.1 and librosa can be imported, to record them anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from beam_curator.diarization.models import Floats

RECORDED = Path(__file__).parents[1] / "data" / "dnsmos_scores.json"


def sounds() -> dict[str, Floats]:
    """Return noises of several lengths, near-silence, and tones that come and go: float32 [n_samples] at 16 kHz."""
    random = np.random.default_rng(7)
    times = np.arange(20 * 16000) / 16000
    voice = sum(np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 20)) * (np.sin(2 * np.pi * 3 * times) > 0)
    noise = random.standard_normal(20 * 16000)
    made = {
        "noise 3 s": 0.05 * noise[:48000],
        "noise 9.01 s": 0.05 * noise[:144_160],
        "one click in silence, 10 s": np.eye(1, 160_000, 80_000)[0] * 0.5,
        "buzz 20 s": 0.1 * voice,
        "buzz and noise 11 s": 0.1 * voice[:176_000] + 0.02 * noise[:176_000],
    }
    return {name: np.clip(sound, -1, 1).astype(np.float32) for name, sound in made.items()}


def scores_by_speechmos(samples: Floats) -> dict[str, float]:
    """Return the scores by the keys that rows have."""
    from speechmos import dnsmos  # type: ignore[import-not-found]

    found = dnsmos.run(samples, 16000)
    return {f"dnsmos_{name}": float(found[f"{name}_mos"]) for name in ("sig", "bak", "ovrl", "p808")}


def recorded() -> dict[str, dict[str, float]]:
    """Return the recorded scores, by the name of the sound."""
    found: dict[str, dict[str, float]] = json.loads(RECORDED.read_bytes())
    return found


if __name__ == "__main__":
    made = {name: scores_by_speechmos(samples) for name, samples in sounds().items()}
    RECORDED.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
