"""The live job without ticks: messages of Pub/Sub as Dataflow gives them, and timers in place of a clock."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from beam_curator.live.live_options import LiveRules
from beam_curator.live.messages import Chunk, chunk_of
from beam_curator.live.outgoing import Outgoing
from beam_curator.transforms.live.hear_streams import _HearUntickedShardsFn
from beam_curator.transforms.live.stream_subscription import arrived_of, message_of
from tests.live.live_shards import MemoryBag, MemoryValue, Shard, chunks_of, rttm_of_whole
from tests.transforms.live.test_stream_messages import SOUND, load


def test_messages_come_and_go_as_the_engine_has_them() -> None:
    chunk = Chunk(stream_id="a", seq=1, sample_rate=8000, codec="mulaw", data=b"\x00\xff")
    at = datetime.datetime.fromtimestamp(1_700_000_000, datetime.UTC)
    data, now, sent = arrived_of(PubsubMessage(chunk.data, chunk.attributes(), publish_time=at))
    assert (chunk_of(data), sent) == (chunk, 1_700_000_000)
    assert now > sent
    # poison has no attributes; it becomes a dead letter later
    assert arrived_of(PubsubMessage(b"poison", None))[0].endswith(b"poison")
    assert message_of(Outgoing(b"{}", {"type": "closed"})) == PubsubMessage(b"{}", {"type": "closed"})


class Timer:
    """A timer that remembers for when it is set."""

    def __init__(self) -> None:
        self.at: float | None = None

    def set(self, at: Timestamp) -> None:
        self.at = float(at.micros) / 1e6

    def clear(self) -> None:
        self.at = None


class Untimed:
    """A shard on an engine whose source tells no time, without the engine.

    Args:
      rules: of the streams.
    """

    def __init__(self, **rules: Any) -> None:
        self._fn = _HearUntickedShardsFn(LiveRules(streams_per_shard=2, **rules), load)
        self._fn.setup()
        names, self._states = self._fn._inspect_process()
        self._cells = {
            name: MemoryBag() if name.partition("_")[0] in ("fifo", "waiting", "turns") else MemoryValue()
            for name in names[1:-2]
        }
        self.tick, self.end = Timer(), Timer()

    def tell(self, chunks: Sequence[Chunk], at: float) -> list[Any]:
        messages = [(chunk.to_bytes(), at, at) for chunk in chunks]
        return list(self._fn.process((0, messages), *self._cells.values(), self.tick, self.end))

    def fire(self, name: str) -> list[Any]:
        """Let a timer fire, as an engine does: its method gets what it asks for by name."""
        names, _ = getattr(self._fn, f"_inspect_{name}")()
        given = {**self._cells, "tick": self.tick}
        return list(getattr(self._fn, name)(**{each: given[each] for each in names}))


def reasons_in(events: Sequence[Any]) -> list[str]:
    return [event["reason"] for event in events if event["type"] == "closed"]


def test_the_time_goes_on_while_sessions_do() -> None:
    shard, chunks = Untimed(idle_timeout=100.0, gap_timeout=50.0), chunks_of(SOUND, 8000)
    now = time.time()
    shard.tell([*chunks[:3], *chunks[4:-1]], at=now - 60)
    assert shard.end.at == GlobalWindow().max_timestamp().micros / 1e6
    assert shard.tick.at is not None
    assert now < shard.tick.at < now + 10
    shard.tick.clear()
    assert [event["first_seq"] for event in shard.fire("on_tick") if event["type"] == "gap"] == [3]
    assert shard.tick.at is not None


def test_sessions_end_by_the_time_and_timers_with_them() -> None:
    shard = Untimed(idle_timeout=10.0)
    shard.tell(chunks_of(SOUND, 8000)[:-1], at=time.time() - 20)
    shard.tick.clear()
    assert reasons_in(shard.fire("on_tick")) == ["idle"]
    assert shard.tick.at is None


def test_a_source_that_is_drained_closes_what_is_open() -> None:
    shard, chunks = Untimed(), chunks_of(SOUND, 8000)
    events = shard.tell(list(reversed(chunks)), at=time.time())
    assert events[-1]["rttm"] == rttm_of_whole(Shard(), SOUND)
    shard.tell([replace(chunk, stream_id="b") for chunk in chunks[:-1]], at=time.time())
    assert reasons_in(shard.fire("on_end")) == ["drained"]
    assert shard.tick.at is None
