"""The folders that models lie in: those put there by hand, what the hub's client fetched, and this package."""

import os

import beam_curator

DEFAULT_COPIES = os.path.join("~", ".cache", "beam_curator", "models")
"""Where models are looked for, and those of object stores are copied to, unless a cache is named."""


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
