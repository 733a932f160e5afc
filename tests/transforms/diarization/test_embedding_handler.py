"""Embeddings by a model of their own: a TitaNet against NeMo's own way on the same audio, with random weights."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.diarization.models import Floats, Lengths, NotAModelError, OutOfMemoryError
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.speaker_embeddings import EmbeddingFacts, SpeakerEmbeddings
from beam_curator.diarization.turns import Turn
from beam_curator.failures import EntryError, FailureCode
from beam_curator.models.embedding_models import locate_embedding
from beam_curator.models.titanet import TitaNetModel, load_titanet
from beam_curator.transforms.diarization.embedding_handler import EmbeddingModelHandler
from benchmarks.random_sortformer import talk
from tests.sortformers import Model
from tests.titanets import WIDTH, write_titanet

pytestmark = pytest.mark.heavy

WAVE = talk(40.0, seed=4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    """A recording whose turns are known; it is damaged where `fails` says so."""

    turns: Sequence[Turn]
    wave: Floats = field(default_factory=lambda: WAVE)
    begin: float = 0.0
    fails: bool = False

    @property
    def seconds(self) -> float:
        return len(self.wave) / 16000

    def pieces(self) -> Iterator[Floats]:
        yield from np.array_split(self.wave, 3)
        if self.fails:
            raise EntryError(FailureCode.TRUNCATED_AUDIO, "it ends too early", "fetch it again")


def turn(start: float, end: float, speaker: int) -> Turn:
    return Turn(start=start, end=end, speaker=speaker)


@pytest.fixture(scope="session")
def titanet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_titanet(tmp_path_factory.mktemp("titanet") / "tiny.nemo")


@pytest.fixture(scope="module")
def loaded(titanet: Path) -> TitaNetModel:
    return load_titanet(locate_embedding("", str(titanet)), "cpu", 1)


def nemos(model: TitaNetModel, wave: Floats) -> Floats:
    """Return what NeMo itself says of a segment, of length 1."""
    embedding, _ = model._model.infer_segment(wave)
    found: Floats = embedding[0].numpy()
    return found / np.linalg.norm(found)


def embedded(model: Any, *items: Heard, handler: EmbeddingModelHandler | None = None) -> list[Any]:
    using = handler if handler is not None else EmbeddingModelHandler()
    results = using.run_inference(items, model)
    assert [result.example for result in results] == list(items)
    return [result.inference for result in results]


class TestAgainstNemo:
    def test_a_turn_is_what_nemo_makes_of_its_audio(self, loaded: TitaNetModel) -> None:
        turns = [turn(1.0, 3.0, 0), turn(2.5, 6.0, 1), turn(7.0, 7.08, 0), turn(8.0, 8.9, 0)]
        (found,) = embedded(loaded, Heard(turns=turns))
        solos = {0: WAVE[16000:40000], 1: WAVE[48000:96000], 3: WAVE[128000:142400]}
        assert found.turns[2] is None
        for number, solo in solos.items():
            assert found.turns[number].shape == (WIDTH,)
            np.testing.assert_allclose(found.turns[number], nemos(loaded, solo), atol=1e-5)
        both = 1.5 * nemos(loaded, solos[0]) + 0.9 * nemos(loaded, solos[3])
        np.testing.assert_allclose(found.speakers[0], both / np.linalg.norm(both), atol=1e-5)
        np.testing.assert_allclose(found.speakers[1], found.turns[1], atol=1e-7)

    def test_long_speech_is_the_mean_of_its_parts(self, loaded: TitaNetModel) -> None:
        (found,) = embedded(loaded, Heard(turns=[turn(0.0, 30.0, 2)]))
        both = nemos(loaded, WAVE[:240000]) + nemos(loaded, WAVE[240000:480000])
        np.testing.assert_allclose(found.speakers[2], both / np.linalg.norm(both), atol=1e-5)

    def test_pieces_begin_later(self, loaded: TitaNetModel) -> None:
        (found,) = embedded(loaded, Heard(turns=[turn(101.0, 102.0, 0)], begin=100.0))
        np.testing.assert_allclose(found.turns[0], nemos(loaded, WAVE[16000:32000]), atol=1e-5)

    def test_other_voices_are_told_apart(self, loaded: TitaNetModel) -> None:
        tone = np.sin(np.arange(32000) / 3).astype(np.float32)
        one, other = embedded(loaded, Heard(turns=[turn(0, 2, 0)]), Heard(turns=[turn(0, 2, 0)], wave=tone))
        assert np.abs(one.turns[0] - other.turns[0]).max() > 1e-3


def test_it_says_which_model_it_is(loaded: TitaNetModel, titanet: Path) -> None:
    identity = loaded.describe().identity
    assert (identity.name, identity.revision, identity.backend) == ("tiny.nemo", "", "nemo")
    assert len(identity.sha256) == 64
    (found,) = embedded(loaded, Heard(turns=[turn(0, 1, 0)]))
    assert found.model == identity
    assert (
        EmbeddingModelHandler(model_path=str(titanet), device="cpu", threads=1).load_model().describe()[0] == identity
    )


def test_without_speech_of_one_alone_the_model_is_not_asked(loaded: TitaNetModel) -> None:
    nothing, silent = embedded(loaded, Heard(turns=[turn(0, 1, 0), turn(0, 1, 1)], fails=True), Heard(turns=[]))
    assert (nothing.speakers, nothing.turns) == ({0: None, 1: None}, (None, None))
    assert (silent.speakers, silent.turns) == ({}, ())


class SmallModel:
    """A model whose memory holds so many samples, padding and all, and that fails on what is loud."""

    def __init__(self, most_samples: int = 1 << 30) -> None:
        self.most_samples = most_samples
        self.sizes: list[int] = []

    def describe(self) -> EmbeddingFacts:
        return EmbeddingFacts(ModelIdentity("small"), 0.0)

    def embed(self, waveforms: Floats, lengths: Lengths) -> Floats:
        if waveforms.size > self.most_samples:
            raise OutOfMemoryError("too much")
        if np.abs(waveforms).max() > 5:
            raise RuntimeError("too loud")
        self.sizes.append(len(waveforms))
        return np.stack([[n, n / 2] for n in lengths]).astype(np.float32)


class TestFailures:
    TURNS = tuple(turn(start, start + 1.0, 0) for start in range(0, 30, 2))

    def test_where_memory_lacks_batches_are_halved(self) -> None:
        plenty, little = SmallModel(), SmallModel(4 * 16000)
        (expected,), (found,) = (embedded(model, Heard(turns=self.TURNS)) for model in (plenty, little))
        assert plenty.sizes == [15]
        assert max(little.sizes) <= 4
        assert np.array_equal(np.stack(expected.turns), np.stack(found.turns))

    @pytest.mark.parametrize(
        ("item", "model", "code"),
        [
            (Heard(turns=TURNS, fails=True, wave=WAVE[:160000]), SmallModel(), FailureCode.TRUNCATED_AUDIO),
            (Heard(turns=TURNS, wave=WAVE * 100), SmallModel(), FailureCode.MODEL_ERROR),
            (Heard(turns=TURNS), SmallModel(8000), FailureCode.OUT_OF_MEMORY),
        ],
    )
    def test_a_recording_fails_alone(self, item: Heard, model: SmallModel, code: FailureCode) -> None:
        good = Heard(turns=[turn(0, 0.4, 0)])
        first, failure, last = embedded(model, good, item, good)
        assert isinstance(failure, EntryError)
        assert failure.code == code
        assert isinstance(first, SpeakerEmbeddings)
        assert isinstance(last, SpeakerEmbeddings)


class TestFiles:
    def test_a_sortformer_is_none(self, streaming_model: Model) -> None:
        with pytest.raises(NotAModelError, match=r"model\.nemo is no TitaNet but .*: give a \.nemo file of a TitaNet"):
            load_titanet(locate_embedding("", str(streaming_model.nemo)))

    def test_an_exported_model_is_none(self, streaming_model: Model) -> None:
        with pytest.raises(NotAModelError, match=r"is no \.nemo file: give a \.nemo file of a TitaNet"):
            EmbeddingModelHandler(model_path=str(streaming_model.onnx)).load_model()

    def test_other_sample_rates_are_refused(self, tmp_path: Path) -> None:
        path = write_titanet(tmp_path / "phone.nemo", 8000)
        with pytest.raises(NotAModelError, match=r"phone\.nemo takes audio at 8000 Hz, expected 16000"):
            load_titanet(locate_embedding("", str(path)), "cpu")


def test_a_handler_goes_to_workers(titanet: Path) -> None:
    handler = EmbeddingModelHandler(model_path=str(titanet), device="cpu", threads=1)
    model = handler.load_model()
    embedded(model, Heard(turns=[turn(0, 1, 0)]), handler=handler)
    copy = pickle.loads(pickle.dumps(handler))
    assert copy.get_num_bytes([Heard(turns=[])]) == 40 * 64000
    assert (copy.share_model_across_processes(), copy.get_resource_hints()) == (False, {})
    embedded(model, Heard(turns=[turn(0, 1, 0)]), handler=copy)
