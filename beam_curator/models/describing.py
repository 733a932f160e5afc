"""Descriptions of published models and of model files here, without loading them or the libraries that run them."""

import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import yaml

from beam_curator.diarization.models import NotAModelError
from beam_curator.files.storage import UnknownSchemeError, hash_file, is_remote
from beam_curator.model_records import FAMILIES, KNOWN_MODELS, RUNTIMES, Family, ModelRecord, carrier_of
from beam_curator.models.checksums import listed_hashes
from beam_curator.models.model_files import (
    ModelFileError,
    ModelLocation,
    ModelNotFoundError,
    exported_config,
    exported_family,
    locate,
    read_config,
    weights_of,
)
from beam_curator.models.onnx_backend import CONFIG, check_files
from beam_curator.models.resolving import find_model, models_folder
from beam_curator.models.wheels import check_made

_NEMOTRON_EMBEDDING = 0.08
"""Seconds of an embedding of Nemotron's encoder, in which its configuration counts."""

_SORTFORMERS = ("sortformer-offline", "sortformer-streaming")

_MOST = 1e6
"""A larger number in a configuration cannot be a number of speakers, a size or a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """The description of a model.

    Attributes:
      record: the model's properties; for a file, those that it states.
      published: the published model that this one is; None for any other.
      location: path on this machine; None if it is not here.
      n_bytes: size of the weights here, or of the published ones; None if unknown.
      sha256: hash of the weights file; None if nobody asked for it, or if there are several files.
    """

    record: ModelRecord
    published: ModelRecord | None
    location: ModelLocation | None
    n_bytes: int | None
    sha256: str | None


def describe_known(name: str, cache_dir: str, *, hashed: bool = False) -> ModelDescription:
    """Describe a published model.

    Args:
      name: of a known model, with or without a revision.
      cache_dir: directory that models are kept in; "" for the usual places.
      hashed: hash the file that is installed.
    """
    location = None
    with suppress(ModelNotFoundError, ModelFileError, OSError):
        location = find_model(name, cache_dir)
    record = KNOWN_MODELS[name.partition("@")[0]]
    return _described(record, record, location, _sha256_of(location) if hashed and location is not None else None)


def describe_path(path: str) -> ModelDescription:
    """Describe a local model by the contents of its files. A single file of weights is hashed.

    Raises:
      ModelNotFoundError: there is nothing.
      ModelFileError: it is no model, or a damaged one.
      NotAModelError: it does not say what it is, or was changed after its export.
    """
    location = locate(os.path.expanduser(path), name=path)
    record = record_of(location)
    if location.kind == "onnx":
        _check_whole(location, record.family)
    sha256 = _sha256_of(location)
    return _described(record, published_at(location.path, sha256 or ""), location, sha256)


def _check_whole(location: ModelLocation, family: Family) -> None:
    if _from_wheel(family) is not None:
        check_made(location.path, family)
    elif family in _SORTFORMERS:
        check_files(location.path)


def _described(
    record: ModelRecord, published: ModelRecord | None, location: ModelLocation | None, sha256: str | None
) -> ModelDescription:
    known = published.n_bytes if published is not None else None
    if location is not None and FAMILIES[record.family].kind == "onnx":
        weights = [os.path.join(location.path, name) for name in FAMILIES[record.family].onnx_files]
    else:
        weights = weights_of(location) if location is not None else []
    n_bytes = known if location is None else sum(map(os.path.getsize, weights))
    return ModelDescription(record=record, published=published, location=location, n_bytes=n_bytes, sha256=sha256)


def _sha256_of(location: ModelLocation) -> str | None:
    weights = weights_of(location)
    return hash_file(weights[0])[1] if len(weights) == 1 else None


def placed_models(cache_dir: str) -> Iterator[ModelLocation]:
    """Yield the models that were put into the folder of models by hand, or copied there from an object store.

    Args:
      cache_dir: that folder; "" for the usual place.
    """
    folder = models_folder(cache_dir)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        if name[0] in "._" or name.startswith(("models--", "datasets--", "spaces--")):
            continue
        with suppress(ModelNotFoundError, ModelFileError, NotAModelError, OSError):
            location = locate(path, name=path)
            record_of(location)
            yield location


def can_run(location: ModelLocation) -> bool:
    """Check whether the library that runs a model is installed."""
    return find_spec(RUNTIMES[location.kind].module) is not None


def published_at(path: str, sha256: str = "") -> ModelRecord | None:
    """Return the published or packaged model that a path holds; None if it holds another.

    Hashes tell first: the given one, that of an exported model's weights, and that of the file it was made of. Then
    names do, since NVIDIA names files as the repository: of the path, or of the hub's cache, of the file in a folder,
    and of the file that an exported model was made of. Nothing is looked up in an object store or hashed.

    Args:
      path: of a file or folder, local or in an object store.
      sha256: of its weights, hexadecimal; "" where it is not known.

    Example:
      >>> published_at("gs://bucket/diar_sortformer_4spk-v1.nemo").licence
      'CC-BY-NC-4.0'
      >>> published_at("hub/models--nvidia--diar_sortformer_4spk-v1/snapshots/0123").name
      'nvidia/diar_sortformer_4spk-v1'
      >>> published_at("model.nemo", "bc74dfd8ca314240abcdc7e2949901eeaa72947a04ce1fab893e373d81f1e689").name
      'nvidia/diar_sortformer_4spk-v1'
      >>> published_at("model.nemo")
    """
    parts = path.rstrip("/").split("/")
    cached = [part.removeprefix("models--").replace("--", "/") for part in parts if part.startswith("models--")]
    hashes, names = [sha256.lower()], [cached[-1] if cached else parts[-1]]
    with suppress(ModelNotFoundError, ModelFileError, NotAModelError, UnknownSchemeError, OSError):
        location = None if is_remote(path) else locate(os.path.expanduser(path), name=path)
        if location is not None and location.kind == "onnx":
            from_wheel = _from_wheel(exported_family(location.path))
            if from_wheel is not None:
                return from_wheel
            with suppress(OSError):
                hashes.append(listed_hashes(location.path).get(os.path.basename(weights_of(location)[0]), ""))
            config = exported_config(location.path)
            hashes.append(config.sha256)
            names.append(str(config.name))
        elif location is not None:
            names.append(os.path.basename(location.path))
    same = (record for digits in hashes if digits for record in KNOWN_MODELS.values() if record.sha256 == digits)
    named = (record for name in names if (record := _record_named(name)) is not None)
    return next(same, next(named, None))


def _record_named(name: str) -> ModelRecord | None:
    """Return the model of the hub that a name or a file name stands for. Any file may be called as a packaged model."""
    stem = name.removesuffix(".nemo")
    published = [record for record in KNOWN_MODELS.values() if not record.packaged and carrier_of(record).wheel is None]
    return next((record for record in published if stem in (record.name, record.name.rpartition("/")[2])), None)


def _from_wheel(family: Family) -> ModelRecord | None:
    """Return the model of a family whose models are all made from one package."""
    return next((record for record in KNOWN_MODELS.values() if record.wheel and record.family == family), None)


def record_of(location: ModelLocation) -> ModelRecord:
    """Return a record with the facts that a model's own files state.

    Raises:
      NotAModelError: they do not say what it is.
    """
    return _RECORDS[location.kind](location)


def _record_of_nemo(location: ModelLocation) -> ModelRecord:
    config = _nemo_config(location.path)
    target = str(config.get("target", "SortformerEncLabelModel")).rpartition(".")[2]
    if target == "EncDecSpeakerLabelModel":
        return ModelRecord(
            name=location.name, family="titanet", embedding_size=_whole(_number(config, "decoder", "emb_sizes"))
        )
    if target != "SortformerEncLabelModel":
        raise NotAModelError(f"{location.path} is no Sortformer but {target}: give a .nemo file of a Sortformer")
    stride, factor = _number(config, "preprocessor", "window_stride"), _number(config, "encoder", "subsampling_factor")
    step = round(stride * factor, 6) if stride is not None and factor is not None else None
    speakers = _whole(_number(config, "sortformer_modules", "num_spks"))
    return _sortformer(location, bool(config.get("streaming_mode", False)), speakers, step)


def _record_of_exported(location: ModelLocation) -> ModelRecord:
    family = exported_family(location.path)
    known = _from_wheel(family)
    if known is not None:
        return replace(known, name=location.name)
    if family not in _SORTFORMERS:
        return ModelRecord(name=location.name, family=family, latencies=FAMILIES[family].latencies)
    config = exported_config(location.path)
    return _sortformer(location, config.is_streaming, config.n_speakers, config.frame_step)


def _sortformer(
    location: ModelLocation, is_streaming: bool, n_speakers: int | None, frame_step: float | None
) -> ModelRecord:
    family: Family = "sortformer-streaming" if is_streaming else "sortformer-offline"
    latencies = FAMILIES[family].latencies
    return ModelRecord(
        name=location.name, family=family, n_speakers=n_speakers, frame_step=frame_step, latencies=latencies
    )


def _record_of_nemotron(location: ModelLocation) -> ModelRecord:
    """Return a record with the facts that the configuration states. The missing ones are as published."""
    config = read_config(os.path.join(location.path, CONFIG), location.name)
    known = next(record for record in KNOWN_MODELS.values() if record.family == "nemotron")
    chunk: Any = config.get("chunk_length")
    ahead: Any = config.get("chunk_right_context")
    latencies = known.latencies
    if _is_number(chunk) and (_is_number(ahead) or ahead == 0):
        latencies = {"default": round((chunk + ahead) * _NEMOTRON_EMBEDDING, 2)}
    return ModelRecord(
        name=location.name,
        family="nemotron",
        n_speakers=_whole(_number(config, "head_config", "num_speakers")) or known.n_speakers,
        frame_step=known.frame_step,
        latencies=latencies,
    )


_RECORDS = {"nemo": _record_of_nemo, "onnx": _record_of_exported, "transformers": _record_of_nemotron}


def _number(config: Mapping[str, Any], section: str, key: str) -> Any:
    """Return a number above 0 of a configuration, None where there is none, or a reference to another key instead."""
    values = config.get(section)
    value = values.get(key) if isinstance(values, dict) else None
    return value if _is_number(value) else None


def _whole(value: Any) -> int | None:
    return int(value) if value is not None and value == int(value) else None


def _is_number(value: object) -> bool:
    """Check whether a value of a configuration is a number above 0 and not above `_MOST`, thus finite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _MOST


def _nemo_config(path: str) -> dict[str, Any]:
    config = None
    with suppress(Exception), tarfile.open(path) as tar:  # a damaged tar, gzip or YAML each have errors of their own
        member = next(member for member in tar if os.path.basename(member.name) == "model_config.yaml")
        stream = tar.extractfile(member)
        config = yaml.safe_load(stream) if stream is not None else None
    if not isinstance(config, dict):
        raise NotAModelError(f"{path} has no model_config.yaml that can be read: give a .nemo file of a Sortformer")
    return config
