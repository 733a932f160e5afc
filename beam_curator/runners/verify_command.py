"""`beam-curator verify`: check every file of an output set against its manifest."""

import sys

from beam_curator.output_set import FAILURES, MANIFEST_NAME, RUN_NAME, Manifest, NotAnOutputSetError, is_ours
from beam_curator.runners import exit_codes
from beam_curator.runners.options import UsageError
from beam_curator.transforms import storage
from beam_curator.transforms.output_set import ROWS
from beam_curator.transforms.row_files import count_rows
from beam_curator.transforms.storage import UnknownSchemeError


def run_verify_command(directory: str) -> int:
    """Check a set and say what is wrong; return the exit code.

    Raises:
      UsageError: the directory holds no set.
    """
    try:
        storage.check_store(directory)
    except UnknownSchemeError as err:
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
    problems = find_problems(directory, manifest)
    for problem in problems:
        print(f"beam-curator: {problem}", file=sys.stderr)
    rows = sum(record.n_rows for record in manifest.files)
    if problems:
        print(f"{directory}: {len(problems)} problems in {len(manifest.files)} files", file=sys.stderr)
        return exit_codes.FAILED
    print(f"{directory}: complete; {len(manifest.files):,} files, {rows:,} rows, all as the manifest says.")
    return exit_codes.DONE


def find_problems(directory: str, manifest: Manifest) -> list[str]:
    """Compare the files of a directory with its manifest."""
    problems = []
    for record in manifest.files:
        path = storage.join(directory, record.name)
        if storage.size_of(path) is None:
            problems.append(f"{record.name} is missing")
            continue
        n_bytes, sha256, n_lines = storage.hash_file(path)
        if (n_bytes, sha256) != (record.n_bytes, record.sha256):
            problems.append(f"{record.name} was changed: {n_bytes} bytes, sha256 {sha256[:12]}…")
        elif (n_lines if record.name.endswith(".jsonl") else count_rows(path)) != record.n_rows:
            problems.append(f"{record.name} does not hold {record.n_rows} rows")
    known = {record.name for record in manifest.files}
    strays = [
        name for name in storage.list_directory(directory) if is_ours(name, (ROWS, FAILURES)) and name not in known
    ]
    return problems + [f"{name} does not belong to the set" for name in strays]
