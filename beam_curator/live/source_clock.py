"""The time of a live source: it goes on while somebody reads and finds nothing."""

from __future__ import annotations

from dataclasses import dataclass

from beam_curator.intervals import Seconds

TICK_SECONDS = 0.2
_LONGEST_TICK = 1.0


@dataclass(slots=True)
class SourceClock:
    """Tells how long sessions have waited for chunks.

    It stands still while there are messages: a job that is behind takes no chunk for missing that waits to be read. It
    stands still while nobody reads: a job that is started again does not find its sessions idle.

    Attributes:
      now: the time.
      ticked: when it went on, by the clock of the machine.
      heard: the time when the latest message came.
      begun: when the first reader began.
    """

    now: Seconds
    ticked: Seconds
    heard: Seconds
    begun: Seconds

    @classmethod
    def beginning(cls, at: Seconds) -> SourceClock:
        """Return a clock that begins with the machine's."""
        first = at - TICK_SECONDS
        return cls(now=first, ticked=first, heard=first, begun=at)

    @property
    def idle(self) -> Seconds:
        """Seconds without a message."""
        return self.now - self.heard

    def hear(self) -> None:
        """Note that a message came."""
        self.heard = self.now

    def tick(self, at: Seconds) -> bool:
        """Let the time go on, five times a second; tell whether it did.

        Example:
          >>> clock = SourceClock.beginning(100.0)
          >>> clock.tick(100.0), clock.tick(100.1), clock.tick(100.5), clock.tick(130.5)
          (True, False, True, True)
          >>> round(clock.now, 3)
          101.5
        """
        if at - self.ticked < TICK_SECONDS:
            return False
        self.now += min(at - self.ticked, _LONGEST_TICK)
        self.ticked = at
        return True

    def stand_still(self, until: Seconds) -> None:
        """Let no time go by until the machine's clock says so."""
        self.ticked = until
