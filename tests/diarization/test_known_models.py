from __future__ import annotations

import pytest

from beam_curator.diarization.known_models import DEFAULT_MODEL, KNOWN_MODELS, NEMOTRON_MODEL, known_model


@pytest.mark.parametrize(
    ("name", "family", "licence", "non_commercial", "n_speakers", "frame_step"),
    [
        ("nvidia/diar_sortformer_4spk-v1", "sortformer-offline", "CC-BY-NC-4.0", True, 4, 0.08),
        ("nvidia/diar_streaming_sortformer_4spk-v2", "sortformer-streaming", "CC-BY-4.0", False, 4, 0.08),
        (DEFAULT_MODEL, "sortformer-streaming", "NVIDIA Open Model License", False, 4, 0.08),
        (NEMOTRON_MODEL, "nemotron", "OpenMDW-1.1", False, 8, 0.01),
    ],
)
def test_what_is_known(
    name: str, family: str, licence: str, non_commercial: bool, n_speakers: int, frame_step: float
) -> None:
    model = known_model(name)
    assert model is not None
    assert (model.name, model.family, model.licence) == (name, family, licence)
    assert (model.non_commercial, model.n_speakers, model.frame_step) == (non_commercial, n_speakers, frame_step)
    assert "\n" not in model.summary


def test_a_revision_is_of_the_same_model() -> None:
    assert known_model("nvidia/Nemotron-3-Diarization@0123abc") is KNOWN_MODELS["nvidia/Nemotron-3-Diarization"]


@pytest.mark.parametrize("name", ["", "nvidia", "nvidia/diar", "NVIDIA/diar_sortformer_4spk-v1", "/models/x.nemo"])
def test_of_others_nothing_is_known(name: str) -> None:
    assert known_model(name) is None


def test_a_licence_that_forbids_commerce_says_so() -> None:
    for model in KNOWN_MODELS.values():
        assert model.non_commercial == ("-NC-" in model.licence)
