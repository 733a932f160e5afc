from __future__ import annotations

import pickle
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import PredictionResult, RunInference
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions
from beam_curator.diarization.models import Floats
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import turns_from_probabilities
from beam_curator.failures import EntryError
from beam_curator.models.model_files import ModelFileError, ModelLocation, ModelNotFoundError
from beam_curator.models.sortformer import SortformerModel, load_backend
from beam_curator.models.sources import RecordingSource
from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler
from tests.fakes_models import (
    POISON,
    BandBackend,
    BandHandler,
    Speech,
    sound_of,
    turns_of,
    write_band_model,
    write_sound,
)

pytestmark = pytest.mark.heavy

TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1), (2.4, 3.2, 2)]
OTHER: list[Speech] = [(0.0, 0.8, 3), (33.6, 35.2, 0)]


def waveform(seconds: float, speech: Sequence[Speech] = ()) -> Floats:
    return sound_of(seconds, speech)[:, 0]


def outcome(result: PredictionResult) -> Any:
    """Return what a model said as turns, or the code of the failure."""
    if isinstance(result.inference, EntryError):
        return result.inference.code.value
    assert isinstance(result.inference, Probabilities)
    assert result.inference.frames.dtype == np.float32
    return turns_from_probabilities(result.inference.frames, TurnRules(), result.inference.frame_step)


def infer(handler: SortformerModelHandler, batch: Sequence[Any], model: SortformerModel | None = None) -> list[Any]:
    """Return the outcomes of a batch."""
    results = handler.run_inference(batch, model if model is not None else handler.load_model())
    assert isinstance(results, list)
    assert [result.example is item for result, item in zip(results, batch, strict=True)] == [True] * len(batch)
    return [outcome(result) for result in results]


def outcomes_of(handler: SortformerModelHandler, items: Sequence[Any], *, direct: Sequence[str] = ()) -> None:
    """Run RunInference, and compare what comes out with what stands beside each item."""
    options = beam.options.pipeline_options.PipelineOptions(list(direct))
    with beam.Pipeline("FnApiRunner", options) as pipeline:
        found = pipeline | beam.Create([item for item, _ in items]) | RunInference(handler)
        pairs = found | beam.Map(lambda result: (_seconds_of(result.example), outcome(result)))
        assert_that(pairs, equal_to([(_seconds_of(item), expected) for item, expected in items]))


def _seconds_of(item: Any) -> float:
    return len(item) / 16000 if isinstance(item, np.ndarray) else item.seconds


class TestRunInference:
    @pytest.mark.parametrize("size", [1, 4])
    def test_waveforms_and_recordings(self, tmp_path: Path, size: int) -> None:
        path = write_sound(tmp_path / "a.flac", 40.0, OTHER, 44100, 2)
        recording = RecordingSource(name=str(path), first=0, stop=40 * 44100, sample_rate=44100)
        gone = RecordingSource(name=str(tmp_path / "b.wav"), first=0, stop=24000, sample_rate=8000)
        items = [
            (waveform(4.0, TALK), turns_of(TALK)),
            (recording, turns_of(OTHER)),
            (gone, "not_found"),
            (waveform(5.0, [(0.8, 1.6, POISON)]), "model_error"),
            (waveform(0.005), []),
        ]
        outcomes_of(BandHandler(inference=InferenceOptions(inference_batch_size=size)), items)

    def test_a_model_that_is_shared_by_processes(self) -> None:
        handler = BandHandler(model=ModelOptions(model_path="tests-shared-bands", device="cuda"))
        assert handler.share_model_across_processes()
        outcomes_of(handler, [(waveform(4.0, TALK), turns_of(TALK)), (waveform(2.0), [])])

    @pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: pip install torch")
    def test_torch_s_lack_of_memory_halves_batches(self) -> None:
        import torch

        handler = BandHandler(
            inference=InferenceOptions(inference_batch_size=6),
            streaming=False,
            most_seconds=9.0,
            memory_error=torch.OutOfMemoryError,
        )
        items = [(waveform(3.6 + number, TALK), turns_of(TALK)) for number in range(5)]
        outcomes_of(handler, [*items, (waveform(12.0), "out_of_memory")])


