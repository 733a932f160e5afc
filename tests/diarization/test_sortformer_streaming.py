import io
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.diarization.mel import MelFrontEnd
from beam_curator.diarization.models import Floats, OutOfMemoryError
from beam_curator.diarization.sortformer_streaming import StreamingSortformer, StreamState, diarize
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS, StreamingParameters
from benchmarks.random_sortformer import talk
from tests.diarization.backends import NemoBackend, NumpyBackend, load_nemo, n_frames_of, nemo_frames

pytestmark = pytest.mark.heavy

SMALL = StreamingParameters(
    chunk_len=6, chunk_left_context=1, chunk_right_context=2, fifo_len=9, spkcache_update_period=8, spkcache_len=20
)
PARAMETERS = {
    **LATENCY_PRESETS,
    "small": SMALL,
    "yaml": StreamingParameters(
        chunk_len=188, chunk_right_context=1, fifo_len=0, spkcache_update_period=188, spkcache_len=188
    ),
    "long left": replace(SMALL, chunk_left_context=15, chunk_right_context=0),
    "period below the chunk": replace(SMALL, spkcache_update_period=1),
}
TALK = talk(30.007, seed=1)


def engine(parameters: StreamingParameters = SMALL, **options: Any) -> StreamingSortformer:
    return StreamingSortformer(NumpyBackend(**options), parameters)


def array(result: Floats | Exception) -> Floats:
    if isinstance(result, Exception):
        raise result
    return result


def fed(model: StreamingSortformer, wave: Floats, cuts: Sequence[int], *, through_bytes: bool) -> Floats:
    """Return the probabilities of a waveform that comes in pieces."""
    state, parts = model.new_state(), []
    edges = [0, *sorted(cuts), len(wave)]
    for start, stop in pairwise(edges):
        piece = wave[start:stop].copy()
        parts.append(array(model.push([state], [piece], [stop == len(wave) and start == edges[-2]])[0]))
        piece[:] = np.nan  # the caller's array is the caller's again
        if state.is_closed:
            break
        if through_bytes:
            state = model.state_from_bytes(state.to_bytes())
    if not state.is_closed:
        parts.append(array(model.push([state], [wave[:0]], [True])[0]))
    return np.concatenate(parts)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("name", PARAMETERS)
def test_cutting_and_bytes_change_no_bit(name: str, asynchronous: bool) -> None:
    model = engine(replace(PARAMETERS[name], asynchronous=asynchronous))
    (whole,) = diarize(model, [TALK])
    assert array(whole).shape == (375, 4)
    random = np.random.default_rng(0)
    cuts = random.integers(0, len(TALK), 60).tolist()
    assert np.array_equal(fed(model, TALK, cuts, through_bytes=True), array(whole))
    assert np.array_equal(fed(model, TALK, range(0, len(TALK), 3200), through_bytes=False), array(whole))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40000), st.lists(st.integers(0, 40000), max_size=8), st.booleans())
def test_any_length_and_any_cutting(n_samples: int, cuts: list[int], asynchronous: bool) -> None:
    model = engine(replace(SMALL, asynchronous=asynchronous))
    wave = TALK[:n_samples]
    whole = array(diarize(model, [wave])[0])
    assert whole.shape == (n_frames_of(n_samples), 4)
    found = fed(model, wave, [min(cut, n_samples) for cut in cuts], through_bytes=True)
    assert np.array_equal(found, whole)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_streams_of_one_batch_do_not_hear_each_other(asynchronous: bool) -> None:
    model = engine(replace(SMALL, asynchronous=asynchronous))
    waves = [talk(seconds, seed=seed) for seed, seconds in enumerate((9.0, 3.3, 0.005, 20.0, 1.0))]
    alone = [array(diarize(model, [wave])[0]) for wave in waves]
    states = [model.new_state() for _ in waves]
    parts: list[list[Floats]] = [[] for _ in waves]
    random = np.random.default_rng(0)
    heard = [0] * len(waves)
    while not all(state.is_closed for state in states):
        chosen = [index for index, state in enumerate(states) if not state.is_closed and random.random() < 0.7]
        stops = [min(len(waves[index]), heard[index] + int(random.integers(0, 30000))) for index in chosen]
        pieces = [waves[index][heard[index] : stop] for index, stop in zip(chosen, stops, strict=True)]
        last = [stop == len(waves[index]) for index, stop in zip(chosen, stops, strict=True)]
        results = model.push([states[index] for index in chosen], pieces, last)
        for index, stop, result in zip(chosen, stops, results, strict=True):
            heard[index] = stop
            parts[index].append(array(result))
    for expected, found in zip(alone, parts, strict=True):
        assert np.array_equal(np.concatenate(found), expected)
    assert max(model._backend.calls) > 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["medium", "low", "ultra-low", "small"])
