"""A shard whose state lies in memory, and streams of chunks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from beam_curator.diarization.dead_air import DeadAirMeter, without_dead_air
from beam_curator.diarization.models import Backend, Floats
from beam_curator.diarization.rttm import render_rttm
from beam_curator.diarization.sortformer_streaming import StreamingSortformer, diarize
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import turns_from_probabilities
from beam_curator.failures import Failure
from beam_curator.live.arriving import Arrived
from beam_curator.live.cells import ShardCells, Slot
from beam_curator.live.events import Event
from beam_curator.live.live_options import LiveRules
from beam_curator.live.messages import Chunk
from beam_curator.live.session_state import HearingRules
from beam_curator.live.shard import Remembered, hear_shard
from beam_curator.live.sound import encoded_chunk
from tests.fakes_models import BandBackend


@dataclass(slots=True)
class MemoryValue:
    """A cell in memory, which counts the bytes that were written."""

    value: bytes | None = None
    n_written: int = 0

    def read(self) -> bytes | None:
        return self.value

    def write(self, value: bytes) -> None:
        self.value = value
        self.n_written += len(value)

    def clear(self) -> None:
        self.value = None


@dataclass(slots=True)
class MemoryBag:
    """A bag in memory, which gives the latest first: a bag has no order."""

    values: list[bytes] = field(default_factory=list)
    n_written: int = 0

    def read(self) -> list[bytes]:
        return self.values[::-1]

    def add(self, value: bytes) -> None:
        self.values.append(value)
        self.n_written += len(value)

    def clear(self) -> None:
        self.values.clear()


def empty_cells(n_slots: int) -> ShardCells:
    slots = [
        Slot(head=MemoryValue(), cache=MemoryValue(), fifo=MemoryBag(), waiting=MemoryBag(), turns=MemoryBag())
        for _ in range(n_slots)
    ]
    return ShardCells(sessions=MemoryValue(), ended=MemoryValue(), slots=slots)


class Shard:
    """A shard that is told messages and the time."""

    def __init__(
        self, backend: Backend | None = None, latency: str = "low", turns: TurnRules | None = None, **rules: Any
    ) -> None:
        engine = StreamingSortformer(backend if backend is not None else BandBackend(), LATENCY_PRESETS[latency])
        self.rules = LiveRules(**rules)
        self.hearing = HearingRules(engine, turns if turns is not None else TurnRules())
        self.cells = empty_cells(self.rules.streams_per_shard)
        self.remembered: Remembered | None = None
        self.events: list[Event] = []
        self.failures: list[Failure] = []

    def tell(self, *messages: Chunk | bytes, at: float = 0.0) -> list[Event]:
        """Tell messages that come at a time; return the events that they bring."""
        arrived: list[Arrived] = [(each if isinstance(each, bytes) else each.to_bytes(), at, at) for each in messages]
        told = list(hear_shard(self.cells, arrived or [(b"", at, at)], self.rules, self.hearing, self.remembered))
        self.failures += [each for each in told if isinstance(each, Failure)]
        new = [each for each in told if not isinstance(each, Failure)]
        self.events += new
        return new

    def codes(self) -> list[str]:
        return [str(failure.code) for failure in self.failures]

    def closed(self, stream_id: str = "a", session: str = "") -> Event:
        """Return the one event that closes a session."""
        (event,) = (
            each
            for each in self.events
            if each["type"] == "closed" and (each["stream_id"], each["session"]) == (stream_id, session)
        )
        return event


def chunks_of(
    sound: Floats,
    sizes: int | Sequence[int] = 7680,
    *,
    stream_id: str = "a",
    session: str = "",
    sample_rate: int = 16000,
    codec: str = "pcm_s16le",
) -> list[Chunk]:
    """Cut float32 [n_samples] into chunks, of which the last is final."""
    n_chunks = -(-len(sound) // sizes) if isinstance(sizes, int) else len(sizes) + 1
    edges = [sizes * number for number in range(1, n_chunks)] if isinstance(sizes, int) else np.cumsum(sizes).tolist()
    pieces = np.split(sound, edges)
    made = Chunk(stream_id=stream_id, session=session, seq=0, sample_rate=sample_rate, codec=codec, data=b"")
    return [
        replace(made, seq=seq, data=encoded_chunk(piece, sample_rate, codec), final=seq == len(pieces) - 1)
        for seq, piece in enumerate(pieces)
    ]


def rounded(sound: Floats) -> Floats:
    """Return sound as 16 bits hold it."""
    return np.frombuffer(encoded_chunk(sound, 16000, "pcm_s16le"), "<i2").astype(np.float32) / 32768


def rttm_of_whole(shard: Shard, sound: Floats, name: str = "a") -> str:
    """Return the RTTM of a whole stream at 16 kHz, as the batch job makes it."""
    (frames,) = diarize(shard.hearing.engine, [sound])
    assert not isinstance(frames, Exception)
    meter = DeadAirMeter()
    meter.add(sound)
    gated = without_dead_air(frames, 0.08, meter.spans())
    return render_rttm(name, turns_from_probabilities(gated, shard.hearing.turns, 0.08, len(sound) / 16000))


def without_waiting(events: Iterable[Event]) -> list[Event]:
    """Return events without what depends on when messages came."""
    return [{name: value for name, value in event.items() if name != "waiting"} for event in events]