class TestBatch:
    def test_results_are_a_list_in_the_order_of_the_batch(self) -> None:
        batch = [waveform(40.0, OTHER), waveform(4.0, TALK), waveform(0.0)]
        assert infer(BandHandler(), batch) == [turns_of(OTHER), turns_of(TALK), []]
        assert infer(BandHandler(), []) == []

    def test_every_preset_hears_the_same(self) -> None:
        for parameters in LATENCY_PRESETS.values():
            assert infer(BandHandler(parameters=parameters), [waveform(4.0, TALK)]) == [turns_of(TALK)]

    def test_the_parameters_of_the_handler_are_used(self) -> None:
        backend = BandBackend()
        handler = BandHandler(parameters=LATENCY_PRESETS["low"])
        infer(handler, [waveform(4.8)], SortformerModel(backend))
        assert backend.batch_sizes == [1] * 10

    @pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: pip install torch")
    def test_other_errors_of_torch_are_errors_of_the_model(self) -> None:
        import torch

        results = infer(
            BandHandler(streaming=False, most_seconds=5.0, memory_error=torch.AcceleratorError),
            [waveform(4.0, TALK), waveform(6.0)],
        )
        assert results == [turns_of(TALK), "model_error"]

    def test_a_second_model_is_listened_to_as_itself(self) -> None:
        handler = BandHandler()
        first, second = BandBackend(), BandBackend(streaming=False, most_seconds=1.0)
        assert infer(handler, [waveform(4.0, TALK)], SortformerModel(first)) == [turns_of(TALK)]
        assert infer(handler, [waveform(4.0, TALK)], SortformerModel(second)) == ["out_of_memory"]

    def test_the_model_is_named_in_results(self) -> None:
        (result,) = SortformerModelHandler(ModelOptions(model_name="a/b", model_path="x/")).run_inference(
            [waveform(1.0)], SortformerModel(BandBackend())
        )
        assert result.model_id == "x/"


class TestHandler:
    def test_bytes_are_those_of_the_samples(self, tmp_path: Path) -> None:
        recording = RecordingSource(name="a.wav", first=8000, stop=24000, sample_rate=8000)
        assert SortformerModelHandler().get_num_bytes([waveform(1.5), recording]) == 4 * 16000 * 3.5

    def test_batches_have_the_size_asked_for(self) -> None:
        handler = SortformerModelHandler(inference=InferenceOptions(inference_batch_size=7))
        kwargs = handler.batch_elements_kwargs()
        assert (kwargs["min_batch_size"], kwargs["max_batch_size"]) == (7, 7)

    def test_what_workers_need_is_said(self) -> None:
        gpu = "type:nvidia-l4;count:1;install-nvidia-driver"
        handler = SortformerModelHandler(ModelOptions(device="cuda"), accelerator=gpu)
        assert handler.get_resource_hints() == {"accelerator": gpu}
        assert handler.share_model_across_processes()
        assert SortformerModelHandler().get_resource_hints() == {}
        assert not SortformerModelHandler().share_model_across_processes()
        assert handler.get_metrics_namespace() == "BeamCuratorSortformer"

    def test_making_one_costs_nothing_and_it_travels(self) -> None:
        handler = SortformerModelHandler(ModelOptions(model_path="/none/at/all"))
        BandHandler().run_inference([], SortformerModel(BandBackend()))
        assert pickle.loads(pickle.dumps(handler)).get_resource_hints() == {}
        with pytest.raises(ModelNotFoundError, match=r"model /none/at/all is not there: give a \.nemo file"):
            handler.load_model()

    def test_one_that_has_listened_travels_too(self) -> None:
        handler = BandHandler()
        assert infer(handler, [waveform(4.0, TALK)]) == [turns_of(TALK)]
        assert infer(pickle.loads(pickle.dumps(handler)), [waveform(4.0, TALK)]) == [turns_of(TALK)]


class TestLoad:
    def test_an_exported_model_needs_no_torch(self, tmp_path: Path) -> None:
        for streaming in (True, False):
            path = write_band_model(tmp_path / str(streaming), streaming=streaming)
            handler = SortformerModelHandler(ModelOptions(model_path=str(path)), inference=InferenceOptions(threads=1))
            assert infer(handler, [waveform(40.0, OTHER), waveform(4.0, TALK)]) == [turns_of(OTHER), turns_of(TALK)]

    def test_of_how_long_it_took_is_told(self, tmp_path: Path) -> None:
        path = write_band_model(tmp_path)
        facts = SortformerModelHandler(ModelOptions(model_path=str(path))).load_model().describe()
        assert facts.load_seconds > 0
        assert facts.free_bytes > 0
        assert facts.config.name == "bands"

    @pytest.mark.parametrize(
        ("kind", "backend", "message"),
        [
            (
                "nemo",
                "onnx",
                "run 'beam-curator models export /m .*' where NeMo is installed, and give --model-path DIR",
            ),
            ("onnx", "nemo", "/m is an exported model, expected a .nemo file: leave --backend out"),
            ("transformers", "auto", "/m is a model of transformers, expected a Sortformer"),
        ],
    )
    def test_another_kind_than_asked_for_is_refused(self, kind: Any, backend: str, message: str) -> None:
        location = ModelLocation(path="/m", kind=kind, name="/m")
        with pytest.raises(ModelFileError, match=message):
            load_backend(location, ModelOptions(backend=backend), 1)

    def test_a_gpu_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        path = write_band_model(tmp_path)
        with pytest.raises(ValueError, match="device cuda asked for"):
            SortformerModelHandler(ModelOptions(model_path=str(path), device="cuda")).load_model()

    def test_another_hash_is_never_loaded(self, tmp_path: Path) -> None:
        path = write_band_model(tmp_path)
        with pytest.raises(ModelFileError, match=r"has sha256 .*, expected 0{64}: it is not loaded"):
            SortformerModelHandler(ModelOptions(model_path=str(path), sha256="0" * 64)).load_model()
