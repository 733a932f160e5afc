"""Measure the windows job beside a floor, and print ratios with their targets.

make bench                              all of it, about three minutes
python benchmarks/bench_windows.py -n 5 medians of five runs instead of three
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from make_manifest import dense_entry, write_manifest
from measuring import COMMAND, JobRun, Report, run_job

from beam_curator import Entry, WindowRules
from beam_curator.windows.block_planning import plan_block

FLOOR = Path(__file__).with_name("floor.py")


def run_floor(manifest: Path, output: Path, scratch: Path) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of the floor."""
    os.sync()
    command = [sys.executable, FLOOR, manifest, output, scratch]
    seconds, cpu_seconds = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(cpu_seconds)


def bench_full_rows(report: Report, folder: Path, n_runs: int) -> None:
    """Full rows of 10,000 entries in one process, in turn with the floor."""
    manifest, output = folder / "10k.jsonl", folder / "full"
    write_manifest(manifest, 10_000)
    few = folder / "few.jsonl"
    write_manifest(few, 5)
    idle = min(run_job(few, folder / "few").cpu_seconds for _ in range(n_runs))
    jobs, floors = [], []
    for _ in range(n_runs):
        jobs.append(run_job(manifest, output, "--jobs", "1"))
        floors.append(run_floor(manifest, output, folder / "floor"))
    n_bytes = sum(path.stat().st_size for path in output.glob("windows-*"))
    floor = statistics.median(seconds for seconds, _ in floors)
    report.line(f"10,000 entries, full rows ({n_bytes / 1e6:.0f} MB): floor", floor, "s", None)
    work = statistics.median(job.work for job in jobs)
    report.line("  job, start-up apart", work, "s", None)
    ratio = statistics.median(job.work / seconds for job, (seconds, _) in zip(jobs, floors, strict=True))
    report.line("  job / floor", ratio, "x", 4)
    report.line("  floor, CPU", statistics.median(cpu for _, cpu in floors), "s", None)
    cpu_work = statistics.median(job.cpu_seconds for job in jobs) - idle
    report.line("  job, CPU, less that of a job of 5 entries", cpu_work, "s", None)
    ratio = statistics.median((job.cpu_seconds - idle) / cpu for job, (_, cpu) in zip(jobs, floors, strict=True))
    report.line("  job / floor, CPU", ratio, "x", 3.5)
    startup = statistics.median(job.summary["timing_s"]["startup"] for job in jobs)
    report.line("  start-up: process start to first row read", startup, "s", 2.5)
    report.line("  peak memory", max(job.peak for job in jobs), "MB", 300)
    report.line("  reference, 261.7 s on 2 cores / job", 261.7 / work, "x", None)


def bench_jobs(report: Report, folder: Path, n_runs: int) -> None:
    """Spans of 50,000 entries with one and two worker processes, in turn."""
    manifest, output = folder / "50k.jsonl", folder / "spans"
    write_manifest(manifest, 50_000)
    ones, twos = [], []
    for _ in range(n_runs):
        for jobs, times in (("1", ones), ("2", twos)):
            times.append(run_job(manifest, output, "--layout", "spans", "--jobs", jobs).work)
    report.line("50,000 entries, spans, --jobs 1", statistics.median(ones), "s", None)
    report.line("50,000 entries, spans, --jobs 2", statistics.median(twos), "s", None)
    ratio = statistics.median(one / two for one, two in zip(ones, twos, strict=True))
    report.line("  --jobs 1 / --jobs 2, start-up apart", ratio, "x", 1.6, at_least=True)
    manifest.unlink()


def bench_update(report: Report, folder: Path, n_runs: int) -> None:
    """Fifty manifests of 1,000 entries to which one is added, in turn with a run from nothing."""
    manifests, updates, fresh = [folder / f"{number:02d}.jsonl" for number in range(51)], [], []
    for manifest in manifests:
        write_manifest(manifest, 1_000)
    flags = ("--layout", "spans", "--jobs", "1")
    for _ in range(n_runs):
        run_job(manifests[1:], folder / "updated", *flags)
        updates.append(run_job(manifests, folder / "updated", *flags, "--update"))
        fresh.append(run_job(manifests, folder / "fresh", *flags))
    for name, runs in (("a run from nothing", fresh), ("--update", updates)):
        report.line(f"50 manifests of 1,000 entries and a new one: {name}", _median(runs), "s", None)
    ratio = statistics.median(one.seconds / two.seconds for one, two in zip(updates, fresh, strict=True))
    report.line("  --update / a run from nothing, with everything", ratio, "x", 0.5)


def _median(runs: list[JobRun]) -> float:
    return statistics.median(run.seconds for run in runs)


def bench_memory(report: Report, folder: Path) -> None:
    """Peak memory of a small and a large job."""
    peaks = {}
    for n_entries in (1_000, 100_000):
        manifest = folder / "memory.jsonl"
        write_manifest(manifest, n_entries)
        peaks[n_entries] = run_job(manifest, folder / "memory", "--layout", "spans", "--jobs", "1").peak
        manifest.unlink()
    report.line("1,000 entries, spans: peak memory", peaks[1_000], "MB", None)
    report.line("100,000 entries, spans: peak memory", peaks[100_000], "MB", None)
    report.line("  growth", peaks[100_000] - peaks[1_000], "MB", 100)


def bench_dense(report: Report) -> None:
    """Planning of dense talk: within a second, and linear."""

    def seconds(n_segments: int) -> float:
        entry = Entry.from_fields(dense_entry(n_segments))
        return _fastest(lambda: plan_block([entry], WindowRules()))

    small, large = seconds(4_000), seconds(16_000)
    report.line("one entry of 4,000 segments of 0.6 s: planning", small, "s", 1)
    report.line("  16,000 / 4,000 segments (4 is linear)", large / small, "x", 5)


def _fastest(action: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return min(times)


def bench_small(report: Report, folder: Path) -> None:
    """What a person waits for."""
    manifest = folder / "5.jsonl"
    write_manifest(manifest, 5)
    helps = _fastest(lambda: subprocess.run([COMMAND, "--help"], check=True, capture_output=True))
    report.line("beam-curator --help", helps, "s", 0.3)
    whole = statistics.median(run_job(manifest, folder / "small").seconds for _ in range(3))
    report.line("5 entries, with everything", whole, "s", 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--runs", type=int, default=3, help="runs of which the median is taken")
    runs = parser.parse_args().runs
    report = Report()
    with tempfile.TemporaryDirectory(prefix="beam_curator-bench-") as name:
        folder = Path(name)
        bench_small(report, folder)
        bench_dense(report)
        bench_full_rows(report, folder, runs)
        bench_jobs(report, folder, runs)
        bench_update(report, folder, runs)
        bench_memory(report, folder)
    sys.exit(0 if report.held else 1)


if __name__ == "__main__":
    main()
