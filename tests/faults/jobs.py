"""Real processes for the fault tests: start a command, kill it at a moment, look at what is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from beam_curator.sets.output_set import KEPT_FOLDER
from tests.faults.works import Work

COMMAND = str(Path(sys.executable).with_name("beam-curator"))
N_AGAIN = 3
"""Tars that may be written again: two hold a recording of which a piece failed, one was not yet whole."""


def start(command: str, manifest: Path, output: Path, *flags: str, **settings: Any) -> subprocess.Popen[str]:
    """Start a job; failures are tolerated, so that a finished one exits with 0."""
    line = [COMMAND, command, str(manifest), "--output", str(output), "--tolerate", "100%", *flags]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **settings)


def finish(process: subprocess.Popen[str], timeout: float = 120) -> tuple[int, str]:
    """Wait for the end; return exit code and output."""
    text, _ = process.communicate(timeout=timeout)
    return process.returncode, text


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def kill_when(process: subprocess.Popen[str], happened: Callable[[], bool], timeout: float = 120) -> bool:
    """Kill the process as soon as something has happened; tell whether it did before the process ended."""
    deadline = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < deadline:
        if happened():
            kill(process)
            return True
    return False


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str], timeout: float = 60) -> None:
    """Wait until something holds, while a process lives."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"not within {timeout:g} s"
        time.sleep(0.01)


def names_in(output: Path) -> set[str]:
    """Return what lies directly in a directory; nothing where there is none yet."""
    return set(os.listdir(output)) if output.exists() else set()


def files_in(output: Path) -> set[str]:
    """Return the paths of all files of a tree, relative to it, but for those that a set keeps to be updated."""
    paths = {str(path.relative_to(output)) for path in output.rglob("*") if not path.is_dir()}
    return {path for path in paths if KEPT_FOLDER not in path.split("/")}


def manifest_of(output: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((output / "_MANIFEST.json").read_text())
    return loaded


def rows_of(output: Path, kind: str) -> list[dict[str, Any]]:
    """Return the rows of a set, from files of one kind."""
    names = [file["name"] for file in manifest_of(output)["files"] if file["kind"] == kind]
    return [json.loads(line) for name in names for line in (output / name).read_bytes().splitlines()]


def clips_of(output: Path) -> dict[str, str]:
    """Return the hash of each clip that lies in a file of its own, as the set's rows say it."""
    rows = rows_of(output, "clips")
    return {row["extracted_path"]: row["sha256"] for row in rows if "::" not in row["extracted_path"]}


def expected_names(output: Path) -> set[str]:
    """Return the paths that a finished directory holds, and no others."""
    manifest = manifest_of(output)
    names = {"_MANIFEST.json", "summary.json"} | {file["name"] for file in manifest["files"]}
    if manifest["command"] == "extract":
        names |= {"extraction_summary.json", *clips_of(output)}
    if manifest["command"] == "diarize":
        names |= {name for row in rows_of(output, "turns") for name, *_ in row["files"]}
    if manifest["command"] == "curate":
        names |= {name for row in rows_of(output, "clips") for name, *_ in row["files"]}
    if manifest["command"] == "separate":
        names |= {name for row in rows_of(output, "tracks") for name, *_ in row["files"]}
    return names


def state_of(output: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of change of each file: what keeps both was not written again."""
    return {name: (stat.st_ino, stat.st_mtime_ns) for name in files_in(output) if (stat := (output / name).stat())}


def processes_about(text: str) -> list[str]:
    """Return the command lines of running processes that mention something."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text in line and int(folder.name) != os.getpid():
            found.append(line)
    return found


def wait_for_no_process_about(text: str, seconds: float) -> list[str]:
    """Wait until no process mentions something; return the command lines of those that still do."""
    deadline = time.monotonic() + seconds
    while (left := processes_about(text)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def check_kept(
    work: Work, before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], damaged: Sequence[str] = ()
) -> str:
    """Fail where a file that was whole was written again; tell how many were not."""
    there = {name for name in before if work.keeps(name)}
    # hidden files are gone in the end, and with them whatever tells that they were not written again
    written = sorted(name for name in there if after.get(name, before[name]) != before[name])
    if "--pack" not in work.flags:
        assert written == sorted(damaged)
    elif "extraction_summary.json" not in before:  # in the commit the hidden parts go, by which a tar is known
        assert len(written) <= N_AGAIN, written
    parts = sum(name.endswith(".part.beam_curator.tmp") for name in before)
    return f"{len(there)} files and {parts} hidden parts in place; {len(there) - len(written)} not written again"
