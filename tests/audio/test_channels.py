from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beam_curator.audio import Resampler, mix_channels, n_resampled, resample
from tests.audio.corpus import speech_like

STEREO = np.float32([[0.5, 0.0], [-0.25, 0.75], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mix", [[0.25], [0.25], [1.0]]),
        ("first", [[0.5], [-0.25], [1.0]]),
        (0, [[0.5], [-0.25], [1.0]]),
        ("keep", STEREO),
    ],
)
def test_channels(how: Any, expected: Any) -> None:
    np.testing.assert_array_equal(mix_channels(STEREO, how), np.float32(expected), strict=True)
    assert mix_channels(STEREO[:, :1], how) is not None
    np.testing.assert_array_equal(mix_channels(STEREO[:, :1], how), STEREO[:, :1], strict=True)


def test_eight_channels_are_mixed_in_float32() -> None:
    samples = speech_like(100, 16000, 8)
    assert mix_channels(samples, "mix").dtype == np.float32
    np.testing.assert_allclose(mix_channels(samples, "mix")[:, 0], samples.astype(float).mean(axis=1), atol=1e-7)


def test_another_way_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="how 'left' is not known: choose mix, first, keep, or the number"):
        mix_channels(STEREO, "left")  # type: ignore[arg-type]
    for channel in (-1, 2):
        with pytest.raises(ValueError, match=f"channel {channel} of 2: count them from 0"):
            mix_channels(STEREO, channel)


def test_one_channel_by_its_number() -> None:
    np.testing.assert_array_equal(mix_channels(STEREO, 1), STEREO[:, 1:], strict=True)


RATES = st.sampled_from([8000, 11025, 12345, 16000, 22050, 44100, 48000, 192000])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), RATES, RATES)
@example(240, 48000, 44100)
def test_the_length_is_known_beforehand(n_samples: int, old: int, new: int) -> None:
    made = resample(np.ones((n_samples, 1), np.float32), old, new)
    assert made.shape == (n_resampled(n_samples, old, new), 1)
    assert made.dtype == np.float32


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9000), min_size=1, max_size=6), RATES, RATES, st.integers(1, 2), st.booleans())
def test_pieces_give_what_the_whole_gives(
    lengths: list[int], old: int, new: int, n_channels: int, last_is_empty: bool
) -> None:
    samples = speech_like(max(1, sum(lengths)), old, n_channels)
    pieces = np.split(samples, np.cumsum(lengths)[:-1]) + ([samples[:0]] if last_is_empty else [])
    resampler = Resampler(old, new, n_channels=n_channels)
    made = [resampler.resample(piece, last=index == len(pieces) - 1) for index, piece in enumerate(pieces)]
    np.testing.assert_array_equal(np.concatenate(made), resample(samples, old, new), strict=True)


def test_the_whole_is_soxrs_high_quality() -> None:
    samples = speech_like(20001, 44100, 2)
    np.testing.assert_array_equal(resample(samples, 44100, 16000), soxr.resample(samples, 44100, 16000, quality="HQ"))


def test_a_tone_keeps_its_pitch_and_level() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)[:, None].astype(np.float32)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(resample(tone, 48000, 16000)[200:-200, 0], expected[200:-200], atol=1e-4)


def test_the_same_rate_changes_nothing() -> None:
    assert resample(STEREO, 16000, 16000) is STEREO
