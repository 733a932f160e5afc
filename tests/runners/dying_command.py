"""A command that ends itself with SIGKILL before a file gets its name, in a process of its own."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from beam_curator.runners import cli

_PROCESSES = multiprocessing.get_context("forkserver")


def is_killed(count: int, directory: Path, arguments: Sequence[str]) -> bool:
    """Run a command, and kill it before the count-th file gets its name; tell whether it came that far."""
    process = _PROCESSES.Process(target=_run_and_die, args=(count, directory, arguments))
    process.start()
    process.join()
    assert process.exitcode in (-signal.SIGKILL, 0), process.exitcode
    return process.exitcode != 0


def _run_and_die(count: int, directory: Path, arguments: Sequence[str]) -> None:
    replace, left = os.replace, [count]

    def dying(source: str, target: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = dying  # type: ignore[assignment]
    os.chdir(directory)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        sys.exit(cli.run(arguments))
