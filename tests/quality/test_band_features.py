"""Loudness and energies of bands: those of pyloudnorm and librosa."""

from __future__ import annotations

import numpy as np
import pytest

from beam_curator.quality.band_features import band_energies
from beam_curator.quality.loudness import integrated_loudness
from tests.quality.band_references import recorded, references, sounds

SOUNDS = sounds()


@pytest.mark.parametrize("name", SOUNDS)
def test_energies_are_those_of_librosa(name: str) -> None:
    found, expected = band_energies(*SOUNDS[name]), recorded()[name]["energies"]
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", SOUNDS)
def test_loudness_is_that_of_pyloudnorm(name: str) -> None:
    found, expected = integrated_loudness(*SOUNDS[name]), recorded()[name]["loudness"]
    if expected is None:
        assert found is None or np.isneginf(found)
    else:
        assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_the_libraries_give_what_was_recorded() -> None:
    pytest.importorskip("librosa")
    pytest.importorskip("pyloudnorm")
    for name, found in references().items():
        assert found["loudness"] == pytest.approx(recorded()[name]["loudness"], abs=1e-6)
        assert found["energies"] == pytest.approx(recorded()[name]["energies"], abs=1e-4)
