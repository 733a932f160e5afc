"""An output directory over the life of a run: refused, complete, resumed or begun; locked while it is written."""

import errno
import fcntl
import glob
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from beam_curator.files import atomic_files, storage
from beam_curator.files.named_files import sweep_layers
from beam_curator.files.output_target import glob_matches, is_of_a_set
from beam_curator.files.replacing import (
    change_over,
    clear_set,
    complete_next,
    folders_of,
    forget,
    next_run,
    place_of_next,
    run_in,
)
from beam_curator.runners.options import UsageError
from beam_curator.runners.summary import REPLACES_KEY
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import (
    LOCK_NAME,
    MANIFEST_NAME,
    NEXT_NAME,
    RUN_NAME,
    SUMMARY_NAME,
    Config,
    Manifest,
    NotAnOutputSetError,
    RunRecord,
    config_sha256,
    is_temporary,
    live_name,
)
from beam_curator.sets.set_kinds import SET_KINDS, SetKind

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The state of the output directory, and the tokens of its runs.

    Attributes:
      state: "resume" (an earlier attempt left parts) or "fresh".
      directory: where the run writes: the output directory, or a hidden folder of it beside a complete set.
      token: of this run.
      earlier: token of an unfinished run of which this one takes the place, if there was one.
      updates: whether it takes over what it can of the complete set.
      replaces: sha256 of the manifest of that set; "" for none.
    """

    state: Literal["resume", "fresh"]
    directory: str = ""
    token: str = ""
    earlier: str | None = None
    updates: bool = False
    replaces: str = ""


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold the directory's lock; object stores have none.

    Raises:
      UsageError: another job is writing into the directory.
    """
    if storage.is_remote(directory):
        yield
        return
    try:
        storage.make_directory(directory)
    except (FileExistsError, NotADirectoryError) as err:
        raise UsageError(f"output {directory} is a file: give a directory") from err
    path = os.path.join(directory, LOCK_NAME)
    with open(path, "a+", encoding="ascii") as lock:
        try:
            # the kernel gives the lock back when its holder dies, whatever kills it
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = not os.path.exists(path) or not os.path.samestat(os.fstat(lock.fileno()), os.stat(path))
        except BlockingIOError:
            taken = True
        except OSError as err:
            if err.errno not in _NO_LOCKS:
                raise
            taken = False
        if taken:  # or given back in this very moment: its file is gone then
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UsageError(
                f"another job (process {holder}) is writing into {directory}: wait for it, or choose another --output"
            )
        with atomic_files.errors_with_path(path):
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        try:
            yield
        finally:
            os.unlink(path)


def refuse_overlap(inputs: Sequence[str], files: Sequence[InputFile], output: str, kind: SetKind) -> None:
    """Refuse an output that the job itself would read.

    Raises:
      UsageError: the output lies inside an input directory, or a file to read is one that the job may write or sweep.
    """
    if storage.is_remote(output):
        where = output.rstrip("/") + "/"
        inside = [given for given in inputs if where.startswith(given.rstrip("/") + "/")]
    else:
        where = os.path.realpath(output) + os.sep
        local = [given for given in inputs if not storage.is_remote(given)]
        folders = [
            match for given in local for match in (given, *glob.glob(given, recursive=True)) if os.path.isdir(match)
        ]
        inside = [given for given in folders if where.startswith(os.path.realpath(given).rstrip(os.sep) + os.sep)]
        row_file = os.path.abspath(os.path.join(output, f"{kind.rows}-00000-of-00001.jsonl"))
        globs = [given for given in local if not os.path.exists(given)]
        inside += [given for given in globs if glob_matches(os.path.abspath(given), row_file)]
    if inside:
        raise UsageError(f"output {output} lies inside the input {inside[0]}: choose an --output outside of it")
    kinds = [SET_KINDS[name] for name in {kind.command, *_commands_in(output)} if name in SET_KINDS]
    for file in files:
        path = file.place or os.path.realpath(file.name)
        if path.startswith(where) and is_of_a_set(path[len(where) :], kinds):
            raise UsageError(f"input {file.name} is one of the files that {output} will hold: choose another --output")


def _commands_in(directory: str) -> set[str]:
    """Return the commands whose files a directory may hold, as its manifest and its mark of a run say."""
    manifest_text = storage.read_bytes(storage.join(directory, MANIFEST_NAME))
    earlier = run_in(directory)
    try:
        complete = {Manifest.from_json(manifest_text).command} if manifest_text is not None else set()
    except NotAnOutputSetError:
        complete = set()
    return complete | set(earlier.commands if earlier is not None else ())


