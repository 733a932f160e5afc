"""Descriptions of published models and of model files here, without loading them or the libraries that run them."""

import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import yaml

from beam_curator.diarization.known_models import KNOWN_MODELS, Family, KnownModel, known_model, latencies_of
from beam_curator.diarization.models import ModelConfig, NotAModelError
from beam_curator.files.storage import hash_file, is_remote
from beam_curator.intervals import Seconds
from beam_curator.models.model_files import (
    Kind,
    ModelFileError,
    ModelLocation,
    ModelNotFoundError,
    cached_model,
    locate,
    packaged_model,
    weights_of,
)
from beam_curator.models.model_places import models_folder, packaged_folder
from beam_curator.models.onnx_backend import CHECKSUMS, CONFIG, ENCODE, check_files

_EMBEDDING = 0.08
"""Seconds of an embedding of Nemotron's encoder, in which its configuration counts."""

_MOST = 1e6
"""Above it, a number of a configuration is no number of speakers, no size and no time."""

_FAMILIES: Mapping[str, Family] = {
    "SortformerEncLabelModel": "sortformer-offline",
    "EncDecSpeakerLabelModel": "titanet",
}
"""Class in NeMo to family; whether a Sortformer is a streaming one is told by another key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledModel:
    """A model on this machine.

    Attributes:
      path: of it.
      kind: what it is.
      revision: the hub's commit; "" where it does not come from there.
      can_run: what runs it is installed.
      n_bytes: size of its weights.
      sha256: of the file with its weights; None where it was not asked for, and of several.
    """

    path: str
    kind: Kind
    revision: str
    can_run: bool
    n_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """The known facts about a model. None stands for an unknown fact, or for one that models of its kind lack.

    Attributes:
      name: the published one's, or the path that was asked about.
      published: the published model that it is.
      family: which engine runs it.
      n_speakers: most speakers that it tells apart.
      frame_step: of its probabilities.
      latencies: that it can be run with, by the name of their preset.
      embedding_size: numbers of the embedding that it makes of a speaker.
      installed: where it is.
    """

    name: str
    published: KnownModel | None
    family: Family
    n_speakers: int | None
    frame_step: Seconds | None
    latencies: Mapping[str, Seconds]
    embedding_size: int | None
    installed: InstalledModel | None


def describe_known(model: KnownModel, cache_dir: str, *, revision: str = "", hashed: bool = False) -> ModelDescription:
    """Describe a published model.

    Args:
      model: which.
      cache_dir: where models are kept; "" for the usual places.
      revision: the one to look for; "" for the latest that was fetched.
      hashed: hash the file that is installed.
    """
    location = _location_of(model, cache_dir, revision)
    return ModelDescription(
        name=model.name,
        published=model,
        family=model.family,
        n_speakers=model.n_speakers,
        frame_step=model.frame_step,
        latencies=latencies_of(model.family),
        embedding_size=model.embedding_size,
        installed=_installed(location, hashed=hashed) if location is not None else None,
    )


def describe_path(path: str) -> ModelDescription:
    """Describe a local model by the contents of its files. A single file of weights is hashed.

    Raises:
      ModelNotFoundError: there is nothing.
      ModelFileError: it is no model, or a damaged one.
      NotAModelError: it does not say what it is, or was changed after its export.
    """
    location = locate(os.path.expanduser(path), name=path)
    family = family_of(location)
    speakers, step, latencies, size = _FACTS[location.kind](location, family)
    installed = _installed(location, hashed=True)
    return ModelDescription(
        name=path,
        published=published_weights(installed.sha256 or "") or published_model(location.path),
        family=family,
        n_speakers=speakers,
        frame_step=step,
        latencies=latencies,
        embedding_size=size,
        installed=installed,
    )


def models_here(cache_dir: str) -> Iterator[tuple[ModelLocation, Family]]:
    """Yield the models on this machine: first those that were put into the directory itself, then those of the hub.

    Args:
      cache_dir: where models are kept; "" for the usual places.
    """
    yield from _placed(cache_dir)
    for known in reversed(list(KNOWN_MODELS.values())):
        cached = None
        with suppress(OSError):
            cached = None if known.packaged else cached_model(known.name, cache_dir)
        if cached is not None:
            yield cached, known.family


def _placed(cache_dir: str) -> Iterator[tuple[ModelLocation, Family]]:
    folder = models_folder(cache_dir)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        path = os.path.join(folder, name)
        if name[0] in "._" or name.startswith(("models--", "datasets--", "spaces--")) or name == "version.txt":
            continue
        with suppress(ModelNotFoundError, ModelFileError, NotAModelError, OSError):
            location = locate(path, name=path)
            yield location, family_of(location)


def _location_of(model: KnownModel, cache_dir: str, revision: str) -> ModelLocation | None:
    """Return where a published model is; one of the hub is taken before one that was put there by hand."""
    named = "@".join(filter(None, (model.name, revision)))
    with suppress(ModelNotFoundError, ModelFileError, OSError):
        found = packaged_model(named) if model.packaged else cached_model(named, cache_dir)
        if found is not None:
            return found
    if revision or model.packaged:
        return None
    return next((place for place, _ in _placed(cache_dir) if published_model(place.path) is model), None)


def _installed(location: ModelLocation, *, hashed: bool) -> InstalledModel:
    weights = weights_of(location)
    return InstalledModel(
        path=location.path,
        kind=location.kind,
        revision=location.revision,
        can_run=can_run(location),
        n_bytes=sum(map(os.path.getsize, weights)),
        sha256=hash_file(weights[0])[1] if hashed and len(weights) == 1 else None,
    )


def can_run(location: ModelLocation) -> bool:
    """Check whether the library that runs a model is installed."""
    needs = {"onnx": "onnxruntime", "nemo": "nemo", "transformers": "transformers"}[location.kind]
    return find_spec(needs) is not None


def published_model(path: str) -> KnownModel | None:
    """Tell whether a model is a published one, or that of this package.

    An exported one is told by its hash, and by that of what it was made of; others, and those that this does not tell,
    by the name of the file, since NVIDIA names files as the repository, or of the hub's cache. Nothing is looked up in
    an object store. A `.nemo` file is not hashed for this: see `published_weights`.

    Example:
      >>> published_model("gs://bucket/diar_sortformer_4spk-v1.nemo").licence
      'CC-BY-NC-4.0'
      >>> published_model("hub/models--nvidia--diar_sortformer_4spk-v1/snapshots/0123").name
      'nvidia/diar_sortformer_4spk-v1'
      >>> published_model("model.nemo")
    """
    named = _named(path)
    if is_remote(path):
        return named
    with suppress(ModelNotFoundError, ModelFileError, NotAModelError, OSError):
        location = locate(os.path.expanduser(path), name=path)
        if location.kind == "onnx":
            same = published_weights(_hash_beside(location.path))
            return same or _made_of(_exported_config(location), named)
        return named or _of_file(os.path.basename(location.path))
    return named


def published_weights(sha256: str) -> KnownModel | None:
    """Tell whether a file with weights is that of a published model, or of the one of this package.

    Args:
      sha256: of a `.nemo` file, or of the `encode.onnx` of an exported model, hexadecimal; "" for none.

    Example:
      >>> published_weights("bc74dfd8ca314240abcdc7e2949901eeaa72947a04ce1fab893e373d81f1e689").name
      'nvidia/diar_sortformer_4spk-v1'
      >>> published_weights("")
    """
    if not sha256:
        return None
    return next((model for model in KNOWN_MODELS.values() if sha256.lower() == _hash_of(model)), None)


def _hash_of(model: KnownModel) -> str | None:
    return _hash_beside(packaged_folder(model.name)) if model.packaged else model.sha256


def _hash_beside(folder: str) -> str:
    """Return the hash of an exported model's weights, read from its checksums; nothing is hashed."""
    lines: list[str] = []
    with suppress(OSError), open(os.path.join(folder, CHECKSUMS), encoding="utf-8", errors="replace") as stream:
        lines = stream.read().splitlines()
    return next((sha256 for sha256, _, name in (line.partition("  ") for line in lines) if name == ENCODE), "")


