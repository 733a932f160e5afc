"""An hour of live streams as fast as they go, on the direct runner: the memory of the job, and what its state holds.

python benchmarks/bench_stream.py --parts soak --hours 1
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from beam_curator.live.cells import ShardCells, Slot
from beam_curator.live.live_options import LiveRules
from beam_curator.live.messages import Chunk, Sent
from beam_curator.live.session_state import HearingRules
from beam_curator.live.shard import hear_shard
from beam_curator.transforms.live.message_source import MessageSource

N_ENDLESS = 4
CHUNKS_EACH = 10
"""Of a session that ends."""

_PAGE_MB = 4096 / 1e6


class EndlessStreams:
    """Streams that never end, and beside them sessions that follow one another.

    Args:
      pieces: the sound of chunks, one after the other, again and again.
      n_rounds: chunks of each stream.
    """

    place = 0

    def __init__(self, pieces: list[bytes], n_rounds: int) -> None:
        self.n_given = 0
        self._pieces, self._n_rounds = pieces, n_rounds
        self._next: deque[bytes] = deque()

    def next_message(self) -> Sent | None:
        if not self._next and self.n_given < self._n_rounds:
            self._make_round(self.n_given)
            self.n_given += 1
        return Sent(self._next.popleft(), time.time()) if self._next else None

    def _make_round(self, number: int) -> None:
        data = self._pieces[number % len(self._pieces)]
        session, seq = divmod(number, CHUNKS_EACH)
        chunks = [
            *((f"endless-{n}", number, False) for n in range(N_ENDLESS)),
            (f"short-{session}", seq, seq == CHUNKS_EACH - 1),
        ]
        for name, place, final in chunks:
            made = Chunk(stream_id=name, seq=place, sample_rate=16000, codec="pcm_s16le", data=data, final=final)
            self._next.append(made.to_bytes())

    def take_acks(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None: ...


class KeptValue:
    """A value of state in memory."""

    def __init__(self) -> None:
        self.kept = b""

    def read(self) -> bytes | None:
        return self.kept or None

    def write(self, value: bytes) -> None:
        self.kept = value

    def clear(self) -> None:
        self.kept = b""


class KeptBag:
    """A bag of state in memory."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def read(self) -> list[bytes]:
        return list(self.kept)

    def add(self, value: bytes) -> None:
        self.kept.append(value)

    def clear(self) -> None:
        self.kept = []


def bytes_of_streams(rules: LiveRules, hearing: HearingRules, rounds: Iterable[list[Chunk]]) -> int:
    """Return how much a shard keeps when it has heard chunks of its streams, round by round."""
    slots = [Slot(KeptValue(), KeptValue(), KeptBag(), KeptBag(), KeptBag()) for _ in range(rules.streams_per_shard)]
    cells = ShardCells(KeptValue(), KeptValue(), slots)
    for chunks in rounds:
        deque(hear_shard(cells, [(chunk.to_bytes(), 0.0, 0.0) for chunk in chunks], rules, hearing), maxlen=0)
    values = [slot.head.read() or b"" for slot in slots] + [slot.cache.read() or b"" for slot in slots]
    bags = [value for slot in slots for bag in (slot.fifo, slot.waiting, slot.turns) for value in bag.read()]
    return sum(map(len, [*values, *bags, cells.sessions.read() or b""]))


STREAMS: list[EndlessStreams] = []
"""The streams of this process: readers come and go."""


class SoakSource(MessageSource):
    """Reads the streams of this process."""

    def create_reader(self, options: Any, checkpoint_mark: Any) -> Any:
        reader: Any = super().create_reader(options, checkpoint_mark)
        reader._messages = STREAMS[0]
        return reader


class MemoryWatch:
    """Notes the memory of this process in MB, twenty times on the way.

    Args:
      streams: that are given.
      n_rounds: how many rounds there are.
    """

    def __init__(self, streams: EndlessStreams, n_rounds: int) -> None:
        self.seen: list[float] = []
        self._streams, self._n_rounds = streams, n_rounds
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        # the last tenth is over
        self._n_rounds = 0
        self._thread.join()

    def _watch(self) -> None:
        while self._n_rounds:
            if self._streams.n_given >= self._n_rounds * (len(self.seen) + 1) / 20:
                self.seen.append(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MB)
            time.sleep(0.05)
