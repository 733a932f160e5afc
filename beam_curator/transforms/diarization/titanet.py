"""Embeddings of speakers and of turns by a model of their own, for Beam's RunInference."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from beam_curator.diarization.batches import BatchLimit, in_halves, padded, plan_batches
from beam_curator.diarization.known_models import TITANET_MODEL
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats, Lengths, NotAModelError
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.solo_speech import SoloPart, cut_solo_parts, joined_embeddings, plan_solo_parts
from beam_curator.diarization.turns import Turn
from beam_curator.failures import EntryError
from beam_curator.intervals import Seconds
from beam_curator.transforms.diarization.listening import deadline, failed
from beam_curator.transforms.diarization.model_files import ModelLocation, resolve_model
from beam_curator.transforms.diarization.nemo_files import Device, NemoClass, RestoredModel, restore_nemo
from beam_curator.transforms.diarization.sources import PiecesAhead, Source
from beam_curator.transforms.diarization.torch_running import computing, with_memory_errors
from beam_curator.transforms.metrics import timed, took

TITANET = NemoClass("EncDecSpeakerLabelModel", "TitaNet")

BATCH_SECONDS = 60.0
"""Of speech that is put before the model at once: whatever it is put beside, a recording has the same batches."""


class SpokenTurns(Source, Protocol):
    """A recording whose turns are known.

    Attributes:
      turns: of the recording.
      begin: when what is heard of it begins, in the time of the turns.
    """

    @property
    def turns(self) -> Sequence[Turn]: ...

    @property
    def begin(self) -> Seconds: ...


class TitaNetFacts(NamedTuple):
    """The facts about a loaded model that workers need: its identity, and how many seconds it took to load."""

    identity: ModelIdentity
    load_seconds: float


class TitaNetModel:
    """A loaded model. Workers share it, also through a proxy to another process.

    One call runs at a time.

    Args:
      restored: NeMo's model.
      identity: which one it is.
      n_threads: for torch on CPU; None leaves them as they are.
      load_seconds: how long it took to load.
    """

    def __init__(
        self, restored: RestoredModel, identity: ModelIdentity, n_threads: int | None = None, load_seconds: float = 0.0
    ) -> None:
        self._model = restored.model
        self._model.preprocessor.featurizer.dither = 0.0
        self._device = str(next(self._model.parameters()).device)
        self._facts = TitaNetFacts(identity, load_seconds)
        self._n_threads = n_threads
        self._lock = threading.Lock()

    def describe(self) -> TitaNetFacts:
        """Return the facts about the model that workers need."""
        return self._facts

    def embed(self, waveforms: Floats, lengths: Lengths) -> Floats:
        """Embed voices.

        Args:
          waveforms: float32 [n_items, n_samples] at 16 kHz, padded at the end of each item.
          lengths: int64 [n_items], samples of each item.

        Returns:
          float32 [n_items, width].

        Raises:
          OutOfMemoryError: there is not enough memory for so much at once.
        """

        def compute() -> Floats:
            import torch

            given = [torch.from_numpy(np.ascontiguousarray(values)).to(self._device) for values in (waveforms, lengths)]
            _, embeddings = self._model.forward(input_signal=given[0], input_signal_length=given[1])
            return np.ascontiguousarray(embeddings.float().cpu().numpy())

        with self._lock, computing(self._device, self._n_threads):
            return with_memory_errors(compute)


def load_titanet(
    path: str, device: Device = "auto", n_threads: int | None = None, *, name: str = "", revision: str = ""
) -> TitaNetModel:
    """Load a TitaNet, or another model of NeMo's for speaker labels, from a `.nemo` file. No pickle in it is run.

    Args:
      path: of the file.
      device: "auto" takes a GPU where there is one.
      n_threads: for torch on CPU; None leaves them as they are.
      name: what it goes by; "" for the name of its file.
      revision: the hub's commit; "" for none.

    Raises:
      FileNotFoundError: there is no such file.
      NotAModelError: it is no `.nemo` file of a TitaNet, or one that does not hear 16 kHz.
      ValueError: a GPU was asked for, and there is none.
      OutOfMemoryError: the model does not fit into memory.
      ModuleNotFoundError: NeMo is not installed.
    """
    begin = time.perf_counter()
    restored = restore_nemo(path, TITANET, device)
    sample_rate = restored.model.preprocessor.featurizer.sample_rate
    if sample_rate != MODEL_SAMPLE_RATE:
        raise NotAModelError(f"{path} hears {sample_rate} Hz, expected {MODEL_SAMPLE_RATE}: give another model")
    identity = ModelIdentity(name or os.path.basename(path), revision, restored.sha256, "nemo")
    return TitaNetModel(restored, identity, n_threads, time.perf_counter() - begin)


class TitaNetModelHandler(ModelHandler[SpokenTurns, PredictionResult, TitaNetModel]):
    """Embeddings of the speakers and turns of recordings, by a TitaNet on NeMo.

    An element is a recording whose turns are known, such as `Diarized`. It is decoded where the model is, and speech of
    one speaker alone goes to the model, up to 20 s at once; below 0.1 s it has no embedding. The inference is
    `SpeakerEmbeddings`, or an EntryError where it failed: alone, whatever it came with.

    Args:
      model_name: a hub id, used where there is no `model_path`.
      model_path: a `.nemo` file, or a folder with one.
      cache_dir: where downloads go.
      device: "auto" for a GPU where there is one, "cpu" or "cuda".
      threads: of torch, in each worker process; 0 leaves them as they are.
      timeout: seconds after which a recording is given up; 0 for never.
      accelerator: of Dataflow's workers; "" for none.

    Example:
      >>> TitaNetModelHandler(model_path="titanet.nemo", device="cuda").share_model_across_processes()
      True
    """

    def __init__(
        self,
        model_name: str = TITANET_MODEL,
        *,
        model_path: str | None = None,
        cache_dir: str | None = None,
        device: Device = "auto",
        threads: int = 0,
        timeout: Seconds = 0.0,
        accelerator: str = "",
    ) -> None:
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._model_name, self._model_path, self._cache_dir = model_name, model_path, cache_dir
        self._device: Device = device
        self._threads, self._timeout, self._accelerator = threads, timeout, accelerator
        self._limit = BatchLimit()
        self._known: TitaNetModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_known": None, "_limit": BatchLimit()}

    def locate(self) -> ModelLocation:
        """Find the model, and fetch it where it has to be.

        Raises:
          ModelNotFoundError: it is not there, and cannot be had.
          ModelFileError: it is damaged.
          NotAModelError: it is no `.nemo` file.
        """
        location = resolve_model(self._model_name, self._model_path, self._cache_dir)
        if location.kind != "nemo":
            raise NotAModelError(f"{location.path} is no .nemo file: {TITANET.cure}")
        return location

    def load_model(self) -> TitaNetModel:
        """Find the model, download it where it has to be, and load it; see `locate` and `load_titanet`."""
        location = self.locate()
        name = location.name.partition("@")[0] if location.revision else ""
        return load_titanet(location.path, self._device, self._threads or None, name=name, revision=location.revision)

    def run_inference(
        self, batch: Sequence[SpokenTurns], model: TitaNetModel, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        identity, load_seconds = model.describe()
        if self._known is not model:
            took("load", load_seconds)
            self._known = model
        with timed("embed"):
            return [
                PredictionResult(example=item, inference=self._embedded(item, model, identity), model_id=identity.name)
                for item in batch
            ]

    def _embedded(self, item: SpokenTurns, model: TitaNetModel, identity: ModelIdentity) -> Any:
        parts = plan_solo_parts(item.turns, item.begin)
        if not parts:
            return joined_embeddings(item.turns, [], identity)
        pieces = PiecesAhead(item, deadline(self._timeout))
        try:
            embedded = [found for batch in _batches(pieces, parts) for found in self._ask(batch, model)]
        except (EntryError, OSError) as err:
            return failed(err)
        except _PartFailedError as err:
            return failed(err.reason)
        finally:
            pieces.close()
        return joined_embeddings(item.turns, embedded, identity)

    def _ask(self, parts: "_Parts", model: TitaNetModel) -> Iterator[tuple[SoloPart, Floats]]:
        """Yield the embeddings of parts, which are put before the model with others of like length."""

        def ask(items: list[Floats]) -> list[Floats]:
            waveforms, lengths = padded([[samples[:, np.newaxis]] for samples in items])
            return list(model.embed(waveforms[:, :, 0], lengths))

        for positions in plan_batches([part.seconds for part, _ in parts], BATCH_SECONDS, len(parts)):
            found = in_halves(ask, [parts[position][1] for position in positions], self._limit)
            for position, vector in zip(positions, found, strict=True):
                if isinstance(vector, Exception):
                    raise _PartFailedError(vector)
                yield parts[position][0], vector

    def get_num_bytes(self, batch: Sequence[SpokenTurns]) -> int:
        """Return the bytes of the samples that a batch stands for; Beam's own way is to pickle them."""
        return int(sum(item.seconds for item in batch) * 4 * MODEL_SAMPLE_RATE)

    def get_metrics_namespace(self) -> str:
        """Return where RunInference counts."""
        return "BeamCuratorTitaNet"

    def share_model_across_processes(self) -> bool:
        """Tell whether all processes of a machine use one model: on a GPU they do."""
        return self._device == "cuda"

    def get_resource_hints(self) -> dict[str, Any]:
        """Return the resources that a worker needs."""
        return {"accelerator": self._accelerator} if self._accelerator else {}


_Parts = list[tuple[SoloPart, Floats]]


class _PartFailedError(Exception):
    """The model failed on a part alone."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _batches(pieces: PiecesAhead, parts: Sequence[SoloPart]) -> Iterator[_Parts]:
    """Yield parts with their samples, so many at a time as stay in memory: some batches of the model."""
    held: _Parts = []
    for part, samples in cut_solo_parts(_taken(pieces), parts):
        held.append((part, samples.copy()))
        if sum(other.seconds for other, _ in held) >= _HELD_SECONDS:
            yield held
            held = []
    if held:
        yield held


_HELD_SECONDS = 10 * BATCH_SECONDS


def _taken(pieces: PiecesAhead) -> Iterator[Floats]:
    is_last = False
    while not is_last:
        piece, is_last = pieces.take()
        yield piece
