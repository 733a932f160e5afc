"""Measure the separate job beside libsndfile alone, and print ratios with their targets.

make bench-tracks                       all of it, about 6 minutes
python benchmarks/bench_tracks.py -n 1  one run of each instead of three
TMPDIR=/dev/shm make bench-tracks       in memory, where a disk would be the limit (3 GB)
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from make_recordings import write_recording
from measuring import Report, run_job

FLOOR = Path(__file__).with_name("floor_tracks.py")
HALF_HOUR, TURN_SECONDS, N_SPEAKERS, N_RECORDINGS = 1800, 5, 4, 8


def write_manifest(path: Path, recordings: list[Path], seconds: int) -> None:
    """Let speakers take turns of five seconds that touch."""
    with path.open("w", encoding="utf-8") as stream:
        for recording in recordings:
            turns = [
                {"start": start, "end": start + TURN_SECONDS, "speaker": f"speaker_{number % N_SPEAKERS}"}
                for number, start in enumerate(range(0, seconds, TURN_SECONDS))
            ]
            stream.write(json.dumps({"audio_filepath": str(recording), "segments": turns}) + "\n")


def run_floor(manifest: Path, output_format: str, folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = [sys.executable, FLOOR, manifest, output_format, folder]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def bench_format(report: Report, folder: Path, manifest: Path, output_format: str, n_runs: int) -> None:
    """Half hours into four tracks each: the job in turn with its floor."""
    floors, jobs = [], []
    for _ in range(n_runs):
        floors.append(run_floor(manifest, output_format, folder / "floor"))
        jobs.append(run_job(manifest, folder / "out", "--output-format", output_format, command="separate").work)
    hours = N_RECORDINGS * HALF_HOUR / 3600
    report.line(
        f"{hours:g} hours into {N_SPEAKERS} tracks each, {output_format}: libsndfile alone",
        statistics.median(floors),
        "s",
        None,
    )
    report.line("  job, start-up apart", statistics.median(jobs), "s", None)
    ratio = statistics.median(floor / job for floor, job in zip(floors, jobs, strict=True))
    report.line("  libsndfile alone / job", ratio, "x", 0.8 if output_format == "flac" else None, at_least=True)


def bench_memory(report: Report, folder: Path) -> None:
    """Four tracks of a minute, and of three hours."""
    peaks = []
    for name, seconds in (("minute", 60), ("three_hours", 3 * 3600)):
        recording = folder / f"{name}.wav"
        write_recording(recording, seconds)
        manifest = folder / f"{name}.jsonl"
        write_manifest(manifest, [recording], seconds)
        peaks.append(run_job(manifest, folder / "out", "--output-format", "flac", command="separate").peak)
        recording.unlink()
    report.line("four tracks of a minute: peak memory", peaks[0], "MB", None)
    report.line("  of three hours: above that", peaks[1] - peaks[0], "MB", 300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--runs", type=int, default=3, help="runs of which the median is taken")
    runs = parser.parse_args().runs
    report = Report()
    with tempfile.TemporaryDirectory(prefix="beam_curator-bench-") as name:
        folder = Path(name)
        recordings = [folder / f"talk{number}.wav" for number in range(N_RECORDINGS)]
        for number, path in enumerate(recordings):
            write_recording(path, HALF_HOUR, seed=number)
        manifest = folder / "turns.jsonl"
        write_manifest(manifest, recordings, HALF_HOUR)
        for output_format in ("flac", "wav"):
            bench_format(report, folder, manifest, output_format, runs)
        bench_memory(report, folder)
    sys.exit(0 if report.held else 1)


if __name__ == "__main__":
    main()
