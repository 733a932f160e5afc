"""What can be told of a model before a job begins, without loading it."""

import os

from beam_curator.diarization.diarize_rules import AUTO_MODEL, ModelOptions
from beam_curator.diarization.known_models import KNOWN_MODELS, KnownModel, known_model
from beam_curator.diarization.models import ModelConfig
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.transforms.diarization.model_choice import can_run, chosen_models
from beam_curator.transforms.diarization.model_files import ModelFileError, ModelLocation
from beam_curator.transforms.diarization.onnx_backend import CONFIG, check_files, imported_onnxruntime
from beam_curator.transforms.diarization.sortformer import check_backend, locate_model


def check_model(options: ModelOptions, parameters: StreamingParameters) -> None:
    """Check that a model is there, whole as far as its files say so, and goes with the other options.

    Args:
      options: which model, and what runs it.
      parameters: how a streaming model walks.

    Raises:
      ModelNotFoundError: it is not there, and cannot be had.
      ModelFileError: it is damaged, or another backend's.
      NotAModelError: a file of an exported model was changed.
      ValueError: the parameters do not fit the model.
    """
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


def notices_of(options: ModelOptions) -> list[str]:
    """Return what a person should know of the chosen models: which they are, and what their licence forbids."""
    chosen = chosen_models(options)
    models = [model for model in (chosen.any_length, chosen.short) if model is not None]
    lines = []
    if options.model_name == AUTO_MODEL and not options.model_path:
        names = [model.model_path or model.model_name for model in models]
        lines.append(f"--model-name auto: {names[0]}" + (f", and {names[1]} for short recordings" if names[1:] else ""))
    for model in models:
        known = known_model(model.model_name) if not model.model_path else _known_by_file(model.model_path)
        if known is not None and known.non_commercial:
            lines.append(f"{known.name} is under {known.licence}: not for commercial use")
    return lines


def _known_by_file(path: str) -> KnownModel | None:
    """Tell whether a local model is a published one, by its name: NVIDIA names files as the repository."""
    stem = os.path.basename(path.rstrip("/")).removesuffix(".nemo")
    return next((known for name, known in KNOWN_MODELS.items() if name.partition("/")[2] == stem), None)
