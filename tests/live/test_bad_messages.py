"""Bad messages, each with its outcome: one dead letter at most, and streams go on."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile

from beam_curator.failures import EntryError
from beam_curator.live.cells import Slot
from beam_curator.live.messages import MESSAGE_SCHEMA, Chunk, chunk_of, message_bytes, session_id
from tests.fakes_models import sound_of
from tests.live.live_shards import MemoryValue, Shard, chunks_of, rounded, rttm_of_whole

SOUND = rounded(sound_of(3.6, [(0.16, 1.04, 0), (1.6, 3.2, 1)])[:, 0])
CHUNKS = chunks_of(SOUND, 4800)
"""Twelve chunks of 0.3 s."""

BEGUN = CHUNKS[:4]
GOOD = CHUNKS[4]


def attributes(**changes: str | None) -> dict[str, str]:
    changed = GOOD.attributes() | changes
    return {name: value for name, value in changed.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": None}, "a message without version, expected version, stream_id, seq, sample_rate, codec"),
        ({"version": "2"}, "a message of version '2', expected 1"),
        ({"stream_id": ""}, "a message without stream_id"),
        ({"seq": None, "codec": None}, "a message without seq, codec"),
        ({"seq": "-1"}, "seq '-1', expected a whole number from 0"),
        ({"seq": "four"}, "seq 'four', expected"),
        ({"seq": "٣"}, "seq '٣', expected"),
        ({"sample_rate": "0"}, "sample_rate '0', expected a whole number from 1 to 384000"),
        ({"sample_rate": "16001"}, "sample_rate 16001, expected a multiple of 12.5 Hz"),
        ({"codec": "mp3"}, "codec 'mp3', expected one of pcm_s16le, mulaw, flac, ogg, wav"),
        ({"final": "yes"}, "final 'yes', expected true or false"),
        ({"stream_id": "x" * 1025}, f"stream_id '{'x' * 40}'… of 1,025 bytes, expected 1,024 or less"),
    ],
)
def test_a_message_without_a_place_is_one_dead_letter(changes: dict[str, str | None], message: str) -> None:
    bad = message_bytes(attributes(**changes), GOOD.data)
    shard = Shard()
    shard.tell(*BEGUN, bad, *CHUNKS[4:])
    assert shard.codes() == ["bad_message"]
    assert shard.failures[0].message.startswith(message)
    assert shard.failures[0].payload == bad
    assert shard.closed()["rttm"] == rttm_of_whole(shard, SOUND)


HALF = json.dumps(attributes(stream_id="\ud800")).encode() + b"\n"


@pytest.mark.parametrize("bad", [b"poison", b"[1]\nab", b'{"seq": 3}\n', b"\xff\xfe\n\n", b"[" * 100_000 + b"\n", HALF])
def test_bytes_that_are_no_message(bad: bytes) -> None:
    shard = Shard()
    shard.tell(*BEGUN, bad, *CHUNKS[4:])
    assert shard.codes() == ["bad_message"]
    assert shard.failures[0].payload == bad
    assert shard.closed()["reason"] == "final"


def floats_with_nan() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.float32([0.1, np.nan] * 100), 16000, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"data": b"odd"}, "not_audio", "a chunk said to be pcm_s16le has 3 bytes, expected a multiple of 2"),
        ({"data": b""}, "empty_audio", "a chunk without sound"),
        ({"data": bytes(32000 * 3600)}, "too_long", "a chunk of 3,600.0 s, expected 60 s or less"),
        ({"sample_rate": 8000}, "format_changed", "a chunk in pcm_s16le at 8000 Hz, expected pcm_s16le at 16000 Hz"),
        ({"codec": "flac"}, "format_changed", "a chunk in flac at 16000 Hz"),
    ],
)
def test_silence_stands_for_a_chunk_that_cannot_be_heard(change: dict[str, Any], code: str, message: str) -> None:
    shard = Shard(gap_timeout=5.0)
    shard.tell(*BEGUN, replace(GOOD, **change), *CHUNKS[5:], at=1.0)
    assert shard.codes() == [code]
    assert shard.failures[0].message.startswith(message)
    assert (shard.failures[0].source, shard.failures[0].offset) == ("a", 4)
    assert shard.tell(at=5.9) == []
    (gap,) = (event for event in shard.tell(at=6.0) if event["type"] == "gap")
    assert (gap["start"], gap["end"], gap["first_seq"], gap["last_seq"]) == (1.2, 1.5, 4, 4)
    silent = SOUND.copy()
    silent[4 * 4800 : 5 * 4800] = 0
    assert shard.closed()["rttm"] == rttm_of_whole(shard, silent)


@pytest.mark.parametrize(
    ("codec", "data", "code"),
    [
        ("wav", b"RIFF of something else", "not_audio"),
        ("flac", b"fLaC", "not_audio"),
        ("wav", floats_with_nan(), "non_finite"),
        ("flac", floats_with_nan(), "not_audio"),
    ],
)
def test_files_that_do_not_decode(codec: str, data: bytes, code: str) -> None:
    shard = Shard()
    first, *others = chunks_of(SOUND, 4800, codec=codec)
    shard.tell(first, replace(others[0], data=data), *others[1:])
    assert [shard.codes()[0] if code != "not_audio" else "not_audio"] == [code]
    assert len(shard.failures) == 1


def test_a_final_chunk_that_cannot_be_heard_ends_its_session_all_the_same() -> None:
    shard = Shard(gap_timeout=1.0)
    shard.tell(*CHUNKS[:11], replace(CHUNKS[11], data=b"odd"))
    shard.tell(at=1.0)
    assert (shard.closed()["reason"], shard.closed()["duration"]) == ("final", 3.6)


def test_an_end_may_be_told_without_sound() -> None:
    shard = Shard()
    shard.tell(*(replace(chunk, final=False) for chunk in CHUNKS), replace(CHUNKS[11], seq=12, data=b""))
    assert shard.closed()["rttm"] == rttm_of_whole(shard, SOUND)


def test_a_chunk_again_counts_once_whatever_its_bytes() -> None:
    shard = Shard()
    shard.tell(*BEGUN, replace(CHUNKS[2], data=bytes(9600)), *CHUNKS[2:], *CHUNKS)
    assert shard.closed()["rttm"] == rttm_of_whole(shard, SOUND)
    # also one that comes again behind the end
    assert shard.tell(CHUNKS[3], CHUNKS[11], at=3.0) == []
    assert shard.codes() == []


@pytest.mark.parametrize("seq", [10**12, 9_999, 69])
def test_a_chunk_too_far_ahead_is_a_dead_letter(seq: int) -> None:
    shard = Shard(max_early=64)
    shard.tell(*BEGUN, replace(GOOD, seq=seq), *CHUNKS[4:])
    assert shard.codes() == ["too_early"]
    assert shard.failures[0].message == f"chunk {seq}, expected 4 next and 64 more at most"
    assert shard.closed()["rttm"] == rttm_of_whole(shard, SOUND)


def test_early_chunks_are_held_up_to_the_bound() -> None:
    shard = Shard(max_early=10, gap_timeout=1.0)
    # of three one comes: too few to tell that the first is lost
    shard.tell(*(replace(GOOD, seq=seq) for seq in range(1, 1200, 3)))
    assert shard.codes() == ["too_early"] * 396
    assert sum(map(len, shard.cells.slots[0].waiting.read())) < 11 * 10_000


def test_the_final_chunk_first() -> None:
    shard = Shard()
    shard.tell(CHUNKS[11])
    shard.tell(*CHUNKS[:11])
    assert shard.closed()["rttm"] == rttm_of_whole(shard, SOUND)


def test_a_gap_at_the_start() -> None:
    shard = Shard(gap_timeout=2.0)
    shard.tell(*CHUNKS[3:], at=10.0)
    (gap, *_) = shard.tell(at=12.0)
    assert (gap["type"], gap["start"], gap["end"], gap["first_seq"], gap["last_seq"]) == ("gap", 0.0, 0.9, 0, 2)
    silent = SOUND.copy()
    silent[: 3 * 4800] = 0
    assert shard.closed()["rttm"] == rttm_of_whole(shard, silent)


def test_what_comes_behind_the_end_is_a_dead_letter() -> None:
    shard = Shard()
    shard.tell(*CHUNKS, replace(GOOD, seq=12))
    assert shard.codes() == ["session_closed"]
    assert shard.failures[0].message == "chunk 12 of a session that ended with chunk 11"
    shard.tell(replace(GOOD, seq=13))
    assert shard.codes() == ["session_closed"] * 2


def test_one_session_more_than_there_is_room_for() -> None:
    shard = Shard(streams_per_shard=2)
    streams = [chunks_of(SOUND, 4800, stream_id=name) for name in "abc"]
    for chunks in zip(*streams, strict=True):
        shard.tell(*chunks)
    # all chunks of the third, also those that come when there is room again
    shard.tell(replace(streams[2][0], seq=20))
    assert shard.codes() == ["overloaded"] * 13
    assert {failure.source for failure in shard.failures} == {"c"}
    assert shard.closed("b")["rttm"].replace(" b ", " a ") == shard.closed()["rttm"] == rttm_of_whole(shard, SOUND)
    # a new session of it finds room
    shard.tell(*(replace(chunk, session="again") for chunk in streams[2]))
    assert shard.closed("c", "again")["reason"] == "final"


def test_no_more_sessions_in_all_than_are_allowed() -> None:
    shard = Shard(streams_per_shard=4, shards=2, max_streams=3)
    shard.tell(*(replace(BEGUN[0], stream_id=name) for name in "abc"))
    assert [(failure.source, failure.code) for failure in shard.failures] == [("c", "overloaded")]
    assert shard.failures[0].message == "a session that began while 2 others had all the room of their shard"


def test_sessions_that_end_make_room_for_those_behind_them() -> None:
    shard = Shard(streams_per_shard=1)
    shard.tell(*(chunk for name in "abc" for chunk in chunks_of(SOUND, 4800, stream_id=name)))
    assert shard.codes() == []
    expected = rttm_of_whole(shard, SOUND)
    assert {shard.closed(name)["rttm"].replace(f" {name} ", " a ") for name in "abc"} == {expected}


def test_a_silent_stream_has_no_turns() -> None:
    shard = Shard()
    shard.tell(*chunks_of(np.zeros(48000, np.float32)))
    closed = shard.closed()
    assert (closed["turns"], closed["rttm"], closed["duration"]) == ([], "", 3.0)


@pytest.mark.parametrize(
    "damage", [lambda head: head[:-9], lambda head: b"", lambda head: head.replace(b'"version": 1', b'"version": 9')]
)
def test_a_session_whose_state_is_damaged_ends_alone(damage: Callable[[bytes], bytes]) -> None:
    shard = Shard()
    streams = [chunks_of(SOUND, 9600, stream_id=name) for name in "ab"]
    shard.tell(*(chunk for chunks in streams for chunk in chunks[:3]))
    head = shard.cells.slots[0].head
    assert isinstance(head, MemoryValue) and head.value
    head.value = damage(head.value)
    shard.tell(*(chunk for chunks in streams for chunk in chunks[3:]))
    assert shard.codes()[0] == "bad_state"
    assert shard.closed("a")["reason"] == "failed"
    assert shard.closed("b")["rttm"].replace(" b ", " a ") == rttm_of_whole(shard, SOUND)


def damage_turns(slot: Slot) -> None:
    slot.turns.add(b'{"version": 2}')


def damage_chunks(slot: Slot) -> None:
    slot.waiting.add(b"damaged")


def lose_chunks(slot: Slot) -> None:
    slot.waiting.clear()


def damage_fifo(slot: Slot) -> None:
    slot.fifo.add(b"damaged")


@pytest.mark.parametrize("damage", [damage_turns, damage_chunks, lose_chunks, damage_fifo])
def test_a_session_ends_alone_whatever_part_of_its_state_is_damaged(damage: Callable[[Slot], None]) -> None:
    shard = Shard()
    streams = [chunks_of(SOUND, 4800, stream_id=name) for name in "ab"]
    shard.tell(*(chunk for chunks in streams for chunk in chunks[:5]))
    damage(shard.cells.slots[0])
    shard.tell(*(chunk for chunks in streams for chunk in chunks[5:]))
    assert shard.codes()[0] == "bad_state"
    assert (shard.closed("a")["reason"], shard.closed("a")["turns"]) == ("failed", [])
    assert shard.closed("b")["rttm"].replace(" b ", " a ") == rttm_of_whole(shard, SOUND)
    assert not any(cell.read() for slot in shard.cells.slots for cell in slot)


def test_a_newer_directory_is_refused() -> None:
    shard = Shard()
    shard.tell(*BEGUN)
    sessions = shard.cells.sessions
    assert isinstance(sessions, MemoryValue) and sessions.value
    sessions.value = json.dumps(json.loads(sessions.value) | {"version": 2}).encode()
    with pytest.raises(ValueError, match="sessions of version 2, expected 1: drain the job"):
        shard.tell(GOOD)
    sessions.value = sessions.value[:-9]
    with pytest.raises(ValueError, match="sessions that cannot be read"):
        shard.tell(GOOD)


def test_names_of_sessions() -> None:
    assert session_id("calls/2026/x", "") == "calls_2026_x~" + session_id("calls/2026/x", "").split("~")[1]
    assert len(session_id("x" * 1024, "2").encode()) <= 120
    names = [session_id(*key) for key in (("a@b", ""), ("a", "b"), ("a@b", "c"), ("a", "b@c"), ("a", ""))]
    assert len(set(names)) == 5
    assert names[1] == "a@b"


def test_messages_and_their_schema() -> None:
    chunk = replace(GOOD, session="2", final=True, audio_filepath="/calls/a.wav")
    for each in (GOOD, chunk):
        jsonschema.validate(each.attributes(), MESSAGE_SCHEMA)
        assert chunk_of(each.to_bytes()) == each
    assert Chunk.of(GOOD.attributes() | {"mine": "too"}, b"") == replace(GOOD, data=b"")
    for changes in ({"version": "2"}, {"seq": "-1"}, {"codec": "mp3"}, {"final": "yes"}, {"sample_rate": "0"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(GOOD.attributes() | changes, MESSAGE_SCHEMA)
        with pytest.raises(EntryError):
            Chunk.of(GOOD.attributes() | changes, b"")
