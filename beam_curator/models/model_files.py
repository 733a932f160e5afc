"""Models in files and folders of this machine: which kind they are and whether they are whole, without loading them."""

import json
import os
import shutil
import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from beam_curator.diarization.models import ModelConfig, NotAModelError
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.files.storage import hash_file
from beam_curator.model_records import FAMILIES, NEMOTRON_MODEL, Family, Kind

NEMOTRON_TYPE = "nemotron3_diarization"
"""The `model_type` of Nemotron's `config.json`: transformers saves many other models in such folders."""

TRANSFORMERS_FILES = ("config.json", "preprocessor_config.json", "processor_config.json")
"""The files of a folder of transformers beside the weights; of the last two, one is enough."""

SHARD_INDEX = "model.safetensors.index.json"
"""The file of each weight, where there are several files of weights."""


class ModelNotFoundError(ValueError):
    """A model is not where its name or path says, or cannot be fetched from there."""


class ModelFileError(ValueError):
    """A file or folder is no model, is damaged, or is not the one whose sha256 was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLocation:
    """A model on this machine.

    Attributes:
      path: a `.nemo` file, or the folder of an exported or a transformers model.
      kind: of its files.
      name: that the user gave.
      revision: the hub's commit; "" for a path.
    """

    path: str
    kind: Kind
    name: str
    revision: str = ""

    def identity(self, sha256: str, made_of: str = "") -> ModelIdentity:
        """Say which model it is: by its name on the hub, else by that of its file, or of the file it was made of."""
        name = self.name if self.revision else made_of or os.path.basename(self.path)
        return ModelIdentity(name.partition("@")[0], self.revision, sha256, self.kind)


def locate(path: str, *, name: str, revision: str = "") -> ModelLocation:
    """Return the location and kind of the model in a local file or folder.

    Raises:
      ModelNotFoundError: there is nothing.
      ModelFileError: it is no model that is known here, or an incomplete one.
    """
    found, kind = path, _kind_of_folder(path, name) if os.path.isdir(path) else "nemo"
    if kind == "nemo":
        found = os.path.join(path, _archives(path)[0]) if os.path.isdir(path) else path
        _check_nemo(found, name)
    return ModelLocation(path=found, kind=kind, name=name, revision=revision)


def _archives(folder: str) -> list[str]:
    return sorted(file for file in _names(folder) if file.endswith(".nemo") and not file.startswith("."))


def _names(folder: str) -> set[str]:
    return {file for file in os.listdir(folder) if os.path.exists(os.path.join(folder, file))}


def _kind_of_folder(path: str, name: str) -> Kind:
    names, archives = _names(path), _archives(path)
    config = read_config(os.path.join(path, "config.json"), name) if "config.json" in names else {}
    if "format" in config:
        files = FAMILIES[_family_of(config, name)].onnx_files
        _check_complete(name, "an exported model", [file for file in files if file not in names])
        return "onnx"
    model_type = config.get("model_type")
    if archives and model_type != NEMOTRON_TYPE:
        return "nemo"
    if model_type is None:
        raise ModelFileError(
            f"folder {name} holds no model (found {', '.join(sorted(names)[:5]) or 'nothing'}), expected a .nemo file, "
            "or config.json with the files of an exported or a transformers model: give the folder that holds them"
        )
    if model_type != NEMOTRON_TYPE:
        raise ModelFileError(
            f"{name} is a model of type {model_type}, expected {NEMOTRON_TYPE}: give a folder of {NEMOTRON_MODEL}"
        )
    _check_complete(name, "a transformers model", _missing_of_transformers(path, names))
    return "transformers"


def exported_family(folder: str) -> Family:
    """Return the family of an exported model: a Sortformer's, unless its `config.json` names another.

    Raises:
      ModelFileError: there is no such family, or onnxruntime does not run it.
    """
    return _family_of(read_config(os.path.join(folder, "config.json"), folder), folder)


def _family_of(config: Mapping[str, Any], name: str) -> Family:
    named = config.get("family", "sortformer-streaming" if config.get("is_streaming") else "sortformer-offline")
    families = [family for family, facts in FAMILIES.items() if facts.onnx_files and not facts.part_of]
    if named not in families:
        raise ModelFileError(
            f"{name} is an exported model of family {named}, expected {' or '.join(families)}: give another model"
        )
    return cast(Family, named)


def read_config(path: str, name: str) -> dict[str, Any]:
    """Return the object in a JSON file of a model; nothing where it holds another value.

    Raises:
      ModelFileError: it is no JSON.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            config = json.load(stream)
    except (ValueError, RecursionError) as err:
        file = os.path.basename(path)
        raise ModelFileError(f"{file} of model {name} is no JSON ({err}): fetch or export it again") from err
    return config if isinstance(config, dict) else {}


