"""Running a pipeline on this machine: in this process, or in worker processes that are watched.

Beam's own multi-process mode waits for ever when a worker is killed, and leaves workers behind when the driver is. So
the workers are ours (`beam_curator.runners.engines.worker`), and a thread of the driver looks after them.
"""

import glob
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import environments

from beam_curator.runners.engines.worker import worker_pid_path

_LOOK_EVERY = 0.3


def direct_runner(jobs: int, scratch: str) -> FnApiRunner:
    """Return the runner for one process, or for `jobs` worker processes that use `scratch`."""
    if jobs == 1:
        return FnApiRunner()
    # exec: without it the process id is that of a shell, and killing it leaves the worker behind
    command = f"exec {shlex.quote(sys.executable)} -m beam_curator.runners.engines.worker {shlex.quote(scratch)}"
    return FnApiRunner(environments.SubprocessSDKEnvironment.from_command_string(command))


@contextmanager
def watched(scratch: str, on_death: Callable[[int], None]) -> Iterator[None]:
    """Look after the worker processes while the body runs; `on_death` is called once if one of them dies.

    At the end of the body all that are left are ended.
    """
    done = threading.Event()

    def look() -> None:
        while not done.wait(_LOOK_EVERY):
            dead = [pid for pid in worker_pids(scratch) if not is_alive(pid)]
            # a worker that ended in order has removed its sign by the time it is gone
            died = [pid for pid in dead if pid in worker_pids(scratch)]
            if died and not done.is_set():
                end_workers(worker_pids(scratch))
                on_death(died[0])
                return

    thread = threading.Thread(target=look, name="beam_curator_watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        end_workers(worker_pids(scratch))


def worker_pids(scratch: str) -> set[int]:
    """Return the process ids of the workers of this driver that have not ended in order."""
    pids = set()
    for path in glob.glob(worker_pid_path(glob.escape(scratch), "*")):
        try:
            with open(path, encoding="ascii") as stream:
                # an earlier driver's workers may have left their signs in the same directory
                mine = stream.read() == str(os.getpid())
        except OSError:
            continue
        if mine:
            pids.add(int(os.path.basename(path).split("-")[1]))
    return pids


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and has not ended yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def end_workers(pids: set[int]) -> None:
    """End worker processes."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
