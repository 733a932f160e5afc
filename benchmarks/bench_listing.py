"""Measure the plan of a job on 100,000 recordings: the command beside a bare walk that asks for sizes.

make bench-listing
python benchmarks/bench_listing.py --before OTHER_CHECKOUT   in turn with an earlier version of the package
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import COMMAND, Report

N_FOLDERS, N_FILES, TARGET_SECONDS = 100, 1000, 4.0
HERE = Path(__file__).resolve().parents[1]


def make_tree(root: Path) -> None:
    for folder in range(N_FOLDERS):
        (root / f"{folder:03d}").mkdir(parents=True)
        for number in range(N_FILES):
            (root / f"{folder:03d}" / f"talk-{number:04d}.wav").touch()


def walk(root: str) -> float:
    begin = time.perf_counter()
    n_files = 0
    for folder, _, _ in os.walk(root):
        with os.scandir(folder) as items:
            n_files += sum(item.stat().st_size == 0 for item in items if item.is_file())
    if n_files != N_FOLDERS * N_FILES:
        raise SystemExit(f"{n_files} files were found")
    return time.perf_counter() - begin


def plan(root: str, checkout: Path) -> float:
    begin = time.perf_counter()
    subprocess.run(
        [COMMAND, "diarize", root, "--plan", "--output", f"{root}-out"],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3, help="number of runs of each (default: 3)")
    parser.add_argument("--before", type=Path, help="another checkout, measured in turn with this one")
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        make_tree(root)
        walks, plans, before = [], [], []
        for _ in range(arguments.n):
            walks.append(walk(str(root)))
            plans.append(plan(str(root), HERE))
            if arguments.before is not None:
                before.append(plan(str(root), arguments.before.resolve()))
    report.line(f"{N_FOLDERS * N_FILES:,} recordings: a bare walk", statistics.median(walks), "s", None)
    if before:
        report.line("  diarize --plan, before", statistics.median(before), "s", None)
    report.line("  diarize --plan, start-up and all", statistics.median(plans), "s", TARGET_SECONDS)
    sys.exit(0 if report.held else 1)


if __name__ == "__main__":
    main()
