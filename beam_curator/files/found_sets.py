"""Finding output sets below directories: their state, and the sets that each was made from."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from beam_curator.files import storage
from beam_curator.files.output_target import is_of_a_set
from beam_curator.files.replacing import complete_next, next_run
from beam_curator.files.searching import UNREADABLE, Search
from beam_curator.sets.output_set import MANIFEST_NAME, RUN_NAME, InputRecord, Manifest, NotAnOutputSetError, RunRecord
from beam_curator.sets.set_kinds import SET_KINDS

State = Literal["complete", "being replaced", "between two sets", "unfinished", "damaged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSet:
    """An output set as its directory shows it.

    Attributes:
      path: of the directory, without links and relative parts.
      state: one that is being replaced is complete, too: the next set grows in a hidden folder of it.
      commands: that wrote it; several where an unfinished job took the place of sets of others.
      manifest: None where there is none, or none that can be understood.
      hashes: of the files that the manifest lists, by name.
      problem: why the manifest cannot be understood.
    """

    path: str
    state: State
    commands: tuple[str, ...] = ()
    manifest: Manifest | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


Look = Callable[[str], FoundSet | None]


def look_at(directory: str) -> FoundSet | None:
    """Describe the set in a directory, whole or not; None where there is none."""
    path = directory.rstrip("/") if storage.is_remote(directory) else os.path.realpath(directory)
    try:
        text, following = storage.read_bytes(storage.join(path, MANIFEST_NAME)), next_run(path)
        if text is not None:
            manifest = Manifest.from_json(text)
            state: State = "being replaced" if following is not None else "complete"
            hashes = {file.name: file.sha256 for file in manifest.files}
            return FoundSet(path=path, state=state, commands=(manifest.command,), manifest=manifest, hashes=hashes)
        if following is not None and complete_next(path) is not None:
            return FoundSet(path=path, state="between two sets", commands=following.commands)
        mark = storage.read_bytes(storage.join(path, RUN_NAME))
    except (OSError, NotAnOutputSetError) as err:
        return FoundSet(path=path, state="damaged", problem=str(err))
    run = RunRecord.from_json(mark) if mark is not None else None
    commands = run.commands if run is not None else ()
    return FoundSet(path=path, state="unfinished", commands=commands) if mark is not None else None


def find_sets(directory: str, look: Look, left_out: Counter[str]) -> Iterator[str]:
    """Yield the directories of output sets below one, itself included; those inside of a set are not looked for.

    `left_out` is given the number of folders that cannot be read.
    """
    if not storage.is_remote(directory):
        search = Search((), lambda path: look(path) is not None)
        yield from map(str, search.local(directory))
        left_out.update([UNREADABLE] * search.left_out[UNREADABLE])
    elif look(directory) is not None:
        yield directory
    else:
        for name in storage.folders_in(directory):
            if not name.startswith("."):
                yield from find_sets(storage.join(directory, name), look, left_out)


def origins_of(found: FoundSet, look: Look) -> dict[str, bool]:
    """Return the paths of the sets that a set was made from, and whether the files that it read are others by now.

    These are the sets of which its inputs are files, as their names say. A relative name is looked for from the working
    directory, and from the folders above the set.
    """
    holders = cache(lambda folder: [*_holders(folder, found.path, look)])
    origins: dict[str, bool] = {}
    for record in found.manifest.inputs if found.manifest is not None else ():
        folder, _, last = record.name.rpartition("/")
        candidates = [
            (_has_changed(record, holder, prefix + last), holder.path)
            for holder, prefix in holders(folder)
            if is_of_a_set(prefix + last, [SET_KINDS[name] for name in holder.commands if name in SET_KINDS])
        ]
        if candidates:
            # of two sets that may be meant, the one with this very file
            changed, path = min(candidates, key=lambda candidate: candidate[0])
            origins[path] = origins.get(path, False) or changed
    return origins


def made_beside(directory: str) -> list[str]:
    """Return the paths of the sets beside a set that were made from it when it held something else."""
    looked = look_at(directory)
    if looked is None:
        return []
    look, above = cache(look_at), looked.path.rpartition("/")[0]
    beside = [look(storage.join(above, name)) for name in storage.folders_in(above) if not name.startswith(".")]
    return [found.path for found in beside if found is not None and origins_of(found, look).get(looked.path)]


def _holders(folder: str, path: str, look: Look) -> Iterator[tuple[FoundSet, str]]:
    """Yield the other sets that a folder may be or lie directly in, and the prefix of its files there."""
    if storage.is_remote(path) != storage.is_remote(folder):
        return
    for base in possible_places(folder, path):
        parent, _, name = base.rpartition("/")
        for directory, prefix in ((base, ""), (parent, f"{name}/")):
            holder = look(directory) if directory and not directory.endswith(":/") else None
            if holder is not None and holder.path != path:
                yield holder, prefix


def possible_places(name: str, directory: str) -> list[str]:
    """Return the paths that an input of the set in a directory may mean by its name.

    A relative one begins at the working directory of its job, which was most likely this one or a folder above the set.
    """
    if storage.is_remote(name):
        return [name]
    places, above = [os.path.abspath(name)], os.path.abspath(directory)
    while not os.path.isabs(name) and not storage.is_remote(directory) and above != "/":
        above = os.path.dirname(above)
        places.append(os.path.normpath(os.path.join(above, name)))
    return list(dict.fromkeys(places))


def _has_changed(record: InputRecord, holder: FoundSet, name: str) -> bool:
    """Tell whether a file of a set differs from the one that was read; files that rows alone name are not compared."""
    if name in holder.hashes:
        return holder.hashes[name] != record.sha256
    return any(SET_KINDS[command].has_row_file(name) for command in holder.commands if command in SET_KINDS)
