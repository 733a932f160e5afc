"""Sortformers: found, loaded, and shared by workers."""

import os
import sys
from typing import NamedTuple

from beam_curator.diarization.diarize_rules import ModelOptions
from beam_curator.diarization.models import Backend, Encoded, Floats, Lengths, ModelConfig
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.models.listening import free_memory
from beam_curator.models.model_files import ModelFileError, ModelLocation
from beam_curator.models.resolving import resolve_model
from beam_curator.models.torch_running import with_memory_errors


class ModelFacts(NamedTuple):
    """The facts about a loaded model that workers need.

    Attributes:
      config: the model's configuration.
      mel_filters: float32 [n_mels, n_fft // 2 + 1].
      free_bytes: memory that it may take for a recording.
      load_seconds: how long it took to load.
      identity: which one it is.
    """

    config: ModelConfig
    mel_filters: Floats
    free_bytes: int
    load_seconds: float
    identity: ModelIdentity


class SortformerModel:
    """The functions of a loaded model. Workers share them, also through a proxy to another process.

    Args:
      backend: the model.
      load_seconds: how long it took to load.
      identity: which one it is; None for what its config says.
    """

    def __init__(self, backend: Backend, load_seconds: float = 0.0, identity: ModelIdentity | None = None) -> None:
        self._backend = backend
        config = backend.config
        self._identity = identity if identity is not None else ModelIdentity(config.name, sha256=config.sha256)
        self._load_seconds = load_seconds

    def describe(self) -> "ModelFacts":
        """Return the facts about the model that workers need."""
        return ModelFacts(
            config=self._backend.config,
            mel_filters=self._backend.mel_filters,
            free_bytes=_free_bytes(self._backend),
            load_seconds=self._load_seconds,
            identity=self._identity,
        )

    def pre_encode(self, mel: Floats, lengths: Lengths) -> tuple[Floats, Lengths]:
        """Turn mel frames into embeddings; see `Backend.pre_encode`."""
        return with_memory_errors(lambda: self._backend.pre_encode(mel, lengths))

    def encode(self, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool = False) -> Encoded:
        """Turn embeddings into probabilities; see `Backend.encode`."""
        return with_memory_errors(lambda: self._backend.encode(embeddings, lengths, keeps_frames=keeps_frames))


def _free_bytes(backend: Backend) -> int:
    """Return how much memory is free where a backend computes."""
    device = getattr(backend, "device", "cpu")
    torch = sys.modules.get("torch")
    if not device.startswith("cuda") or torch is None:
        return free_memory()
    return int(torch.cuda.mem_get_info(device)[0])


def locate_model(options: ModelOptions) -> ModelLocation:
    """Find the model that options name.

    Raises:
      ModelNotFoundError: it is not on this machine and cannot be fetched.
      ModelFileError: it is damaged.
    """
    return resolve_model(
        options.model_name, options.model_path or None, options.cache_dir or None, sha256=options.sha256 or None
    )


def load_backend(location: ModelLocation, options: ModelOptions, threads: int | None) -> Backend:
    """Load a Sortformer.

    Args:
      location: of the model.
      options: which backend, and on what.
      threads: of the model; None for as many as there are cores.

    Raises:
      ModelFileError: the backend cannot run this model, or is not installed.
      NotAModelError: it is no Sortformer.
    """
    check_backend(location, options.backend)
    n_threads = threads if threads is not None else os.cpu_count()
    if location.kind == "onnx":
        from beam_curator.models.onnx_backend import load_onnx

        return load_onnx(location.path, n_threads, options.device)  # type: ignore[arg-type]  # checked by ModelOptions
    if location.kind != "nemo":
        raise ModelFileError(f"{location.path} is a model of transformers, expected a Sortformer: use --model-name")
    from beam_curator.models.nemo_backend import load_nemo

    return load_nemo(location.path, device=options.device, n_threads=n_threads, autocast=options.autocast)  # type: ignore[arg-type]  # checked by ModelOptions


def check_backend(location: ModelLocation, backend: str) -> None:
    """Refuse a model that is not for a backend.

    Raises:
      ModelFileError: says which it is for.
    """
    if backend in ("auto", location.kind):
        return
    if backend == "onnx":
        raise ModelFileError(
            f"{location.path} is not an exported model, which backend onnx needs: run "
            f"'beam-curator models export {location.path} DIR' where NeMo is installed, and give --model-path DIR"
        )
    raise ModelFileError(f"{location.path} is an exported model, expected a .nemo file: leave --backend out")
