"""`beam-curator models`: list the known models, show one, or export a .nemo file before a job."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Mapping

from beam_curator.diarization.known_models import KNOWN_MODELS, known_model, name_problem
from beam_curator.runners import exit_codes
from beam_curator.runners.options import UsageError, nearest

_NEMO = "pip install 'beam-curator[nemo]'"
_WIDTH = 120
"""Columns where there is no terminal, and at most."""


def add_models_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "action", nargs="?", default="list", metavar="ACTION", help=f"one of: {', '.join(_ACTIONS)} (default: list)"
    )
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="show: a name, file or folder; export: a .nemo file of a Sortformer"
    )
    parser.add_argument("directory", nargs="?", metavar="DIR", help="export: where the graphs go")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="list, show: for people or programs (default: text)"
    )
    parser.add_argument("--cache-dir", default="", metavar="DIR", help="list, show: directory that models are kept in")
    parser.add_argument(
        "--overwrite", action="store_true", help="export: replace an exported model that was made of another file"
    )
    parser.add_argument("--verbose", action="store_true", help="export: show what NeMo logs")


def run_models_command(arguments: argparse.Namespace) -> int:
    """Run the action that was asked for; return the exit code.

    Raises:
      UsageError: something is missing, not installed, or not what it should be.
    """
    action = arguments.action
    if action in _ACTIONS:
        return _ACTIONS[action](arguments)
    if known_model(action) is not None or os.path.exists(action):
        raise UsageError(f"{action!r} is a model, expected what to do: beam-curator models show {action}")
    raise UsageError(f"unknown action {action!r} of models{nearest(action, _ACTIONS)}")


def _list(arguments: argparse.Namespace) -> int:
    if arguments.model is not None:
        raise UsageError(f"models list takes no model: beam-curator models show {arguments.model}")
    from beam_curator.models.model_descriptions import describe_known, models_here
    from beam_curator.runners.models_text import list_json, list_text

    cache_dir = arguments.cache_dir
    models = [describe_known(known, cache_dir) for known in KNOWN_MODELS.values()]
    shown = {model.installed.path for model in models if model.installed is not None}
    others = [location.path for location, _ in models_here(cache_dir) if location.path not in shown]
    if arguments.format == "json":
        print(list_json(models, others, cache_dir))
    else:
        print(list_text(models, others, cache_dir, _columns()))
    return exit_codes.DONE


def _show(arguments: argparse.Namespace) -> int:
    if arguments.model is None or arguments.directory is not None:
        raise UsageError("models show takes one name, .nemo file or folder: beam-curator models show MODEL")
    from beam_curator.diarization.models import NotAModelError
    from beam_curator.files.storage import is_remote
    from beam_curator.models.model_descriptions import describe_known, describe_path
    from beam_curator.models.model_files import ModelFileError, ModelNotFoundError
    from beam_curator.runners.models_text import model_json, model_text

    name = arguments.model
    known = known_model(name)
    if known is None and is_remote(name):
        raise UsageError(f"{name} is in an object store: copy it here, or give its name")
    if known is None and not _is_path(name):
        raise UsageError(f"unknown model {name!r}{nearest(name, KNOWN_MODELS)}")
    problem = name_problem(name) if known is not None else None
    if problem is not None:
        raise UsageError(problem)
    try:
        revision = name.partition("@")[2]
        if known is not None:
            model = describe_known(known, arguments.cache_dir, revision=revision, hashed=True)
        else:
            model = describe_path(name)
    except (NotAModelError, ModelFileError, ModelNotFoundError) as err:
        raise UsageError(str(err)) from err
    print(model_json(model) if arguments.format == "json" else model_text(model, _columns()))
    return exit_codes.DONE


def _columns() -> int:
    return max(40, min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns))


def _is_path(name: str) -> bool:
    return name.endswith(".nemo") or name.startswith((".", "/", "~")) or os.path.exists(name)


def _export(arguments: argparse.Namespace) -> int:
    if arguments.model is None or arguments.directory is None:
        raise UsageError("models export takes a .nemo file and a directory: beam-curator models export MODEL.nemo DIR")
    from beam_curator.diarization.models import NotAModelError, OutOfMemoryError
    from beam_curator.models.onnx_export import ExportedModel, ExportError, export_sortformer

    try:
        exported: ExportedModel = export_sortformer(
            arguments.model, arguments.directory, overwrite=arguments.overwrite, verbose=arguments.verbose
        )
    except ModuleNotFoundError as err:
        package = (err.name or "something of it").partition(".")[0]
        raise UsageError(f"models export needs NeMo, and {package} is not installed: {_NEMO}") from err
    except FileNotFoundError as err:
        raise UsageError(f"{err.filename} is not there: give a .nemo file on this machine") from err
    except (NotAModelError, FileExistsError) as err:
        raise UsageError(str(err)) from err
    except (ExportError, OutOfMemoryError) as err:
        print(f"beam-curator: {err}", file=sys.stderr)
        return exit_codes.FAILED
    config = exported.config
    family = "streaming" if config.is_streaming else "offline"
    print(f"{arguments.directory}: {config.name}, {family} family, {config.n_speakers} speakers")
    print(_table_of(exported.n_bytes))
    print(
        f"largest difference to NeMo: {exported.encode_difference:.1e} of probabilities, "
        f"{exported.pre_encode_difference:.1e} of embeddings"
    )
    if exported.rounding is not None:
        print(f"more than usual, but NeMo itself rounds by {exported.rounding:.1e} here")
    return exit_codes.DONE


def _table_of(n_bytes: Mapping[str, int]) -> str:
    return "\n".join(f"  {name:<16} {size:>13,} bytes" for name, size in n_bytes.items())


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {"list": _list, "show": _show, "export": _export}
