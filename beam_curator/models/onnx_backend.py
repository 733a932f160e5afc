"""A Sortformer as two ONNX graphs, run by onnxruntime: no torch, no pickle. `export_sortformer` writes them."""

import os
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from beam_curator.diarization.models import Encoded, Floats, Lengths, ModelConfig, NotAModelError
from beam_curator.models.checksums import check_listed, checksums_text
from beam_curator.models.model_files import exported_config
from beam_curator.models.onnx_sessions import Device, EndNames, open_session, providers_for, run_session

PRE_ENCODE, ENCODE, CONFIG, MEL_FILTERS = "pre_encode.onnx", "encode.onnx", "config.json", "mel_filters.npy"
FILES = (PRE_ENCODE, ENCODE, CONFIG, MEL_FILTERS)
UNMASKED = {PRE_ENCODE: "pre_encode_unmasked.onnx", ENCODE: "encode_unmasked.onnx"}
"""The graphs without masks, for batches of items of the same length; an older export lacks them."""


_PRE_ENCODE_NAMES = EndNames(("mel", "lengths"), ("embeddings", "n_frames"))
_ENCODE_NAMES = EndNames(("embeddings", "lengths"), ("probabilities", "frames"))
_CURE = "export the model again: beam-curator models export MODEL.nemo DIR"


class OnnxFunction:
    """A function of a Sortformer: a graph, and one without masks if the model has it.

    A batch of one never needs masks, so the graph with masks is opened when it is first used.

    Args:
      path: of the graph with masks.
      names: of the inputs and outputs.
      n_threads: for one call; None takes as many as this process may use.
      providers: of onnxruntime, by preference.

    Attributes:
      device: "cpu" or "cuda".
    """

    def __init__(self, path: str, names: EndNames, n_threads: int | None, providers: Sequence[Any]) -> None:
        self._open_masked = partial(open_session, path, names, n_threads, providers, _CURE)
        directory, name = os.path.split(path)
        unmasked = os.path.join(directory, UNMASKED[name])
        has_one = os.path.isfile(unmasked)
        self._unmasked = open_session(unmasked, names, n_threads, providers, _CURE) if has_one else None
        first = self._masked if self._unmasked is None else self._unmasked
        self.device = "cuda" if first.get_providers()[0] == "CUDAExecutionProvider" else "cpu"
        self._inputs = names.inputs

    @cached_property
    def _masked(self) -> Any:
        return self._open_masked()

    def run(self, outputs: tuple[str, ...], data: Floats, lengths: Lengths) -> Any:
        """Return the outputs of these names; see `Backend`.

        Raises:
          OutOfMemoryError: memory is lacking.
        """
        is_even = self._unmasked is not None and bool((lengths == data.shape[1]).all())
        session = self._unmasked if is_even else self._masked
        return run_session(session, outputs, dict(zip(self._inputs, (data, lengths), strict=True)))


class OnnxBackend:
    """The two functions of a Sortformer, by graphs. `load_onnx` makes one. Threads may share it.

    Args:
      config: the model's configuration.
      mel_filters: float32 [n_mels, n_fft // 2 + 1].
      pre_encoder: the first function.
      encoder: the second.

    Attributes:
      config: the model's configuration.
      mel_filters: float32 [n_mels, n_fft // 2 + 1].
      device: "cpu" or "cuda".
    """

    def __init__(
        self, config: ModelConfig, mel_filters: Floats, pre_encoder: OnnxFunction, encoder: OnnxFunction
    ) -> None:
        self.config = config
        self.mel_filters = mel_filters
        self.device = encoder.device
        self._pre_encoder = pre_encoder
        self._encoder = encoder

    def pre_encode(self, mel: Floats, lengths: Lengths) -> tuple[Floats, Lengths]:
        """Turn mel frames into embeddings; see `Backend.pre_encode`."""
        embeddings, n_frames = self._pre_encoder.run(_PRE_ENCODE_NAMES.outputs, mel, lengths)
        return embeddings, n_frames

    def encode(self, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool = False) -> Encoded:
        """Turn embeddings into probabilities of speakers; see `Backend.encode`."""
        outputs = _ENCODE_NAMES.outputs if keeps_frames else _ENCODE_NAMES.outputs[:1]
        return Encoded(*self._encoder.run(outputs, embeddings, lengths))


def load_onnx(directory: str, n_threads: int | None = None, device: Device = "auto") -> OnnxBackend:
    """Load an exported Sortformer; every file is checked against its hash first.

    Args:
      directory: that `export_sortformer` wrote.
      n_threads: for one call; None takes as many as this process may use.
      device: "auto" takes a GPU where onnxruntime is built for one and finds it.

    Raises:
      FileNotFoundError: there is no such directory.
      NotAModelError: it holds no exported model, or a damaged one.
      ValueError: a GPU was asked for, and there is none.
      OutOfMemoryError: the model does not fit into memory.
    """
    check_files(directory)
    config = exported_config(directory)
    filters = _read_filters(os.path.join(directory, MEL_FILTERS), config)
    providers = providers_for(device)
    pre_encoder = OnnxFunction(os.path.join(directory, PRE_ENCODE), _PRE_ENCODE_NAMES, n_threads, providers)
    encoder = OnnxFunction(os.path.join(directory, ENCODE), _ENCODE_NAMES, n_threads, providers)
    backend = OnnxBackend(config, filters, pre_encoder, encoder)
    if device == "cuda" and backend.device != "cuda":
        raise ValueError(
            "device cuda asked for, but onnxruntime could not use a GPU: check nvidia-smi and that the CUDA and cuDNN "
            "libraries of this onnxruntime are there, or give device cpu"
        )
    return backend


def checksums_of(directory: str) -> str:
    """Return the text of `SHA256SUMS` for the files of an exported model."""
    unmasked = [name for name in UNMASKED.values() if os.path.isfile(os.path.join(directory, name))]
    return checksums_text(directory, (*FILES, *unmasked))


def check_files(directory: str) -> None:
    """Check that a directory holds an exported model, each file as it was written.

    Raises:
      FileNotFoundError: there is no such directory.
      NotAModelError: it holds no exported model, or a file was changed.
    """
    check_listed(directory, FILES, tuple(UNMASKED.values()), _CURE)


def _read_filters(path: str, config: ModelConfig) -> Floats:
    try:
        filters = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as err:
        raise NotAModelError(f"{path} is no array: {_CURE}") from err
    shape = (config.mel.n_mels, config.mel.n_fft // 2 + 1)
    if filters.dtype != np.float32 or filters.shape != shape:
        raise NotAModelError(f"{path} is {filters.dtype} {filters.shape}, expected float32 {shape}: {_CURE}")
    return np.ascontiguousarray(filters)