def exported_config(folder: str) -> ModelConfig:
    """Return the configuration of an exported model.

    Raises:
      NotAModelError: it cannot be read, or is of another format.
    """
    path = os.path.join(folder, "config.json")
    with open(path, "rb") as stream:
        text = stream.read()
    try:
        return ModelConfig.from_json(text)
    except NotAModelError as err:
        raise NotAModelError(f"{path}: {err}") from err


def _missing_of_transformers(path: str, names: set[str]) -> list[str]:
    missing = [] if names & set(TRANSFORMERS_FILES[1:]) else ["processor_config.json"]
    if SHARD_INDEX not in names:
        return missing + ([] if "model.safetensors" in names else ["model.safetensors"])
    parts = read_config(os.path.join(path, SHARD_INDEX), path).get("weight_map")
    files = set(map(str, parts.values())) if isinstance(parts, dict) else set()
    if not files or not all(file.endswith(".safetensors") for file in files):
        raise ModelFileError(
            f"{SHARD_INDEX} of model {path} has weight_map {str(parts)[:40]}, expected the .safetensors file of each "
            "weight: fetch it again"
        )
    return missing + sorted(files - names)


def _check_complete(name: str, expected: str, missing: Sequence[str]) -> None:
    if missing:
        raise ModelFileError(f"model {name} lacks {', '.join(missing)}, expected {expected}: fetch or export it again")


def _check_nemo(path: str, name: str) -> None:
    if not os.path.isfile(path):
        raise ModelNotFoundError(f"model {name} is not there: give a .nemo file, or the folder of a model")
    if os.path.splitext(path)[1] != ".nemo":
        raise ModelFileError(f"model {name} is a file of another kind, expected FILE.nemo: give that, or a folder")
    if not tarfile.is_tarfile(path):
        size = os.path.getsize(path)
        raise ModelFileError(
            f"model {name} is damaged ({size} bytes that are no tar), expected a .nemo: fetch it again"
        )


def weights_of(location: ModelLocation) -> list[str]:
    """Return the files with a model's weights: one, unless transformers has split them."""
    if location.kind == "nemo":
        return [location.path]
    if location.kind == "onnx":
        return [os.path.join(location.path, FAMILIES[exported_family(location.path)].onnx_files[0])]
    return [str(path) for path in sorted(Path(location.path).glob("*.safetensors"))]


def check_sha256(location: ModelLocation, sha256: str) -> None:
    """Check the hash of a model's weights.

    Raises:
      ModelFileError: it is another, or there are several files of weights.
    """
    weights = weights_of(location)
    if len(weights) != 1:
        raise ModelFileError(f"{location.name} has {len(weights)} files of weights, expected one: leave sha256 out")
    found = hash_file(weights[0])[1]
    if found != sha256:
        raise ModelFileError(
            f"{weights[0]} has sha256 {found}, expected {sha256}: it is not loaded; delete it and fetch it again, or "
            "give the hash of what you want"
        )


@contextmanager
def written_folder(directory: str) -> Iterator[str]:
    """Give an empty folder to fill, which then gets its final name; after an error it is removed.

    The caller sees to it that no other process writes the same folder at once: what a killed one left is removed first.
    """
    parent, name = os.path.split(os.path.abspath(directory))
    os.makedirs(parent, exist_ok=True)
    for rest in os.listdir(parent):
        if rest.startswith(f".{name}-"):
            shutil.rmtree(os.path.join(parent, rest), ignore_errors=True)
    # not by mkdtemp, whose folders nobody else may read
    temporary = os.path.join(parent, f".{name}-{uuid.uuid4().hex}")
    os.mkdir(temporary)
    try:
        yield temporary
        put_in_place(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(temporary: str, directory: str) -> None:
    """Give a directory its final name. A directory of that name is replaced, or restored if that fails."""
    old = f"{temporary}.old"
    if os.path.isdir(directory):
        os.rename(directory, old)
    try:
        os.rename(temporary, directory)
    except OSError:
        if os.path.isdir(old):
            os.rename(old, directory)
        raise
    shutil.rmtree(old, ignore_errors=True)
