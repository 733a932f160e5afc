"""A worker process of `--jobs`: Beam's own worker, which also ends when its driver does.

Run as `python -m beam_curator.runners.engines.worker SCRATCH`; Beam's runner sets the rest in variables.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

_LOOK_EVERY = 0.3


def worker_pid_path(scratch: str, pid: str) -> str:
    """Return where a worker process leaves word that it lives; `pid` may be `*`."""
    return os.path.join(scratch, f"worker-{pid}")


def _end_with(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(_LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Leave a sign of life, watch the driver, and work."""
    driver = os.getppid()
    sign = worker_pid_path(sys.argv[1], str(os.getpid()))
    with open(sign, "w", encoding="ascii") as stream:
        stream.write(str(driver))
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the driver, which ends its workers
    from beam_curator.runners.logs import quieten

    quieten(verbose=False)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv[:1])
    Path(sign).unlink(missing_ok=True)  # an orderly end: who dies leaves its sign behind
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # after Ctrl-C a thread may still be inside a model, which C++ answers with an abort at exit


if __name__ == "__main__":
    main()