def _made_of(config: ModelConfig, named: KnownModel | None) -> KnownModel | None:
    """Return the published source of an exported model: by hash, else by its folder's name, else by the file's name."""
    same = (model for model in KNOWN_MODELS.values() if config.sha256 and config.sha256 == model.sha256)
    return next(same, named or _of_file(str(config.name)))


def _named(path: str) -> KnownModel | None:
    parts = path.rstrip("/").split("/")
    cached = [part.removeprefix("models--").replace("--", "/") for part in parts if part.startswith("models--")]
    found = known_model(cached[-1]) if cached else _of_file(parts[-1])
    return None if found is not None and found.packaged else found


def _of_file(name: str) -> KnownModel | None:
    """Look a file name up among the models of the hub. Packaged models are omitted: any file may have their names."""
    stem = name.removesuffix(".nemo")
    published = (model for model in KNOWN_MODELS.values() if not model.packaged)
    return next((model for model in published if model.name.rpartition("/")[2] == stem), None)


def family_of(location: ModelLocation) -> Family:
    """Return the family of a model, without loading it.

    Raises:
      NotAModelError: it does not say.
    """
    if location.kind == "transformers":
        return "nemotron"
    if location.kind == "onnx":
        return "sortformer-streaming" if _exported_config(location).is_streaming else "sortformer-offline"
    config = _nemo_config(location.path)
    target = str(config.get("target", "SortformerEncLabelModel")).rpartition(".")[2]
    if target not in _FAMILIES:
        raise NotAModelError(f"{location.path} is no Sortformer but {target}: give a .nemo file of a Sortformer")
    is_streaming = target == "SortformerEncLabelModel" and bool(config.get("streaming_mode", False))
    return "sortformer-streaming" if is_streaming else _FAMILIES[target]


