import subprocess
import sys
import time
from pathlib import Path

from beam_curator.runners.engines.local_workers import is_alive
from beam_curator.runners.engines.worker import worker_pid_path
from tests.engines.cluster import is_running

DRIVER = """
import subprocess, sys
worker = "import sys, threading, time; from beam_curator.runners.engines import worker; "
worker += "threading.Thread(target=worker._end_with, args=(worker.os.getppid(),)).start(); "
worker += "print(worker.os.getpid(), flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", worker])
sys.stdin.read()
"""


def test_the_sign_of_life_is_a_file_of_its_own(tmp_path: Path) -> None:
    assert worker_pid_path(str(tmp_path), "17") == f"{tmp_path}/worker-17"


def test_a_worker_ends_with_its_driver() -> None:
    command = [sys.executable, "-c", DRIVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        pid = int(driver.stdout.readline())
        assert is_alive(pid)
        driver.kill()
        driver.wait(10)
        deadline = time.monotonic() + 10
        while is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_running(pid)
