"""The live step: final turns are those of the whole stream, whatever its messages went through."""

from __future__ import annotations

import pickle
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.diarization.turn_rules import TURN_PRESETS
from beam_curator.live.arriving import END
from beam_curator.live.directory import Ended, ended_of, ended_to_bytes
from beam_curator.live.events import EVENT_SCHEMA
from benchmarks.random_sortformer import talk
from tests.diarization.backends import NumpyBackend
from tests.fakes_models import sound_of
from tests.live.live_shards import MemoryBag, MemoryValue, Shard, chunks_of, rounded, rttm_of_whole, without_waiting

SPEECH = [(0.16, 1.04, 0), (0.96, 1.6, 1), (4.0, 4.8, 0)]
SOUND = rounded(sound_of(6.0, SPEECH)[:, 0])
"""Half a minute would say no more: the pause of 2.4 s is dead air, and turns of two speakers overlap."""


def test_turns_of_a_stream_one_by_one() -> None:
    shard = Shard(progress_every=2.0)
    for place, chunk in enumerate(chunks_of(SOUND)):
        shard.tell(chunk, at=0.48 * place)
    shown = [(event["type"], event.get("speaker"), event.get("start"), event.get("end")) for event in shard.events]
    assert [each for each in shown if each[0] != "progress"] == [
        ("turn_started", "speaker_0", 0.16, None),
        ("turn_started", "speaker_1", 0.96, None),
        ("turn_ended", "speaker_0", 0.16, 1.04),
        ("turn_ended", "speaker_1", 0.96, 1.6),
        ("turn_started", "speaker_0", 4.0, None),
        ("turn_ended", "speaker_0", 4.0, 4.8),
        ("closed", None, None, None),
    ]
    assert [event["event_seq"] for event in shard.events] == list(range(len(shard.events)))
    closed = shard.closed()
    assert (closed["reason"], closed["duration"], closed["saturated"]) == ("final", 6.0, False)
    assert closed["rttm"] == rttm_of_whole(shard, SOUND)
    assert closed["rttm"].splitlines()[0] == "SPEAKER a 1 0.160 0.880 <NA> <NA> speaker_0 <NA> <NA>"
    for event in shard.events:
        jsonschema.validate(event, EVENT_SCHEMA)
    assert shard.failures == []


@pytest.mark.parametrize("latency", ["medium", "low", "ultra-low"])
@pytest.mark.parametrize("turns", ["default", "v2-callhome", "v2-dihard3"])
def test_a_session_equals_the_whole_file(latency: str, turns: str) -> None:
    sound = rounded(talk(20.007, seed=2))
    shard = Shard(NumpyBackend(), latency, TURN_PRESETS[turns])
    random = np.random.default_rng(0)
    for chunk in chunks_of(sound, random.integers(1, 9000, 60).tolist()):
        shard.tell(chunk)
    assert shard.closed()["rttm"] == rttm_of_whole(shard, sound)
    assert shard.closed()["rttm"].count("\n") > 3


