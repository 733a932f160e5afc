"""Checks of models, and notices about them, before a job begins and without loading them."""

import os
import warnings

from beam_curator.diarization.diarize_rules import DiarizeRules, ModelOptions
from beam_curator.diarization.known_models import RECOMMENDED_MODEL, KnownModel, known_model, warning_of
from beam_curator.diarization.models import ModelConfig
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.files import storage
from beam_curator.models.model_choice import embedding_path
from beam_curator.models.model_descriptions import can_run, published_model, published_weights
from beam_curator.models.model_files import ModelFileError, ModelLocation
from beam_curator.models.nemo_files import check_nemo
from beam_curator.models.onnx_backend import CONFIG, check_files, imported_onnxruntime
from beam_curator.models.sortformer import check_backend, locate_model
from beam_curator.models.titanet import TITANET, locate_titanet


def check_model(options: ModelOptions, parameters: StreamingParameters) -> None:
    """Check that a model is there, whole as far as its files say so, and goes with the other options.

    Args:
      options: which model, and what runs it.
      parameters: how a streaming model walks.

    Raises:
      ModelNotFoundError: it is not there, and cannot be had.
      ModelFileError: it is damaged, another backend's, or no model that tells who speaks when.
      NotAModelError: a file of an exported model was changed.
      ValueError: the parameters do not fit the model.
    """
    known = known_model(options.model_name) if not options.model_path else None
    if known is not None and known.n_speakers is None:
        raise ModelFileError(
            f"model {known.name} does not tell who speaks when, expected one that does: give --model-name "
            f"{RECOMMENDED_MODEL}, or another of 'beam-curator models'"
        )
    location = locate_model(options)
    _check_installed(location)
    _check_device(location, options.device)
    if options.autocast != "none" and location.kind != "nemo":
        raise ValueError(f"autocast {options.autocast} is for .nemo models, and {location.path} is none: leave it out")
    if location.kind == "transformers":
        return
    check_backend(location, options.backend)
    if location.kind == "nemo":
        return
    check_files(location.path)
    with open(os.path.join(location.path, CONFIG), "rb") as stream:
        config = ModelConfig.from_json(stream.read())
    if config.is_streaming:
        parameters.check(config.n_speakers, config.cache.spkcache_sil_frames_per_spk)


def check_embedding_model(rules: DiarizeRules, options: ModelOptions) -> None:
    """Check that the model that makes embeddings is there, and one that does so as far as its file says.

    Args:
      rules: which model.
      options: what it is run on, and where it is kept: as the model that listens.

    Raises:
      ModelNotFoundError: it is not there, and cannot be had.
      ModelFileError: it is damaged, or what runs it is not installed.
      NotAModelError: it is no TitaNet.
      ValueError: a GPU is asked for, and there is none.
    """
    location = locate_titanet(rules.embedding_model, embedding_path(rules) or None, options.cache_dir or None)
    _check_installed(location)
    check_nemo(location.path, TITANET)
    _check_device(location, options.device)


def _check_installed(location: ModelLocation) -> None:
    if can_run(location):
        return
    cure = "pip install 'beam-curator[nemotron]'"
    if location.kind == "nemo":
        cure = "pip install 'beam-curator[nemo]', or export it where that is installed: beam-curator models export"
    raise ModelFileError(f"{location.path} needs what is not installed here: {cure}")


def _check_device(location: ModelLocation, device: str) -> None:
    """Look for a GPU that is asked for; a worker elsewhere looks again when it loads the model."""
    if device != "cuda":
        return
    if location.kind == "onnx":
        found = "CUDAExecutionProvider" in imported_onnxruntime().get_available_providers()
    else:
        import torch

        found = torch.cuda.is_available()
    if not found:
        runtime = _RUNTIMES[location.kind]
        raise ValueError(f"device cuda is asked for, but {runtime} sees no GPU here: leave --device out")


_RUNTIMES = {"onnx": "onnxruntime", "nemo": "torch", "transformers": "torch"}


class ModelUseWarning(UserWarning):
    """A model must not, or should not, be used for everything: its licence or its maker says so."""


def notices_of(options: ModelOptions, *, look_up: bool = True) -> list[str]:
    """Return the notices about a chosen model: a warning if its uses are restricted.

    Args:
      options: which model.
      look_up: look into a model in an object store, too.
    """
    text = _warning(options, look_up=look_up)
    return [] if text is None else [f"warning: {text}"]


def warn_of_models(options: ModelOptions) -> None:
    """Warn of a chosen model that must not be used for everything; nothing is looked up in a store."""
    text = _warning(options, look_up=False)
    if text is not None:
        warnings.warn(text, ModelUseWarning, stacklevel=3)


def _warning(options: ModelOptions, *, look_up: bool) -> str | None:
    known = _published(options, look_up=look_up)
    return None if known is None else warning_of(known)


def _published(model: ModelOptions, *, look_up: bool) -> KnownModel | None:
    same = published_weights(model.sha256)
    if same is not None:
        return same
    if not model.model_path:
        return known_model(model.model_name)
    found = published_model(model.model_path)
    if found is None and look_up and storage.is_remote(model.model_path):
        return published_model(locate_model(model).path)
    return found
