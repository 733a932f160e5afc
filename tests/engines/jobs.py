"""Jobs on real engines: the command as a user types it, its processes and its temporary files."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from beam_curator.transforms.jobs.manifests import ReadManifests
from tests.engines.cluster import QUICK, FlinkCluster, is_running, wait_until
from tests.faults.jobs import COMMAND, clips_of, expected_names, files_in, manifest_of, rows_of
from tests.manifests import run, small_blocks_command


class EngineJobs:
    """Runs jobs, and knows what it started.

    Args:
      folder: for outputs and temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temp = folder / "temp"
        self.temp.mkdir()
        self.running: list[subprocess.Popen[str]] = []

    def start(
        self, manifest: Path, output: Path, *flags: str, block_bytes: int = 0, command: str = "windows"
    ) -> subprocess.Popen[str]:
        """Start a job; failures are tolerated, so that a finished one exits with 0."""
        arguments = [command, manifest, "--output", output, "--tolerate", "100%", *flags]
        plain = [COMMAND, *map(str, arguments)]
        process = subprocess.Popen(
            small_blocks_command(*arguments, block_bytes=block_bytes) if block_bytes else plain,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(self.temp), "JAVA_TOOL_OPTIONS": " ".join(QUICK)},
        )
        self.running.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], timeout: float = 240) -> str:
        """Wait for the good end of a job; return what it said."""
        text, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, text
        return text

    def manifest_of(
        self, manifest: Path, name: str, *flags: str, block_bytes: int = 0, command: str = "windows"
    ) -> bytes:
        """Run a job to its end, and return the bytes of its `_MANIFEST.json`."""
        self.finish(self.start(manifest, self.folder / name, *flags, block_bytes=block_bytes, command=command))
        return (self.folder / name / "_MANIFEST.json").read_bytes()

    def processes(self) -> list[str]:
        """Return the command lines of running processes that a job of this folder started, however far down."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"TMPDIR={self.temp}".encode() in environment and is_running(int(folder.name)):
                found.append(f"{folder.name} {command}")
        return found

    def check_nothing_is_left(self) -> None:
        """Fail where a process or a temporary file outlives the jobs."""
        wait_until(lambda: self.processes() == [], 15, f"the end of {self.processes()}")
        assert os.listdir(self.temp) == []


def expected_manifest(
    manifest: Path, output: Path, *flags: str, block_bytes: int = 0, command: str = "windows"
) -> bytes:
    """Run a job that nobody disturbs on the direct runner, in this process; return its manifest."""
    defaults = ReadManifests.__init__.__kwdefaults__
    assert defaults is not None
    with pytest.MonkeyPatch.context() as patch:
        if block_bytes:
            patch.setitem(defaults, "block_bytes", block_bytes)
        assert run(command, manifest, "--output", output, "--tolerate", "100%", *flags) == 0
    return (output / "_MANIFEST.json").read_bytes()


def on_flink(cluster: FlinkCluster, *, own_server: bool = False, worker_dies: bool = False) -> list[str]:
    """Return the flags that send a job to a cluster.

    Args:
      cluster: where to.
      own_server: through a job server that the job starts, as it does for users, not through the cluster's.
      worker_dies: start workers for each stage anew: Flink does not notice that one it keeps is dead.
    """
    one_each = "--sdk_worker_parallelism=1"  # a TaskManager here has one slot
    flags = ["--runner", "flink", "--flink-master", cluster.address, "--jobs", "2", one_each]
    flags += [] if own_server else [f"--job_endpoint={cluster.job_endpoint}"]
    return flags + ([] if worker_dies else ["--environment_cache_millis=60000"])


def check_names(output: Path, manifest: bytes) -> None:
    """Fail where a directory holds anything but its set, which is that of the manifest, and files as rows say."""
    assert (output / "_MANIFEST.json").read_bytes() == manifest
    assert manifest_of(output)["files"]
    assert files_in(output) == expected_names(output)
    if manifest_of(output)["command"] == "extract":
        clips = clips_of(output)
        assert {name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in clips} == clips
    kind = {"diarize": "turns", "separate": "tracks", "curate": "clips"}.get(manifest_of(output)["command"])
    if kind is not None:
        files = {name: sha256 for row in rows_of(output, kind) for name, _, sha256 in row["files"]}
        assert {name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in files} == files
