"""A board of live sessions for a terminal: who talks, how far each is, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from unicodedata import east_asian_width

from beam_curator.intervals import Seconds
from beam_curator.live.events import Event

_NAME_WIDTH = 24


@dataclass(slots=True)
class _Line:
    """One session."""

    decided: Seconds = 0.0
    waiting: Seconds = 0.0
    talking: dict[str, str] = field(default_factory=dict)
    speakers: set[str] = field(default_factory=set)
    n_turns: int = 0
    state: str = "live"


class Board:
    """Sessions by their names, as their events tell.

    Example:
      >>> board = Board()
      >>> board.hear({"type": "turn_started", "recording_id": "a", "turn_id": "a:0:0", "speaker": "speaker_0",
      ...             "start": 1.5})
      >>> [" ".join(line.split()) for line in board.lines()][1]
      'a live 1.5 0.0 1 0 speaker_0'
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def hear(self, event: Event) -> None:
        """Take an event; those of a session come in their order."""
        line = self._lines.setdefault(event["recording_id"], _Line())
        kind = event["type"]
        if kind == "turn_started":
            line.talking[event["turn_id"]] = event["speaker"]
            line.speakers.add(event["speaker"])
            line.decided = max(line.decided, event["start"])
        elif kind == "turn_ended":
            line.talking.pop(event["turn_id"], None)
            line.n_turns += 1
            line.decided = max(line.decided, event["end"])
        elif kind == "progress":
            line.decided, line.waiting = event["decided_until"], event["waiting"]
        elif kind == "closed":
            line.talking.clear()
            line.decided, line.waiting, line.state = event["duration"], 0.0, event["reason"]

    @property
    def n_open(self) -> int:
        """Sessions that go on."""
        return sum(line.state == "live" for line in self._lines.values())

    def lines(self, n_columns: int = 1000, n_rows: int = 1000) -> list[str]:
        """Return the board as lines of text, the first of which is a head.

        Args:
          n_columns: of the terminal; longer lines are cut.
          n_rows: of the terminal; where there are more sessions, those that go on come first.
        """
        shown = sorted(self._lines.items())
        n_left = len(shown) + 1 - n_rows
        if n_left > 0:
            # the last row says how many are left out
            shown = sorted(shown, key=lambda item: item[1].state != "live")[: max(0, n_rows - 2)]
        lines = self._rendered(shown)
        lines += [f"… and {len(self._lines) - len(shown):,} more"] if n_left > 0 else []
        return [_cut(line, n_columns) for line in lines]

    def _rendered(self, shown: list[tuple[str, _Line]]) -> list[str]:
        head = (
            f"{'session':<{_NAME_WIDTH}} {'state':<8} {'decided':>9} {'waiting':>8} {'speakers':>8} {'turns':>6}  talks"
        )
        return [
            head,
            *(
                f"{name[:_NAME_WIDTH]:<{_NAME_WIDTH}} {line.state:<8} {line.decided:>9.1f} {line.waiting:>8.1f} "
                f"{len(line.speakers):>8} {line.n_turns:>6}  {', '.join(sorted(set(line.talking.values())))}"
                for name, line in shown
            ),
        ]


def _cut(line: str, n_columns: int) -> str:
    """Return as much of a line as a terminal shows in one row; East Asian characters take two columns."""
    ends = accumulate(2 if east_asian_width(character) in "WF" else 1 for character in line)
    return line[: sum(1 for end in ends if end <= n_columns)]
