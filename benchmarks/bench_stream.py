"""Measure live streams beside bare steps of the model, and print ratios with their targets.

make bench-stream                                     all parts, about ten minutes
python benchmarks/bench_stream.py --parts state       what a step writes, at full size: seconds

The model is `demo`, on one thread. Figures of a busy machine are no measure: latency most of all.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from live_soak import STREAMS, EndlessStreams, MemoryWatch, SoakSource, bytes_of_streams
from measuring import Report
from random_sortformer import talk

from beam_curator.diarization.diarize_rules import ModelOptions
from beam_curator.diarization.models import Encoded, Floats, Lengths, MelRules, ModelConfig
from beam_curator.diarization.sortformer_streaming import StreamingSortformer
from beam_curator.diarization.stream_state import BEGINNING
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files.chunk_folders import put_chunk
from beam_curator.files.event_files import EventReader
from beam_curator.files.live_output import prepare_live_output
from beam_curator.live.live_options import LiveRules
from beam_curator.live.messages import Chunk
from beam_curator.live.session_state import HearingRules
from beam_curator.live.sound import encoded_chunk
from beam_curator.models.live_hearing import LiveModel
from beam_curator.transforms.live.message_source import MessageSource

PARTS = ("state", "batch", "job", "latency", "memory", "soak")
RATE = 16000
CHUNK = 7680
"""Samples: 0.48 s, a step of `low`."""

N_STREAMS = 32
"""Of which the latency is measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--hours", type=float, default=1.0, help="of each stream in the soak (default: 1)")
    arguments = parser.parse_args()
    report = Report()
    parts = {
        "state": bench_state,
        "batch": bench_batch,
        "job": bench_job,
        "latency": bench_latency,
        "memory": bench_memory,
        "soak": partial(bench_soak, hours=arguments.hours),
    }
    for name in arguments.parts:
        parts[name](report)
    sys.exit(0 if report.held else 1)


