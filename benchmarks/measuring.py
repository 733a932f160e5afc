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
from dataclasses import dataclass
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
class JobRun:
    """One run of a job: its summary, and the seconds, CPU seconds and peak memory in MB of the whole process."""

    summary: dict[str, Any]
    seconds: float
    cpu_seconds: float
    peak: float

    @property
    def work(self) -> float:
        """The seconds from the first row on."""
        return float(self.summary["timing_s"]["run"])


def run_job(manifest: Path | list[Path], output: Path, *flags: str, command: str = "windows") -> JobRun:
    """Run the command afresh, or to update the set that an earlier run left."""
    if "--update" not in flags:
        shutil.rmtree(output, ignore_errors=True)
    os.sync()
    begin = time.perf_counter()
    inputs = manifest if isinstance(manifest, list) else [manifest]
    process = subprocess.Popen([COMMAND, command, *inputs, "--output", output, *flags], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"the job failed with exit code {process.returncode}")
    return JobRun(
        summary=json.loads((output / "summary.json").read_text()),
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss / 1024,
    )
