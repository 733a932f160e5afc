"""Worker processes of `--jobs 2`: one is killed, or their driver is."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.jobs import expected_names, files_in, finish, kill, start, wait_for_no_process_about
from tests.faults.works import WORKS, Work


def one_of(default: str) -> list[object]:
    """Return the commands that a test is run for: one always, the others where there is time."""
    others = ["windows", "extract", "diarize", "separate"]
    others.remove(default)
    return [default, *(pytest.param(name, marks=pytest.mark.slow) for name in others)]


def wait_for_workers(output: Path, work: Work) -> list[int]:
    """Wait until both workers live and a first file is written; return their process ids."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pids = [int(path.name.split("-")[1]) for path in output.glob(".*.beam_curator.live/worker-*")]
        if len(pids) == 2 and work.n_kept(files_in(output)):
            return pids
        time.sleep(0.02)
    raise AssertionError("the workers did not start")


def write_input(work: Work, folder: Path) -> Path:
    return work.write(folder, 4 * work.size if work.command == "windows" else work.size)


@pytest.mark.parametrize("command", one_of("extract"))
def test_a_killed_worker_ends_the_job_with_an_error(command: str, tmp_path: Path) -> None:
    work, output = WORKS[command], tmp_path / "out"
    manifest = write_input(work, tmp_path)
    process = start(work.command, manifest, output, "--jobs", "2", *work.options(manifest))
    os.kill(wait_for_workers(output, work)[0], signal.SIGKILL)
    begin = time.monotonic()
    code, text = finish(process, timeout=30)
    assert time.monotonic() - begin < 30
    assert code == 1
    assert "died" in text
    assert "Traceback" not in text
    assert wait_for_no_process_about(str(output), 5) == []
    assert not (output / "_MANIFEST.json").exists()

    code, text = finish(start(work.command, manifest, output, "--jobs", "2", *work.options(manifest)))
    assert code == 0, text
    assert files_in(output) == expected_names(output)


@pytest.mark.parametrize("command", one_of("diarize"))
def test_workers_end_with_their_killed_driver(command: str, tmp_path: Path) -> None:
    work, output = WORKS[command], tmp_path / "out"
    manifest = write_input(work, tmp_path)
    process = start(work.command, manifest, output, "--jobs", "2", *work.options(manifest))
    wait_for_workers(output, work)
    kill(process)
    assert wait_for_no_process_about(str(output), 10) == []

    assert finish(start(work.command, manifest, output, *work.options(manifest)))[0] == 0
    assert files_in(output) == expected_names(output)
