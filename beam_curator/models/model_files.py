"""From the name or path of a model to files on this machine, checked before anything loads them.

A path wins over a name. Paths in object stores are copied once into a cache; a name is looked up in the cache of
huggingface_hub first, so that workers do not ask the hub for what is there, and a machine without a network works.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from beam_curator.diarization.known_models import NEMOTRON_MODEL, NEMOTRON_TYPE, known_model, name_problem
from beam_curator.files.storage import (
    UnknownSchemeError,
    check_store,
    hash_file,
    identity_of,
    is_directory,
    is_remote,
    join,
    list_directory,
    open_raw,
    size_of,
)
from beam_curator.models.model_places import (
    REINSTALL_CURE,
    SHARD_INDEX,
    TRANSFORMERS_FILES,
    files_needed,
    hub_folder,
    models_folder,
    packaged_folder,
)

Kind = Literal["nemo", "onnx", "transformers"]

ONNX_FILES = ("pre_encode.onnx", "encode.onnx", "mel_filters.npy")
"""What an exported model has beside its `config.json`."""

_LOCAL_CURE = "download it elsewhere and give --model-path FILE.nemo"
_ANSWER_SECONDS = 5.0

_Answer = TypeVar("_Answer")


class ModelNotFoundError(ValueError):
    """A model is not where its name or path says, or cannot be fetched from there."""


class ModelFileError(ValueError):
    """A file or folder is no model, is damaged, or is not the one whose sha256 was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLocation:
    """A model on this machine.

    Attributes:
      path: a `.nemo` file, or the folder of an exported or a transformers model.
      kind: what it is.
      name: what the user gave.
      revision: the hub's commit; "" for a path.
    """

    path: str
    kind: Kind
    name: str
    revision: str = ""


def resolve_model(
    model_name: str, model_path: str | None = None, cache_dir: str | None = None, *, sha256: str | None = None
) -> ModelLocation:
    """Find a model, fetching it where it has to be.

    Several processes may ask at once: one fetches, the others wait for it. The lock is the kernel's, so that a holder
    that is killed leaves none.

    Args:
      model_name: `org/name` or `org/name@revision` of huggingface.co, or the name of a packaged model; used where
        `model_path` is None.
      model_path: a `.nemo` file, a folder with one, an exported or a transformers folder; local, gs:// or s3://.
      cache_dir: where fetched files stay; None for huggingface_hub's own cache, and `DEFAULT_COPIES` for stores.
      sha256: of the file with the weights (the `.nemo`, `encode.onnx`, or the one `.safetensors`), hexadecimal.

    Raises:
      ModelNotFoundError: it is not there, or the hub cannot be reached.
      ModelFileError: it is no model, is damaged, or has another sha256.
    """
    wanted = sha256.lower() if sha256 is not None else None
    if wanted is not None and (len(wanted) != 64 or set(wanted) - set("0123456789abcdef")):
        raise ModelFileError(f"sha256 {sha256!r} is no hash: give 64 hexadecimal digits, as sha256sum prints them")
    if model_path is not None:
        local = _copied(model_path, cache_dir) if _is_in_store(model_path) else os.path.expanduser(model_path)
        location = locate(local, name=model_path)
    else:
        location = packaged_model(model_name) or _from_hub(model_name, cache_dir)
    if wanted is not None:
        _check_sha256(location, wanted)
    return location


def locate(path: str, *, name: str, revision: str = "") -> ModelLocation:
    """Return the location and kind of the model in a local file or folder.

    Raises:
      ModelNotFoundError: there is nothing.
      ModelFileError: it is no model that is known here, or an incomplete one.
    """
    if os.path.isdir(path):
        found, kind = _locate_in_folder(path, name)
    elif os.path.isfile(path):
        found, kind = path, "nemo"
    else:
        raise ModelNotFoundError(f"model {name} is not there: give a .nemo file, or the folder of a model")
    if kind == "nemo":
        _check_nemo(found, name)
    return ModelLocation(path=found, kind=kind, name=name, revision=revision)


def _locate_in_folder(path: str, name: str) -> tuple[str, Kind]:
    names = {file for file in os.listdir(path) if os.path.exists(os.path.join(path, file))}
    config = _read_config(os.path.join(path, "config.json"), name) if "config.json" in names else {}
    if "format" in config:
        _check_complete(name, "an exported model", [file for file in ONNX_FILES if file not in names])
        return path, "onnx"
    archives = sorted(file for file in names if file.endswith(".nemo") and not file.startswith("."))
    if "model_type" in config and not (archives and config["model_type"] != NEMOTRON_TYPE):
        if config["model_type"] != NEMOTRON_TYPE:
            raise ModelFileError(
                f"{name} is a model of type {config['model_type']}, expected {NEMOTRON_TYPE}: give a folder of "
                f"{NEMOTRON_MODEL}"
            )
        _check_complete(name, "a transformers model", _missing_of_transformers(path, names))
        return path, "transformers"
    if archives:
        return os.path.join(path, archives[0]), "nemo"
    raise ModelFileError(
        f"folder {name} holds no model (found {', '.join(sorted(names)[:5]) or 'nothing'}), expected a .nemo file, or "
        "config.json with the files of an exported or a transformers model: give the folder that holds them"
    )


