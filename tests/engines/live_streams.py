"""Live streams for the tests of engines: recordings in chunks that come late, twice or not at all."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from beam_curator.files import pubsub_messages
from beam_curator.files.message_places import send_chunk
from beam_curator.files.publishing import Publication
from beam_curator.live.messages import Chunk
from tests.fakes_models import Speech
from tests.manifests import run

TOPIC, SUBSCRIPTION = "projects/test/topics/chunks", "projects/test/subscriptions/chunks"
SPEECH: list[Speech] = [(0.16, 1.04, 0), (0.96, 1.6, 1), (6.4, 7.2, 2), (9.6, 11.2, 0)]
ROUND_TABLE = Path(__file__).parents[2] / "examples" / "round_table.opus"


def chunks_of(path: Path, chunk_seconds: float = 0.5) -> list[Chunk]:
    """Return a recording as a stream of its name."""
    publication = Publication(
        path=str(path), stream_id=path.stem, session="", codec="pcm_s16le", chunk_seconds=chunk_seconds
    )
    return list(publication.chunks())


def arrivals(streams: Sequence[Sequence[Chunk]]) -> list[Chunk]:
    """Return the chunks side by side, a tenth of them up to five places late, and a twentieth twice."""
    dice = random.Random(1)
    longest = max(map(len, streams))
    order = [chunk for place in range(longest) for own in streams for chunk in own[place : place + 1]]
    late = [dice.randint(1, 5) * len(streams) if dice.random() < 0.1 else 0 for _ in order]
    keyed = [(n + by, chunk) for n, (by, chunk) in enumerate(zip(late, order, strict=True))]
    keyed += [(n + dice.randint(0, 30), chunk) for n, chunk in enumerate(order) if dice.random() < 0.05]
    return [chunk for _, chunk in sorted(keyed, key=lambda pair: pair[0])]


def left_in_subscription() -> list[Any]:
    """Return what comes again once every lease is over."""
    time.sleep(11)
    request = {"subscription": SUBSCRIPTION, "max_messages": 100, "return_immediately": True}
    return list(pubsub_messages._subscriber().pull(request=request, timeout=10).received_messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Streams with everything that may happen to them, and the job that hears them.

    Attributes:
      chunks: as they are sent; the first stream lacks one, the second is cut off for a while, the last has no end.
      options: of the job, but for its source, output and engine.
      rttm: of the batch job, by name.
      ends: of the sessions, by name.
    """

    chunks: Sequence[Chunk]
    options: Sequence[str]
    rttm: dict[str, str]
    ends: dict[str, str]

    def publish(self, seconds: float = 0.0) -> None:
        """Send all of it within so many seconds, and a message that is none."""
        begun = time.monotonic()
        for place, chunk in enumerate(self.chunks):
            time.sleep(max(0.0, begun + seconds * place / len(self.chunks) - time.monotonic()))
            send_chunk(TOPIC, chunk)
            if place == len(self.chunks) // 2:
                pubsub_messages._publisher().publish(TOPIC, b"poison").result()


def rttm_in(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "rttm").glob("*.rttm")}


def check_sessions(output: Path, calls: Calls) -> None:
    """Fail where sessions are not those of the batch job, or one has another end."""
    assert rttm_in(output) == calls.rttm
    ends = {path.stem: json.loads(path.read_bytes())["closed"] for path in (output / "entries").iterdir()}
    assert ends == calls.ends


def check_output(output: Path, calls: Calls) -> None:
    """Fail where results are not those of the batch job, or a failure is missing or one too many."""
    check_sessions(output, calls)
    # after a crash it may have been written twice
    failures = {line: json.loads(line)["code"] for line in (output / "failures.jsonl").read_bytes().splitlines()}
    assert list(failures.values()) == ["bad_message"]


def calls_of(files: Sequence[Path], folder: Path, model: Sequence[str], rules: Sequence[str]) -> Calls:
    """Return recordings as streams, with everything that may happen to them; the first has a pause from 4.0 to 4.5."""
    assert run("diarize", *files, "--output", folder / "batch", *model, "--vad", "energy") == 0
    streams = [chunks_of(path) for path in files]
    gap, cut, endless = [*streams[0][:8], *streams[0][9:]], len(streams[1]) // 2, replace(streams[-1][-1], final=False)
    sent = [gap, streams[1][:cut], *streams[2:-1], [*streams[-1][:-1], endless]]
    ends = {path.stem: "final" for path in files[:-1]} | {files[-1].stem: "drained"}
    chunks = [*arrivals(sent), *streams[1][cut:]]
    return Calls(chunks=chunks, options=(*model, *rules), rttm=rttm_in(folder / "batch"), ends=ends)


def long_calls_in(folder: Path) -> Calls:
    """Return two dozen streams of five minutes; all come to their end but the last, which the job has to drain."""
    talk, rate = soundfile.read(ROUND_TABLE, dtype="int16")
    samples = np.resize(talk[:: rate // 16000], 300 * 16000)
    files = []
    for number in range(24):
        own = np.roll(samples, number * 20_000)
        own[64_000:72_000] = 0
        files.append(folder / f"talk-{number}.wav")
        soundfile.write(files[-1], own, 16000)
    times, room = ("--gap-timeout", "5", "--idle-timeout", "600"), ("--shards", "4", "--streams-per-shard", "16")
    return calls_of(files, folder, ("--model-name", "demo", "--latency", "medium"), (*times, *room))
