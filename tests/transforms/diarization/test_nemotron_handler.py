import json
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import KeyedModelHandler, PredictionResult, RunInference
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from beam_curator.diarization.models import Floats
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.failures import EntryError, FailureCode
from beam_curator.models.model_files import ModelFileError, ModelLocation
from beam_curator.models.nemotron_backend import NemotronModel, load_nemotron
from beam_curator.transforms.diarization.nemotron_handler import NemotronModelHandler
from benchmarks.random_sortformer import talk

pytestmark = pytest.mark.heavy

N_MELS, N_SPEAKERS = 16, 8


def _need_transformers() -> None:
    if find_spec("torch") is not None and find_spec("transformers") is not None:
        return
    if os.environ.get("BEAM_CURATOR_REQUIRE_NEMO") == "1":
        pytest.fail("BEAM_CURATOR_REQUIRE_NEMO=1, but transformers is missing: pip install 'beam-curator[nemotron]'")
    pytest.skip("transformers is not installed: pip install 'beam-curator[nemotron]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights, small chunks, and a speaker cache that overflows within seconds."""
    _need_transformers()
    import torch
    import transformers

    torch.manual_seed(7)
    config = transformers.Nemotron3DiarizationConfig(
        audio_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_mel_bins": N_MELS,
        },
        head_config={"hidden_size": 16, "audio_hidden_size": 32},
        streaming_config={"speaker_cache_length": 32},
        chunk_length=40,
        chunk_right_context=5,
        chunk_left_context=2,
        fifo_length=20,
        speaker_cache_update_period=30,
    )
    network = transformers.Nemotron3DiarizationForAudioFrameClassification(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("nemotron")
    network.save_pretrained(path)
    extractor = transformers.NemotronAsrStreamingFeatureExtractor(feature_size=N_MELS)
    transformers.Nemotron3DiarizationProcessor(extractor).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> NemotronModel:
    return NemotronModelHandler(model_path=str(folder)).load_model()


def probabilities_of_transformers(folder: Path, samples: Floats) -> Floats:
    """What the class itself says of a recording."""
    import torch
    import transformers

    kind = transformers.Nemotron3DiarizationForAudioFrameClassification
    network = kind.from_pretrained(folder).eval()
    processor = transformers.Nemotron3DiarizationProcessor.from_pretrained(folder)
    with torch.inference_mode():
        inputs = processor(samples, sampling_rate=16000)
        found = network(**inputs).logits.sigmoid()[0].numpy()
    return found[: len(samples) // 160]


def difference(a: Any, b: Any) -> float:
    assert isinstance(a, np.ndarray)
    assert a.shape == b.shape
    return float(np.abs(a - b).max())


def infer(handler: NemotronModelHandler, model: Any, batch: list[Any]) -> list[Any]:
    results = handler.run_inference(batch, model)
    assert isinstance(results, list)
    assert [result.example is item for result, item in zip(results, batch, strict=True)] == [True] * len(batch)
    heard = [result.inference for result in results]
    assert {found.frame_step for found in heard if isinstance(found, Probabilities)} <= {0.01}
    return [found.frames if isinstance(found, Probabilities) else found for found in heard]


class Opened:
    """A recording that is read when its turn comes."""

    def __init__(self, samples: Floats | EntryError, n_samples: int) -> None:
        self.samples, self.seconds = samples, n_samples / 16000

    def pieces(self) -> Iterator[Floats]:
        if isinstance(self.samples, EntryError):
            raise self.samples
        yield self.samples[:1000]
        yield self.samples[1000:]


@pytest.mark.parametrize(
    "n_samples",
    [
        160,
        16000,
        8 * 160 * 40,  # one chunk, whose masked frame behind the end is a chunk of its own in forward
        8 * 160 * 41,
        8 * 160 * 45 + 159,
        8 * 160 * 45 + 160,
        8 * 160 * 80 - 1,
        400_000,
    ],
)
def test_chunk_by_chunk_gives_what_the_class_gives_at_once(folder: Path, model: NemotronModel, n_samples: int) -> None:
    samples = talk(30.0, seed=3)[:n_samples]
    [found] = model.infer([samples])
    assert difference(found, probabilities_of_transformers(folder, samples)) <= 1e-5
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert found.shape == (n_samples // 160, N_SPEAKERS)


def test_the_model_is_sensitive(model: NemotronModel) -> None:
    """Else what follows would show nothing."""
    loud, quiet = model.infer([talk(8.0, seed=1), talk(8.0, seed=1) / 50])
    assert difference(loud, quiet) > 0.02
    assert isinstance(loud, np.ndarray)
    assert loud.std(axis=0).max() > 0.01


def test_what_is_in_a_batch_changes_nothing(model: NemotronModel) -> None:
    waveforms = [talk(seconds, seed) for seed, seconds in enumerate((12.0, 3.205, 7.31, 0.5, 25.0, 5.0, 40.0, 12.0))]
    alone = [model.infer([samples])[0] for samples in waveforms]
    together = model.infer(waveforms)
    assert [difference(a, b) <= 1e-4 for a, b in zip(together, alone, strict=True)] == [True] * 8
    loud = model.infer([waveforms[2], 30 * waveforms[4]])[0]
    assert difference(loud, alone[2]) <= 1e-4


def test_too_short_for_a_frame_is_no_frames(model: NemotronModel) -> None:
    empty, short, sound = model.infer([np.zeros(0, np.float32), np.zeros(159, np.float32), talk(1.0)])
    assert [getattr(found, "shape", None) for found in (empty, short, sound)] == [(0, 8), (0, 8), (100, 8)]
    assert model.infer([]) == []
    assert [found.shape for found in model.infer([np.zeros(3, np.float32)]) if isinstance(found, np.ndarray)] == [
        (0, 8)
    ]


def test_a_handler_keeps_the_order_and_the_budget(folder: Path, model: NemotronModel) -> None:
    asked: list[list[int]] = []

    class Noting:
        def infer(self, waveforms: list[Floats]) -> Any:
            asked.append([len(samples) // 16000 for samples in waveforms])
            return model.infer(waveforms)

    handler = NemotronModelHandler(model_path=str(folder), max_batch_size=3, max_batch_seconds=12.0)
    waveforms = [talk(float(seconds), seconds) for seconds in (2, 9, 4, 1, 3, 4)]
    opened = [Opened(samples, len(samples)) for samples in waveforms]
    found = infer(handler, Noting(), [waveforms[0], *opened[1:]])
    assert asked == [[9], [4, 4, 3], [2, 1]]
    for result, samples in zip(found, waveforms, strict=True):
        assert difference(result, model.infer([samples])[0]) <= 1e-4
    assert handler.get_num_bytes([waveforms[0], opened[1]]) == 4 * (2 + 9) * 16000


def test_a_bad_recording_fails_alone(folder: Path, model: NemotronModel) -> None:
    handler = NemotronModelHandler(model_path=str(folder), max_batch_size=6)
    unread = EntryError(FailureCode.NOT_AUDIO, "no audio", "give audio")
    broken = talk(2.0)
    broken[5] = np.nan
    bad = [np.zeros((2, 9), np.float32), np.zeros(9), broken, Opened(unread, 9)]
    found = infer(handler, model, [talk(2.0), *bad, talk(3.0)])
    assert [getattr(result, "code", None) for result in found] == [
        None,
        FailureCode.BAD_TYPE,
        FailureCode.BAD_TYPE,
        FailureCode.NON_FINITE,
        FailureCode.NOT_AUDIO,
        None,
    ]
    assert found[4] is unread
    assert found[1].message == "the waveform is float32 of shape (2, 9), expected float32 [n_samples] at 16000 Hz"
    assert found[3].message == "sample 5 of the waveform is not finite"


class Limited:
    """A network that raises where a batch is too much for it; everything else is the network's."""

    def __init__(self, network: Any, seconds: float, error: Exception) -> None:
        self.network, self.seconds, self.error = network, seconds, error
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def __call__(self, **inputs: Any) -> Any:
        n_items, n_frames, _ = inputs["input_features"].shape
        self.sizes.append(n_items)
        if n_items * n_frames / 100 > self.seconds:
            raise self.error
        return self.network(**inputs)


def limited(model: NemotronModel, seconds: float, error: Exception) -> tuple[NemotronModel, Limited]:
    network = Limited(model._network, seconds, error)
    return NemotronModel(network, model._extractor), network


def out_of_memory() -> Exception:
    _need_transformers()
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("kind", ["torch", "cpu allocator", "python"])
def test_out_of_memory_halves_the_batch(model: NemotronModel, kind: str) -> None:
    error: Exception = {
        "torch": out_of_memory(),
        "cpu allocator": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
        "python": MemoryError(),
    }[kind]
    small, network = limited(model, 2.5, error)
    waveforms = [talk(seconds, seed) for seed, seconds in enumerate((1.0, 1.0, 3.0, 1.0, 0.5))]
    found = small.infer(waveforms)
    assert [isinstance(result, EntryError) for result in found] == [False, False, True, False, False]
    failure = found[2]
    assert isinstance(failure, EntryError)
    assert failure.code == FailureCode.OUT_OF_MEMORY
    assert failure.message == "memory does not suffice for 3 s of audio, alone"
    assert difference(found[3], model.infer([waveforms[3]])[0]) <= 1e-4
    assert network.sizes[:3] == [5, 2, 2]


def test_models_that_share_a_network_do_not_disturb_each_other(model: NemotronModel) -> None:
    NemotronModel(model._network, model._extractor)  # hears nothing, ever
    other = NemotronModel(model._network, model._extractor)
    long, short = other.infer([talk(9.0, 1)]), model.infer([talk(2.0, 2)])
    assert [getattr(found, "shape", found) for found in (*long, *short)] == [(900, N_SPEAKERS), (200, N_SPEAKERS)]
    assert difference(model.infer([talk(9.0, 1)])[0], long[0]) == 0


def test_an_error_of_the_model_is_of_one_recording(model: NemotronModel) -> None:
    small, _ = limited(model, 2.5, IndexError("no such row\nand more"))
    failure, sound = small.infer([talk(3.0), talk(1.0)])
    assert isinstance(failure, EntryError)
    assert str(failure) == (
        "model_error: the model raised IndexError for the recording alone: no such row: "
        "listen to the recording; report it if it is sound"
    )
    assert difference(sound, model.infer([talk(1.0)])[0]) <= 1e-4


def test_a_lost_gpu_ends_the_worker(model: NemotronModel) -> None:
    import torch

    small, _ = limited(model, 0.1, torch.AcceleratorError("CUDA error: device-side assert triggered"))
    with pytest.raises(torch.AcceleratorError):
        small.infer([talk(1.0)])


def test_run_inference(folder: Path) -> None:
    handler = NemotronModelHandler(model_path=str(folder), max_batch_size=2)
    waveforms = {"long": talk(2.0, 1), "short": talk(1.0, 2)}

    def check(found: list[tuple[str, PredictionResult]]) -> None:
        shapes = {key: result.inference.frames.shape for key, result in found}
        assert shapes == {"long": (200, N_SPEAKERS), "short": (100, N_SPEAKERS)}
        assert {result.model_id for _, result in found} == {str(folder)}

    with TestPipeline(runner="FnApiRunner") as pipeline:
        found = pipeline | beam.Create(list(waveforms.items())) | RunInference(KeyedModelHandler(handler))
        assert_that(found, check)


def test_what_runinference_is_told() -> None:
    on_cpu, on_gpu = NemotronModelHandler(), NemotronModelHandler(device="cuda:1", max_batch_size=8)
    assert on_cpu.batch_elements_kwargs() == {"min_batch_size": 1, "max_batch_size": 1}
    assert on_gpu.batch_elements_kwargs() == {"min_batch_size": 8, "max_batch_size": 8}
    assert (on_cpu.share_model_across_processes(), on_gpu.share_model_across_processes()) == (False, True)
    assert on_cpu.get_resource_hints() == {}
    assert on_gpu.get_resource_hints() == {"accelerator": "type:nvidia-l4;count:1;install-nvidia-driver"}
    assert on_cpu.get_metrics_namespace() == "BeamCuratorNemotron"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device 'tpu' is not known: give auto, cpu, cuda or cuda:N"),
        ({"threads": 0}, "threads 0 is below 1: raise it"),
        ({"max_batch_size": 0}, "max_batch_size 0 is below 1: raise it"),
        ({"max_batch_seconds": 0.0}, "max_batch_seconds 0 is not above 0: raise it"),
        ({"max_batch_seconds": float("nan")}, "max_batch_seconds nan is not above 0: raise it"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NemotronModelHandler(**options)


@pytest.fixture
def spoilt(folder: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the model, to be spoilt."""
    yield Path(shutil.copytree(folder, tmp_path / "model"))


def load(path: Path) -> NemotronModel:
    return NemotronModelHandler(model_path=str(path)).load_model()


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_another_model_is_refused(spoilt: Path) -> None:
    change_json(spoilt / "config.json", model_type="bert")
    with pytest.raises(
        ModelFileError, match="a model of type bert, expected nemotron3_diarization: give a folder of nv"
    ):
        load(spoilt)
    with pytest.raises(ModelFileError, match="of kind nemo, expected a folder that transformers saved"):
        load_nemotron(ModelLocation(path="x.nemo", kind="nemo", name="x.nemo"))


def test_a_damaged_model_is_refused(spoilt: Path) -> None:
    weights = spoilt / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelFileError, match=r"cannot be loaded, expected a whole .*: download it again"):
        load(spoilt)


def test_weights_that_are_missing_are_not_made_up(spoilt: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(spoilt / "model.safetensors")
    del weights["silence_embeds"]
    save_file(weights, spoilt / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelFileError, match="weights are missing: silence_embeds: download it again"):
        load(spoilt)


def test_another_width_of_ear_is_refused(spoilt: Path) -> None:
    processor = json.loads((spoilt / "processor_config.json").read_text())
    processor["feature_extractor"]["feature_size"] = 80
    (spoilt / "processor_config.json").write_text(json.dumps(processor))
    with pytest.raises(ModelFileError, match=r"\(rate, hop, bands\) \(16000, 160, 80\), expected \(16000, 160, 16\)"):
        load(spoilt)


def test_a_gpu_that_is_not_there(folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="device cuda is asked for, but torch sees no GPU: give cpu"):
        NemotronModelHandler(model_path=str(folder), device="cuda").load_model()


def test_the_hash_is_checked_before_loading(folder: Path) -> None:
    with pytest.raises(ModelFileError, match=r"model\.safetensors has sha256 \w{64}, expected 0{64}: it is not loaded"):
        NemotronModelHandler(model_path=str(folder), sha256="0" * 64).load_model()
