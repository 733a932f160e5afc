"""A process that ends with its driver: runs a command in a temporary folder, and leaves neither behind.

Run as `python -m beam_curator.runners.engines.guard DRIVER_PID FOLDER COMMAND…`. `{folder}` in the command becomes the
folder, which is also TMPDIR. Servers that Beam starts outlive a driver that is killed; what is started here does not.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

FOLDER = "{folder}"
_LOOK_EVERY = 0.2


def guarded(command: Sequence[str], folder: str) -> list[str]:
    """Return the command line that runs a command under guard of this process.

    Args:
      command: what to run.
      folder: for its temporary files, inside the driver's own temporary folder; both are removed if the driver dies.
    """
    return [sys.executable, "-m", "beam_curator.runners.engines.guard", str(os.getpid()), folder, *command]


class ServerFailedError(RuntimeError):
    """A server of an engine did not come up."""


class _Ended(Exception):
    """Somebody asked the guard to end."""


def _end(signal_number: int, frame: FrameType | None) -> None:
    raise _Ended


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    """End the command and all that it started: they share a process group."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait()


def run_guarded(driver: int, folder: str, command: Sequence[str]) -> int:
    """Run a command until it ends, the driver is gone, or somebody asks to end; return the command's exit code.

    Args:
      driver: process id of the parent.
      folder: is made, and removed at the end; with the folder it lies in where the driver is gone.
      command: `{folder}` in it stands for that folder.
    """
    os.makedirs(folder)
    command = [argument.replace(FOLDER, folder) for argument in command]
    # a session of its own: Ctrl-C does not reach it, and its children can be ended with it
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, "TMPDIR": folder}
    )
    try:
        # an orphan gets another parent: that is how a driver's death shows, even by SIGKILL
        while child.poll() is None and os.getppid() == driver:
            time.sleep(_LOOK_EVERY)
        return child.poll() or 0
    except _Ended:
        return 0
    finally:
        _kill_group(child)
        # a driver that died cannot remove its own folder any more
        shutil.rmtree(folder if os.getppid() == driver else os.path.dirname(folder), ignore_errors=True)


def main() -> None:
    """Take the signals that ask a process to end, and guard."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the driver, which ends its servers in order
    sys.exit(run_guarded(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))


if __name__ == "__main__":
    main()
