"""The folders of models that were put there by hand, fetched by the hub's client, or installed with this package.

Also the choice of the files to fetch from a repository of the hub.
"""

import os
from collections.abc import Sequence

import beam_curator

DEFAULT_COPIES = os.path.join("~", ".cache", "beam_curator", "models")
"""Where models are looked for, and those of object stores are copied to, unless a cache is named."""

REINSTALL_CURE = "pip install --force-reinstall --no-deps beam-curator"
"""What brings back a model that should lie in this package."""

TRANSFORMERS_FILES = ("config.json", "preprocessor_config.json", "processor_config.json")
"""What a folder of transformers has beside the weights; of the last two, one is enough."""

SHARD_INDEX = "model.safetensors.index.json"
"""Where there are several files of weights, which of them holds what."""


def models_folder(cache_dir: str | None) -> str:
    """Return the directory in which models lie that were put there by hand or copied from an object store."""
    return os.path.expanduser(cache_dir if cache_dir else DEFAULT_COPIES)


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


def packaged_folder(name: str) -> str:
    """Return the folder of a model that lies in this package."""
    return os.path.join(os.path.dirname(beam_curator.__file__), "models", name)


def files_needed(names: Sequence[str], *, prefers_nemo: bool) -> list[str]:
    """Return the files to fetch from a repository that may hold a model both as a `.nemo` file and for transformers.

    Only Nemotron is run by transformers.

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
