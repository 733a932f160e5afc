"""Measure the curate job beside the bare loops of its models: each stage, the whole, and memory.

python benchmarks/bench_curate.py                        about 20 minutes
python benchmarks/bench_curate.py --parts speed -n 1     the stages and the whole: 2 minutes

The recordings are the round table of `examples`, over and over; the models are silero-vad and the package's own
diarizer. A bare loop has samples that are decoded already, and nothing around the graph. CPU time counts, and that of
a job of one second is taken off: other work on the machine does not change a ratio.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from bench_diarize import median, ratio, taken
from bench_vad import RATE, TALK, bare_session
from floor_diarize import load_onnx
from measuring import Report, run_job

from beam_curator.models.resolving import resolve_model
from beam_curator.models.silero import find_silero, load_silero

PARTS = ("speed", "memory", "processes")
MINUTES, N_RECORDINGS = 10, 3
FLAGS = ("--model-name", "demo", "--threads", "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("-n", "--runs", type=int, default=3, help="runs of which the median is taken")
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="beam_curator-bench-") as name:
        folder = Path(name)
        if "speed" in arguments.parts:
            bench_speed(report, folder, arguments.runs)
        if "memory" in arguments.parts:
            bench_memory(report, folder, 1)
        if "processes" in arguments.parts:
            bench_memory(report, folder, 2)
    sys.exit(0 if report.held else 1)


def write_tables(folder: Path, seconds: int, n_recordings: int) -> list[Path]:
    """Write recordings of so many seconds, FLAC at 16 kHz; each begins elsewhere."""
    folder.mkdir()
    table, _ = soundfile.read(TALK, dtype="float32")
    paths = [folder / f"{number}.flac" for number in range(n_recordings)]
    for number, path in enumerate(paths):
        soundfile.write(path, np.resize(np.roll(table, -number * 7919), seconds * RATE), RATE)
    return paths


def run_curate(recordings: Path, output: Path, *flags: str) -> dict[str, float]:
    """Run the job; return its CPU seconds, the seconds of each stage, and its peak memory."""
    job = run_job(recordings, output, *FLAGS, *flags, command="curate")
    times = {f"stage {stage['name']}": stage["time_total"] or 0.0 for stage in job.summary["stages"]}
    return {**times, "cpu": job.cpu_seconds, "peak": job.peak}


def cpu_of(load: Callable[[], Callable[[Any], Any]], recordings: Sequence[Path]) -> dict[str, float]:
    """Run a loop over decoded recordings; return its CPU seconds."""
    run = load()
    sounds = [soundfile.read(path, dtype="float32")[0] for path in recordings]
    begin = time.process_time()
    for sound in sounds:
        run(sound)
    return {"cpu": time.process_time() - begin}


def speech_loop() -> Callable[[Any], Any]:
    """Return the bare session of the detector."""
    detector = load_silero(find_silero())
    return lambda sound: bare_session(detector, sound)()


def bench_speed(report: Report, folder: Path, n_runs: int) -> None:
    """The stages and the whole of the job, beside the loops of both models in turn."""
    recordings = write_tables(folder / "tables", 60 * MINUTES, N_RECORDINGS)
    brief = write_tables(folder / "brief", 1, 1)[0].parent
    tables, out, alone = recordings[0].parent, folder / "out", "--no-speaker-separation"
    demo = resolve_model("demo").path
    speech, talk, jobs, starts, pieces, piece_starts = taken(
        n_runs,
        lambda: cpu_of(speech_loop, recordings),
        lambda: cpu_of(lambda: load_onnx(demo, 1), recordings),
        lambda: run_curate(tables, out),
        lambda: run_curate(brief, out),
        lambda: run_curate(tables, out, alone),
        lambda: run_curate(brief, out, alone),
    )
    loops = [{"cpu": one["cpu"] + two["cpu"]} for one, two in zip(speech, talk, strict=True)]
    work, work_alone = (
        [{"cpu": one["cpu"] - two["cpu"]} for one, two in zip(whole, start, strict=True)]
        for whole, start in ((jobs, starts), (pieces, piece_starts))
    )
    report.line(
        f"{N_RECORDINGS} recordings of {MINUTES} minutes, CPU: bare loop of silero-vad",
        median(speech, "cpu"),
        "s",
        None,
    )
    report.line("  bare loop of the diarizer", median(talk, "cpu"), "s", None)
    report.line("  job, start-up apart", median(work, "cpu"), "s", None)
    for stage in (name for name in jobs[0] if name.startswith("stage ") and median(jobs, name)):
        report.line(f"    {stage}, by the clock", median(jobs, stage), "s", None)
    report.line("  bare loops / job", ratio(loops, "cpu", work, "cpu"), "x", 0.7, at_least=True)
    report.line("  times real time", 60.0 * MINUTES * N_RECORDINGS / median(work, "cpu"), "x", None)
    report.line("  without speakers: bare loop / job", ratio(speech, "cpu", work_alone, "cpu"), "x", None)


def bench_memory(report: Report, folder: Path, jobs: int) -> None:
    """Ten minutes and three hours, a recording for each process: memory has to be flat."""
    peaks = {}
    for minutes in (10, 180):
        recordings = write_tables(folder / f"{minutes}-minutes-{jobs}", 60 * minutes, jobs)
        found = run_curate(recordings[0].parent, folder / "out", "--jobs", str(jobs))
        peaks[minutes] = found["peak"]
        report.line(f"a recording of {minutes} minutes, --jobs {jobs}: peak memory", found["peak"], "MB", None)
    report.line("  three hours above ten minutes", peaks[180] - peaks[10], "MB", 30)


if __name__ == "__main__":
    main()
