import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_curator.runners.engines.guard import guarded
from tests.engines.cluster import is_running, wait_until

SLEEPER = "import os, subprocess, sys, time; print(os.getpid(), flush=True); "
WITH_CHILD = SLEEPER + "subprocess.run([sys.executable, '-c', sys.argv[1]])"
SLEEP = SLEEPER + "time.sleep(600)"

DRIVER = """
import subprocess, sys
from beam_curator.runners.engines.guard import guarded
subprocess.Popen(guarded(sys.argv[2:], sys.argv[1] + "/server"))
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the driver's own temporary folder."""
    path = tmp_path / "driver"
    path.mkdir()
    return path


def test_a_command_runs_in_a_folder_of_its_own_and_gives_its_exit_code(folder: Path) -> None:
    script = "import os, sys; open('{folder}/mine', 'w'); print(os.environ['TMPDIR']); sys.exit(7)"
    command = guarded([sys.executable, "-c", script], str(folder / "server"))
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stdout.strip()) == (7, str(folder / "server"))
    assert os.listdir(folder) == []


@pytest.fixture
def guard(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Guard a command that has a child of its own; both have said their process ids."""
    command = guarded([sys.executable, "-c", WITH_CHILD, SLEEP], str(folder / "server"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def pids_of(process: "subprocess.Popen[str]", n: int = 2) -> list[int]:
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(n)]


def test_sigterm_ends_the_command_and_what_it_started(guard: "subprocess.Popen[str]", folder: Path) -> None:
    pids = pids_of(guard)
    guard.terminate()
    assert guard.wait(10) == 0
    wait_until(lambda: not any(map(is_running, pids)), 10, "the end of the command and its child")
    assert os.listdir(folder) == []


def test_ctrl_c_is_left_to_the_driver(guard: "subprocess.Popen[str]", folder: Path) -> None:
    pids = pids_of(guard)
    guard.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        guard.wait(0.5)
    assert all(map(is_running, pids))
    assert os.listdir(folder) == ["server"]


def test_when_the_driver_is_killed_nothing_is_left(folder: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(folder), sys.executable, "-c", WITH_CHILD, SLEEP]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        pids = pids_of(driver)
        driver.kill()
        driver.wait(10)
        wait_until(lambda: not any(map(is_running, pids)), 10, "the end of the command and its child")
        wait_until(lambda: not folder.exists(), 10, f"the end of {folder}")
