"""Measure the diarize job beside the bare forward loops of NeMo and onnxruntime, and print ratios with their targets.

make bench-diarize                                  tiny and full-size models with random weights, about 25 minutes
python benchmarks/bench_diarize.py --sizes tiny     the tiny ones only, about 5 minutes
python benchmarks/bench_diarize.py --models DIR     keep the models, and use them again
python benchmarks/bench_diarize.py --parts turns    turns from probabilities, beside NeMo: seconds
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
from measuring import COMMAND, Report, run_job
from numpy.typing import NDArray
from random_sortformer import SAMPLE_RATE, talk

from beam_curator.diarization.turn_rules import TURN_PRESETS
from beam_curator.diarization.turns import turns_from_probabilities

HERE = Path(__file__).parent
THREADS = os.cpu_count() or 1
PARTS = ("turns", "long", "short", "memory")
LONG_SECONDS, N_LONG = 300, {"tiny": 24, "full": 2}
N_SHORT = {"tiny": 1000, "full": 60}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", choices=("tiny", "full"), default=["tiny", "full"])
    parser.add_argument("--models", type=Path, help="where models are made, or were made before")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("-n", "--runs", type=int, default=3, help="runs of which the median is taken")
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="beam_curator-bench-") as name:
        folder = Path(name)
        models = arguments.models if arguments.models is not None else folder
        models.mkdir(exist_ok=True)
        if "turns" in arguments.parts:
            bench_turns(report, arguments.runs)
        for size in arguments.sizes if set(arguments.parts) - {"turns"} else ():
            make_models(models, size)
            if "long" in arguments.parts:
                bench_long(report, folder, models, size, arguments.runs)
            if "short" in arguments.parts:
                bench_short(report, folder, models, size, arguments.runs)
        if "memory" in arguments.parts:
            bench_memory(report, folder, models, arguments.sizes[0])
    sys.exit(0 if report.held else 1)


def make_models(models: Path, size: str) -> None:
    """Make a streaming model with random weights, and export it."""
    source, exported = models / f"{size}_streaming.nemo", models / f"{size}_streaming_onnx"
    if not source.exists():
        subprocess.run([sys.executable, HERE / "random_sortformer.py", "--size", size, source], check=True)
    if not exported.exists():
        subprocess.run([COMMAND, "models", "export", source, exported], check=True)


def model_of(models: Path, size: str, backend: str) -> Path:
    return models / (f"{size}_streaming.nemo" if backend == "nemo" else f"{size}_streaming_onnx")


def run_floor(way: str, model: Path, recordings: Sequence[Path]) -> dict[str, float]:
    command = [sys.executable, HERE / "floor_diarize.py", way, model, str(THREADS), *recordings]
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    )
    return found


def run_diarize(model: Path, recordings: Path, output: Path, *flags: str) -> dict[str, float]:
    """Run the job; return seconds of loading, of the work without it, and what the process took besides."""
    job = run_job(recordings, output, "--model-path", str(model), "--threads", str(THREADS), *flags, command="diarize")
    load = sum(stage["time_total"] for stage in job.summary["stages"] if stage["name"] == "load")
    return {"load": load, "work": job.work - load, "startup": job.seconds - job.work, "peak": job.peak}


def bench_turns(report: Report, n_runs: int) -> None:
    """Turns from the probabilities of four speakers: ten minutes beside NeMo's post-processing, and three hours."""
    import torch
    from nemo.collections.asr.parts.utils.vad_utils import ts_vad_post_processing
    from omegaconf import OmegaConf

    rules = next(iter(TURN_PRESETS.values()))
    config = OmegaConf.create(asdict(rules))

    def by_nemo(probabilities: NDArray[np.float32]) -> None:
        for track in probabilities.T:
            ts_vad_post_processing(torch.from_numpy(track.copy()), config, 8)

    short, long = curves_of_speech(7_500), curves_of_speech(135_000)
    by_nemo(short[:100])
    theirs, ours, hours = taken(
        n_runs,
        lambda: cpu_of(lambda: by_nemo(short)),
        lambda: cpu_of(lambda: turns_from_probabilities(short, rules)),
        lambda: cpu_of(lambda: turns_from_probabilities(long, rules)),
    )
    report.line("turns of 10 minutes and 4 speakers: CPU", 1000 * median(ours, "cpu"), "ms", None)
    report.line("  NeMo / ours", ratio(theirs, "cpu", ours, "cpu"), "x", 5, at_least=True)
    report.line("  3 hours / 10 minutes, 18 times as long", ratio(hours, "cpu", ours, "cpu"), "x", 27)


def curves_of_speech(n_frames: int) -> NDArray[np.float32]:
    """Make smooth probabilities of four speakers, float32 [n_frames, 4]."""
    noise = np.random.default_rng(8).random((4, n_frames + 8))
    smooth = np.stack([np.convolve(track, np.ones(9) / 9, "valid") for track in noise], axis=1)
    return np.clip(smooth * 4 - 1.5, 0, 1).astype(np.float32)


def cpu_of(action: Callable[[], object]) -> dict[str, float]:
    """Do something; return the seconds of CPU that it took."""
    begin = time.process_time()
    action()
    return {"cpu": time.process_time() - begin}


