"""`beam-curator verify`: check every file of an output set against its manifest."""

import sys
from collections.abc import Iterator
from contextlib import suppress

from beam_curator.files import storage
from beam_curator.files.named_files import files_named_in
from beam_curator.files.replacing import BeingReplacedError, complete_next, is_output_set
from beam_curator.files.row_tables import count_table
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.runners import exit_codes
from beam_curator.runners.options import UsageError
from beam_curator.runners.run_directory import locked, settle
from beam_curator.runners.stages import number_of
from beam_curator.sets.output_set import (
    MANIFEST_NAME,
    RUN_NAME,
    SUMMARY_NAME,
    FileRecord,
    Manifest,
    NotAnOutputSetError,
)
from beam_curator.sets.set_kinds import SET_KINDS


def run_verify_command(directory: str) -> int:
    """Check a set and print its problems; return the exit code.

    Raises:
      UsageError: the directory holds no set.
    """
    directory = storage.plain_path(directory)
    try:
        storage.check_store(directory)
    except UnknownSchemeError as err:
        raise UsageError(str(err)) from err
    path = storage.join(directory, MANIFEST_NAME)
    while True:
        seen = storage.identity_of(path)
        manifest = manifest_of(directory)
        problems = find_problems(directory, manifest)
        # another set may have taken its place while its files were read, one of equal bytes, too
        if not problems or (manifest_of(directory) == manifest and storage.identity_of(path) == seen):
            break
    for problem in problems:
        print(f"beam-curator: {problem}", file=sys.stderr)
    kind = SET_KINDS[manifest.command]
    # an index or a summary says the same in other words
    rows = sum(record.n_rows for record in manifest.files if kind.has_row_file(record.name) or record.kind == kind.rows)
    if problems:
        print(
            f"{directory}: {number_of(len(problems), 'problems')} in {number_of(len(manifest.files), 'files')}",
            file=sys.stderr,
        )
        return exit_codes.FAILED
    held = f"{number_of(len(manifest.files), 'files')}, {number_of(rows, 'rows')}"
    print(f"{directory}: complete; {held}, all as the manifest says.")
    return exit_codes.DONE


def manifest_of(directory: str) -> Manifest:
    """Read the manifest of a set, once no other one takes its place; one that a killed job left is helped to it.

    Raises:
      UsageError: the directory holds no set, or none of this version.
    """
    if not storage.is_remote(directory) and complete_next(directory) is not None:
        with suppress(UsageError, OSError), locked(directory):  # a living job does it itself
            settle(directory)
    try:
        is_output_set(directory)
    except BeingReplacedError as err:
        raise UsageError(str(err)) from err
    text = storage.read_bytes(storage.join(directory, MANIFEST_NAME))
    if text is None:
        unfinished = storage.size_of(storage.join(directory, RUN_NAME)) is not None
        why = "its job did not finish: run the same command again" if unfinished else "give the --output of a job"
        raise UsageError(f"{directory} has no {MANIFEST_NAME}: {why}")
    try:
        manifest = Manifest.from_json(text)
    except NotAnOutputSetError as err:
        raise UsageError(f"{directory}: {err}") from err
    if manifest.command not in SET_KINDS:
        raise UsageError(
            f"{directory} was written by {manifest.command!r}: verify it with a version that has this command"
        )
    return manifest


def n_rows_in(path: str, n_lines: int) -> int | None:
    """Return the number of rows of a file of rows; None where it is of another kind, whose hash must do."""
    if path.endswith(".jsonl"):
        return n_lines
    return count_table(path) if path.endswith((".parquet", ".avro")) else None


def _problems_beside(directory: str, record: FileRecord, command: str) -> Iterator[str]:
    """Yield the problems of the files that rows name: those missing, and those changed."""
    for file in files_named_in(directory, record, command):
        if not storage.is_whole(directory, file):
            is_there = storage.size_of(storage.join(directory, file.name)) is not None
            yield f"{file.name} was changed" if is_there else f"{file.name} is missing"


def find_problems(directory: str, manifest: Manifest) -> list[str]:
    """Compare the files of a directory with its manifest."""
    problems = []
    for record in manifest.files:
        path = storage.join(directory, record.name)
        try:
            n_bytes, sha256, n_lines = storage.hash_file(path)
        except (FileNotFoundError, NotADirectoryError):
            problems.append(f"{record.name} is missing")
            continue
        if (n_bytes, sha256) != (record.n_bytes, record.sha256):
            problems.append(f"{record.name} was changed: {n_bytes} bytes, sha256 {sha256[:12]}…")
        elif n_rows_in(path, n_lines) not in (None, record.n_rows):
            problems.append(f"{record.name} does not hold {record.n_rows} rows")
        else:
            problems += _problems_beside(directory, record, manifest.command)
    known = {record.name for record in manifest.files}
    kind = SET_KINDS[manifest.command]
    strays = [
        name
        for name in storage.list_directory(storage.home_of(directory))
        if kind.has_row_file(name) and name not in known
    ]
    # a job that replaced the set may be writing its summary
    strays = [name for name in strays if not name.startswith(f".{SUMMARY_NAME}.")]
    return problems + [f"{name} does not belong to the set" for name in strays]