def configs_in(directory: str) -> set[str]:
    """Return the hashes of the options of a directory's complete set, and of its unfinished runs."""
    manifest_text = storage.read_bytes(storage.join(directory, MANIFEST_NAME))
    found = {run.config_sha256 for run in (run_in(directory), next_run(directory)) if run is not None}
    with suppress(NotAnOutputSetError):
        manifest = Manifest.from_json(manifest_text) if manifest_text is not None else None
        found |= {config_sha256(manifest.command, manifest.config)} if manifest is not None else set()
    return found


def run_of(kind: SetKind, config: Config, files: Sequence[InputFile]) -> RunRecord:
    """Return the mark of a new run of a job."""
    return RunRecord(
        token=uuid.uuid4().hex,
        config_sha256=config_sha256(kind.command, config),
        inputs={f"{file.name}#{file.occurrence}": file.changed or storage.identity_of(file.name) for file in files},
        cleared=False,
        commands=(kind.command,),
    )


def prepare(
    directory: str,
    kind: SetKind,
    config: Config,
    files: Sequence[InputFile],
    *,
    overwrite: bool = False,
    update: bool = False,
) -> Prepared:
    """Decide whether to resume or begin afresh, and mark the place as this run's.

    The caller holds the lock, and has asked `is_complete`. A complete set stays until the next one, in a hidden folder,
    is complete. Files without a manifest are removed once `_RUN.json` says so, which a run that is killed in between
    makes up for.

    Args:
      directory: where to write.
      kind: of the set.
      config: the options that decide the rows.
      files: the inputs, and the files beside them.
      overwrite: what the directory holds may be replaced.
      update: so may a complete set of this job with other inputs, of which all is taken over that stays the same.

    Raises:
      UsageError: the directory holds something else.
    """
    _refuse_links(directory, kind)
    record = run_of(kind, config, files)
    if storage.size_of(storage.join(directory, MANIFEST_NAME)) is not None:
        return _prepare_next(directory, replace(record, updates=update and not overwrite))
    return _prepare_here(directory, kind, record, overwrite=overwrite)


def _prepare_here(directory: str, kind: SetKind, record: RunRecord, *, overwrite: bool) -> Prepared:
    """Mark a directory without a complete set as this run's, unless others may need its files."""
    earlier = run_in(directory)
    if earlier is not None and earlier.same_job(record):
        if earlier.cleared:
            _write_run(directory, replace(record, cleared=True))
            return Prepared(state="resume", directory=directory, token=record.token, earlier=earlier.token)
    elif earlier is not None and not overwrite:
        raise UsageError(
            f"{directory} holds an unfinished job with other inputs or options: "
            "finish it with its own command, add --overwrite, or choose another --output"
        )
    elif earlier is None and not overwrite:
        _refuse_foreign(directory, kind)
    replaced = {kind.command, *_commands_in(directory)}
    _write_run(directory, replace(record, commands=tuple(sorted(replaced))))
    kinds = [SET_KINDS[command] for command in sorted(replaced) if command in SET_KINDS]
    clear_set(directory, kinds, storage.delete_folder)
    _write_run(directory, replace(record, cleared=True))
    return _fresh(directory, record, earlier)


def _prepare_next(directory: str, record: RunRecord) -> Prepared:
    """Mark the hidden folder beside a complete set as this run's; the files of another job there go."""
    replaced = {*record.commands, *_commands_in(directory)}
    manifest = storage.hash_file(storage.join(directory, MANIFEST_NAME))[1]
    record = replace(record, cleared=True, commands=tuple(sorted(replaced)), replaces=manifest)
    below = place_of_next(directory, record)
    earlier = run_in(below)
    prepared = replace(_fresh(below, record, earlier), updates=record.updates, replaces=manifest)
    if earlier is not None and earlier.same_job(record):
        _write_run(below, record)
        return replace(prepared, state="resume")
    forget(below)
    storage.make_directory(below)
    _write_run(below, record)
    return prepared


def _fresh(directory: str, record: RunRecord, earlier: RunRecord | None) -> Prepared:
    return Prepared(
        state="fresh",
        directory=directory,
        token=record.token,
        earlier=earlier.token if earlier is not None else None,
    )