def test_a_frame_is_decided_after_the_latency(name: str) -> None:
    parameters = PARAMETERS[name]
    model = engine(parameters)
    state, n_heard = model.new_state(), 0
    for start in range(0, 160000, 160):
        n_heard += array(model.push([state], [TALK[start : start + 160]], [False])[0]).shape[0]
        seconds = (start + 160) / 16000
        # The last mel frame needs 40 samples more than its share: a window is longer than a hop.
        n_chunks = int(
            (seconds - 0.0025 - parameters.chunk_right_context * 0.08) / (parameters.chunk_len * 0.08) + 1e-9
        )
        assert n_heard == max(0, n_chunks) * parameters.chunk_len
        assert seconds - n_heard * 0.08 <= parameters.latency + 0.0125


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_state_does_not_grow(asynchronous: bool) -> None:
    model = engine(replace(LATENCY_PRESETS["low"], asynchronous=asynchronous))
    state = model.new_state()
    cache_and_fifo, mel, waiting = 2 * 188 * 16 + 188 * 4, (1 + 7) * 8 * 16, 6 * 1280 + 401
    for _ in range(12):
        array(model.push([state], [TALK], [False])[0])
        assert len(state.to_bytes()) <= 4 * (cache_and_fifo + 16 + mel + waiting) + 4000
        assert all(piece.base is None for piece in state.audio)
    assert len(state.cache) == 188
    array(model.push([state], [TALK], [True])[0])
    assert len(state.to_bytes()) < 4000


@pytest.mark.parametrize("n_samples", [0, 1, 159])
def test_less_than_a_hop_never_reaches_the_model(n_samples: int) -> None:
    model = engine()
    (found,) = diarize(model, [TALK[:n_samples]])
    assert array(found).shape == (0, 4)
    assert model._backend.calls == []  # type: ignore[attr-defined]


def test_silence_and_a_constant_are_heard() -> None:
    found = diarize(engine(), [np.zeros(100000, np.float32), np.full(100000, 0.5, np.float32)])
    assert all(np.isfinite(array(result)).all() and array(result).shape == (79, 4) for result in found)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_where_memory_lacks_batches_are_halved(asynchronous: bool) -> None:
    parameters = replace(SMALL, asynchronous=asynchronous)
    waves = [talk(4.0 + seed, seed=seed) for seed in range(5)]
    careful = engine(parameters, most_frames=90)
    for expected, found in zip(diarize(engine(parameters), waves), diarize(careful, waves), strict=True):
        assert np.array_equal(array(found), array(expected))
    calls: list[int] = careful._backend.calls  # type: ignore[attr-defined]
    assert max(calls[len(calls) // 2 :]) == 2


def test_a_stream_that_does_not_fit_alone_fails_alone() -> None:
    model = engine(most_frames=30)
    short, long = diarize(model, [TALK[:16000], TALK])
    assert array(short).shape == (13, 4)
    assert isinstance(long, OutOfMemoryError)


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (np.full(50000, np.inf, np.float32), ValueError, "sample 0 is inf"),
        (30 * TALK[:50000], RuntimeError, "a loud item"),
        (np.zeros(50000, np.int16), ValueError, "samples are int16"),
    ],
)
def test_a_bad_stream_fails_alone_and_is_not_stepped_again(bad: Any, kind: type[Exception], message: str) -> None:
    model = engine()
    expected = array(diarize(model, [TALK])[0])
    states = [model.new_state(), model.new_state()]
    start, nothing = model.push(states, [TALK[:90000], TALK[:100]], [False, False])
    middle, failure = model.push(states, [TALK[90000:200000], bad], [False, False])
    assert (array(nothing).shape, type(failure)) == ((0, 4), kind)
    assert message in str(failure)
    n_calls = len(model._backend.calls)  # type: ignore[attr-defined]
    again = model.push([states[1]], [TALK], [True])[0]
    assert isinstance(again, ValueError)
    assert message in str(again)
    assert "begin it again with a new state" in str(again)
    assert len(model._backend.calls) == n_calls  # type: ignore[attr-defined]
    failed = model.state_from_bytes(states[1].to_bytes())
    assert message in failed.error
    end, still = model.push([states[0], failed], [TALK[200000:], TALK], [True, True])
    assert isinstance(still, ValueError)
    assert np.array_equal(np.concatenate([array(start), array(middle), array(end)]), expected)


