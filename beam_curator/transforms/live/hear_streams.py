"""The live step on Beam: messages to shards, and shards to events, with the state of sessions in Beam's state."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_curator.failures import EntryError, Failure
from beam_curator.live.arriving import END, Arrived, Told
from beam_curator.live.cells import ShardCells, Slot
from beam_curator.live.directory import sessions_of
from beam_curator.live.events import Event
from beam_curator.live.lag import LAG, lag_steps
from beam_curator.live.live_options import LiveRules
from beam_curator.live.messages import chunk_of
from beam_curator.live.session_state import HearingRules
from beam_curator.live.shard import Remembered, hear_shard, shard_of
from beam_curator.transforms.metrics import counted

_Batch = tuple[int, list[Arrived]]
_Failed = TaggedOutput[Literal["failures"], Failure]


HeardStreams = tuple[PCollection[Event], PCollection[Failure]]


class HearStreams(beam.PTransform[PCollection[Arrived], HeardStreams]):
    """Tell who speaks when in live streams: messages in, events and failures out.

    Batches are made in the bundle that reads: what it holds for a shard is one element. Sessions that are open when
    `END` comes are closed as `drained`.

    Args:
      rules: how chunks become sessions.
      load: loads the model; it is called once a process.
      ticks: whether messages without bytes tell the time; else timers of the engine do.

    Returns:
      Events, and failures.
    """

    def __init__(self, rules: LiveRules, load: Callable[[], HearingRules], *, ticks: bool = True) -> None:
        super().__init__()
        self._rules = rules
        self._load = load
        self._ticks = ticks

    def expand(self, messages: PCollection[Arrived]) -> HeardStreams:
        hear = beam.ParDo((_HearShardsFn if self._ticks else _HearUntickedShardsFn)(self._rules, self._load))
        by_shard = beam.ParDo(_BatchByShardFn(self._rules.shards))
        # the key of the state has a coder by its type
        batches = messages | "Batch by shard" >> by_shard.with_output_types(_Batch)
        events, failures = batches | "Hear shards" >> hear.with_outputs("failures", main="events")
        return events, failures


class _BatchByShardFn(beam.DoFn):
    """Gathers the messages of a bundle for each shard; the time goes to all shards.

    What belongs to no stream goes to the first, which makes a failure of it: failures of two steps would have to be
    joined, and the direct runner passes on what it joins when all streams have ended.
    """

    def __init__(self, n_shards: int) -> None:
        self._n_shards = n_shards

    def start_bundle(self) -> None:
        self._batches: dict[int, list[Arrived]] = {}
        self._latest = Timestamp(0)

    def process(self, arrived: Arrived, timestamp: Any = beam.DoFn.TimestampParam) -> None:
        message, *_times = arrived
        self._latest = max(self._latest, timestamp)
        try:
            shards = [shard_of(chunk_of(message), self._n_shards)] if message else range(self._n_shards)
        except EntryError:
            shards = [0]
        for shard in shards:
            self._batches.setdefault(shard, []).append(arrived)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for batch in self._batches.items():
            yield WindowedValue(batch, self._latest, (GlobalWindow(),))


_VALUES, _BAGS = ("head", "cache"), ("fifo", "waiting", "turns")


def _state_specs(n_slots: int) -> dict[str, Any]:
    """Return the state of a shard by name. The names are fixed: an update of a job finds its state by them."""
    coder = BytesCoder()
    specs: dict[str, Any] = {name: ReadModifyWriteStateSpec(name, coder) for name in ("sessions", "ended")}
    for slot in range(n_slots):
        specs |= {f"{name}_{slot}": ReadModifyWriteStateSpec(f"{name}_{slot}", coder) for name in _VALUES}
        specs |= {f"{name}_{slot}": BagStateSpec(f"{name}_{slot}", coder) for name in _BAGS}
    return specs


class _HearShardsFn(beam.DoFn):
    """Hears the streams of a shard.

    A slot needs five states, and how many slots there are is an option. So the parameters of `process` are not written
    down, but told to Beam when it asks for them by `_inspect_process`.
    """

    def __init__(self, rules: LiveRules, load: Callable[[], HearingRules]) -> None:
        self._rules = rules
        self._load = load
        self._specs = _state_specs(rules.streams_per_shard)
        # of this step alone: another one in the process may have another model
        self._shared = Shared()

    def setup(self) -> None:
        self._hearing = self._shared.acquire(self._load_once)
        self._remembered: Remembered = {}

    def _load_once(self) -> Any:
        return _Loaded(self._load())

    def _inspect_process(self) -> tuple[list[str], list[Any]]:
        return ["element", *self._specs], [beam.DoFn.StateParam(spec) for spec in self._specs.values()]

    def process(self, element: _Batch, *states: Any) -> Iterator[Event | _Failed]:
        _shard, messages = element
        yield from self._heard(messages, dict(zip(self._specs, states, strict=True)))

    def _heard(self, messages: list[Arrived], cell: dict[str, Any]) -> Iterator[Event | _Failed]:
        """Hear messages with the states of a shard, by name."""
        slots = [
            Slot(*(cell[f"{name}_{slot}"] for name in (*_VALUES, *_BAGS)))
            for slot in range(self._rules.streams_per_shard)
        ]
        cells = ShardCells(sessions=cell["sessions"], ended=cell["ended"], slots=slots)
        yield from map(_tagged, hear_shard(cells, messages, self._rules, self._hearing.rules, self._remembered))
        for step, n in lag_steps((sent for message, _, sent in messages if message), time.time()).items():
            counted(f"{LAG}{step}", n)


_TICK, _END = TimerSpec("tick", TimeDomain.REAL_TIME), TimerSpec("end", TimeDomain.WATERMARK)
_TICK_SECONDS = 1.0


class _HearUntickedShardsFn(_HearShardsFn):
    """Hears the streams of a shard whose source tells no time: timers do, and when the source is drained."""

    def _inspect_process(self) -> tuple[list[str], list[Any]]:
        names, states = super()._inspect_process()
        return [*names, "tick", "end"], [*states, beam.DoFn.TimerParam(_TICK), beam.DoFn.TimerParam(_END)]

    def _inspect_on_tick(self) -> tuple[list[str], list[Any]]:
        names, states = super()._inspect_process()
        return [*names[1:], "tick"], [*states, beam.DoFn.TimerParam(_TICK)]

    _inspect_on_end = _inspect_on_tick

    def process(self, element: _Batch, *states_and_timers: Any) -> Iterator[Event | _Failed]:
        *states, tick, end = states_and_timers
        end.set(GlobalWindow().max_timestamp())
        yield from super().process(element, *states)
        self._go_on(states[0], tick)

    @on_timer(_TICK)
    def on_tick(self, **cell: Any) -> Iterator[Event | _Failed]:
        """Let the time go on while sessions do."""
        tick, now = cell.pop("tick"), time.time()
        yield from self._heard([(b"", now, now)], cell)
        self._go_on(cell["sessions"], tick)

    @on_timer(_END)
    def on_end(self, **cell: Any) -> Iterator[Event | _Failed]:
        """Close the sessions that are open when the source is drained."""
        cell.pop("tick").clear()
        yield from self._heard([END], cell)

    def _go_on(self, sessions: Any, tick: Any) -> None:
        if sessions_of(sessions.read()):
            tick.set(Timestamp(time.time() + _TICK_SECONDS))


def _tagged(told: Told) -> Any:
    return TaggedOutput("failures", told) if isinstance(told, Failure) else told


class _Loaded:
    """A loaded model, which can be shared: a tuple has no weak reference."""

    def __init__(self, rules: HearingRules) -> None:
        self.rules = rules
