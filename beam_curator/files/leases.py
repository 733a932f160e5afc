"""Leases of messages: a server gives a message for a while, and gives it again if it is not acknowledged by then."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from beam_curator.intervals import Seconds

_FIRST_AFTER = 4.0
"""Of a lease of ten seconds, the shortest that there is."""

_EXTENDED_BY = 30
_AGAIN_AFTER = 15.0
_LONGEST = 600.0
"""Nobody works on a chunk for longer: its acknowledgement came from another process, or will never come."""

Extend = Callable[[str, Sequence[str], int], None]
"""Gives messages of a subscription that many seconds from now."""


@dataclass(slots=True)
class _Lease:
    subscription: str
    until: Seconds
    due: Seconds


class Leases:
    """The messages that this process was given and has not acknowledged, whose leases one thread extends.

    Args:
      extend: tells the server.
      clock: the time, in seconds.
    """

    def __init__(self, extend: Extend, clock: Callable[[], Seconds] = time.monotonic) -> None:
        self._extend, self._clock = extend, clock
        self._held: dict[str, _Lease] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Note messages that came just now."""
        now = self._clock()
        with self._lock:
            self._held |= {ack_id: _Lease(subscription, now + _LONGEST, now + _FIRST_AFTER) for ack_id in ack_ids}

    def let_go(self, ack_ids: Sequence[str]) -> None:
        """Forget messages that were acknowledged, or handed back."""
        with self._lock:
            for ack_id in ack_ids:
                self._held.pop(ack_id, None)

    def extend_due(self) -> None:
        """Extend the leases that would be over soon."""
        now, due = self._clock(), dict[str, list[str]]()
        with self._lock:
            self._held = {ack_id: lease for ack_id, lease in self._held.items() if lease.until > now}
            for ack_id, lease in self._held.items():
                if lease.due <= now:
                    lease.due = now + _AGAIN_AFTER
                    due.setdefault(lease.subscription, []).append(ack_id)
        for subscription, ack_ids in due.items():
            self._extend(subscription, ack_ids, _EXTENDED_BY)

    def watch(self) -> None:
        """Extend leases from now on, in a thread that ends with the process."""
        threading.Thread(target=self._go_on, name="leases", daemon=True).start()

    def _go_on(self) -> None:
        while True:
            time.sleep(1.0)
            try:
                self.extend_due()
            except Exception as err:
                # what is not extended comes again, and is known then
                logging.getLogger(__name__).warning("leases of messages were not extended: %s", err)
