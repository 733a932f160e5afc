from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.quality.sound_meter import Sound, SoundMeter

RATE = 16000


def sound_of(samples: object, cuts: list[int] | None = None, codec: str = "pcm_16", rate: int = RATE) -> Sound:
    whole = np.float32(samples)
    whole = whole[:, None] if whole.ndim == 1 else whole
    meter = SoundMeter(rate, whole.shape[1], codec)
    for piece in np.split(whole, sorted(cuts or [])):
        meter.add(piece)
    return meter.sound([(0.1, 0.3)])


SINE = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)


@pytest.mark.parametrize(
    ("samples", "rms", "peak"),
    [
        (2 * SINE, -3.01, 0.0),
        (SINE, -9.03, -6.02),
        (np.ones(800), 0.0, 0.0),
        (-np.ones(7), 0.0, 0.0),
        (np.stack([2 * SINE, np.zeros(RATE)], axis=1), -6.02, 0.0),  # of all channels
        ([0.1] * 320 + [0.0] * 8, -20.11, -20.0),  # the last frame is shorter: .01 * 320 / 328
        (np.zeros(900), None, None),
        (np.zeros(0), None, None),
        ([0.001], -60.0, -60.0),
    ],
)
def test_levels_in_db_of_full_scale(samples: object, rms: float | None, peak: float | None) -> None:
    found = sound_of(samples)
    assert (found.rms_dbfs, found.peak_dbfs) == (rms, peak)


def test_the_share_of_clipped_samples_is_zero_where_none_is() -> None:
    assert sound_of(SINE).clipped_ratio == 0.0
    assert sound_of([1, 1, 1, 0, 1]).clipped_ratio == 0.6
    assert sound_of([127 / 128] * 4, codec="pcm_u8").clipped_ratio == 1.0
    assert sound_of([127 / 128] * 4).clipped_ratio == 0.0


def mixed(snr: float, rate: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Make noise with a tone from 0.1 s to 0.3 s, that is louder by so many dB."""
    noise = np.random.default_rng(1).standard_normal(rate) * 0.01
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) * np.sqrt(2) * 0.01 * 10 ** (snr / 20)
    return noise + np.where((np.arange(rate) >= 0.1 * rate) & (np.arange(rate) < 0.3 * rate), tone, 0)


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("snr", [0, 10, 20])
def test_the_ratio_is_that_of_the_mixture(snr: float, rate: int) -> None:
    one = sound_of(mixed(snr, rate), rate=rate).snr_db
    assert one == pytest.approx(snr, abs=0.3)
    # a channel upside down cancels the mean of both, and changes no power
    assert sound_of(np.stack([mixed(snr, rate), -mixed(snr, rate)], axis=1), rate=rate).snr_db == one


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20_000), max_size=8), st.sampled_from([8000, 22050, 48000]))
def test_how_the_samples_are_cut_changes_nothing(cuts: list[int], rate: int) -> None:
    samples = np.clip(np.random.default_rng(2).standard_normal((20_000, 2)), -1, 1).astype(np.float32)
    assert sound_of(samples, cuts, rate=rate) == sound_of(samples, rate=rate)
