"""The time of a live source stands still while there is something to read, and while nobody reads."""

from __future__ import annotations

from beam_curator.live.source_clock import SourceClock


def test_messages_are_not_missing_while_others_are_read() -> None:
    clock = SourceClock.beginning(100.0)
    assert clock.tick(100.0)
    clock.hear()
    # for half a minute there was always a message
    assert clock.tick(130.0)
    assert (round(clock.now, 3), clock.idle) == (101.0, 1.0)


def test_leases_of_a_reader_that_is_no_more_are_waited_for() -> None:
    clock = SourceClock(now=100.0, ticked=100.0, heard=98.0, begun=90.0)
    clock.stand_still(155.0)
    assert not clock.tick(120.0)
    assert not clock.tick(155.1)
    assert clock.idle == 2.0
    assert clock.tick(155.5)
    assert round(clock.now, 3) == 100.5
