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
from measuring import COMMAND, Report, run_job

from beam_curator import Entry, WindowRules
from beam_curator.windows.block_planning import plan_block

FLOOR = Path(__file__).with_name("floor.py")


def run_floor(manifest: Path, output: Path, scratch: Path) -> float:
    os.sync()
    command = [sys.executable, FLOOR, manifest, output, scratch]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def bench_full_rows(report: Report, folder: Path, n_runs: int) -> None:
    """Full rows of 10,000 entries in one process, in turn with the floor."""
    manifest, output = folder / "10k.jsonl", folder / "full"
    write_manifest(manifest, 10_000)
    jobs, floors, startups, peaks = [], [], [], []
    for _ in range(n_runs):
        summary, _, peak = run_job(manifest, output)
        floors.append(run_floor(manifest, output, folder / "floor"))
        jobs.append(summary["timing_s"]["run"])
        startups.append(summary["timing_s"]["startup"])
        peaks.append(peak)
    n_bytes = sum(path.stat().st_size for path in output.glob("windows-*"))
    report.line(f"10,000 entries, full rows ({n_bytes / 1e6:.0f} MB): floor", statistics.median(floors), "s", None)
    report.line("  job, start-up apart", statistics.median(jobs), "s", None)
    ratio = statistics.median(job / floor for job, floor in zip(jobs, floors, strict=True))
    report.line("  job / floor", ratio, "x", 4)
    report.line("  start-up: process start to first row read", statistics.median(startups), "s", 2.5)
    report.line("  peak memory", max(peaks), "MB", 300)
    report.line("  reference, 261.7 s on 2 cores / job", 261.7 / statistics.median(jobs), "x", None)


def bench_jobs(report: Report, folder: Path, n_runs: int) -> None:
    """Spans of 50,000 entries with one and two worker processes, in turn."""
    manifest, output = folder / "50k.jsonl", folder / "spans"
    write_manifest(manifest, 50_000)
    ones, twos = [], []
    for _ in range(n_runs):
        for jobs, times in (("1", ones), ("2", twos)):
            summary, _, _ = run_job(manifest, output, "--layout", "spans", "--jobs", jobs)
            times.append(summary["timing_s"]["run"])
    report.line("50,000 entries, spans, --jobs 1", statistics.median(ones), "s", None)
    report.line("50,000 entries, spans, --jobs 2", statistics.median(twos), "s", None)
    ratio = statistics.median(one / two for one, two in zip(ones, twos, strict=True))
    report.line("  --jobs 1 / --jobs 2, start-up apart", ratio, "x", 1.6, at_least=True)
    manifest.unlink()


def bench_memory(report: Report, folder: Path) -> None:
    """Peak memory of a small and a large job."""
    peaks = {}
    for n_entries in (1_000, 100_000):
        manifest = folder / "memory.jsonl"
        write_manifest(manifest, n_entries)
        _, _, peaks[n_entries] = run_job(manifest, folder / "memory", "--layout", "spans")
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
    whole = statistics.median(run_job(manifest, folder / "small")[1] for _ in range(3))
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
        bench_memory(report, folder)
    sys.exit(0 if report.held else 1)


if __name__ == "__main__":
    main()
