"""A worker process: Beam's own worker, which also ends when whoever started it does.

For `--jobs` it is run as `python -m beam_curator.runners.engines.worker SCRATCH`; Beam's runner sets the rest in
variables. A worker pool runs `work`.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from beam_curator.runners.beam_start import start_beam
from beam_curator.runners.logs import quieten

_LOOK_EVERY = 0.3


def worker_pid_path(scratch: str, pid: str) -> str:
    """Return where a worker process leaves word that it lives; `pid` may be `*`."""
    return os.path.join(scratch, f"worker-{pid}")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    # nobody is left to end in order for
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Leave a sign of life, watch the driver, and work."""
    driver = os.getppid()
    sign = worker_pid_path(sys.argv[1], str(os.getpid()))
    with open(sign, "w", encoding="ascii") as stream:
        stream.write(str(driver))
    work(driver, sys.argv[:1], passes_on=True)
    Path(sign).unlink(missing_ok=True)  # an orderly end: who dies leaves its sign behind
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # after Ctrl-C a thread may still be inside a model, which C++ answers with an abort at exit


def work(parent: int, arguments: Sequence[str] = (), *, passes_on: bool = False) -> None:
    """Be Beam's own worker, which also ends when the process that started it does; see `quieten` for `passes_on`."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the driver, which ends its workers
    quieten(verbose=False, passes_on=passes_on)
    start_beam()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(list(arguments))


if __name__ == "__main__":
    main()
