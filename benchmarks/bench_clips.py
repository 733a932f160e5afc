"""Measure the extract job beside libsndfile alone, and print ratios with their targets.

make bench-clips                      all of it, about 25 minutes
python benchmarks/bench_clips.py -n 1 one run of each instead of three
TMPDIR=/dev/shm make bench-clips      in memory, where a disk would be the limit (8 GB)
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from make_recordings import write_recording, write_rows
from measuring import Report, run_job

FLOOR = Path(__file__).with_name("floor_clips.py")
HALF_HOUR, CLIP_MS = 1800, 5000
N_RECORDINGS = {"flac": 32, "wav": 16, "ogg": 4}
"""Half hours: a worker process takes a second to start its work, which has to be little beside it."""


def run_floor(way: str, manifest: Path, output_format: str, folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = [sys.executable, FLOOR, way, manifest, output_format, folder]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def bench_format(report: Report, folder: Path, manifest: Path, output_format: str, n_runs: int) -> None:
    """Half-hour recordings into clips of five seconds: the job in turn with both floors."""
    flags = ["--output-format", output_format]
    taken: dict[str, list[float]] = {}

    def run(name: str, action: Callable[[], float]) -> None:
        taken.setdefault(name, []).append(action())

    def job(*more: str) -> float:
        return run_job(manifest, folder / "out", *flags, *more, command="extract").work

    for _ in range(n_runs):
        run("floor", lambda: run_floor("open", manifest, output_format, folder / "floor"))
        run("job", job)
        run("reopen", lambda: run_floor("reopen", manifest, output_format, folder / "floor"))
        run("jobs 2", lambda: job("--jobs", "2"))
    hours = N_RECORDINGS[output_format] * HALF_HOUR / 3600
    report.line(
        f"{hours:g} hours into clips of 5 s, {output_format}: libsndfile alone", _median(taken["floor"]), "s", None
    )
    report.line("  job, start-up apart", _median(taken["job"]), "s", None)
    target = 0.8 if output_format == "flac" else None
    report.line("  libsndfile alone / job", _ratio(taken["floor"], taken["job"]), "x", target, at_least=True)
    report.line("  opening again for each clip / job", _ratio(taken["reopen"], taken["job"]), "x", None)
    target = 1.7 if output_format == "flac" else None
    report.line("  --jobs 1 / --jobs 2", _ratio(taken["job"], taken["jobs 2"]), "x", target, at_least=True)
    report.line("  hours of audio cut in a second", hours / _median(taken["job"]), "h", None)


def _median(values: list[float]) -> float:
    return statistics.median(values)


def _ratio(over: list[float], under: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(over, under, strict=True))


def bench_memory(report: Report, folder: Path) -> None:
    """A recording of three hours, stereo at 44.1 kHz: as clips of five seconds, and as one clip."""
    small, long = folder / "small.wav", folder / "long.wav"
    write_recording(small, 60)
    write_recording(long, 3 * 3600, 44_100, 2)
    manifest = folder / "memory.jsonl"
    write_rows(manifest, [small], 2, 1000)
    idle = run_job(manifest, folder / "out", command="extract").peak
    report.line("two clips of a minute: peak memory", idle, "MB", None)
    for name, n_rows, milliseconds in (("clips of 5 s", 2160, 5000), ("one clip", 1, 3 * 3600 * 1000)):
        write_rows(manifest, [long], n_rows, milliseconds)
        peak = run_job(manifest, folder / "out", "--output-format", "flac", command="extract").peak
        report.line(f"three hours, stereo, 44.1 kHz, {name}: above that", peak - idle, "MB", 300)
    long.unlink()


def bench_rows(report: Report, folder: Path) -> None:
    """Many tiny clips: ten times the rows over ten times the files."""
    times, floors, peaks = {}, {}, {}
    for n_files in (100, 1_000):
        recordings = [folder / "tiny" / f"{number}.wav" for number in range(n_files)]
        recordings[0].parent.mkdir(exist_ok=True)
        for number, path in enumerate(recordings):
            if not path.exists():
                write_recording(path, 11, 8000, seed=number)
        manifest = folder / "tiny.jsonl"
        n_rows = write_rows(manifest, recordings, 100, 50, step=100)
        floors[n_rows] = run_floor("open", manifest, "wav", folder / "floor")
        job = run_job(manifest, folder / "out", command="extract")
        times[n_rows], peaks[n_rows] = job.work, job.peak
        report.line(f"{n_rows:,} clips of 50 ms from {n_files:,} files", times[n_rows], "s", None)
        report.line("  libsndfile alone / job", floors[n_rows] / times[n_rows], "x", None)
        report.line("  peak memory", peaks[n_rows], "MB", None)
    (small, large), (low, high) = times.values(), peaks.values()
    report.line("  ten times the rows take so many times as long", large / small, "x", 11)
    first, last = floors.values()
    report.line("  libsndfile alone: so many times as long", last / first, "x", None)
    report.line("  growth of memory for each 1,000 rows more", (high - low) / 90, "MB", None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--runs", type=int, default=3, help="runs of which the median is taken")
    runs = parser.parse_args().runs
    report = Report()
    with tempfile.TemporaryDirectory(prefix="beam_curator-bench-") as name:
        folder = Path(name)
        recordings = [folder / f"talk{number}.wav" for number in range(max(N_RECORDINGS.values()))]
        for number, path in enumerate(recordings):
            write_recording(path, HALF_HOUR, seed=number)
        manifest = folder / "clips.jsonl"
        for output_format, n_recordings in N_RECORDINGS.items():
            write_rows(manifest, recordings[:n_recordings], HALF_HOUR * 1000 // CLIP_MS, CLIP_MS)
            bench_format(report, folder, manifest, output_format, runs)
        for path in recordings:
            path.unlink()
        bench_rows(report, folder)
        bench_memory(report, folder)
    sys.exit(0 if report.held else 1)


if __name__ == "__main__":
    main()
