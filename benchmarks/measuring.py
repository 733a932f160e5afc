"""Running a job to measure it, and printing figures beside their targets."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("beam-curator")


class Report:
    """Prints one line a figure and remembers whether all targets held."""

    def __init__(self) -> None:
        self.held = True

    def line(self, name: str, value: float, unit: str, target: float | None, *, at_least: bool = False) -> None:
        if target is None:
            print(f"{name:<66} {value:9.2f} {unit}", flush=True)
            return
        good = value >= target if at_least else value <= target
        self.held = self.held and good
        sign = ">=" if at_least else "<="
        print(f"{name:<66} {value:9.2f} {unit:<6} {sign} {target:g}  {'holds' if good else 'MISSED'}", flush=True)


def medians(runs: dict[str, Callable[[], Any]], n_runs: int) -> dict[str, float]:
    """Return the CPU seconds of each, run in turn."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(n_runs + 1):
        for name, run in runs.items():
            begin = time.process_time()
            run()
            spent[name].append(time.process_time() - begin)
    # the first run of each is for its caches
    return {name: statistics.median(seconds[1:]) for name, seconds in spent.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRun:
    """One run of a command: seconds, CPU seconds and peak memory in MB of its process and of those that it started."""

    seconds: float
    cpu_seconds: float
    peak: float


_LAUNCHER = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def run_command(*arguments: str | Path) -> CommandRun:
    """Run the command, started by a small process: Linux counts the peak memory of who starts a process as its own."""
    launched = [sys.executable, "-S", "-c", _LAUNCHER, COMMAND, *arguments]
    code, seconds, cpu_seconds, peak = json.loads(subprocess.run(launched, stdout=subprocess.PIPE, check=True).stdout)
    if code:
        raise SystemExit(f"{' '.join(map(str, arguments))} failed with exit code {code}")
    return CommandRun(seconds=seconds, cpu_seconds=cpu_seconds, peak=peak)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun(CommandRun):
    """One run of a job, and its summary."""

    summary: dict[str, Any]

    @property
    def work(self) -> float:
        """The seconds from the first row on."""
        return float(self.summary["timing_s"]["run"])


def run_job(manifest: Path | list[Path], output: Path, *flags: str, command: str = "windows") -> JobRun:
    """Run the command afresh, or to update the set that an earlier run left."""
    if "--update" not in flags:
        shutil.rmtree(output, ignore_errors=True)
    os.sync()
    inputs = manifest if isinstance(manifest, list) else [manifest]
    run = run_command(command, *inputs, "--output", output, *flags)
    summary = json.loads((output / "summary.json").read_text())
    return JobRun(**asdict(run), summary=summary)