class FullSizeBackend:
    """The widths of the published models, and answers that cost nothing."""

    def __init__(self) -> None:
        self.config = ModelConfig(n_speakers=4, embedding_size=512, mel=MelRules(n_mels=128), is_streaming=True)
        random = np.random.default_rng(0)
        self.mel_filters = np.abs(random.standard_normal((128, 257))).astype(np.float32)
        self._outer = random.standard_normal((512, 4)).astype(np.float32)

    def pre_encode(self, mel: Floats, lengths: Lengths) -> tuple[Floats, Lengths]:
        n_frames = -(-lengths // 8)
        return np.repeat(mel[:, ::8][:, : int(n_frames.max())], 4, axis=2) / 10, n_frames

    def encode(self, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool = False) -> Encoded:
        return Encoded((1 / (1 + np.exp(-embeddings @ self._outer))).astype(np.float32))


def full_size() -> HearingRules:
    """Return a model of full size whose steps cost nothing."""
    engine = StreamingSortformer(FullSizeBackend(), LATENCY_PRESETS["low"])
    return HearingRules(engine, TurnRules(), dead_air_gate=False)


def bench_state(report: Report) -> None:
    """Count the bytes that steps write in parts, beside those of the whole state."""
    engine = full_size().engine
    sound, state, mark = talk(120.0), engine.new_state(), BEGINNING
    wholes, parts = [], []
    while (stop := state.n_samples + engine.samples_missing(state)) <= len(sound):
        engine.push([state], [sound[state.n_samples : stop]], [False])
        changed = state.changed_parts(mark)
        mark = state.mark()
        parts.append(sum(len(part) for part in (changed.head, changed.cache, changed.fifo) if part is not None))
        wholes.append(len(state.to_bytes()))
    # five compressions of the cache, each after 24 steps
    steady = len(parts) - 5 * 24
    report.line("state a step writes at low, full size, median", statistics.median(parts[steady:]) / 1024, "KiB", 64.0)
    report.line("the whole state", statistics.median(wholes[steady:]) / 1024, "KiB", None)
    report.line("bytes written in parts / whole", sum(parts[steady:]) / sum(wholes[steady:]), "", 0.11)


def demo(latency: str) -> HearingRules:
    """Load the demo model on one thread."""
    model = ModelOptions(model_name="demo")
    return LiveModel(model=model, walk=LATENCY_PRESETS[latency], turns=TurnRules(), threads=1).load()


def pushed(engine: StreamingSortformer, sound: Floats, n_streams: int) -> float:
    """Return how many streams a core hears in real time, of bare steps."""
    states = [engine.new_state() for _ in range(n_streams)]
    begin = time.process_time()
    for start in range(0, len(sound), CHUNK):
        piece = sound[start : start + CHUNK]
        engine.push(states, [piece] * n_streams, [False] * n_streams)
    return n_streams * len(sound) / RATE / (time.process_time() - begin)


def bench_batch(report: Report) -> None:
    """Print how many streams a core hears, one by one and at once: on a CPU that gains nothing."""
    for latency in ("low", "medium"):
        engine = demo(latency).engine
        pushed(engine, talk(20.0), 1)
        for n_streams in (1, 4, 16, 64):
            # as much sound in all
            seconds = max(30.0, 240.0 / n_streams)
            report.line(
                f"{latency}: streams a core, {n_streams} at once", pushed(engine, talk(seconds), n_streams), "", None
            )


def chunks_of(name: str, sound: Floats) -> Iterator[Chunk]:
    n_chunks = -(-len(sound) // CHUNK)
    for seq in range(n_chunks):
        data = encoded_chunk(sound[seq * CHUNK : (seq + 1) * CHUNK], RATE, "pcm_s16le")
        final = seq == n_chunks - 1
        yield Chunk(stream_id=name, seq=seq, sample_rate=RATE, codec="pcm_s16le", data=data, final=final)


def run_job(source: MessageSource, out: Path, load: Any, **rules: Any) -> None:
    """Run the live job on the direct runner."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_curator.transforms.live.stream_messages import StreamMessages

    prepare_live_output(str(out), overwrite=True)
    with beam.Pipeline(runner="FnApiRunner", options=PipelineOptions(["--streaming"])) as pipeline:
        _ = pipeline | StreamMessages(source, str(out), rules=LiveRules(**rules), load=load)


def bench_job(report: Report) -> None:
    """Compare the streams that the job hears on a core with those of bare steps, one by one."""
    loaded, sound = demo("medium"), talk(120.0)
    bare = pushed(loaded.engine, sound, 1)
    with tempfile.TemporaryDirectory(prefix="beam_curator-bench-") as name:
        folder, out = Path(name) / "chunks", Path(name) / "out"
        folder.mkdir()
        for number in range(8):
            for chunk in chunks_of(f"s{number}", sound):
                put_chunk(str(folder), chunk)
        # Beam is loaded by a job that has nothing to do
        (empty := Path(name) / "empty").mkdir()
        run_job(MessageSource(str(empty), "", 0.1), out, partial(demo, "medium"))
        begin = time.process_time()
        run_job(MessageSource(str(folder), "", 0.1), out, partial(demo, "medium"))
        job = 8 * 120.0 / (time.process_time() - begin)
    report.line("medium: streams a core, bare steps", bare, "", None)
    report.line("medium: streams a core, the job", job, "", None)
    report.line("the job / bare steps", job / bare, "", 0.8, at_least=True)


def bench_latency(report: Report) -> None:
    """Measure from the arrival of the last sample of a step to its event, without the model's time.

    Who sends, and who waits for the events, does it in a process of its own.
    """
    with tempfile.TemporaryDirectory(prefix="beam_curator-bench-") as name:
        folder, out = Path(name) / "chunks", Path(name) / "out"
        folder.mkdir()
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            waiting = pool.submit(send_and_watch, folder, out)
            while not (Path(name) / "ready").exists():
                time.sleep(0.1)
            run_job(MessageSource(str(folder), "", 15.0), out, full_size, progress_every=0.48)
            waits = sorted(waiting.result())
    for share, target in ((0.5, 0.1), (0.95, 0.3), (0.99, None)):
        wait = waits[int(len(waits) * share)]
        report.line(f"added latency, {N_STREAMS} streams, p{share * 100:.0f}", wait, "s", target)


def send_and_watch(folder: Path, out: Path) -> list[float]:
    """Send streams in real time; return how long the event of each step took from the chunk that completed it."""
    put_at: dict[tuple[str, int], float] = {}
    streams = [list(chunks_of(f"s{number}", talk(15.0))) for number in range(N_STREAMS)]
    seen: list[float] = []
    (folder.parent / "ready").touch()
    while not out.exists():
        time.sleep(0.1)
    watcher = threading.Thread(target=_watch, args=(EventReader(str(out)), put_at, seen))
    watcher.start()
    # the job needs a while to begin
    begin, n_sent = time.time() + 8.0, 0
    for chunks in zip(*streams, strict=True):
        for chunk in chunks:
            time.sleep(max(0.0, begin + n_sent * CHUNK / RATE / N_STREAMS - time.time()))
            put_at[chunk.key[0], chunk.seq] = time.time()
            put_chunk(str(folder), chunk)
            n_sent += 1
    watcher.join()
    return seen


def _watch(reader: EventReader, put_at: dict[tuple[str, int], float], seen: list[float]) -> None:
    """Note when the events of steps come that a chunk completed, until all sessions have ended."""
    engine, n_open, until = full_size().engine, N_STREAMS, time.time() + 120.0
    while n_open and time.time() < until:
        now = time.time()
        for event in reader.new_events():
            n_open -= event["type"] == "closed"
            if event["type"] == "progress":
                n_frames = round(event["decided_until"] / 0.08) + 7
                seq = (engine._mel.stop_sample(n_frames * 8) - 1) // CHUNK
                # the last step of a session is decided with fewer samples
                if (event["stream_id"], seq) in put_at:
                    seen.append(now - put_at[event["stream_id"], seq])
        time.sleep(0.01)


def bench_memory(report: Report) -> None:
    """Count the bytes of state of each stream, of one and of 64 beside each other, after half a minute."""
    sound, each = talk(30.0), {}
    for n_streams in (1, 64):
        streams = [list(chunks_of(f"s{number}", sound))[:-1] for number in range(n_streams)]
        rules = LiveRules(streams_per_shard=n_streams)
        each[n_streams] = bytes_of_streams(rules, full_size(), map(list, zip(*streams, strict=True))) / n_streams
        report.line(f"state of a stream, {n_streams} beside each other", each[n_streams] / 1024, "KiB", None)
    report.line("64 streams / 1, each", each[64] / each[1], "", 1.01)


def bench_soak(report: Report, hours: float) -> None:
    """Measure the memory of a job that goes on for hours, of streams that do not end and of sessions that follow."""
    n_rounds = round(hours * 3600 * RATE / CHUNK)
    sound = talk(60.0)
    streams = EndlessStreams([chunk.data for chunk in chunks_of("any", sound)][:-1], n_rounds)
    STREAMS[:] = [streams]
    with tempfile.TemporaryDirectory(prefix="beam_curator-bench-") as name:
        with MemoryWatch(streams, n_rounds) as watch:
            run_job(SoakSource(name, "", 0.5), Path(name) / "out", full_size)
        n_sessions = len(list((Path(name) / "out" / "entries").iterdir()))
    report.line("sessions of the soak", n_sessions, "", None)
    report.line("memory at a tenth of the soak", watch.seen[1], "MB", None)
    report.line("memory at its end / at a tenth", watch.seen[-1] / watch.seen[1], "", 1.05)


if __name__ == "__main__":
    main()