def bench_long(report: Report, folder: Path, models: Path, size: str, n_runs: int) -> None:
    """Recordings of five minutes: the job in turn with the bare loop of its backend."""
    recordings = write_talks(folder / f"long-{size}", [LONG_SECONDS] * N_LONG[size])
    hours = N_LONG[size] * LONG_SECONDS / 3600
    bench_embeddings(report, folder, model_of(models, size, "onnx"), recordings[0].parent, size, n_runs)
    for backend, way in (("nemo", "nemo"), ("onnx", "onnx")):
        model = model_of(models, size, backend)
        floors, jobs = taken(
            n_runs,
            lambda way=way, model=model: run_floor(way, model, recordings),  # type: ignore[misc]
            lambda model=model: run_diarize(model, recordings[0].parent, folder / "out"),  # type: ignore[misc]
        )
        loop, work = median(floors, "loop"), median(jobs, "work")
        report.line(f"{size}, {backend}, {hours:.2g} hours in files of 5 minutes: bare loop", loop, "s", None)
        report.line("  job, start-up and loading apart", work, "s", None)
        report.line("  bare loop / job", ratio(floors, "loop", jobs, "work"), "x", 0.9, at_least=True)
        report.line("  loading the model", median(jobs, "load"), "s", None)
        report.line("  start-up of the command", median(jobs, "startup"), "s", None)
        report.line("  real-time factor of the job", work / (hours * 3600), "", None)


def bench_embeddings(report: Report, folder: Path, model: Path, recordings: Path, size: str, n_runs: int) -> None:
    """The same recordings with and without embeddings of their speakers and turns."""
    plain, embedded = taken(
        n_runs,
        lambda: run_diarize(model, recordings, folder / "out"),
        lambda: run_diarize(model, recordings, folder / "out", "--embeddings"),
    )
    report.line(f"{size}, onnx, embeddings: with / without", ratio(embedded, "work", plain, "work"), "x", 1.05)
    report.line(
        "  peak memory with them, above that without", median(embedded, "peak") - median(plain, "peak"), "MB", None
    )


def bench_short(report: Report, folder: Path, models: Path, size: str, n_runs: int) -> None:
    """Many recordings of 3 to 20 seconds: batches, one by one, and NeMo's own `diarize`, one by one."""
    lengths = np.random.default_rng(5).uniform(3, 20, N_SHORT[size]).tolist()
    recordings = write_talks(folder / f"short-{size}", lengths)
    for backend in ("nemo", "onnx"):
        model = model_of(models, size, backend)
        singles, batches = taken(
            n_runs,
            lambda model=model: run_diarize(model, recordings[0].parent, folder / "out"),  # type: ignore[misc]
            lambda model=model: run_diarize(  # type: ignore[misc]
                model, recordings[0].parent, folder / "out", "--inference-batch-size", "32"
            ),
        )
        report.line(
            f"{size}, {backend}, {len(lengths):,} files of 3 to 20 s: one by one", median(singles, "work"), "s", None
        )
        report.line("  in batches of 32", median(batches, "work"), "s", None)
        report.line("  one by one / batches", ratio(singles, "work", batches, "work"), "x", None)
        if backend == "nemo":
            diarize = run_floor("diarize", model, recordings)["loop"]
            report.line("  NeMo's diarize, one by one", diarize, "s", None)
        report.line("  NeMo's diarize, one by one / batches", diarize / median(batches, "work"), "x", 3, at_least=True)


def bench_memory(report: Report, folder: Path, models: Path, size: str) -> None:
    """Half an hour and three hours: memory has to be flat once it is warm."""
    peaks = {}
    for minutes in (30, 180):
        recordings = write_talks(folder / f"{minutes}-minutes", [60.0 * minutes])
        found = run_diarize(model_of(models, size, "onnx"), recordings[0].parent, folder / "out")
        peaks[minutes] = found["peak"]
        report.line(f"{size}, onnx, a recording of {minutes / 60:g} hours: peak memory", found["peak"], "MB", None)
    report.line("  three hours above half an hour", peaks[180] - peaks[30], "MB", 50)


def write_talks(folder: Path, lengths: Sequence[float]) -> list[Path]:
    """Write recordings of talk-like sound, FLAC at 16 kHz."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:04d}.flac" for number in range(len(lengths))]
    minute = talk(600.0, seed=1)
    for number, (path, seconds) in enumerate(zip(paths, lengths, strict=True)):
        if not path.exists():
            shifted = np.roll(minute, -number * 7919)
            repeated = np.tile(shifted, 1 + int(seconds // 600))
            soundfile.write(path, repeated[: int(seconds * SAMPLE_RATE)], SAMPLE_RATE)
    return paths


Taken = list[dict[str, float]]


def taken(n_runs: int, *actions: Callable[[], dict[str, float]]) -> list[Taken]:
    """Run actions in turn; return what each gave."""
    runs = [[action() for action in actions] for _ in range(n_runs)]
    return [list(column) for column in zip(*runs, strict=True)]


def median(found: Taken, what: str) -> float:
    return statistics.median(item[what] for item in found)


def ratio(over: Taken, what: str, under: Taken, other: str) -> float:
    return statistics.median(one[what] / two[other] for one, two in zip(over, under, strict=True))


if __name__ == "__main__":
    main()
