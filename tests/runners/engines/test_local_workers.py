import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_curator.runners.engines.local_workers import end_workers, is_alive, watched, worker_pids
from beam_curator.runners.engines.worker import worker_pid_path


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that looks like a worker of this one."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        Path(worker_pid_path(str(tmp_path), str(process.pid))).write_text(str(os.getpid()))
        yield process
        process.kill()


def test_only_workers_of_this_driver_are_known(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    Path(worker_pid_path(str(tmp_path), "1")).write_text("1")
    Path(worker_pid_path(str(tmp_path), "2")).write_text("")  # not written yet
    assert worker_pids(str(tmp_path)) == {sleeper.pid}


def test_workers_are_found_in_a_directory_of_any_name(tmp_path: Path) -> None:
    scratch = tmp_path / "a [1] *"
    scratch.mkdir()
    Path(worker_pid_path(str(scratch), "7")).write_text(str(os.getpid()))
    assert worker_pids(str(scratch)) == {7}


def test_workers_are_ended_and_those_gone_are_passed_over(sleeper: subprocess.Popen[bytes]) -> None:
    assert is_alive(sleeper.pid)
    end_workers({sleeper.pid})
    assert sleeper.wait(10) == -9
    assert not is_alive(sleeper.pid)
    end_workers({sleeper.pid})


def test_no_worker_outlives_the_body(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    deaths: list[int] = []
    with watched(str(tmp_path), deaths.append):
        assert is_alive(sleeper.pid)
    assert sleeper.wait(10) == -9
    assert deaths == []


def test_the_death_of_a_worker_is_told_once(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    deaths: list[int] = []
    with watched(str(tmp_path), deaths.append):
        time.sleep(0.4)
        sleeper.kill()
        sleeper.wait(10)
        deadline = time.monotonic() + 10
        while not deaths and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.4)
    assert deaths == [sleeper.pid]


def test_a_worker_that_ended_in_order_is_no_death(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    deaths: list[int] = []
    with watched(str(tmp_path), deaths.append):
        Path(worker_pid_path(str(tmp_path), str(sleeper.pid))).unlink()  # as a worker does at its end
        sleeper.kill()
        sleeper.wait(10)
        time.sleep(0.8)
    assert deaths == []
