"""Measure the cascade beside its own two models, and print ratios with their targets.

make bench-cascade                                      about 15 minutes, of which a recording of 3 hours takes half
python benchmarks/bench_cascade.py --parts sessions     the models alone beside all of the work: half a minute
python benchmarks/bench_cascade.py --senko PYTHON       senko, too, in its own environment: see examples/human_speech

Seconds of CPU are counted, so that other programs matter little. Two processes need two free cores: where others use
them, only their CPU beside that of one means something.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from measuring import JobRun, Report, run_job
from numpy.typing import NDArray

from beam_curator.diarization.cascade import CascadeStream
from beam_curator.diarization.clustering import ClusterRules
from beam_curator.diarization.speaker_tracks import speaker_tracks
from beam_curator.models.campplus import SpeakerEmbedding, load_campplus
from beam_curator.models.segmentation import Segmentation, load_segmentation

TALK = Path(__file__).parents[1] / "examples" / "round_table.opus"
PEER = Path(__file__).parents[1] / "examples" / "human_speech" / "peer.py"
SAMPLE_RATE = 16000
PARTS = ("sessions", "job", "processes", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--models", type=Path, default=Path("~/.cache/beam_curator/models/cascade").expanduser())
    parser.add_argument("--senko", metavar="PYTHON", help="python with senko")
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="beam_curator-bench-") as name:
        folder = Path(name)
        if "sessions" in arguments.parts:
            bench_sessions(report, arguments.models)
        if "job" in arguments.parts:
            bench_job(report, folder, arguments.senko)
        if "processes" in arguments.parts:
            bench_processes(report, folder, arguments.senko)
        if "memory" in arguments.parts:
            bench_memory(report, folder)
    sys.exit(0 if report.held else 1)


def talk(seconds: float) -> NDArray[np.float32]:
    """Return a round table again and again, float32 at 16 kHz."""
    samples, sample_rate = soundfile.read(TALK, dtype="float32")
    once = soxr.resample(samples if samples.ndim == 1 else samples.mean(axis=1), sample_rate, SAMPLE_RATE)
    return np.resize(once, round(seconds * SAMPLE_RATE))


def write_talks(folder: Path, seconds: list[float]) -> Path:
    """Write recordings of some lengths."""
    folder.mkdir(exist_ok=True)
    for number, length in enumerate(seconds):
        soundfile.write(folder / f"talk-{number}.flac", talk(length), SAMPLE_RATE)
    return folder


class Timed:
    """A session that counts the seconds of CPU it takes."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.seconds = 0.0

    def run(self, *arguments: Any) -> Any:
        begin = time.process_time()
        made = self._session.run(*arguments)
        self.seconds += time.process_time() - begin
        return made


def bench_sessions(report: Report, models: Path) -> None:
    """Ten minutes on one thread: the two models alone, and all of the work around them."""
    segmentation, embedding = load_segmentation(str(models)), load_campplus(str(models))
    sessions = [Timed(session) for model in (segmentation, embedding) for session in vars(model).values()]
    samples = talk(600)
    begin = time.process_time()
    stream = CascadeStream(Segmentation(*sessions[:2]), SpeakerEmbedding(*sessions[2:]))
    for low in range(0, len(samples), 480_000):
        stream.push(samples[low : low + 480_000])
    heard = time.process_time()
    speaker_tracks(stream.finish(), len(samples), ClusterRules())
    ended = time.process_time()
    spent, alone = ended - begin, [session.seconds for session in sessions]
    report.line("10 minutes on one thread: times real time", 600 / spent, "x", 15, at_least=True)
    report.line("  models alone / all", sum(alone) / spent, "", 0.8, at_least=True)
    report.line("  who talks in each window", sum(alone[:2]) / spent, "", None)
    report.line("  how each voice sounds", sum(alone[2:]) / spent, "", None)
    report.line("  the last windows, and who the speakers are", (ended - heard) / spent, "", None)


def run_cascade(recordings: Path, output: Path, *flags: str) -> JobRun:
    return run_job(recordings, output, "--model-name", "cascade", "--threads", "1", *flags, command="diarize")


def bench_job(report: Report, folder: Path, senko: str | None) -> None:
    """Ten minutes as the command hears them, on one thread."""
    short, long = write_talks(folder / "short", [60.0]), write_talks(folder / "long", [660.0])
    once, more = run_cascade(short, folder / "out"), run_cascade(long, folder / "out")
    spent = more.cpu_seconds - once.cpu_seconds
    report.line("10 minutes more of a recording, the command on one thread", 600 / spent, "x", 15, at_least=True)
    report.line("  the command with a recording of a minute: CPU", once.cpu_seconds, "s", None)
    if senko is not None:
        report.line(
            "  senko / command", peer_seconds(senko, long, folder, 1)[0] * 600 / 660 / spent, "x", 1.3, at_least=True
        )


def peer_seconds(senko: str, recordings: Path, folder: Path, n_threads: int) -> tuple[float, float]:
    """Return seconds of CPU and of the clock in which senko hears recordings, its models loaded."""
    command = [senko, str(PEER), str(recordings), str(folder / "peer"), "--threads", str(n_threads)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1].split()
    return float(said[5]), float(said[9])


def bench_processes(report: Report, folder: Path, senko: str | None) -> None:
    """Eight recordings of 2.5 minutes: one process, and two."""
    recordings = write_talks(folder / "eight", [150.0] * 8)
    one, two = run_cascade(recordings, folder / "out"), run_cascade(recordings, folder / "out", "--jobs", "2")
    report.line("8 recordings of 2.5 minutes: one process / two", one.work / two.work, "x", 1.8, at_least=True)
    report.line("  two processes: times real time", 1200 / two.work, "x", None)
    report.line("  CPU of two processes / of one", two.cpu_seconds / one.cpu_seconds, "x", None)
    report.line("  cores that two processes had", two.cpu_seconds / two.seconds, "", None)
    if senko is not None:
        spent, clock = peer_seconds(senko, recordings, folder, 2)
        report.line("  senko on two cores / two processes", clock / two.work, "x", 1.3, at_least=True)
        report.line("  the same in seconds of CPU", spent / two.cpu_seconds, "x", None)


def bench_memory(report: Report, folder: Path) -> None:
    """A minute and three hours: memory grows with the voices that are known, not with the sound."""
    peaks: dict[int, float] = {}
    for minutes in (1, 180):
        done = run_cascade(write_talks(folder / f"{minutes}-minutes", [60.0 * minutes]), folder / "out")
        peaks[minutes] = done.peak
        report.line(f"a recording of {minutes} minutes: peak memory", done.peak, "MB", None)
    report.line("  three hours above a minute", peaks[180] - peaks[1], "MB", 400)
    report.line("  three hours, with start-up: times real time", 10800 / done.cpu_seconds, "x", 15, at_least=True)


if __name__ == "__main__":
    main()
