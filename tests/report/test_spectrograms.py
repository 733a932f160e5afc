"""Spectrograms: a tone lies in its band at its level, and no cutting changes a byte."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from numpy.typing import NDArray

from beam_curator.report.spectrograms import N_BANDS, SpectrogramMaker


def levels_of(samples: NDArray[np.float32], sample_rate: int, *cuts: int) -> NDArray[np.uint8]:
    """Return the levels, uint8 [N_BANDS, n_columns], of mono samples that come in pieces."""
    maker = SpectrogramMaker(sample_rate, len(samples))
    for piece in np.split(samples[:, None], cuts):
        assert maker.heard(piece) is piece
    return np.frombuffer(base64.b64decode(maker.levels()), np.uint8).reshape(N_BANDS, -1)


def sine(seconds: float, frequency: float, sample_rate: int = 16000) -> NDArray[np.float32]:
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    return np.sin(2 * np.pi * frequency * times).astype(np.float32)


def test_a_tone_is_at_full_scale_in_its_band_and_time() -> None:
    # 2 s of 3 kHz, then 2 s of silence: bands are 125 Hz wide, so the tone begins band 24 of 64
    levels = levels_of(np.concatenate([sine(2, 3000), np.zeros(32000, np.float32)]), 16000)
    assert levels.shape == (64, 200)
    assert set(levels[63 - 24, :99]) == {255}
    assert levels[:20, :95].max() < 40  # above 5.5 kHz: far side lobes of the window
    assert levels[:, 102:].max() == 0


def test_half_the_amplitude_is_six_decibels_less() -> None:
    levels = levels_of(0.5 * sine(1, 1000), 16000)
    assert levels[63 - 8].max() == round(255 * (1 - 6.0206 / 96)) == 239


@pytest.mark.parametrize("sample_rate", [100, 8000, 44100])
def test_pieces_of_any_length_give_the_same_bytes(sample_rate: int) -> None:
    samples = np.random.default_rng(3).normal(0, 0.1, 5 * sample_rate + 7).astype(np.float32)
    whole = levels_of(samples, sample_rate)
    assert np.array_equal(levels_of(samples, sample_rate, 1, 2, sample_rate, 3 * sample_rate), whole)
    assert whole.max() > 0


@pytest.mark.parametrize(
    ("seconds", "sample_rate", "n_columns"),
    [(0.001, 16000, 1), (1, 16000, 63), (60, 1000, 200), (300, 1000, 300), (2000, 1000, 1500)],
)
def test_a_column_is_a_second_within_limits(seconds: float, sample_rate: int, n_columns: int) -> None:
    silence = np.zeros(round(seconds * sample_rate), np.float32)
    assert levels_of(silence, sample_rate).shape == (64, n_columns)


def test_a_recording_without_samples_has_a_dark_column() -> None:
    assert levels_of(np.zeros(0, np.float32), 16000).tolist() == [[0]] * 64