def test_what_is_not_finite_is_a_failure() -> None:
    (failure,) = diarize(engine(not_finite=True), [TALK])
    assert isinstance(failure, ValueError)
    assert "probabilities that are not finite" in str(failure)


def test_equal_states_give_equal_bytes_without_pickles() -> None:
    model = engine()
    states = [model.new_state(), model.new_state()]
    for state in states:
        model.push([state], [TALK[:99000]], [False])
    data = states[0].to_bytes()
    assert data == states[1].to_bytes() == StreamState.from_bytes(data).to_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


def _rewritten(data: bytes, drop: str = "", **changes: Any) -> bytes:
    with np.load(io.BytesIO(data)) as archive:
        arrays = {name: archive[name] for name in archive.files if name != drop}
    header = json.loads(arrays["header"].tobytes()) | changes.pop("header", {})
    arrays |= changes
    target = io.BytesIO()
    np.savez(target, **{**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    return target.getvalue()


def test_bytes_that_are_no_state_are_refused() -> None:
    data = engine().new_state().to_bytes()
    array_bytes, archive_bytes = io.BytesIO(), io.BytesIO()
    np.save(array_bytes, np.zeros(3))
    np.savez(archive_bytes, a=np.zeros(3))
    flipped = bytearray(data)
    # within a member: names and dates beside it are not checked
    flipped[data.index(b'"origin"')] ^= 255
    for foreign in (b"", b"PK", b"abc" * 99, array_bytes.getvalue(), archive_bytes.getvalue(), data[:-30]):
        with pytest.raises(ValueError, match="no state of a stream, or damaged"):
            StreamState.from_bytes(foreign)
    with pytest.raises(ValueError, match=r"no state of a stream|damaged|is expected"):
        StreamState.from_bytes(bytes(flipped))
    with pytest.raises(ValueError, match=r"version 99, but 'beam_curator\.StreamState', version 2 is expected"):
        StreamState.from_bytes(_rewritten(data, header={"version": 99}))
    for damaged in (
        _rewritten(data, drop="fifo"),
        _rewritten(data, fifo=np.zeros(3)),
        _rewritten(data, more=np.zeros(1)),
    ):
        with pytest.raises(ValueError, match=r"a state of a stream that is damaged: (fifo|more)"):
            StreamState.from_bytes(damaged)


def test_a_state_belongs_to_a_model_and_parameters() -> None:
    data = engine().new_state().to_bytes()
    other = engine(replace(SMALL, fifo_len=8))
    with pytest.raises(ValueError, match=r"\(fifo_len 9 instead of 8\): begin with a new state"):
        other.state_from_bytes(data)
    with pytest.raises(ValueError, match="fifo_len 9 instead of 8"):
        other.push([StreamState.from_bytes(data)], [TALK], [True])
    with pytest.raises(ValueError, match="n_mels 16 instead of 17"):
        engine(n_mels=17).state_from_bytes(data)


def test_wrong_usage_is_said_at_once() -> None:
    model = engine()
    state = model.new_state()
    with pytest.raises(ValueError, match="1 states, 2 pieces, 1 last"):
        model.push([state], [TALK, TALK], [True])
    with pytest.raises(ValueError, match="a state is given twice"):
        model.push([state, state], [TALK, TALK], [True, True])
    model.push([state], [TALK[:20000]], [True])
    with pytest.raises(ValueError, match="stream 0 has ended after 20000 samples"):
        model.push([state], [TALK], [True])
    with pytest.raises(ValueError, match="spkcache_len 15 is too short for 4 speakers"):
        engine(replace(SMALL, spkcache_len=15))
    with pytest.raises(ValueError, match="model 'random' hears a recording at once"):
        engine(is_streaming=False)


def test_parameters_are_those_of_the_model_unless_told() -> None:
    assert StreamingSortformer(NumpyBackend()).parameters == StreamingParameters()


class NemosFrames(MelFrontEnd):
    """NeMo's own mel frames of one recording, to leave out how differently the transforms round."""

    frames_of_all: Floats

    def piece(self, audio: Floats, start: int, first: int, stop: int, out: Floats | None = None) -> Floats:
        found = self.frames_of_all[first:stop]
        if out is not None:
            out[:] = found
        return found


@pytest.fixture(scope="module")
def nemo(tiny_streaming: Path) -> Any:
    return load_nemo(str(tiny_streaming))


def by_nemo(model: Any, wave: Floats, parameters: StreamingParameters) -> Floats:
    """Return what NeMo's whole-file streaming says."""
    import torch

    names = ("chunk_len", "chunk_left_context", "chunk_right_context", "fifo_len", "spkcache_update_period")
    for name in (*names, "spkcache_len"):
        setattr(model.sortformer_modules, name, getattr(parameters, name))
    model.async_streaming = parameters.asynchronous
    with torch.inference_mode():
        found: Floats = model(audio_signal=torch.from_numpy(wave)[None], audio_signal_length=torch.tensor([len(wave)]))[
            0
        ].numpy()
    return found


DIFFERENCES: dict[tuple[str, bool], float] = {}
"""What the test below found, by preset and rule: mel frames of ours against NeMo's whole-file streaming."""

SECONDS = {"very-high": 220.0, "high": 220.0, "yaml": 220.0, "medium": 60.0, "low": 40.0, "ultra-low": 30.0}


CASES = [
    pytest.param(name, rule, marks=() if (name, rule) in {("very-high", False), ("low", True)} else pytest.mark.slow)
    for name in SECONDS
    for rule in (False, True)
]


@pytest.mark.parametrize(("name", "asynchronous"), CASES)
def test_probabilities_are_nemos(nemo: Any, name: str, asynchronous: bool) -> None:
    wave = talk(SECONDS[name], seed=5)
    parameters = replace(PARAMETERS[name], asynchronous=asynchronous)
    expected = by_nemo(nemo, wave, parameters)
    model = StreamingSortformer(NemoBackend(nemo, is_streaming=True), parameters)
    found = array(diarize(model, [wave])[0])
    assert found.shape == expected.shape
    DIFFERENCES[name, asynchronous] = float(np.abs(found - expected).max())

    exact = NemosFrames(model.config.mel, model._backend.mel_filters)
    exact.frames_of_all = nemo_frames(nemo, wave)
    model._mel = exact
    assert np.array_equal(array(diarize(model, [wave])[0]), expected)


def test_probabilities_are_nemos_to_five_decimals() -> None:
    """All but one at most: mel frames that round otherwise may choose the other of two frames for the speaker cache.

    That two frames score equal up to rounding was seen for 1 of 6 random models on one preset. The test above shows for
    every case that with NeMo's own mel frames nothing differs at all.
    """
    assert sum(difference > 1e-5 for difference in DIFFERENCES.values()) <= 1, DIFFERENCES


@pytest.mark.slow
def test_low_latency_is_nemos_over_minutes(nemo: Any) -> None:
    wave = talk(200.0, seed=5)
    expected = by_nemo(nemo, wave, LATENCY_PRESETS["low"])
    model = StreamingSortformer(NemoBackend(nemo, is_streaming=True), LATENCY_PRESETS["low"])
    assert np.abs(array(diarize(model, [wave])[0]) - expected).max() <= 1e-5


@pytest.mark.parametrize("asynchronous", [False, True])
def test_nemos_model_in_batches_and_pieces(nemo: Any, asynchronous: bool) -> None:
    parameters = replace(LATENCY_PRESETS["high"], asynchronous=asynchronous)
    model = StreamingSortformer(NemoBackend(nemo, is_streaming=True), parameters)
    waves = [talk(seconds, seed=seed) for seed, seconds in ((2, 75.0), (3, 41.3), (4, 12.0))]
    alone = [array(result) for result in diarize(model, waves[:1])]
    cuts = np.random.default_rng(0).integers(0, len(waves[0]), 25).tolist()
    assert np.array_equal(fed(model, waves[0], cuts, through_bytes=True), alone[0])
    alone += [array(diarize(model, [wave])[0]) for wave in waves[1:]]
    states = [model.new_state() for _ in waves]
    begun = array(model.push(states[:1], [waves[0][:400000]], [False])[0])
    results = model.push(states, [waves[0][400000:], *waves[1:]], [True] * 3)
    found = [np.concatenate([begun, array(results[0])]), *(array(result) for result in results[1:])]
    for ours, expected in zip(found, alone, strict=True):
        assert np.abs(ours - expected).max() <= 1e-4
