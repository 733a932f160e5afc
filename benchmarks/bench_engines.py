"""The same job on Flink with one worker and with two, on Prism and on the direct runner: ratios with their targets.

make bench-engines                       all of it, about ten minutes
python benchmarks/bench_engines.py -n 1  one run of each instead of two
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from make_manifest import write_manifest
from measuring import Report, run_job

N_ENTRIES, N_TIMES = 10_000, 32
"""The manifest is read so many times over (--keep-duplicates): over a minute of work on one core."""

ENGINES = {
    "direct": ["--runner", "direct"],
    "direct --jobs 2": ["--runner", "direct", "--jobs", "2"],
    "prism": ["--runner", "prism"],
    "flink, parallelism 1": ["--runner", "flink", "--flink-master", "[local]"],
    "flink, parallelism 2": ["--runner", "flink", "--flink-master", "[local]", "--jobs", "2"],
}


def measure(folder: Path, n_runs: int) -> dict[str, tuple[float, float, float]]:
    """Run the job on each engine in turn; return medians of work and start-up, and the stages' seconds."""
    manifest = folder / "10k.jsonl"
    write_manifest(manifest, N_ENTRIES)
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ENGINES}
    for _ in range(n_runs):
        for name, flags in ENGINES.items():
            options = ["--keep-duplicates", "--layout", "spans", *flags]
            summary = run_job([manifest] * N_TIMES, folder / "out", *options).summary
            stages = sum(stage["time_total"] or 0.0 for stage in summary["stages"])
            runs[name].append((summary["timing_s"]["run"], summary["timing_s"]["startup"], stages))
    return {
        name: (statistics.median(x[0] for x in taken), statistics.median(x[1] for x in taken), taken[0][2])
        for name, taken in runs.items()
    }


def main() -> None:
    """Measure, print, and exit with 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=2, metavar="N", help="runs of each engine (default: 2)")
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="beam_curator_bench-") as folder:
        taken = measure(Path(folder), arguments.n)
    print(f"{N_ENTRIES * N_TIMES:,} entries, spans")
    for name, (work, startup, stages) in taken.items():
        report.line(f"{name}: work, start-up apart", work, "s", 60 if name.endswith("1") else None, at_least=True)
        report.line("  process start to first row read", startup, "s", 2.5 if name == "direct" else None)
        report.line("  start-up / whole", 100 * startup / (startup + work), "%", None)
        report.line("  reading, planning, choosing, writing, added up over workers", stages, "s", None)
    one, two = taken["flink, parallelism 1"][0], taken["flink, parallelism 2"][0]
    report.line("flink: parallelism 1 / parallelism 2, start-up apart", one / two, "x", 1.7, at_least=True)
    direct = taken["direct"][0]
    report.line("prism / direct, start-up apart", taken["prism"][0] / direct, "x", None)
    report.line("flink, parallelism 1 / direct, start-up apart", one / direct, "x", None)
    raise SystemExit(0 if report.held else 1)


if __name__ == "__main__":
    main()
