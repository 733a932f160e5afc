"""`beam-curator sets`: list the output sets below directories, and who was made from whom."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from beam_curator.files import storage
from beam_curator.files.found_sets import find_sets, look_at, origins_of
from beam_curator.files.listing import said_left_out
from beam_curator.runners import exit_codes
from beam_curator.runners.options import UsageError
from beam_curator.runners.stages import number_of
from beam_curator.runners.summary import table_of
from beam_curator.sets.output_set import FAILURES, Manifest
from beam_curator.sets.set_kinds import EXTRACT, SET_KINDS, rows_by_kind, rows_of

_HEAD = ("set", "command", "state", "rows", "hours", "failures", "size", "made from")
_FORMS = {"rows": "{:,}", "hours": "{:,.2f}", "failures": "{:,}", "bytes": "{:,} bytes"}

Values = Mapping[str, Any]
"""What is shown of a set, by the keys of `--format json`."""


def run_sets_command(arguments: argparse.Namespace) -> int:
    """List the sets below directories; return the exit code.

    Raises:
      UsageError: a directory is not there, or there is no set below any.
    """
    left_out: Counter[str] = Counter()
    sets = _sets_below([storage.plain_path(given) for given in arguments.directories], left_out)
    if left_out:
        print(f"beam-curator: {said_left_out(left_out)}", file=sys.stderr)
    if not sets:
        where = ", ".join(arguments.directories)
        raise UsageError(f"no output set below {where}: give the --output of a job, or a directory above it")
    if arguments.format == "json":
        print(json.dumps({"sets": sets}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(tree_lines(sets)) if arguments.tree else table_of([_HEAD, *map(_cells, sets)]))
        for values in sets:
            if values["problem"]:
                print(f"beam-curator: {values['path']}: {values['problem']}", file=sys.stderr)
    return exit_codes.DONE


def _sets_below(directories: Sequence[str], left_out: Counter[str]) -> list[Values]:
    """Describe the sets below directories; one outside of them, from which others were made, has its whole path."""
    look = cache(look_at)
    names: dict[str, str] = {}
    for directory in directories:
        _check(directory)
        for path in find_sets(directory, look, left_out):
            found = look(path)
            if found is not None:
                names.setdefault(found.path, path if storage.is_remote(path) else os.path.normpath(path))
    sets: list[Values] = []
    for path, name in names.items():
        found = look(path)
        if found is not None:
            made_from = [{"path": names.get(path, path), "changed": n} for path, n in origins_of(found, look).items()]
            command = " or ".join(found.commands) or None
            facts = {"path": name, "command": command, "state": found.state, "problem": found.problem or None}
            sets.append({**facts, **_numbers(found.manifest), "made_from": made_from})
    return sets


def _check(directory: str) -> None:
    try:
        storage.check_store(directory)
    except storage.UnknownSchemeError as err:
        raise UsageError(str(err)) from err
    if not storage.is_directory(directory):
        raise UsageError(f"{directory} is no directory: check the path")


def _numbers(manifest: Manifest | None) -> dict[str, Any]:
    """Return the numbers of a set; None for those that are not known."""
    kind = SET_KINDS.get(manifest.command) if manifest is not None else None
    if manifest is None or kind is None:
        return dict.fromkeys(_FORMS)
    rows = rows_by_kind(manifest.files)
    # clips in tars are listed as such
    clips = manifest.counts.get("cut.bytes", 0) if kind is EXTRACT and "tar" not in rows else 0
    return {
        "rows": rows.get(kind.rows, 0),
        "hours": round(manifest.counts.get(kind.audio, 0) / 3.6e9, 4),
        "failures": rows_of(FAILURES, rows),
        "bytes": clips + sum(file.n_bytes for file in manifest.files),
    }


def _cells(values: Values) -> tuple[str, ...]:
    numbers = ("" if values[key] is None else form.format(values[key]) for key, form in _FORMS.items())
    made_from = (f"{of['path']}{' (changed since)' if of['changed'] else ''}" for of in values["made_from"])
    return values["path"], values["command"] or "", values["state"], *numbers, ", ".join(made_from)


def tree_lines(sets: Sequence[Values]) -> Iterator[str]:
    """Yield sets as a tree: below each those that were made from it, first the ones that were made from no other.

    A set made from several stands below each of them; what was made from it, below the first.
    """
    labels = {of["path"]: of["path"] for values in sets for of in values["made_from"]}
    labels |= {values["path"]: _label(values) for values in sets}
    made: dict[str, list[tuple[str, bool]]] = {path: [] for path in labels}
    for values in sets:
        for of in values["made_from"]:
            made[of["path"]].append((values["path"], of["changed"]))
    drawn: set[str] = set()

    def below(path: str, indent: str) -> Iterator[str]:
        children = made[path] if path not in drawn else []
        drawn.add(path)
        for number, (child, changed) in enumerate(children, 1):
            corner, more = ("└─ ", "   ") if number == len(children) else ("├─ ", "│  ")
            yield f"{indent}{corner}{labels[child]}{f', made before {path} changed' if changed else ''}"
            yield from below(child, indent + more)

    origins = {values["path"] for values in sets if values["made_from"]}
    for path in sorted(labels, key=lambda path: (path in origins, path)):
        if path not in drawn:
            yield labels[path]
            yield from below(path, "")


def _label(values: Values) -> str:
    """Return the line of a set in a tree."""
    numbers = [] if values["rows"] is None else [number_of(values["rows"], "rows"), f"{values['hours']:,.2f} h"]
    numbers += [number_of(values["failures"], "failures")] if values["failures"] else []
    return f"{values['path']}  {', '.join([*filter(None, [values['command'], values['state']]), *numbers])}"
