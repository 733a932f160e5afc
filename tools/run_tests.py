"""Runs all tests: those on real engines beside all others, since each kind waits a lot.

Usage: run_tests.py [ARGUMENT OF PYTEST…]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

ENGINES = "tests/engines"
SLOWEST = ("--durations", "10", "--durations-min", "1")


def pytest_with(*arguments: str, stream: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start pytest; `stream` takes what it says, and stands for the terminal where it is None."""
    error = None if stream is None else subprocess.STDOUT
    return subprocess.Popen([sys.executable, "-m", "pytest", *SLOWEST, *arguments], stdout=stream, stderr=error)


def run_tests(arguments: Sequence[str]) -> int:
    """Run both kinds, print one after the other, and return the exit code."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as said:
        on_engines = pytest_with(ENGINES, "-v", *arguments, stream=said)
        others = pytest_with("-n", "auto", "--dist", "worksteal", "--ignore", ENGINES, *arguments)
        try:
            codes = [others.wait(), on_engines.wait()]
        finally:
            for process in (others, on_engines):
                process.terminate()
        said.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(said.read())
    print(f"all tests in {(time.monotonic() - begin) / 60:.1f} minutes")
    return max(codes)


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1:]))
