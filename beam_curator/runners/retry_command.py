"""`beam-curator retry`: work again on what failed in a set, by the command that made it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from beam_curator.files import storage
from beam_curator.files.found_sets import look_at, made_from
from beam_curator.runners import cli
from beam_curator.runners.job_command import run_job_command
from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.options import UsageError
from beam_curator.sets.output_set import SUMMARY_NAME, Manifest
from beam_curator.sets.set_kinds import SET_KINDS


def run_retry_command(directory: str, more: Sequence[str]) -> int:
    """Update a set by the command that its summary holds; return the exit code.

    Args:
      directory: the set.
      more: further flags of that command, such as another timeout.

    Raises:
      UsageError: there is no complete set, its command is not known, or its inputs are not where they were.
    """
    directory = storage.plain_path(directory)
    found = look_at(directory)
    if found is None or found.manifest is None or found.manifest.command not in SET_KINDS:
        raise UsageError(f"{directory} holds no complete set: give the --output of a job, or run its command again")
    manifest = found.manifest
    if not n_failures(manifest):
        print(f"{directory}: nothing has failed.")
        return 0
    recorded = _recorded(directory)
    arguments, beam_arguments = _arguments(manifest.command, recorded, more)
    job = kind_of_job(manifest.command)
    code = run_job_command(job, arguments, [*recorded["beam"], *beam_arguments], directory)
    later = [] if arguments_plan(arguments) else made_from(directory)
    if later:
        names = ", ".join(os.path.relpath(path) for path in later)
        print(f"Made from what the set held before: {names}; their commands with --update bring them up to date")
    return code


def n_failures(manifest: Manifest) -> int:
    """Return the number of dead letters of a set."""
    return sum(n for name, n in manifest.counts.items() if name.endswith(".failures"))


def arguments_plan(arguments: argparse.Namespace) -> bool:
    """Tell whether a plan alone was asked for."""
    return bool(getattr(arguments, "run.plan", False))


def _recorded(directory: str) -> dict[str, Any]:
    """Return the command that made a set, as its summary holds it.

    Raises:
      UsageError: there is none, or it was given elsewhere.
    """
    text = storage.read_bytes(storage.join(directory, SUMMARY_NAME))
    try:
        recorded: dict[str, Any] = json.loads(text or b"")["command"]
        where = recorded["directory"]
    except (ValueError, KeyError, TypeError) as err:
        raise UsageError(
            f"{directory} does not say which command made it: give that command again, with --update"
        ) from err
    relative = [path for path in recorded["inputs"] if "://" not in path and not os.path.isabs(path)]
    if relative and os.path.realpath(where) != os.getcwd():
        print(f"beam-curator: {relative[0]} was given in {where}: it is looked for there", file=sys.stderr)
        os.chdir(where) if os.path.isdir(where) else None
    return recorded


def _arguments(
    command: str, recorded: dict[str, Any], more: Sequence[str]
) -> tuple[argparse.Namespace, list[str]]:
    """Put the recorded options and further flags together."""
    parser = cli.parser_of(command)
    ours, beams = cli.split_arguments(parser, more)
    arguments = parser.parse_args([*recorded["inputs"], *ours])
    for path, value in {**recorded["options"], "run.update": True}.items():
        if not hasattr(arguments, path):
            setattr(arguments, path, tuple(value) if isinstance(value, list) else value)
    return arguments, beams
