import numpy as np
import pytest

from beam_curator.diarization.filter_banks import centred_banks, filter_banks, n_filter_banks
from tests.diarization.kaldi_filter_banks import LENGTHS, RECORDED, noises


@pytest.mark.parametrize("n_samples", LENGTHS)
def test_they_are_kaldis(n_samples: int) -> None:
    recorded = np.load(RECORDED)
    for name, samples in noises(n_samples).items():
        banks, expected = filter_banks(samples), recorded[f"{name} {n_samples}"]
        assert banks.dtype == np.float32
        assert banks.shape == (n_filter_banks(n_samples), 80)
        np.testing.assert_allclose(banks[:: 10 if n_samples > 1000 else 1], expected, rtol=0, atol=1e-3, err_msg=name)


def test_a_frame_is_the_same_in_any_piece() -> None:
    samples = noises(30_000)["fading"]
    whole = filter_banks(samples)
    for first, stop in ((0, 1), (1, 9), (5, 140), (128, 185)):
        piece = filter_banks(samples[160 * first : 160 * (stop - 1) + 400])
        assert np.array_equal(piece, whole[first:stop])


def test_silence_has_the_least_energy() -> None:
    assert np.array_equal(filter_banks(np.zeros(400, np.float32)), np.full((1, 80), np.log(np.float32(2**-23))))


@pytest.mark.parametrize("n_samples", [0, 1, 399])
def test_shorter_than_a_frame(n_samples: int) -> None:
    assert filter_banks(np.ones(n_samples, np.float32), centred=True).shape == (0, 80)


def test_the_mean_of_each_band_is_subtracted() -> None:
    samples = noises(30_000)["noise"]
    centred = filter_banks(samples, centred=True)
    assert np.array_equal(centred, centred_banks(filter_banks(samples)))
    assert np.abs(centred.mean(axis=0)).max() < 1e-5
    # twice as loud is the same voice
    np.testing.assert_allclose(centred, filter_banks(2 * samples, centred=True), rtol=0, atol=1e-5)
