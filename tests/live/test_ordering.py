"""The order of chunks far ahead: which of them tell that a chunk is lost, and what stands for it then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.failures import EntryError
from beam_curator.live.ordering import ChunkOrder
from tests.fakes_models import sound_of
from tests.live.live_shards import Shard, chunks_of, rounded, without_waiting

CHUNKS = chunks_of(rounded(sound_of(6.0, [(0.16, 1.04, 0), (0.96, 1.6, 1), (4.0, 4.8, 0)])[:, 0]), 1600)
"""Sixty chunks of 0.1 s."""


@pytest.mark.parametrize(
    ("held", "seq", "is_plausible"),
    [
        # of chunks 5 to 8, more than half are here
        ((5, 6, 7, 8), 9, True),
        ((5, 8, 7), 9, True),
        ((5, 6), 9, False),
        ((5, 6, 7, 8), 12, True),
        ((5, 6, 7, 8), 13, False),
        # nothing, or one chunk alone, is between
        ((), 9, False),
        ((8,), 9, False),
        ((5, 6, 7, 8), 10_003, False),
        ((5, 6, 7, 8), 10**12, False),
    ],
)
def test_a_chunk_too_far_ahead_has_a_place_behind_most_of_those_between(
    held: tuple[int, ...], seq: int, is_plausible: bool
) -> None:
    order = ChunkOrder(next_seq=4, early=dict.fromkeys(held, 80))
    if is_plausible:
        order.check(seq, 4)
    else:
        with pytest.raises(EntryError, match=f"chunk {seq}, expected 4 next and 4 more at most"):
            order.check(seq, 4)


def test_behind_the_end_no_chunk_has_a_place() -> None:
    order = ChunkOrder(next_seq=4, early={5: 80, 6: 80, 7: 80}, last_seq=7)
    with pytest.raises(EntryError, match="chunk 8 of a session that ended with chunk 7"):
        order.check(8, 3)


def test_a_lost_chunk_loses_no_other_however_fast_they_come() -> None:
    shard, slow = Shard(max_early=8), Shard(max_early=64, gap_timeout=1.0)
    sent = [*CHUNKS[:7], *CHUNKS[8:20], *CHUNKS[22:]]
    # by the clock nothing was waited for
    shard.tell(*sent)
    for place, chunk in enumerate(sent):
        slow.tell(chunk, at=float(place))
    gaps = [event for event in shard.events if event["type"] == "gap"]
    assert [(gap["start"], gap["end"]) for gap in gaps] == [(0.7, 0.8), (2.0, 2.2)]
    assert [(gap["first_seq"], gap["last_seq"]) for gap in gaps] == [(7, 7), (20, 21)]
    assert (shard.closed()["reason"], shard.closed()["duration"], shard.codes()) == ("final", 6.0, [])
    assert without_waiting(shard.events) == without_waiting(slow.events)
    # those that come after all are known, as silence stands for them
    assert shard.tell(CHUNKS[7], CHUNKS[21]) == []


def test_a_late_chunk_of_a_bridged_gap_changes_nothing() -> None:
    shard, other = Shard(max_early=8), Shard(max_early=8)
    shard.tell(*CHUNKS[:7], *CHUNKS[8:17], CHUNKS[7], *CHUNKS[17:])
    other.tell(*CHUNKS[:7], *CHUNKS[8:])
    assert (shard.events, shard.codes()) == (other.events, [])


@pytest.mark.parametrize("seq", [10**12, 9_999, 30])
def test_one_poisonous_number_bridges_nothing(seq: int) -> None:
    poison, shard, other = replace(CHUNKS[9], seq=seq), Shard(max_early=8), Shard(max_early=8)
    other.tell(*CHUNKS)
    # while nothing lacks, while few are held, and while as many are held as may be
    shard.tell(*CHUNKS[:4], poison, *CHUNKS[5:8], poison, *CHUNKS[8:13], poison, CHUNKS[4], *CHUNKS[13:])
    assert shard.codes() == ["too_early"] * 3
    assert shard.events == other.events


def test_a_session_that_fails_before_its_gap_takes_no_more() -> None:
    bad = chunks_of(rounded(sound_of(6.0, [(0.2, 3.0, 4)])[:, 0]), 1600)
    shard = Shard(max_early=40)
    shard.tell(*bad[:15], *bad[16:58])
    assert shard.closed()["reason"] == "failed"
    assert (shard.codes()[0], set(shard.codes()[1:])) == ("model_error", {"session_closed"})
    assert shard.events[-1]["type"] == "closed"


@st.composite
def lossy_journeys(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    """Chunks that never come, the others up to four places late and some twice, and how many come at once."""
    lost = draw(st.lists(st.integers(0, len(CHUNKS) - 2), min_size=1, max_size=4, unique=True))
    late = draw(st.lists(st.integers(0, 4), min_size=len(CHUNKS), max_size=len(CHUNKS)))
    again = draw(st.lists(st.integers(0, len(CHUNKS) - 1), max_size=4))
    keyed = [(seq + late[seq], seq) for seq in range(len(CHUNKS))] + [(seq + 9, seq) for seq in again]
    order = [seq for _, seq in sorted(keyed) if seq not in lost]
    return lost, order, draw(st.lists(st.integers(1, 30), max_size=6))


@settings(max_examples=25, deadline=None)
@given(lossy_journeys())
def test_order_changes_nothing_where_chunks_are_lost(journey: tuple[list[int], list[int], list[int]]) -> None:
    """Four places late and four lost are half of what may be early."""
    lost, order, at_once = journey
    straight, shard = Shard(max_early=64, gap_timeout=1.0), Shard(max_early=16, gap_timeout=1.0)
    straight.tell(*(chunk for chunk in CHUNKS if chunk.seq not in lost))
    straight.tell(at=1.0)
    place = 0
    for number in [*at_once, len(order)]:
        shard.tell(*(CHUNKS[seq] for seq in order[place : place + number]))
        place += number
    shard.tell(at=1.0)
    # the others, one gap after the other
    for at in range(2, 6):
        straight.tell(at=float(at))
        shard.tell(at=float(at))
    assert shard.failures == []
    assert without_waiting(shard.events) == without_waiting(straight.events)
    assert shard.closed()["reason"] == "final"