def _read_config(path: str, name: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:
            config = json.load(stream)
    except (ValueError, RecursionError) as err:
        file = os.path.basename(path)
        raise ModelFileError(f"{file} of model {name} is no JSON ({err}): fetch or export it again") from err
    return config if isinstance(config, dict) else {}


def _missing_of_transformers(path: str, names: set[str]) -> list[str]:
    missing = [] if names & set(TRANSFORMERS_FILES[1:]) else ["processor_config.json"]
    if SHARD_INDEX not in names:
        return missing + ([] if "model.safetensors" in names else ["model.safetensors"])
    parts = _read_config(os.path.join(path, SHARD_INDEX), path).get("weight_map")
    files = set(map(str, parts.values())) if isinstance(parts, dict) else set()
    if not files or not all(file.endswith(".safetensors") for file in files):
        raise ModelFileError(
            f"{SHARD_INDEX} of model {path} has weight_map {str(parts)[:40]}, expected the .safetensors file of each "
            "weight: fetch it again"
        )
    return missing + sorted(files - names)


def _check_complete(name: str, what: str, missing: Sequence[str]) -> None:
    if missing:
        raise ModelFileError(f"model {name} lacks {', '.join(missing)}, expected {what}: fetch or export it again")


def _check_nemo(path: str, name: str) -> None:
    if os.path.splitext(path)[1] != ".nemo":
        raise ModelFileError(f"model {name} is a file of another kind, expected FILE.nemo: give that, or a folder")
    if not tarfile.is_tarfile(path):
        size = os.path.getsize(path)
        raise ModelFileError(
            f"model {name} is damaged ({size} bytes that are no tar), expected a .nemo: fetch it again"
        )


def _check_sha256(location: ModelLocation, wanted: str) -> None:
    weights = weights_of(location)
    if len(weights) != 1:
        raise ModelFileError(f"{location.name} has {len(weights)} files of weights, expected one: leave sha256 out")
    found = hash_file(weights[0])[1]
    if found != wanted:
        raise ModelFileError(
            f"{weights[0]} has sha256 {found}, expected {wanted}: it is not loaded; delete it and fetch it again, or "
            "give the hash of what you want"
        )


def weights_of(location: ModelLocation) -> list[str]:
    """Return the files with a model's weights: one, unless transformers has split them."""
    if location.kind == "nemo":
        return [location.path]
    if location.kind == "onnx":
        return [os.path.join(location.path, "encode.onnx")]
    return [str(path) for path in sorted(Path(location.path).glob("*.safetensors"))]


def _is_in_store(path: str) -> bool:
    try:
        check_store(path)
        return is_remote(path)
    except UnknownSchemeError as err:
        raise ModelNotFoundError(f"model {path} cannot be read: {err}") from err


def _copied(uri: str, cache_dir: str | None) -> str:
    """Copy a model from an object store, unless its copy is there; return the copy.

    A copy is made under another name and renamed, so that one that is there is whole.
    """
    folder = is_directory(uri)
    if not folder and size_of(uri) is None:
        raise ModelNotFoundError(f"model {uri} is not there: give a .nemo file, or the folder of a model")
    sources = [join(uri, name) for name in list_directory(uri)] if folder else [uri]
    identity = "\n".join(f"{source} {identity_of(source)}" for source in sources)
    cache = models_folder(cache_dir)
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    target = os.path.join(cache, f"copy-{digest}")
    with _alone(cache, f"copy-{digest}"):
        if not os.path.isdir(target):
            _copy_files(sources, cache, target)
    return target if folder else os.path.join(target, _base_name(uri))


def _copy_files(sources: Sequence[str], cache: str, target: str) -> None:
    temporary = tempfile.mkdtemp(prefix=".copy-", dir=cache)
    try:
        for source in sources:
            with open_raw(source) as raw, open(os.path.join(temporary, _base_name(source)), "wb") as copy:
                shutil.copyfileobj(raw, copy, 1 << 20)
        os.rename(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _base_name(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]


@contextmanager
def _alone(cache: str, name: str) -> Iterator[None]:
    """Keep other processes of this machine out while a model is fetched."""
    try:
        os.makedirs(cache, exist_ok=True)
        lock = os.open(os.path.join(cache, f".{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as err:
        raise ModelFileError(
            f"cache {cache} cannot be written ({err.strerror}): give another one as --cache-dir"
        ) from err
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def cached_model(model_name: str, cache_dir: str | None) -> ModelLocation | None:
    """Return a model of the hub that was fetched before; None where it is not there, or not whole."""
    repository, _, revision = model_name.partition("@")
    return _in_cache(model_name, repository, revision or None, hub_folder(cache_dir))


def packaged_model(model_name: str) -> ModelLocation | None:
    """Return a model that lies in this package; None where none of this name does.

    Raises:
      ModelNotFoundError: it was left out of this installation, or a revision is named.
    """
    known = known_model(model_name)
    if known is None or not known.packaged:
        return None
    _check_name(model_name)
    try:
        return locate(packaged_folder(known.name), name=known.name)
    except (ModelNotFoundError, ModelFileError) as err:
        raise ModelNotFoundError(f"model {known.name} is not whole in this package ({err}): {REINSTALL_CURE}") from err


def _check_name(model_name: str) -> None:
    problem = name_problem(model_name)
    if problem is not None:
        raise ModelNotFoundError(problem)


def _from_hub(model_name: str, cache_dir: str | None) -> ModelLocation:
    _check_name(model_name)
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError as err:
        raise ModelNotFoundError(
            f"model {model_name} needs huggingface_hub: pip install 'beam-curator[nemo]', or {_LOCAL_CURE}"
        ) from err
    repository, _, revision = model_name.partition("@")
    cache = os.path.expanduser(cache_dir if cache_dir is not None else HF_HUB_CACHE)
    cached = _in_cache(model_name, repository, revision or None, cache)
    if cached is not None:
        return cached
    with _alone(cache, repository.replace("/", "--")):
        cached = _in_cache(model_name, repository, revision or None, cache)
        return cached if cached is not None else _download(model_name, repository, revision or None, cache)


def _in_cache(model_name: str, repository: str, revision: str | None, cache: str) -> ModelLocation | None:
    """Return a model that was fetched before, None where it is not there or not whole.

    The layout is that of https://huggingface.co/docs/huggingface_hub/guides/manage-cache: a file has its name when all
    of it is there. The client's own look-up misses a snapshot that was narrowed to the files needed.
    """
    folder = os.path.join(cache, f"models--{repository.replace('/', '--')}")
    commit = revision or "main"
    with suppress(OSError), open(os.path.join(folder, "refs", commit), encoding="utf-8") as stream:
        commit = stream.read().strip()
    with suppress(ModelNotFoundError, ModelFileError):
        return locate(os.path.join(folder, "snapshots", commit), name=model_name, revision=commit)
    return None


def _download(model_name: str, repository: str, revision: str | None, cache: str) -> ModelLocation:
    from huggingface_hub import HfApi, snapshot_download

    info = _ask(model_name, lambda: HfApi().model_info(repository, revision=revision, timeout=_ANSWER_SECONDS))
    names = [sibling.rfilename for sibling in info.siblings or []]
    known = known_model(model_name)
    wanted = files_needed(names, prefers_nemo=known is None or known.family != "nemotron")
    if not wanted:
        raise ModelFileError(f"model {model_name} has neither a .nemo nor safetensors: name a diarization model")
    try:
        snapshot_download(repository, revision=revision, cache_dir=cache, allow_patterns=wanted)
    except Exception as err:  # transport, hub and disk each have errors of their own
        raise ModelNotFoundError(
            f"model {model_name} was not fetched whole ({_reason(err)}): run again, which goes on where it broke off, "
            f"or {_LOCAL_CURE}"
        ) from err
    found = _in_cache(model_name, repository, revision, cache)
    if found is None:
        raise ModelFileError(f"model {model_name} cannot be used as fetched into {cache}: delete it there, run again")
    return found


def _ask(model_name: str, question: Callable[[], _Answer]) -> _Answer:
    """Ask the hub one thing; give up after some seconds, whatever it is that takes so long.

    Timeouts of clients count for each address and each read.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    answers: list[_Answer] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(question())
        except Exception as err:  # handed over to the thread that waits
            errors.append(err)

    thread = threading.Thread(target=ask, name="beam_curator_hub", daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    if answers:
        return answers[0]
    error = errors[0] if errors else TimeoutError(f"no answer in {_ANSWER_SECONDS:g} s")
    if isinstance(error, GatedRepoError):
        why = f"its licence has not been accepted: do so at https://huggingface.co/{model_name}, then set HF_TOKEN"
    elif isinstance(error, RevisionNotFoundError):
        why = "the hub has no such revision: give a branch, tag or commit of it"
    elif isinstance(error, RepositoryNotFoundError):
        why = "the hub has no such model, or only for those who may see it: check the name, or set HF_TOKEN"
    else:
        why = f"the hub cannot be reached ({_reason(error)})"
    raise ModelNotFoundError(f"model {model_name} cannot be fetched: {why}: {_LOCAL_CURE}") from error


def _reason(error: Exception) -> str:
    """Describe an error in one line that holds no token."""
    from huggingface_hub import get_token

    text = (str(error).splitlines() or [""])[0][:200]
    token = get_token()
    if token:
        text = text.replace(token, "***")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
