"""Models that embed voices, TitaNet and CAM++: found, and loaded by the library that runs them."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from beam_curator.diarization.filter_banks import filter_banks
from beam_curator.diarization.models import Floats, Lengths, NotAModelError
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.speaker_embeddings import EmbeddingFacts, EmbeddingModel
from beam_curator.model_records import CAMPPLUS_MODEL, FAMILIES, KNOWN_MODELS
from beam_curator.models.campplus import SpeakerEmbedding, load_campplus
from beam_curator.models.model_files import ModelLocation, exported_family
from beam_curator.models.nemo_files import Device, check_nemo
from beam_curator.models.resolving import resolve_model
from beam_curator.models.titanet import TITANET, load_titanet
from beam_curator.models.wheels import check_made


class CampplusModel:
    """CAM++ on onnxruntime. Each voice is embedded by itself, so that neither batches nor threads change a result.

    Args:
      embedding: the sessions.
      identity: which one it is.
      n_threads: voices that are embedded at a time.
      load_seconds: how long it took to load.
    """

    def __init__(
        self, embedding: SpeakerEmbedding, identity: ModelIdentity, n_threads: int = 1, load_seconds: float = 0.0
    ) -> None:
        self._embedding = embedding
        self._n_threads = n_threads
        self._facts = EmbeddingFacts(identity, load_seconds)

    def describe(self) -> EmbeddingFacts:
        """Return the facts about the model that workers need."""
        return self._facts

    def embed(self, waveforms: Floats, lengths: Lengths) -> Floats:
        """Embed voices; see `EmbeddingModel`."""
        voices = [np.ascontiguousarray(samples[:n]) for samples, n in zip(waveforms, lengths, strict=True)]
        with ThreadPoolExecutor(self._n_threads) as threads:
            return np.stack(list(threads.map(self._embedded, voices)))

    def _embedded(self, voice: Floats) -> Floats:
        return self._embedding.embed(filter_banks(voice, centred=True))


def locate_embedding(name: str, path: str | None = None, cache_dir: str | None = None) -> ModelLocation:
    """Find a model that embeds voices, and fetch one of the hub where it has to be.

    Args:
      name: of a model, used where there is no path.
      path: a `.nemo` file, a folder with one, or the folder of a cascade.
      cache_dir: directory of models.

    Raises:
      ModelNotFoundError: it is not on this machine and cannot be fetched.
      ModelFileError: it is damaged.
      NotAModelError: it is another one.
    """
    location = resolve_model(name, path, cache_dir)
    if location.kind == "nemo":
        return location
    carrier = FAMILIES["campplus"].part_of
    if location.kind != "onnx" or exported_family(location.path) != carrier:
        raise NotAModelError(f"{location.path} is no .nemo file: {TITANET.cure}, or --embedding-model {CAMPPLUS_MODEL}")
    return location


def check_embedding_files(location: ModelLocation) -> None:
    """Check the files of a model that embeds voices, without loading it.

    Raises:
      FileNotFoundError: there is no such file.
      NotAModelError: it is another model, or a damaged one.
    """
    if location.kind == "nemo":
        check_nemo(location.path, TITANET)
    else:
        check_made(location.path, "cascade")


def load_embedding(location: ModelLocation, device: Device = "auto", n_threads: int | None = None) -> EmbeddingModel:
    """Load a model that embeds voices.

    Args:
      location: of the model; see `locate_embedding`.
      device: of a TitaNet; "auto" takes a GPU where there is one. CAM++ runs on CPUs.
      n_threads: of the model; None for as many as its library chooses.

    Raises:
      NotAModelError: it is another model.
      OutOfMemoryError: it does not fit into memory.
      ModuleNotFoundError: NeMo, which runs a TitaNet, is not installed.
    """
    if location.kind == "nemo":
        return load_titanet(location, device, n_threads)
    begin = time.perf_counter()
    check_embedding_files(location)
    embedding = load_campplus(location.path)
    sha256 = KNOWN_MODELS[CAMPPLUS_MODEL].sha256 or ""
    identity = ModelIdentity(CAMPPLUS_MODEL, sha256=sha256, backend=location.kind)
    return CampplusModel(embedding, identity, n_threads or os.cpu_count() or 1, time.perf_counter() - begin)
