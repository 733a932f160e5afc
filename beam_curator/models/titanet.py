"""TitaNet, which embeds voices: loaded, and shared by workers."""

import threading
import time
from typing import Any

import numpy as np

from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats, Lengths, NotAModelError
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.speaker_embeddings import EmbeddingFacts
from beam_curator.models.model_files import ModelLocation
from beam_curator.models.nemo_files import Device, NemoClass, restore_nemo
from beam_curator.models.torch_running import computing, with_memory_errors

TITANET = NemoClass("EncDecSpeakerLabelModel", "TitaNet")


class TitaNetModel:
    """A loaded model. Workers share it, also through a proxy to another process.

    One call runs at a time.

    Args:
      model: NeMo's, in evaluation mode, on its device.
      identity: which one it is.
      n_threads: number of torch's threads on CPU; None keeps the current number.
      load_seconds: how long it took to load.
    """

    def __init__(
        self, model: Any, identity: ModelIdentity, n_threads: int | None = None, load_seconds: float = 0.0
    ) -> None:
        self._model = model
        # dither is random
        self._model.preprocessor.featurizer.dither = 0.0
        self._device = str(next(self._model.parameters()).device)
        self._facts = EmbeddingFacts(identity, load_seconds)
        self._n_threads = n_threads
        self._lock = threading.Lock()

    def describe(self) -> EmbeddingFacts:
        """Return the facts about the model that workers need."""
        return self._facts

    def embed(self, waveforms: Floats, lengths: Lengths) -> Floats:
        """Embed voices; see `EmbeddingModel`."""

        def compute() -> Floats:
            import torch

            given = [torch.from_numpy(np.ascontiguousarray(values)).to(self._device) for values in (waveforms, lengths)]
            _, embeddings = self._model.forward(input_signal=given[0], input_signal_length=given[1])
            return np.ascontiguousarray(embeddings.float().cpu().numpy())

        with self._lock, computing(self._device, self._n_threads):
            return with_memory_errors(compute)


def load_titanet(location: ModelLocation, device: Device = "auto", n_threads: int | None = None) -> TitaNetModel:
    """Load a TitaNet, or another model of NeMo's for speaker labels, from a `.nemo` file. No pickle in it is run.

    Args:
      location: of the file; see `locate_embedding`.
      device: "auto" takes a GPU where there is one.
      n_threads: number of torch's threads on CPU; None keeps the current number.

    Raises:
      FileNotFoundError: there is no such file.
      NotAModelError: it is no `.nemo` file of a TitaNet, or one that does not hear 16 kHz.
      ValueError: a GPU was asked for, and there is none.
      OutOfMemoryError: the model does not fit into memory.
      ModuleNotFoundError: NeMo is not installed.
    """
    begin = time.perf_counter()
    model, sha256 = restore_nemo(location.path, TITANET, device)
    sample_rate = model.preprocessor.featurizer.sample_rate
    if sample_rate != MODEL_SAMPLE_RATE:
        raise NotAModelError(
            f"{location.path} takes audio at {sample_rate} Hz, expected {MODEL_SAMPLE_RATE}: give another model"
        )
    return TitaNetModel(model, location.identity(sha256), n_threads, time.perf_counter() - begin)