def settle(directory: str) -> RunRecord | None:
    """Finish the change-over that a killed run left; return the mark of that run, None where there was nothing to do.

    The caller holds the lock.

    Raises:
      OSError: it cannot be finished, as on a full disk.
    """
    below = complete_next(directory)
    if below is None:
        return _sweep_late(directory)
    record = run_in(below)
    try:
        change_over(directory, below)
    except OSError as err:
        stays = f"{directory} stays between two sets until the same command is run again"
        raise OSError(err.errno, f"{err.strerror}; {stays}", err.filename) from err
    _end_replacing(directory, record)
    return record


def _sweep_late(directory: str) -> RunRecord | None:
    """Remove the old set in a store, where a killed run only put its own in place; return the mark of that run."""
    home = storage.home_of(directory)
    record = run_in(home) if home != directory else None
    if record is not None:
        _end_replacing(directory, record)
    return record


def _end_replacing(directory: str, record: RunRecord | None) -> None:
    if record is not None and storage.size_of(storage.join(directory, SUMMARY_NAME)) is None:
        # the same command fills in the rest
        _write_summary(directory, {REPLACES_KEY: record.replaces or None})
    _forget_old(directory)


def _write_run(directory: str, record: RunRecord) -> None:
    atomic_files.write_bytes(directory, RUN_NAME, record.to_json())


def _refuse_links(directory: str, kind: SetKind) -> None:
    """Refuse to write through a link in place of a folder of the set: it leads out of the directory.

    Raises:
      UsageError: names it.
    """
    for name in storage.links_in(directory):
        if kind.has_folder(name):
            raise UsageError(
                f"{storage.join(directory, name)} is a link to another place: remove it, or choose another --output"
            )


def _refuse_foreign(directory: str, kind: SetKind) -> None:
    """Refuse a directory that holds files which the job would take for its own.

    Raises:
      UsageError: names one of them.
    """
    found = [name for name in storage.names_in(directory) if kind.has_file_beside(name)]
    found += folders_of(directory, kind)
    if found:
        raise UsageError(
            f"{directory} holds {min(found)}, which no job has marked as its own: "
            "choose another --output, or add --overwrite to replace such files"
        )


def finish(directory: str, summary: dict[str, object]) -> None:
    """Write the summary and remove the marks of the run."""
    _write_summary(directory, summary)
    _forget_old(directory)


def _forget_old(directory: str) -> None:
    """Remove all that is left of the set that a complete one replaced, and the mark of its run last."""
    home = storage.home_of(directory)
    if storage.is_remote(directory):
        run = run_in(home)
        sweep_layers(directory, run.commands if run is not None else ())
        storage.delete(home, [RUN_NAME])
    else:
        storage.delete(directory, [RUN_NAME])
        forget(os.path.join(directory, NEXT_NAME))


def finish_late(directory: str, summary: Callable[[str], dict[str, object]]) -> None:
    """Finish a complete set whose run was killed after its commit.

    Args:
      directory: of the set.
      summary: makes the summary, given the sha256 of the manifest of the set that was replaced; "" for none.
    """
    found = _summary_in(directory)
    if "stages" not in found:
        storage.delete(directory, list(filter(is_temporary, storage.names_in(directory))))
        mark = run_in(storage.home_of(directory))
        finish(directory, summary(found.get(REPLACES_KEY) or (mark.replaces if mark is not None else "")))
    elif storage.size_of(storage.join(storage.home_of(directory), RUN_NAME)) is not None:
        _forget_old(directory)


def _summary_in(directory: str) -> dict[str, Any]:
    """Return the summary of a set, or the beginning of one; nothing of one that is missing or damaged."""
    try:
        summary = json.loads(storage.read_bytes(storage.join(directory, SUMMARY_NAME)) or b"{}")
    except ValueError:
        return {}
    return summary if isinstance(summary, dict) else {}


def _write_summary(directory: str, summary: Mapping[str, object]) -> None:
    text = json.dumps(summary, indent=1, ensure_ascii=False).encode() + b"\n"
    atomic_files.write_bytes(storage.home_of(directory), SUMMARY_NAME, text)


def sweep_scratch(directory: str) -> None:
    """Remove the signs of life of this or an earlier run."""
    for scratch in glob.glob(os.path.join(glob.escape(directory), live_name("*"))):
        shutil.rmtree(scratch, ignore_errors=True)
