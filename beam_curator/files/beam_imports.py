"""Importing Beam without the libraries that no job of ours uses.

Beam imports every client that is installed: pandas, MongoDB, BigQuery, Pub/Sub and the object stores cost 0.7 s and
90 MB in each process, and its RunInference imports torch and scipy for a manager of models that we do without: 5 s and
700 MB. A module whose entry in `sys.modules` is None counts as not installed, and Beam then goes on without it.

Only commands and their own workers import Beam this way. In a program that uses the library, Beam stays as it is.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from types import ModuleType

STORES = {"gs": "apache_beam.io.gcp.gcsfilesystem", "s3": "apache_beam.io.aws.s3filesystem"}
"""What serves an object store, by scheme: it signs up with Beam when it is imported."""

_UNUSED = (
    "apache_beam.io.gcp.bigquery",
    "apache_beam.io.hadoopfilesystem",
    "apache_beam.io.azure.blobstoragefilesystem",
    "pandas",
    "pymongo",
)
_CLOUD = (*STORES.values(), "apitools", "google.cloud.dataflow")
_MODEL_MANAGER = "apache_beam.ml.inference.model_manager"


def import_beam(*, for_dataflow: bool = False) -> None:
    """Import Beam for a command or a worker; nothing happens where it is loaded already.

    Args:
      for_dataflow: load Google's clients as well.
    """
    if "apache_beam" in sys.modules:
        return
    leave_out_model_manager()
    logging.getLogger("apache_beam.io.mongodbio").setLevel(logging.ERROR)  # it warns of what is left out
    hidden = [name for name in (*_UNUSED, *(() if for_dataflow else _CLOUD)) if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None stands for a missing module
    try:
        importlib.import_module("apache_beam")
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def leave_out_model_manager() -> None:
    """Put an empty module in place of RunInference's manager of models, which imports torch and scipy."""
    manager = ModuleType(_MODEL_MANAGER)
    vars(manager)["ModelManager"] = None
    sys.modules.setdefault(_MODEL_MANAGER, manager)


def is_for_dataflow(arguments: Sequence[str]) -> bool:
    """Tell whether a command line, or the config file that it names, mentions Dataflow."""
    configs = [text.removeprefix("--config=") for text in arguments if text.startswith("--config=")]
    configs += [text for flag, text in pairwise(arguments) if flag == "--config"]
    return any("dataflow" in text.lower() for text in [*arguments, *map(_text_of, configs)])


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""  # whoever reads the options says so


@cache
def import_store(scheme: str) -> None:
    """Import Beam's file system for `gs://` or `s3://`; do nothing where it is loaded already or cannot be imported."""
    if STORES[scheme] in sys.modules:
        return
    try:
        importlib.import_module(STORES[scheme])
    except ImportError:
        return
    retry = importlib.import_module("apache_beam.utils.retry")
    if retry.HttpError is None:  # imported without the stores' errors: told apart only once it sees them
        importlib.reload(retry)
