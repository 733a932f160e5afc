from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beam_curator.diarization.bandwidth import BandwidthMeter, estimate_bandwidth
from beam_curator.failures import EntryError, FailureCode
from tests.diarization.librosa_bandwidths import LENGTHS, RATES, bandwidths_by_librosa, name_of, noises, recorded

Samples = NDArray[np.float32]


def tone(bin_number: int, seconds: float = 60.0, sample_rate: int = 16000) -> Samples:
    """Make a sine of a frequency that lies on a bin of 512."""
    phase = 2 * np.pi * bin_number / 512 * np.arange(int(seconds * sample_rate))
    return (0.1 * np.sin(phase)).astype(np.float32)


def noise(seconds: float, sample_rate: int = 16000) -> Samples:
    return (0.1 * np.random.default_rng(1).standard_normal(int(seconds * sample_rate))).astype(np.float32)


def low_passed(cutoff: float, seconds: float, sample_rate: int) -> Samples:
    spectrum = np.fft.rfft(noise(seconds, sample_rate))
    spectrum[np.fft.rfftfreq(int(seconds * sample_rate), 1 / sample_rate) > cutoff] = 0
    filtered = np.fft.irfft(spectrum)
    return (filtered * np.hanning(len(filtered))).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "sample_rate", "bandwidth"),
    [
        (np.zeros(0, np.float32), 16000, 0),
        (np.zeros(16000, np.float32), 16000, 0),  # the reference says 8000
        (np.float32([1]), 16000, 8000),  # a click holds all frequencies alike
        (np.float32([1]), 44100, 22050),
        (np.float32([1]), 100, 50),
        (tone(32), 16000, 1093),  # the window's main lobe reaches 3 bins further: int(35 * 16000 / 512)
        (tone(32), 8000, 546),
        (tone(100), 16000, 3218),
        (1e-6 * tone(32), 16000, 1093),  # the reference's floor at 1e-10 would say 8000
        (noise(1.0), 16000, 8000),
        (noise(1.0), 48000, 24000),
    ],
)
def test_bandwidths(samples: Samples, sample_rate: int, bandwidth: int) -> None:
    assert estimate_bandwidth(samples, sample_rate) == bandwidth


@pytest.mark.parametrize("sample_rate", [16000, 22050, 48000])
def test_a_low_pass_is_seen_within_the_main_lobe(sample_rate: int) -> None:
    width = sample_rate / 512
    found = estimate_bandwidth(low_passed(3400, 20.0, sample_rate), sample_rate)
    assert 3400 - width <= found <= 3400 + 4 * width


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("n_samples", LENGTHS)
def test_equal_to_the_formula_of_the_reference(sample_rate: int, n_samples: int) -> None:
    found = [estimate_bandwidth(noise, sample_rate) for noise in noises(n_samples)]
    assert found == recorded()[name_of(sample_rate, n_samples)]


@pytest.mark.slow
def test_librosa_finds_what_was_recorded() -> None:
    pytest.importorskip("librosa")
    assert bandwidths_by_librosa() == recorded()


def test_the_reference_takes_silence_for_the_widest() -> None:
    assert recorded()[name_of(16000, 0)] == [8000]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30_000), max_size=8), st.sampled_from([8000, 16000, 44100, 96000]))
def test_how_the_samples_are_cut_changes_nothing(cuts: list[int], sample_rate: int) -> None:
    samples = np.convolve(np.random.default_rng(3).standard_normal(30_000), np.hanning(20), "same").astype(np.float32)
    meter = BandwidthMeter(sample_rate)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(samples)], strict=True):
        meter.add(samples[start:end])
        meter.bandwidth()
    whole = BandwidthMeter(sample_rate)
    whole.add(samples)
    assert np.array_equal(meter.power(), whole.power())
    assert meter.bandwidth() == whole.bandwidth() == estimate_bandwidth(samples, sample_rate)


def test_the_input_stays_as_it_is_and_may_be_integers() -> None:
    samples = (tone(32, seconds=10) * 32767).astype(np.int16)
    before = samples.copy()
    assert estimate_bandwidth(samples.astype(np.float32), 16000) == estimate_bandwidth(tone(32, seconds=10), 16000)
    assert np.array_equal(samples, before)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match=r"sample_rate 99 Hz is below 100: give the recording's"):
        BandwidthMeter(99)
    with pytest.raises(ValueError, match=r"shape \(2, 8\), expected \[n_samples\]: mix the channels to one"):
        estimate_bandwidth(np.zeros((2, 8), np.float32), 16000)
    for position in (0, 50_000, 99_999):
        samples = np.zeros(100_000, np.float32)
        samples[position] = np.nan
        with pytest.raises(EntryError, match="a sample is not finite") as caught:
            estimate_bandwidth(samples, 16000)
        assert caught.value.code is FailureCode.NON_FINITE
