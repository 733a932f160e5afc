from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.diarization.mel import MelFrontEnd, as_waveform
from beam_curator.diarization.models import Floats, MelRules
from benchmarks.random_sortformer import talk
from tests.diarization.backends import load_nemo, nemo_frames

pytestmark = pytest.mark.heavy

RULES = MelRules(n_mels=16)
FILTERS = np.abs(np.random.default_rng(0).standard_normal((16, 257))).astype(np.float32)
FRONT = MelFrontEnd(RULES, FILTERS)


def by_definition(samples: Floats) -> np.ndarray:
    """Return the frames as the rules say it, in double precision, with a transform written out."""
    wave = samples.astype(np.float64)
    sound = np.concatenate([np.zeros(256), wave[:1], wave[1:] - 0.97 * wave[:-1], np.zeros(256)])
    hann = np.zeros(512)
    hann[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    frequencies = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(512)) / 512)
    frames = [np.abs(frequencies @ (hann * sound[160 * k : 160 * k + 512])) ** 2 for k in range(len(samples) // 160)]
    return np.log(np.array(frames) @ FILTERS.T.astype(np.float64) + 2.0**-24)


@pytest.mark.parametrize("n_samples", [160, 161, 319, 400, 1280, 5000])
def test_frames_are_those_of_the_rules(n_samples: int) -> None:
    samples = np.random.default_rng(n_samples).uniform(-1, 1, n_samples).astype(np.float32)
    frames = FRONT.frames(samples)
    assert frames.shape == (n_samples // 160, 16)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, by_definition(samples), rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_samples", [0, 1, 159])
def test_less_than_a_hop_has_no_frame(n_samples: int) -> None:
    assert FRONT.frames(np.zeros(n_samples, np.float32)).shape == (0, 16)


def test_silence_is_the_logarithm_of_the_guard() -> None:
    assert (FRONT.frames(np.zeros(1600, np.float32)) == np.log(np.float32(2.0**-24))).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(160, 30000), st.lists(st.floats(0, 1), max_size=6), st.integers(0, 99))
def test_cutting_changes_no_bit(n_samples: int, cuts: list[float], seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, n_samples).astype(np.float32)
    whole = FRONT.frames(samples)
    edges = sorted({0, len(whole), *(int(cut * len(whole)) for cut in cuts)})
    parts = []
    for first, stop in pairwise(edges):
        start = FRONT.first_sample(first)
        parts.append(FRONT.piece(samples[start : FRONT.stop_sample(stop)].copy(), start, first, stop))
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_frame_hears_no_sample_but_those_it_names() -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, 8000).astype(np.float32)
    others = samples.copy()
    start, stop = FRONT.first_sample(20), FRONT.stop_sample(21)
    assert (start, stop) == (20 * 160 - 201, 20 * 160 + 200)
    others[:start], others[stop:] = 1.0, -1.0
    assert np.array_equal(FRONT.frames(samples)[20], FRONT.frames(others)[20])
    assert FRONT.first_sample(1) == 0


@pytest.mark.parametrize(
    ("n_samples", "expected"),
    [
        (160, [0.0]),
        (320, [-1 / 2**0.5, 1 / 2**0.5]),
    ],  # deviation of one frame is 0; of two it is their distance / 2**.5
)
def test_bands_are_normalized_over_the_recording(n_samples: int, expected: list[float]) -> None:
    front = MelFrontEnd(replace(RULES, normalization="per_feature"), FILTERS)
    samples = np.linspace(0, 1, n_samples).astype(np.float32) ** 4
    np.testing.assert_allclose(front.frames(samples), np.transpose([expected] * 16), atol=2e-5)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 9), np.float32), r"samples are float32 \[2, 9\]: give float32 \[n_samples\]"),
        (np.zeros(9, np.int16), r"samples are int16 \[9\]"),
        (np.array([0.0, 1.0, np.nan]), "sample 2 is nan: finite samples are expected"),
        (np.array([0.0, -np.inf]), "sample 1 is -inf"),
        (np.array([0.0, 1e300]), r"sample 1 is 1e\+300"),
    ],
)
def test_what_is_no_waveform_is_refused(samples: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_waveform(samples)


def test_a_waveform_is_not_copied_without_need() -> None:
    samples = np.zeros(9, np.float32)
    assert as_waveform(samples) is samples
    assert as_waveform(np.zeros(9)).dtype == np.float32


def test_filters_have_to_fit_the_rules() -> None:
    with pytest.raises(ValueError, match=r"mel filters are \[16, 257\], but the rules ask for \[80, 257\]"):
        MelFrontEnd(MelRules(n_mels=80), FILTERS)
    with pytest.raises(ValueError, match="win_length 600 does not lie within n_fft 512"):
        MelFrontEnd(replace(RULES, win_length=600), FILTERS)


@pytest.mark.parametrize("family", ["streaming", "offline"])
def test_frames_are_nemos(family: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(f"tiny_{family}")
    model = load_nemo(str(path))
    featurizer = model.preprocessor.featurizer
    normalization = "none" if family == "streaming" else "per_feature"
    rules = MelRules(n_mels=featurizer.nfilt, normalization=normalization)
    front = MelFrontEnd(rules, featurizer.fb[0].numpy())
    for seconds in (0.02, 30.003):
        waveform = talk(seconds, seed=4)
        expected = nemo_frames(model, waveform)
        found = front.frames(waveform)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-4  # torch's transform in single precision; ours is nearer to exact
        assert np.abs(found - expected).mean() <= 2e-6
