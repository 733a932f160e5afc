"""Leases are extended as long as somebody works on the messages."""

from __future__ import annotations

from collections.abc import Sequence

from beam_curator.files.leases import Leases


def test_a_lease_is_extended_before_it_is_over_until_its_message_is_acknowledged() -> None:
    told: list[tuple[str, list[str], int]] = []
    now = 0.0

    def extend(subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        told.append((subscription, list(ack_ids), seconds))

    leases = Leases(extend, clock=lambda: now)
    leases.hold("s", ["a", "b"])
    leases.hold("t", ["c"])
    now = 3.9
    leases.extend_due()
    assert told == []
    now = 4.0
    leases.hold("s", ["d"])
    leases.extend_due()
    assert told == [("s", ["a", "b"], 30), ("t", ["c"], 30)]
    leases.let_go(["a", "c", "unknown"])
    now = 8.0
    leases.extend_due()
    assert told[2:] == [("s", ["d"], 30)]
    now = 19.0
    leases.extend_due()
    assert told[3:] == [("s", ["b"], 30)]
    # nobody acknowledges b here
    now = 600.0
    leases.extend_due()
    assert (len(leases), told[4:]) == (1, [("s", ["d"], 30)])
    now = 604.0
    leases.extend_due()
    assert (len(leases), len(told)) == (0, 5)
