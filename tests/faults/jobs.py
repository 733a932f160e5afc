"""Real processes for the fault tests: start the command, kill it at a moment, look at what is left."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).with_name("beam-curator"))
SLOW = os.environ.get("BEAM_CURATOR_SLOW") == "1"


def write_talks(path: Path, n_entries: int) -> None:
    """Write a manifest of short talks in which windows are found, and a broken line in every thousand."""
    lines = []
    for number in range(40):
        draw = random.Random(number)
        clock, segments = 0.0, []
        for _ in range(40):
            end = clock + draw.uniform(2.0, 6.0)
            speaker = draw.choice("abc")
            segments.append({"start": clock, "end": end, "speaker": speaker, "metrics": {"bandwidth": 8000}})
            clock = end + draw.uniform(0.0, 2.0)
        entry = {"audio_filepath": f"{number}.wav", "audio_sample_rate": 16000, "segments": segments}
        lines.append(json.dumps(entry).encode() + b"\n")
    with path.open("wb") as stream:
        for index in range(n_entries):
            stream.write(b'{"broken\n' if index % 1000 == 999 else lines[index % len(lines)])


def start(manifest: Path, output: Path, *flags: str) -> subprocess.Popen[str]:
    """Start the job; failures are tolerated, so that a finished one exits with 0."""
    command = [COMMAND, "windows", str(manifest), "--output", str(output), "--tolerate", "100%", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


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


def names_in(output: Path) -> set[str]:
    return set(os.listdir(output))


def manifest_of(output: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((output / "_MANIFEST.json").read_text())
    return loaded


def expected_names(output: Path) -> set[str]:
    """Return the names that a finished directory holds, and no others."""
    return {"_MANIFEST.json", "summary.json"} | {file["name"] for file in manifest_of(output)["files"]}


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
