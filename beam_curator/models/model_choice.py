"""From options to the handlers of models, and to the settings of models that decide the rows."""

import os
from contextlib import suppress
from typing import Any

from beam_curator.diarization.diarize_rules import DiarizeRules, ModelOptions
from beam_curator.diarization.known_models import TITANET_MODEL, known_model
from beam_curator.files import storage
from beam_curator.models.model_files import ModelFileError, ModelNotFoundError, locate, packaged_model
from beam_curator.models.onnx_backend import CHECKSUMS


def check_embeddings(model: ModelOptions, rules: DiarizeRules) -> None:
    """Check that embeddings, where they are asked for, can be made.

    Raises:
      ModelFileError: the model that listens gives nothing to make embeddings of.
    """
    if rules.pools_embeddings and is_nemotron(model):
        raise ModelFileError(
            f"{model.model_path or model.model_name} does not give the frames that embeddings are pooled from: leave "
            f"--embeddings out, take a Sortformer, or give --embedding-model {TITANET_MODEL} to make them with a model "
            "of their own"
        )


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
    """Return the files of all models of a job that are named by their paths."""
    return files_of_model(model) + files_of_model(ModelOptions(model_path=embedding_path(rules)))


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
