from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.model_records import KNOWN_MODELS
from beam_curator.quality.p808_features import p808_frames
from beam_curator.quality.scorers import SCORERS, named_scorers
from beam_curator.quality.sigmos_features import sigmos_spectra
from beam_curator.quality.sound_windows import sound_windows

DNSMOS, UTMOS = SCORERS["dnsmos"], SCORERS["utmos"]


def test_contracts_are_consistent() -> None:
    for name, scorer in SCORERS.items():
        assert scorer.name == name
        assert all(key.startswith(name) for key in scorer.outputs)
        for graph in scorer.graphs:
            assert len(graph.calibration) in (0, len(graph.outputs))
        known = KNOWN_MODELS.get(name)
        assert (scorer.licence, scorer.sha256) == ((known.licence, known.sha256) if known else (None, None))
        assert all(graph.file == "" for graph in scorer.graphs) == (known is None)


@pytest.mark.parametrize(
    ("given_texts", "problem"),
    [
        (("nisqa",), "scorer 'nisqa' is not known: use one of dnsmos, utmos, sigmos, band"),
        (("utmos",), "scorer utmos has no weights in any package: give utmos=FILE.onnx"),
        (("dnsmos", "dnsmos=x"), "scorer dnsmos is given twice"),
    ],
)
def test_scorers_that_cannot_be(given_texts: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ValueError, match="scorer") as caught:
        named_scorers(given_texts)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [(9.01, [0]), (10.99, [0]), (11, [0, 1]), (12.5, [0, 1, 2])],
)
def test_windows_begin_each_second(seconds: float, starts: list[int]) -> None:
    samples = np.linspace(-1, 1, round(seconds * 16000), dtype=np.float32)
    found = list(sound_windows([samples], DNSMOS))
    assert [np.array_equal(window, samples[16000 * at :][:144_160]) for window, at in zip(found, starts, strict=True)]


def test_short_sound_is_doubled_until_it_is_long_enough() -> None:
    samples = np.arange(48000, dtype=np.float32) / 48000
    first, second, third = sound_windows([samples], DNSMOS)
    whole = np.tile(samples, 4)
    assert [np.array_equal(window, whole[16000 * at :][:144_160]) for at, window in enumerate((first, second, third))]
    assert list(sound_windows([np.empty(0, np.float32)], DNSMOS)) == []


def test_sound_as_it_is_has_its_rest_and_stays_within_full_scale() -> None:
    samples = np.full(2 * 960_000 + 5, 1.5, np.float32)
    found = list(sound_windows([samples], UTMOS))
    assert [len(window) for window in found] == [960_000, 960_000, 5]
    assert all(window.max() == 1 for window in found)
    assert [len(window) for window in sound_windows([samples[:9]], UTMOS)] == [9]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 200_000), max_size=6), st.sampled_from([40_000, 144_160, 200_000]))
def test_how_the_sound_is_cut_changes_nothing(cuts: list[int], n_samples: int) -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, n_samples).astype(np.float32)
    pieces = np.split(samples, sorted(cut for cut in cuts if cut <= n_samples))
    for scorer in (DNSMOS, UTMOS):
        found, expected = list(sound_windows(pieces, scorer)), list(sound_windows([samples], scorer))
        assert len(found) == len(expected)
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_mel_frames_are_in_db_to_the_strongest() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(144_160) / 16000)).astype(np.float32)
    frames = p808_frames(tone)
    assert frames.shape == (900, 120)
    assert (frames.max(), frames.min()) == (1.0, -1.0)
    assert np.ptp(frames[10:-10].argmax(axis=1)) == 0
    # louder or softer changes nothing
    assert np.allclose(p808_frames(tone / 8), frames, atol=1e-5)


@pytest.mark.parametrize("n_samples", [1, 479, 480, 481, 960, 10_000])
def test_spectra_are_those_of_scipy(n_samples: int) -> None:
    signal = pytest.importorskip("scipy.signal")
    samples = np.random.default_rng(n_samples).uniform(-1, 1, n_samples).astype(np.float32)
    last = n_samples % 480 or 480
    padded = np.concatenate([np.zeros(480), samples, np.zeros(960 - last)])
    window = np.sqrt(signal.get_window("hann", 960))
    _, _, spectra = signal.stft(padded, window=window, nperseg=960, noverlap=480, boundary=None, padded=False)
    spectra = spectra.T * window.sum()
    magnitude = np.maximum(np.abs(spectra) ** 2, 1e-12) ** 0.5
    compressed = spectra * magnitude**-0.7
    expected = np.stack([magnitude**0.3, compressed.real, compressed.imag])
    assert np.allclose(sigmos_spectra(samples), expected, atol=1e-4)
