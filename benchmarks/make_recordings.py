"""Recordings that compress like talk, and rows that cut them: made, so that the benchmark needs no data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile


def write_recording(path: Path, seconds: float, sample_rate: int = 16_000, n_channels: int = 1, seed: int = 0) -> None:
    """Write syllables of voiced and unvoiced noise with pauses between, 16-bit PCM, a minute at a time."""
    rng = np.random.default_rng(seed)
    with soundfile.SoundFile(path, "w", sample_rate, n_channels, "PCM_16") as file:
        for _ in range(0, int(seconds), 60):
            file.write(_minute(rng, sample_rate, n_channels)[: int(min(seconds, 60) * sample_rate)])


def _minute(rng: np.random.Generator, sample_rate: int, n_channels: int) -> np.ndarray:
    time = np.arange(60 * sample_rate) / sample_rate
    pitch = 110 * 2 ** rng.uniform(0, 1)
    voice = sum(np.sin(2 * np.pi * pitch * k * time + rng.uniform(0, 6)) / k for k in range(1, 12))
    syllables = np.repeat(rng.uniform(0, 1, 300) ** 2 * (rng.uniform(0, 1, 300) > 0.25), 60 * sample_rate // 300)
    noise = rng.standard_normal(60 * sample_rate)
    samples = 0.12 * syllables * (voice + 0.3 * noise) + 0.001 * noise
    return np.repeat(samples[:, None], n_channels, axis=1).astype(np.float32)


def write_rows(path: Path, recordings: list[Path], n_rows: int, milliseconds: int, step: int | None = None) -> int:
    """Write rows that cut each recording into consecutive pieces; return their number."""
    with path.open("w", encoding="utf-8") as stream:
        for recording in recordings:
            for number in range(n_rows):
                start = number * (step if step is not None else milliseconds)
                row = {
                    "original_file": str(recording),
                    "original_start_ms": start,
                    "original_end_ms": start + milliseconds,
                    "duration_ms": milliseconds,
                    "duration": milliseconds / 1000,
                    "speaker_id": f"speaker_{number % 2}",
                    "num_speakers": 2,
                    "mos": 3.25 + number % 7 / 10,
                }
                stream.write(json.dumps(row) + "\n")
    return n_rows * len(recordings)
