"""Channels that cancel each other in their mean."""

from __future__ import annotations

import numpy as np
import pytest

from beam_curator.audio import MixMeter, Samples
from tests.audio.corpus import speech_like

VOICE = speech_like(30_000, 16000)
OTHER = speech_like(30_000, 16000, seed=7)
NONE = np.zeros_like(VOICE)


def measured(*channels: Samples, piece: int = 30_000) -> MixMeter:
    meter = MixMeter(len(channels))
    samples = np.hstack(channels)
    for here in range(0, len(samples), piece):
        meter.add(samples[here : here + piece])
    return meter


@pytest.mark.parametrize(
    ("channels", "cancels", "loudest"),
    [
        ((VOICE, -VOICE), True, 0),
        ((VOICE, np.float32(-0.9) * VOICE), True, 0),
        ((np.float32(0.9) * VOICE, -VOICE), True, 1),
        ((VOICE, -VOICE, VOICE, -VOICE), True, 0),
        # the mean keeps 0.15 of the voice: 0.0225 of its power, beside 0.3725 of unrelated channels
        ((VOICE, np.float32(-0.7) * VOICE), False, 0),
        ((VOICE, VOICE), False, 0),
        ((VOICE, NONE), False, 0),
        ((NONE, VOICE, NONE, NONE, NONE, NONE, NONE, NONE), False, 1),
        ((VOICE, OTHER), False, 0),
        ((NONE, NONE), False, 0),
    ],
)
def test_a_mean_that_loses_sound(channels: tuple[Samples, ...], cancels: bool, loudest: int) -> None:
    meter = measured(*channels)
    assert meter.cancels == cancels
    if channels[1] is not OTHER:
        assert meter.loudest == loudest


def test_a_tenth_of_the_energy_is_enough() -> None:
    # frames of equal energy: one in ten is upside down, or one in twenty
    square = np.where(np.arange(1024 * 20) % 64 < 32, np.float32(0.25), np.float32(-0.25))[:, np.newaxis]
    for n_frames, cancels in ((2, True), (1, False)):
        other = square.copy()
        other[: 1024 * n_frames] *= -1
        assert measured(square, other).cancels == cancels


@pytest.mark.parametrize("piece", [1, 700, 1024, 4096, 29_999])
def test_pieces_do_not_matter(piece: int) -> None:
    n = 5_000 if piece == 1 else 30_000
    channels = VOICE[:n], np.float32(-0.74) * VOICE[:n] + np.float32(0.01) * OTHER[:n]
    whole, cut = measured(*channels), measured(*channels, piece=piece)
    assert (cut.cancels, cut.loudest) == (whole.cancels, whole.loudest)
    assert (cut._energies, cut._n_cancelled) == (whole._energies, whole._n_cancelled)


def test_the_last_samples_count_whenever_they_are_asked_for() -> None:
    assert measured(VOICE[:100], -VOICE[:100]).cancels
    assert MixMeter(2).cancels is False
