"""From options to the handlers of models, and to the settings of models that decide the rows."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from beam_curator.diarization.diarize_rules import AUTO_MODEL, DiarizeRules, ModelOptions
from beam_curator.diarization.known_models import DEFAULT_MODEL, TITANET_MODEL, Family, known_model
from beam_curator.files import storage
from beam_curator.models.model_descriptions import can_run, models_here
from beam_curator.models.model_files import (
    ModelFileError,
    ModelLocation,
    ModelNotFoundError,
    locate,
    packaged_model,
)
from beam_curator.models.model_places import models_folder
from beam_curator.models.onnx_backend import CHECKSUMS


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenModels:
    """Which models listen.

    Attributes:
      any_length: to recordings of any length.
      short: to those that are short enough to be heard at once; None where there is no other model for them.
    """

    any_length: ModelOptions
    short: ModelOptions | None = None


def chosen_models(model: ModelOptions) -> ChosenModels:
    """Return the models that options stand for; "auto" takes installed models, by the length of recordings.

    Of the installed models, a streaming one listens to long recordings, and one that hears a recording at once listens
    to short ones. If there is only one, it listens to all. Where none is installed, the default model is taken, if it
    can be run here.

    Raises:
      ModelNotFoundError: "auto", and nothing is installed; or the model of this package is named, and is not there.
    """
    if model.model_path or model.model_name != AUTO_MODEL:
        if not model.model_path:
            packaged_model(model.model_name)
        return ChosenModels(any_length=model)
    found: dict[Family, ModelLocation] = {}
    for location, family in installed_models(model.cache_dir):
        found.setdefault(family, location)
    offline = found.get("sortformer-offline")
    long = found.get("sortformer-streaming", found.get("nemotron"))
    if long is None and offline is None:
        return ChosenModels(any_length=_default_model(model))
    options = [replace(model, model_path=place.path) if place is not None else None for place in (long, offline)]
    if options[0] is None:
        return ChosenModels(any_length=replace(model, model_path=offline.path if offline is not None else ""))
    return ChosenModels(any_length=options[0], short=options[1])


def _default_model(model: ModelOptions) -> ModelOptions:
    known = known_model(DEFAULT_MODEL)
    is_packaged = known is not None and known.packaged
    if not is_packaged and find_spec("nemo") is None:
        raise ModelNotFoundError(
            f"no model is installed in {models_folder(model.cache_dir)}, and NeMo, which runs {DEFAULT_MODEL}, is not "
            "installed either: give --model-path, or pip install 'beam-curator[nemo]'"
        )
    return replace(model, model_name=DEFAULT_MODEL)


def installed_models(cache_dir: str) -> Iterator[tuple[ModelLocation, Family]]:
    """Yield the models on this machine that can be run here: first those that were put into the directory itself.

    Args:
      cache_dir: where models are kept; "" for the cache of the hub's client.
    """
    return ((location, family) for location, family in models_here(cache_dir) if can_run(location))


def check_embeddings(chosen: ChosenModels, rules: DiarizeRules) -> None:
    """Check that embeddings, where they are asked for, can be made, and that all of them can be compared.

    Raises:
      ModelFileError: the models that listen are two, or one that gives nothing to make embeddings of.
    """
    if not rules.pools_embeddings:
        return
    other = f"give --embedding-model {TITANET_MODEL} to make them with a model of their own"
    if chosen.short is not None:
        raise ModelFileError(
            f"embeddings of two models cannot be compared, and --model-name auto takes {_name_of(chosen.any_length)} "
            f"and {_name_of(chosen.short)}: name one as --model-path, or {other}"
        )
    if is_nemotron(chosen.any_length):
        raise ModelFileError(
            f"{_name_of(chosen.any_length)} does not give the frames that embeddings are pooled from: leave "
            f"--embeddings out, take a Sortformer, or {other}"
        )


def _name_of(model: ModelOptions) -> str:
    return model.model_path or model.model_name


def embedding_path(rules: DiarizeRules) -> str:
    """Return where the model that makes embeddings lies; "" for one that is named, and for none.

    Example:
      >>> embedding_path(DiarizeRules(embeddings=True, embedding_model="gs://bucket/titanet.nemo"))
      'gs://bucket/titanet.nemo'
      >>> embedding_path(DiarizeRules(embeddings=True, embedding_model="nvidia/speakerverification_en_titanet_large"))
      ''
    """
    given = rules.embedding_model
    is_path = given.endswith(".nemo") or storage.is_remote(given) or os.path.exists(os.path.expanduser(given))
    return given if given and is_path else ""


def is_nemotron(model: ModelOptions) -> bool:
    """Tell whether options name NVIDIA's model for eight speakers."""
    if not model.model_path:
        known = known_model(model.model_name)
        return known is not None and known.family == "nemotron"
    with suppress(ModelNotFoundError, ModelFileError):
        return not storage.is_remote(model.model_path) and locate(model.model_path, name="").kind == "transformers"
    return False


def config_of_model(model: ModelOptions) -> dict[str, Any]:
    """Return the settings of a model that decide the rows; the files of a local one are hashed beside them.

    A model of this package is identified by the hash of its checksums, as its path says nothing.
    """
    packaged = None if model.model_path else packaged_model(model.model_name)
    name = os.path.basename(model.model_path.rstrip("/")) if model.model_path else model.model_name
    sha256 = model.sha256 if packaged is None else storage.hash_file(os.path.join(packaged.path, CHECKSUMS))[1]
    return {"name": name, "backend": model.backend, "sha256": sha256, "autocast": model.autocast}


def files_beside(model: ModelOptions, rules: DiarizeRules) -> tuple[str, ...]:
    """Return the files of all models of a job that are named by their paths, also of those that "auto" takes.

    Raises:
      ModelNotFoundError: "auto", and nothing is installed.
    """
    chosen = chosen_models(model)
    models = [chosen.any_length, chosen.short, ModelOptions(model_path=embedding_path(rules))]
    return tuple(file for options in models if options is not None for file in files_of_model(options))


def files_of_model(model: ModelOptions) -> tuple[str, ...]:
    """Return the files of a model that is named by its path: they decide the rows as the inputs do.

    Of a folder in an object store it is the file of checksums that an exported model has; nothing is looked up.
    """
    path = os.path.expanduser(model.model_path)
    if not path:
        return ()
    if storage.is_remote(path):
        return (path if path.endswith(".nemo") else storage.join(path, CHECKSUMS),)
    if os.path.isdir(path):
        return tuple(sorted(item.path for item in os.scandir(path) if item.is_file() and item.name[0] not in "._"))
    return (path,)
