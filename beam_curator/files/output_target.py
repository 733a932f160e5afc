"""The directory that a job writes to, the run that it belongs to, and where no job may write."""

import fnmatch
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache

from beam_curator.files import storage
from beam_curator.files.atomic_files import ForeignRunError
from beam_curator.files.listing import MANIFEST_EXTENSIONS
from beam_curator.files.moved_inputs import NOT_MOVED, Moved
from beam_curator.sets.output_set import RUN_NAME, RunRecord
from beam_curator.sets.set_kinds import SetKind

_N_LOOKING = 16
_CHECK_EVERY = 1.0


class ChangedInputError(RuntimeError):
    """A manifest changed while a job read it: rows of two versions may have met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTarget:
    """Where a job writes, and on whose behalf.

    Attributes:
      directory: local or in an object store.
      token: the run's token in `_RUN.json`; None if no launcher prepared the directory.
      resume: keep files that an earlier attempt of the same job put in place.
      n_shards: the largest number of files to merge the blocks' files into; 0 does not merge them.
      replaces: directory of the complete set in whose place this one is put when it is complete.
      updates: take over from that set all that would come out the same.
      rehash: compare the bytes of recordings and inputs, also where sizes and times are those of that set.
      codes: of failures that an update tries again, where not all are.
      moved: directories of inputs that were moved since that set was made.

    Raises:
      ValueError: no directory is named, or the number of shards is negative.
    """

    directory: str
    token: str | None = None
    resume: bool = False
    n_shards: int = 0
    replaces: str | None = None
    updates: bool = False
    rehash: bool = False
    codes: tuple[str, ...] = ()
    moved: Moved = NOT_MOVED

    def __post_init__(self) -> None:
        if not self.directory:
            raise ValueError("output is empty: name a directory")
        if self.n_shards < 0:
            raise ValueError(f"shards {self.n_shards} is below 0: raise it")

    @property
    def place(self) -> str:
        """The directory in which the complete set will be found."""
        return self.directory if self.replaces is None else self.replaces

    def check(self) -> None:
        """Refuse to go on where another run has taken over.

        Raises:
          ForeignRunError: `_RUN.json` names another run, or is gone.
        """
        if self.token is not None and self._run() is None:
            raise ForeignRunError(f"{self.directory} now belongs to another run: this one stops writing")

    def check_lately(self) -> None:
        """Check like `check`; a store is asked once a second, as that takes longer than putting a small object.

        Raises:
          ForeignRunError: `_RUN.json` named another run, or was gone.
        """
        if storage.is_remote(self.directory):
            _check_once(self.directory, self.token, time.monotonic() // _CHECK_EVERY)
        else:
            self.check()

    def check_inputs(self, names: Iterable[str]) -> None:
        """Refuse to commit rows of manifests that are no longer those which the run set out to read.

        Recordings are compared where they are opened.

        Args:
          names: of the inputs as they were read.

        Raises:
          ChangedInputError: one came, changed or went, as those of a set do that is replaced.
        """
        run = self._run()
        if run is None or not run.inputs:  # a program's own mark may name none
            return
        before = {name.rpartition("#")[0]: seen for name, seen in run.inputs.items()}
        manifests = sorted(name for name in {*names, *before} if name.lower().endswith(MANIFEST_EXTENSIONS))
        with ThreadPoolExecutor(_N_LOOKING) as threads:
            now = dict(zip(manifests, threads.map(storage.identity_of, manifests), strict=True))
        changed = [name for name in manifests if before.get(name) != now[name]]
        if changed:
            again = "the same command again" if self.replaces else "the same command again, with --overwrite"
            raise ChangedInputError(f"{changed[0]} changed while it was read, so nothing was committed: run {again}")

    def _run(self) -> RunRecord | None:
        """Return the mark of the run; None where the directory is not, or no longer, its own."""
        text = storage.read_bytes(storage.join(self.directory, RUN_NAME)) if self.token is not None else None
        record = RunRecord.from_json(text) if text is not None else None
        return record if record is not None and record.token == self.token else None


@lru_cache(maxsize=4)
def _check_once(directory: str, token: str | None, moment: float) -> None:
    del moment
    OutputTarget(directory=directory, token=token).check()


def target_of(target: OutputTarget | str | os.PathLike[str], shards: int = 0) -> OutputTarget:
    """Return a target; a path stands for one that no launcher prepared.

    Args:
      target: a path, or a target.
      shards: number from the output options; 0 takes that of the target.

    Raises:
      ValueError: the output is empty, a file, or of a scheme that is not served; or target and options differ.
    """
    if not isinstance(target, OutputTarget):
        target = OutputTarget(directory=storage.plain_path(os.fspath(target)))
    if shards and target.n_shards not in (0, shards):
        raise ValueError(f"shards is {shards}, and {target.n_shards} in the target: give one of them")
    if not storage.is_remote(target.directory) and os.path.isfile(target.directory):
        raise ValueError(f"output {target.directory} is a file: give a directory")
    return replace(target, n_shards=shards) if shards else target


def target_beside(
    inputs: Sequence[str], target: OutputTarget | str | os.PathLike[str], kind: SetKind, shards: int = 0
) -> OutputTarget:
    """Return the target of a job that reads these inputs; told by names alone, as far as they tell.

    Args:
      inputs: files, globs, directories.
      target: a path, or a target.
      kind: of the set that the job writes.
      shards: number from the output options; 0 takes that of the target.

    Raises:
      ValueError: as `target_of`, or the job would read its own output, or take an input for a file of its own.
    """
    made = target_of(target, shards)
    where = _folder(made.directory)
    row_file = f"{where}{kind.rows}-00000-of-00001.jsonl"
    for given in inputs:
        source = _folder(given)
        if source.startswith(where) and is_of_a_set(source[len(where) : -1], [kind]):
            raise ValueError(
                f"input {given} is one of the files that {made.directory} will hold: choose another output"
            )
        if where.startswith(source) or glob_matches(source[:-1], row_file):
            raise ValueError(f"output {made.directory} lies inside the input {given}: choose one outside of it")
    return made


def _folder(path: str) -> str:
    return (path if storage.is_remote(path) else os.path.realpath(path)).rstrip("/") + "/"


def is_of_a_set(relative: str, kinds: Sequence[SetKind]) -> bool:
    """Tell whether a job of one of these kinds would take a file in its output directory for its own."""
    first, inside, _ = relative.partition("/")
    if inside:
        return any(kind.has_folder(first) for kind in kinds)
    return any(kind.has_row_file(first) or kind.has_file_beside(first) for kind in kinds)


def glob_matches(pattern: str, path: str) -> bool:
    """Tell whether a glob would match a path, were it there.

    Example:
      >>> glob_matches("/a/**/*.jsonl", "/a/b/c.jsonl"), glob_matches("/a/*.jsonl", "/a/b/c.jsonl")
      (True, False)
    """
    return _parts_match(pattern.split("/"), path.split("/"))


def _parts_match(pattern: list[str], parts: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_parts_match(pattern[1:], parts[skipped:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _parts_match(pattern[1:], parts[1:])