_Facts = tuple[int | None, Seconds | None, Mapping[str, Seconds], int | None]
"""Speakers, frame step, latencies and the size of a speaker's embedding."""


def _facts_of_nemo(location: ModelLocation, family: Family) -> _Facts:
    config = _nemo_config(location.path)
    if family == "titanet":
        return None, None, {}, _whole(config, "decoder", "emb_sizes")
    stride, factor = _number(config, "preprocessor", "window_stride"), _number(config, "encoder", "subsampling_factor")
    step = round(stride * factor, 6) if stride is not None and factor is not None else None
    return _whole(config, "sortformer_modules", "num_spks"), step, latencies_of(family), None


def _facts_of_exported(location: ModelLocation, family: Family) -> _Facts:
    check_files(location.path)
    config = _exported_config(location)
    return config.n_speakers, config.frame_step, latencies_of(family), None


def _facts_of_nemotron(location: ModelLocation, family: Family) -> _Facts:
    """Return the facts that the configuration states. The missing ones are as published."""
    with open(os.path.join(location.path, CONFIG), encoding="utf-8") as stream:
        config = json.load(stream)
    known = next(model for model in KNOWN_MODELS.values() if model.family == family)
    speakers = _whole(config, "head_config", "num_speakers") or known.n_speakers
    chunk, ahead = config.get("chunk_length"), config.get("chunk_right_context")
    latencies = latencies_of(family)
    if _is_number(chunk) and (_is_number(ahead) or ahead == 0):
        latencies = {name: round((chunk + ahead) * _EMBEDDING, 2) for name in latencies}
    return speakers, known.frame_step, latencies, None


_FACTS = {"nemo": _facts_of_nemo, "onnx": _facts_of_exported, "transformers": _facts_of_nemotron}


def _number(config: Mapping[str, Any], section: str, key: str) -> Any:
    """Return a number above 0 of a configuration, None where there is none, or a reference to another key instead."""
    values = config.get(section)
    value = values.get(key) if isinstance(values, dict) else None
    return value if _is_number(value) else None


def _whole(config: Mapping[str, Any], section: str, key: str) -> int | None:
    value = _number(config, section, key)
    return int(value) if value is not None and value == int(value) else None


def _is_number(value: object) -> bool:
    """Check whether a value of a configuration is a number above 0 and not above `_MOST`, thus finite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _MOST


def _exported_config(location: ModelLocation) -> ModelConfig:
    with open(os.path.join(location.path, CONFIG), "rb") as stream:
        return ModelConfig.from_json(stream.read())


def _nemo_config(path: str) -> dict[str, Any]:
    config = None
    with suppress(Exception), tarfile.open(path) as tar:  # a damaged tar, gzip or YAML each have errors of their own
        for member in tar:
            if os.path.basename(member.name) == "model_config.yaml":
                stream = tar.extractfile(member)
                config = yaml.safe_load(stream) if stream is not None else None
                break
    if not isinstance(config, dict):
        raise NotAModelError(f"{path} has no model_config.yaml that can be read: give a .nemo file of a Sortformer")
    return config