@st.composite
def journeys(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    """Sizes of chunks, an order of their messages with some of them twice, and how many come at once."""
    sizes = draw(st.lists(st.integers(0, 20_000), min_size=1, max_size=10).filter(lambda sizes: sum(sizes) < 96_000))
    sizes = [size for size in sizes if size]
    order = draw(st.permutations([*range(len(sizes) + 1), *draw(st.lists(st.integers(0, len(sizes)), max_size=4))]))
    return sizes, order, draw(st.lists(st.integers(1, 4), min_size=1, max_size=len(order)))


@settings(max_examples=40, deadline=None)
@given(journeys())
def test_order_repetition_and_cutting_change_nothing(journey: tuple[list[int], list[int], list[int]]) -> None:
    sizes, order, at_once = journey
    chunks = chunks_of(SOUND, sizes)
    straight, shard = Shard(progress_every=1.0), Shard(progress_every=1.0)
    for chunk in chunks_of(SOUND):
        straight.tell(chunk)
    place = 0
    for number in [*at_once, len(order)]:
        shard.tell(*(chunks[seq] for seq in order[place : place + number]))
        place += number
    assert without_waiting(shard.events) == without_waiting(straight.events)
    assert shard.failures == []


def test_a_session_is_remembered_as_long_as_its_state_is_the_one_that_was_written() -> None:
    chunks = chunks_of(SOUND)
    shard = Shard()
    shard.remembered = {}
    head = shard.cells.slots[0].head
    assert isinstance(head, MemoryValue)
    for place, chunk in enumerate(chunks[:-1]):
        before = pickle.dumps(shard.cells)
        shard.tell(chunk)
        if place == 6:
            # the bundle is done again from the state before, as an engine does it after a crash
            shard.cells, shard.events = pickle.loads(before), shard.events[:-1]
            known = list(shard.remembered.values())
            shard.tell(chunk)
            assert known != list(shard.remembered.values())
    assert len(shard.remembered) == 1
    shard.tell(chunks[-1])
    assert shard.closed()["rttm"] == rttm_of_whole(shard, SOUND)
    assert shard.remembered == {}


def test_other_streams_change_nothing() -> None:
    chunks = [chunks_of(SOUND, 5000 + 700 * number, stream_id=f"s{number}") for number in range(5)]
    shard = Shard(batch=3)
    for place in range(max(map(len, chunks))):
        shard.tell(*(own[place] for own in chunks if place < len(own)))
    expected = rttm_of_whole(shard, SOUND)
    assert {shard.closed(f"s{number}")["rttm"].replace(f" s{number} ", " a ") for number in range(5)} == {expected}


@pytest.mark.parametrize(("sample_rate", "codec"), [(8000, "mulaw"), (44100, "flac"), (16000, "ogg"), (48000, "wav")])
def test_rates_and_codecs(sample_rate: int, codec: str) -> None:
    sound = sound_of(6.0, SPEECH, sample_rate)[:, 0]
    shard = Shard()
    for chunk in chunks_of(sound, sample_rate // 2 + 11, sample_rate=sample_rate, codec=codec):
        shard.tell(chunk)
    assert shard.closed()["rttm"] == rttm_of_whole(shard, SOUND)
    assert (shard.closed()["duration"], shard.closed()["sample_rate"]) == (6.0, sample_rate)


def test_a_reconnect_goes_on_and_a_new_session_begins_anew() -> None:
    chunks = chunks_of(SOUND)
    shard = Shard()
    for chunk in chunks[:6]:
        shard.tell(chunk)
    for chunk in chunks_of(SOUND, session="2"):
        shard.tell(chunk)
    # the first session goes on with its next chunk, a minute later
    for chunk in chunks[6:]:
        shard.tell(chunk, at=59.0)
    expected = rttm_of_whole(shard, SOUND)
    assert shard.closed()["rttm"] == expected
    assert shard.closed("a", "2")["rttm"] == expected.replace(" a ", " a@2 ")


def test_state_that_a_step_writes_is_a_part_of_the_whole() -> None:
    shard = Shard()
    chunks = chunks_of(rounded(talk(20.0, seed=1)), 7680)
    for chunk in chunks[:6]:
        shard.tell(chunk)
    slot = shard.cells.slots[0]
    assert isinstance(slot.cache, MemoryValue) and isinstance(slot.waiting, MemoryBag)
    assert slot.cache.n_written == 0
    sizes = []
    for chunk in chunks[6:36]:
        before = {id(cell): cell.n_written for cell in slot}  # type: ignore[attr-defined]  # cells in memory count
        shard.tell(chunk)
        sizes.append(sum(cell.n_written - before[id(cell)] for cell in slot))  # type: ignore[attr-defined]
        assert len(slot.waiting.values) <= 11
    # a chunk is 15 KB, and the state of this small model 2 KB
    assert np.median(sizes) < 25_000


def test_a_failing_model_ends_one_session_alone() -> None:
    bad = rounded(sound_of(6.0, [(2.0, 3.0, 4)])[:, 0])
    shard = Shard(batch=4)
    for good_one, bad_one in zip(chunks_of(SOUND), chunks_of(bad, stream_id="bad"), strict=True):
        shard.tell(good_one, bad_one)
    assert shard.closed()["rttm"] == rttm_of_whole(shard, SOUND)
    assert shard.closed("bad")["reason"] == "failed"
    # what comes behind it has no session any more
    assert shard.codes()[0] == "model_error"
    assert set(shard.codes()[1:]) == {"session_closed"}


def test_an_open_session_is_closed_when_nothing_comes_or_the_job_is_drained() -> None:
    chunks = chunks_of(SOUND)
    shard = Shard(idle_timeout=10.0)
    shard.tell(*chunks[:5], *(replace(chunk, stream_id="b") for chunk in chunks[:5]))
    assert shard.tell(at=9.9) == []
    shard.tell(replace(chunks[5], stream_id="b"), at=9.9)
    shard.tell(at=10.0)
    shard.tell(at=11.0)
    shard.tell(at=END[1])
    assert (shard.closed("a")["reason"], shard.closed("a")["duration"]) == ("idle", 2.4)
    assert (shard.closed("b")["reason"], shard.closed("b")["duration"]) == ("drained", 2.88)
    assert shard.closed("a")["rttm"] == rttm_of_whole(shard, SOUND[: 5 * 7680])
    # the slots are free again
    assert all(not cell.read() for slot in shard.cells.slots for cell in slot)


def test_streams_that_come_and_go_leave_little_behind() -> None:
    shard = Shard(streams_per_shard=2)
    for number in range(40):
        shard.tell(*chunks_of(np.zeros(160, np.float32), stream_id=f"s{number}"))
    assert shard.codes() == []
    assert len(ended_of(shard.cells.ended.read())) == 40
    many = {(f"s{number}", ""): Ended(last_seq=number) for number in range(1200)}
    assert list(ended_of(ended_to_bytes(many))) == list(many)[200:]


def test_events_have_one_order_whenever_a_gap_is_bridged() -> None:
    """What an engine does again after a crash comes all at once: events and their numbers are those of before."""
    chunks = chunks_of(SOUND)
    sent = [*chunks[:4], *chunks[5:]]
    slow, fast = Shard(gap_timeout=1.0), Shard(gap_timeout=1.0)
    for place, chunk in enumerate(sent):
        slow.tell(chunk, at=float(place))
    fast.tell(*sent, at=0.0)
    fast.tell(at=2.0)
    assert [event["type"] for event in slow.events].count("gap") == 1
    assert without_waiting(fast.events) == without_waiting(slow.events)
