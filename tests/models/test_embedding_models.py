"""Models that embed voices: where they lie, and CAM++ with its real weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from beam_curator.diarization.diarize_rules import DiarizeRules, ModelOptions
from beam_curator.diarization.models import Floats, NotAModelError
from beam_curator.diarization.rttm import parse_rttm
from beam_curator.diarization.speaker_embeddings import EmbeddingModel
from beam_curator.model_records import CAMPPLUS_MODEL, KNOWN_MODELS, TITANET_MODEL, carrier_of
from beam_curator.models.embedding_models import check_embedding_files, load_embedding, locate_embedding
from beam_curator.models.model_checks import check_embeddings, embeds_on_onnx, files_beside, with_embedding_model
from beam_curator.models.model_files import ModelFileError, ModelNotFoundError
from beam_curator.models.resolving import find_model
from tests.fakes_models import write_band_model
from tests.models.real_models import need_model

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def voices() -> list[tuple[str, Floats]]:
    """Turns of the round table of a second or more: who talks, and samples at 16 kHz."""
    samples, _ = soundfile.read(EXAMPLES / "round_table.opus", dtype="float32")
    turns = parse_rttm((EXAMPLES / "round_table.rttm").read_text(encoding="utf-8"))
    cut = [(turn.speaker, samples[round(turn.start * 16000) : round(turn.end * 16000)]) for turn in turns[:12]]
    return [(speaker, voice) for speaker, voice in cut if len(voice) >= 16000]


@pytest.fixture(scope="module")
def model() -> EmbeddingModel:
    need_model("cascade")
    return load_embedding(locate_embedding(CAMPPLUS_MODEL), n_threads=1)


def test_it_says_which_model_it_is(model: EmbeddingModel) -> None:
    identity, seconds = model.describe()
    assert (identity.name, identity.sha256, identity.backend) == ("campplus", KNOWN_MODELS["campplus"].sha256, "onnx")
    assert seconds > 0


def test_voices_of_one_are_nearer_than_those_of_two(model: EmbeddingModel, voices: list[tuple[str, Floats]]) -> None:
    names = np.array([name for name, _ in voices])
    found = np.stack([model.embed(voice[np.newaxis], np.array([len(voice)]))[0] for _, voice in voices])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    likeness, same = found @ found.T, names[:, np.newaxis] == names
    assert found.shape == (len(voices), 192)
    assert np.mean(likeness[same]) > np.mean(likeness[~same]) + 0.2


def test_batches_and_threads_change_nothing(model: EmbeddingModel, voices: list[tuple[str, Floats]]) -> None:
    some = [voice[:length] for (_, voice), length in zip(voices, (16000, 1600, 9000), strict=False)]
    padded = np.stack([np.pad(voice, (0, 16000 - len(voice)), constant_values=0.5) for voice in some])
    together = model.embed(padded, np.array([len(voice) for voice in some]))
    alone = [model.embed(voice[np.newaxis], np.array([len(voice)]))[0] for voice in some]
    assert together.tobytes() == np.stack(alone).tobytes()
    threaded = load_embedding(locate_embedding(CAMPPLUS_MODEL), n_threads=2)
    assert threaded.embed(padded, np.array([len(voice) for voice in some])).tobytes() == together.tobytes()
    assert np.isfinite(together).all()


class TestPlaces:
    def test_it_lies_in_the_folder_of_the_cascade(self, tmp_path: Path) -> None:
        found = find_model(CAMPPLUS_MODEL, None)
        assert found is None or found.path == need_model("cascade")
        with pytest.raises(ModelNotFoundError, match="campplus is not installed: beam-curator models install cascade"):
            locate_embedding(CAMPPLUS_MODEL, cache_dir=str(tmp_path))
        with pytest.raises(ModelNotFoundError, match="model campplus@main is not there, expected campplus, which lies"):
            locate_embedding("campplus@main")

    def test_of_a_folder_its_path(self) -> None:
        folder = need_model("cascade")
        location = locate_embedding("", folder)
        check_embedding_files(location)
        assert location.path == folder

    def test_a_sortformer_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(NotAModelError, match=r"give a \.nemo file of a TitaNet, or --embedding-model campplus"):
            locate_embedding("", str(write_band_model(tmp_path / "band")))


class TestRules:
    RULES = DiarizeRules(embeddings=True)

    def test_a_cascade_brings_its_own(self, tmp_path: Path) -> None:
        cascade = ModelOptions(model_name="cascade")
        assert with_embedding_model(self.RULES, cascade).embedding_model == "campplus"
        assert with_embedding_model(DiarizeRules(), cascade) == DiarizeRules()
        titanet = DiarizeRules(embeddings=True, embedding_model=TITANET_MODEL)
        assert with_embedding_model(titanet, cascade) == titanet
        stored = ModelOptions(model_path="gs://bucket/models/cascade")
        own = with_embedding_model(self.RULES, stored)
        assert own.embedding_model == "gs://bucket/models/cascade"
        assert files_beside(stored, own) == ("gs://bucket/models/cascade/SHA256SUMS",)

    def test_it_runs_on_cpus(self) -> None:
        for name in ("campplus", "gs://bucket/models/cascade"):
            assert embeds_on_onnx(DiarizeRules(embeddings=True, embedding_model=name))
        assert not embeds_on_onnx(DiarizeRules(embeddings=True, embedding_model=TITANET_MODEL))

    def test_others_without_frames_say_which_to_take(self) -> None:
        check_embeddings(ModelOptions(model_name="demo"), self.RULES)
        with pytest.raises(ModelFileError, match="or give --embedding-model campplus or nvidia/speakerverif"):
            check_embeddings(ModelOptions(model_name="nvidia/Nemotron-3-Diarization"), self.RULES)


def test_it_is_carried_by_the_cascade() -> None:
    assert carrier_of(KNOWN_MODELS["campplus"]) is KNOWN_MODELS["cascade"]
    assert carrier_of(KNOWN_MODELS["silero-vad"]) is KNOWN_MODELS["silero-vad"]
