"""Worker processes of `--jobs 2`: one is killed, or their driver is."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.jobs import expected_names, finish, kill, names_in, processes_about, start, write_talks

pytestmark = pytest.mark.slow


def wait_for_workers(output: Path) -> list[int]:
    """Wait until both workers live and a first block is written; return their process ids."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if output.exists():
            names = names_in(output)
            pids = [int(name.split(".")[2]) for name in names if name.startswith(".worker.")]
            if len(pids) == 2 and any(name.startswith("windows-") for name in names):
                return pids
        time.sleep(0.02)
    raise AssertionError("the workers did not start")


def wait_for_no_process_about(text: str, seconds: float) -> list[str]:
    deadline = time.monotonic() + seconds
    while (left := processes_about(text)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "talks.jsonl"
    write_talks(path, 16_000)
    return path


def test_a_killed_worker_ends_the_job_with_an_error(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start(manifest, output, "--jobs", "2")
    os.kill(wait_for_workers(output)[0], signal.SIGKILL)
    begin = time.monotonic()
    code, text = finish(process, timeout=30)
    assert time.monotonic() - begin < 30
    assert code == 1
    assert "died" in text
    assert "Traceback" not in text
    assert wait_for_no_process_about(str(output), 5) == []
    assert not (output / "_MANIFEST.json").exists()

    code, text = finish(start(manifest, output, "--jobs", "2"))
    assert code == 0, text
    assert names_in(output) == expected_names(output)


def test_workers_end_with_their_killed_driver(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start(manifest, output, "--jobs", "2")
    wait_for_workers(output)
    kill(process)
    assert wait_for_no_process_about(str(output), 10) == []

    assert finish(start(manifest, output))[0] == 0
    assert names_in(output) == expected_names(output)
