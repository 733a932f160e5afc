"""Models of huggingface.co: found in the cache of its client, or downloaded into it."""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from beam_curator.model_records import known_model, near_model
from beam_curator.models.model_files import (
    SHARD_INDEX,
    TRANSFORMERS_FILES,
    ModelFileError,
    ModelLocation,
    ModelNotFoundError,
    locate,
)

_LOCAL_CURE = "download it elsewhere and give --model-path FILE.nemo"
_ANSWER_SECONDS = 5.0

_Answer = TypeVar("_Answer")


def hub_folder(cache_dir: str | None) -> str:
    """Return the directory in which the hub's client keeps models.

    Without `cache_dir` it follows from the environment as in
    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables, also where the client is not
    installed.
    """
    named = cache_dir or os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return os.path.expanduser(named)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return os.path.expanduser(os.path.join(os.environ.get("HF_HOME") or os.path.join(cache, "huggingface"), "hub"))


def cached_model(model_name: str, cache_dir: str | None) -> ModelLocation | None:
    """Return a model that was fetched before, None where it is not there or not whole.

    The layout is that of https://huggingface.co/docs/huggingface_hub/guides/manage-cache: a file has its name when all
    of it is there. The client's own look-up misses a snapshot that was narrowed to the files needed.
    """
    repository, _, revision = model_name.partition("@")
    folder = os.path.join(hub_folder(cache_dir), f"models--{repository.replace('/', '--')}")
    commit = revision or "main"
    with suppress(OSError), open(os.path.join(folder, "refs", commit), encoding="utf-8") as stream:
        commit = stream.read().strip()
    with suppress(ModelNotFoundError, ModelFileError):
        return locate(os.path.join(folder, "snapshots", commit), name=model_name, revision=commit)
    return None


def download(model_name: str, cache_dir: str | None) -> ModelLocation:
    """Download the files of a model that are needed.

    Raises:
      ModelNotFoundError: the hub cannot be reached, does not have it, or breaks off; or its client is not installed.
      ModelFileError: it is no model that is known here.
    """
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError as err:
        raise ModelNotFoundError(
            f"model {_shown(model_name)} needs huggingface_hub: pip install 'beam-curator[nemo]', or {_LOCAL_CURE}"
        ) from err
    repository, _, named = model_name.partition("@")
    revision, cache = named or None, hub_folder(cache_dir)
    info = _ask(model_name, lambda: HfApi().model_info(repository, revision=revision, timeout=_ANSWER_SECONDS))
    names = [sibling.rfilename for sibling in info.siblings or []]
    known = known_model(model_name)
    wanted = files_needed(names, prefers_nemo=known is None or known.family != "nemotron")
    if not wanted:
        raise ModelFileError(f"model {model_name} has neither a .nemo file nor safetensors: name a diarization model")
    try:
        snapshot_download(repository, revision=revision, cache_dir=cache, allow_patterns=wanted)
    except Exception as err:  # transport, hub and disk each have errors of their own
        raise ModelNotFoundError(
            f"model {model_name} was not downloaded completely ({_reason(err)}): run again to resume, or {_LOCAL_CURE}"
        ) from err
    found = cached_model(model_name, cache_dir)
    if found is None:
        raise ModelFileError(
            f"model {model_name} cannot be used as downloaded into {cache}: delete it there and run again"
        )
    return found


def files_needed(names: Sequence[str], *, prefers_nemo: bool) -> list[str]:
    """Return the files to fetch from a repository that may hold a model both as a `.nemo` file and for transformers.

    Args:
      names: of the files in it.
      prefers_nemo: take the `.nemo` where there is one.

    Example:
      >>> names = ["config.json", "b.nemo", "a.nemo", "model.safetensors"]
      >>> files_needed(names, prefers_nemo=True), files_needed(names, prefers_nemo=False)
      (['a.nemo'], ['config.json', 'model.safetensors'])
    """
    archives = sorted(name for name in names if name.endswith(".nemo") and "/" not in name)
    weights = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    if weights and "config.json" in names and not (archives and prefers_nemo):
        return [name for name in names if name in (*weights, *TRANSFORMERS_FILES, SHARD_INDEX)]
    return archives[:1]


def _ask(model_name: str, question: Callable[[], _Answer]) -> _Answer:
    """Ask the hub one thing; give up after some seconds, whatever it is that takes so long.

    Timeouts of clients count for each address and each read, and not for the look-up of a name.
    """
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
    raise ModelNotFoundError(
        f"model {_shown(model_name)} cannot be fetched: {_why(model_name, error)}: {_LOCAL_CURE}"
    ) from error


def _shown(model_name: str) -> str:
    """Return a name, with the known one that may be meant."""
    near = "" if known_model(model_name) is not None else near_model(model_name)
    return f"{model_name} (did you mean {near}?)" if near else model_name


def _why(model_name: str, error: Exception) -> str:
    """Explain why the hub does not tell of a model."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return f"its licence has not been accepted: do so at https://huggingface.co/{model_name}, then set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return "the hub has no such revision: give a branch, tag or commit of it"
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such model, or only for those who may see it: check the name, or set HF_TOKEN"
    return f"the hub cannot be reached ({_reason(error)})"


def _reason(error: Exception) -> str:
    """Describe an error in one line that holds no token."""
    from huggingface_hub import get_token

    text = (str(error).splitlines() or [""])[0][:200]
    token = get_token()
    if token:
        text = text.replace(token, "***")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
