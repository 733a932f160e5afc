"""The state of a stream in three parts, of which a step writes what it changed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from beam_curator.diarization.models import Floats
from beam_curator.diarization.sortformer_streaming import StreamingSortformer, diarize
from beam_curator.diarization.stream_state import BEGINNING, ChangedParts, Mark, StreamState
from beam_curator.diarization.streaming_parameters import StreamingParameters
from benchmarks.random_sortformer import talk
from tests.diarization.backends import NumpyBackend

WALK = StreamingParameters(
    chunk_len=6, chunk_left_context=1, chunk_right_context=2, fifo_len=9, spkcache_update_period=8, spkcache_len=20
)
TALK = talk(12.007, seed=1)


@dataclass(slots=True)
class Store:
    """The parts as they lie in a store, and how often each was written."""

    head: bytes = b""
    cache: bytes | None = None
    fifo: list[bytes] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def write(self, parts: ChangedParts) -> None:
        self.head = parts.head
        if parts.cache is not None:
            self.cache = parts.cache
            self.written.append("cache")
        if parts.clears_fifo:
            self.fifo.clear()
            self.written.append("clear")
        if parts.fifo is not None:
            self.fifo.append(parts.fifo)
            self.written.append("fifo")

    def read(self, model: StreamingSortformer) -> StreamState:
        state = model.new_state()
        # a bag has no order
        state.restore(self.head, self.cache, self.fifo[::-1])
        return state


def heard_through(model: StreamingSortformer, wave: Floats, pieces: Sequence[int]) -> tuple[Floats, list[list[str]]]:
    """Return the probabilities of a waveform whose state is put away behind each piece, and what was written."""
    store, written, decided = Store(), [], []
    state, mark = model.new_state(), BEGINNING
    start = 0
    for stop in [*pieces, len(wave)]:
        (found,) = model.push([state], [wave[start:stop]], [stop == len(wave)])
        assert not isinstance(found, Exception)
        decided.append(found)
        store.write(state.changed_parts(mark))
        written.append(store.written)
        store.written = []
        if not state.is_closed:
            state = store.read(model)
            mark = state.mark()
        start = stop
    return np.concatenate(decided), written


@pytest.mark.parametrize("asynchronous", [False, True])
def test_parts_put_together_are_the_state(asynchronous: bool) -> None:
    model = StreamingSortformer(NumpyBackend(), replace(WALK, asynchronous=asynchronous))
    (whole,) = diarize(model, [TALK])
    found, written = heard_through(model, TALK, range(8000, len(TALK), 7700))
    assert np.array_equal(found, whole)  # type: ignore[arg-type]  # no exception
    assert {tuple(parts) for parts in written} == {(), ("fifo",), ("cache", "clear", "fifo")}


def test_a_step_between_compressions_writes_little() -> None:
    # at full size: 512 numbers a frame, 128 bands
    state = StreamState(
        origin="{}",
        cache=np.zeros((188, 512), np.float32),
        cache_predictions=np.zeros((188, 4), np.float32),
        fifo=np.zeros((150, 512), np.float32),
        silence_mean=np.zeros(512, np.float32),
        mel=np.zeros((64, 128), np.float32),
        audio=[np.zeros(400, np.float32)],
        n_moves=3,
    )
    parts = state.changed_parts(Mark(3, 144))
    assert (parts.cache, parts.clears_fifo) == (None, False)
    assert len(parts.head) + len(parts.fifo or b"") < 54_000
    assert len(state.to_bytes()) > 690_000


def rewritten(data: bytes, **header: object) -> bytes:
    with np.load(io.BytesIO(data)) as archive:
        arrays = dict(archive)
    changed = json.loads(arrays["header"].tobytes()) | header
    arrays["header"] = np.frombuffer(json.dumps(changed).encode(), np.uint8)
    target = io.BytesIO()
    np.savez(target, **arrays)
    return target.getvalue()


def test_a_part_that_is_damaged_newer_or_of_another_moment_is_refused() -> None:
    model = StreamingSortformer(NumpyBackend(), WALK)
    state, store = model.new_state(), Store()
    model.push([state], [TALK], [False])
    store.write(state.changed_parts(BEGINNING))
    whole = replace_of(store)
    assert whole.read(model).to_bytes() == state.to_bytes()
    assert store.cache is not None
    for changes, message in (
        ({"cache": None}, "without its speaker cache: begin with a new state"),
        ({"cache": rewritten(store.cache, n_moves=99)}, "cache after 99 moves, head after"),
        ({"cache": rewritten(store.cache, version=2)}, "version 2, but .* version 1 is expected"),
        ({"cache": store.head}, "a state of 'beam_curator.StreamState.head'"),
        ({"head": store.head[:-40]}, "no state of a stream, or damaged"),
        ({"fifo": [rewritten(store.fifo[0], first=4)]}, "frames from 4 on follow 0"),
    ):
        with pytest.raises(ValueError, match=message):
            replace_of(store, **changes).read(model)
    other = StreamingSortformer(NumpyBackend(), replace(WALK, chunk_right_context=3))
    with pytest.raises(ValueError, match="chunk_right_context 2 instead of 3"):
        store.read(other)


def replace_of(store: Store, **changes: object) -> Store:
    return replace(store, **changes)  # type: ignore[arg-type]  # by their names
