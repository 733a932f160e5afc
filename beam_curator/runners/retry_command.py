"""`beam-curator retry`: work again on the failures of a set, by the command that made it."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from beam_curator.failures import FAILURE_DOCS
from beam_curator.files import storage
from beam_curator.files.found_sets import look_at, made_beside
from beam_curator.runners import cli
from beam_curator.runners.cures import letters_in
from beam_curator.runners.exit_codes import DONE
from beam_curator.runners.job_command import run_job_command
from beam_curator.runners.job_options import JOBS
from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.options import UsageError, nearest
from beam_curator.runners.stages import number_of
from beam_curator.sets.output_set import SUMMARY_NAME
from beam_curator.sets.set_kinds import SET_KINDS

_SHOWN = 20


def run_retry_command(directory: str, more: Sequence[str], given_codes: str = "") -> int:
    """Update a set by the command that its summary holds; return the exit code.

    Args:
      directory: the set.
      more: further flags of that command, such as another timeout.
      given_codes: of the failures to try again, separated by commas; all are without any.

    Raises:
      UsageError: there is no complete set, its command is not known, or its inputs are not where they were.
    """
    directory = storage.plain_path(directory)
    found = look_at(directory)
    if found is None or found.manifest is None or found.manifest.command not in SET_KINDS:
        raise UsageError(f"{directory} holds no complete set: give the --output of a job, or run its command again")
    if not found.manifest.n_failures:
        print(f"{directory}: nothing has failed.")
        return DONE
    codes = codes_of(given_codes)
    failed = codes_in(found.manifest.counts)
    if codes and failed.keys().isdisjoint(codes):
        listed = ", ".join(f"{n:,} {code}" for code, n in failed.items())
        print(f"{directory}: nothing has failed with {' or '.join(codes)}, but {listed}.")
        return DONE
    command = found.manifest.command
    recorded = _recorded(directory, command)
    parser = cli.parser_of(command)
    ours, beams = cli.split_arguments(parser, more)
    arguments = parser.parse_intermixed_args([*recorded["inputs"], "--output", directory, *ours])
    _take_recorded(arguments, recorded["options"])
    arguments.codes = codes
    if getattr(arguments, "run.plan", False):
        print("\n".join(planned_letters(directory, [file.name for file in found.manifest.files], codes)))
    code = run_job_command(kind_of_job(command), arguments, [*recorded["beam"], *beams])
    later = made_beside(directory) if not vars(arguments).get("run.plan") else []
    if later:
        names = ", ".join(map(os.path.relpath, later))
        print(f"Made from what this set held before: {names}; --update of their commands brings them up to date.")
    return code


def codes_of(given: str) -> tuple[str, ...]:
    """Return the codes in a list of them.

    Raises:
      UsageError: one is none, with the nearest.

    Example:
      >>> codes_of("timeout, not_found")
      ('timeout', 'not_found')
    """
    codes = tuple(dict.fromkeys(code.strip() for code in given.split(",") if code.strip()))
    for code in codes:
        if code not in FAILURE_DOCS:
            known = nearest(code, FAILURE_DOCS) or ": expected one that dead letters have"
            raise UsageError(f"unknown code {code!r} of --code{known}")
    return codes


def codes_in(counts: Mapping[str, int]) -> dict[str, int]:
    """Return how often things failed with each code.

    Example:
      >>> codes_in({"cut.failures": 3, "cut.failures.timeout": 1, "cut.failures.not_found": 2, "cut.clips": 7})
      {'not_found': 2, 'timeout': 1}
    """
    found: Counter[str] = Counter()
    for name, n in counts.items():
        _, is_one, code = name.partition(".failures.")
        found.update({code: n} if is_one else {})
    return dict(sorted(found.items()))


def planned_letters(directory: str, names: Iterable[str], codes: Sequence[str]) -> list[str]:
    """Say which dead letters of a set would be tried again, one a line; the first of many.

    Args:
      directory: the set.
      names: of its files.
      codes: of the failures to try again; all are without any.

    Raises:
      UsageError: they cannot be read.
    """
    try:
        letters = [letter for letter in letters_in(directory, names) if not codes or letter.code in codes]
    except ValueError as err:
        raise UsageError(f"{err}; retry makes it again") from err
    lines = [f"  {letter.source}:{letter.offset}: {letter.code}: {letter.message}" for letter in letters]
    more = [f"  and {len(lines) - _SHOWN:,} more"] if len(lines) > _SHOWN else []
    return [f"Would try again {number_of(len(lines), 'failures')}:", *lines[:_SHOWN], *more]


def _recorded(directory: str, command: str) -> dict[str, Any]:
    """Return the command that made a set, as its summary holds it.

    Raises:
      UsageError: it holds none, or one with relative names that was given in another directory; or it is no job.
    """
    if command not in JOBS:
        raise UsageError(f"{directory} was written by {command}, which does all again: give it again, with --overwrite")
    text = storage.read_bytes(storage.join(directory, SUMMARY_NAME))
    try:
        recorded: dict[str, Any] = json.loads(text or b"")["command"]
        where = recorded["directory"]
    except (ValueError, KeyError, TypeError) as err:
        raise UsageError(f"{directory} does not say which command made it: give that again, with --update") from err
    relative = [path for path in recorded["inputs"] if "://" not in path and not os.path.isabs(path)]
    if relative and where != os.getcwd():
        raise UsageError(f"{directory} was made in {where}, of {relative[0]}: change to that directory first")
    return recorded


def _take_recorded(arguments: argparse.Namespace, options: dict[str, Any]) -> None:
    """Add recorded options to those that are given now, which win."""
    for path, value in {**options, "run.update": True}.items():
        if not hasattr(arguments, path):
            setattr(arguments, path, tuple(value) if isinstance(value, list) else value)
