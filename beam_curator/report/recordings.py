"""A recording as the page shows it: its line in the table, and its details, put together from the rows of all sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from beam_curator.report.shown_rows import Clip, Shown, Turn, Window, speech_of

_DIGITS = 3


@dataclass(slots=True, kw_only=True)
class ShownRecording:
    """The rows of one recording, by the number of their set.

    Attributes:
      name: as people see it.
      path: full name; "" for rows that name none.
      id: that it goes by in references; "" where no row says it.
    """

    name: str
    path: str
    duration: float | None = None
    sample_rate: float | None = None
    id: str = ""
    n_rows: int = 0
    turns: dict[int, list[Turn]] = field(default_factory=dict)
    windows: dict[int, list[Window]] = field(default_factory=dict)
    clips: dict[int, list[Clip]] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    failures: list[list[Any]] = field(default_factory=list)

    def add(self, number: int, shown: Shown) -> None:
        """Add a row of the set of this number; scores of clips are those of their table, not of the recording."""
        self.n_rows += 1
        self.id = self.id or shown.id
        self.duration = shown.duration if self.duration is None else self.duration
        self.sample_rate = shown.sample_rate if self.sample_rate is None else self.sample_rate
        if shown.turns:
            self.turns.setdefault(number, []).extend(shown.turns)
        if shown.windows:
            self.windows.setdefault(number, []).extend(shown.windows)
        if shown.clips:
            self.clips.setdefault(number, []).extend(shown.clips)
        for reason, n in shown.lost.items():
            self.lost[reason] = self.lost.get(reason, 0) + n
        self.scores |= {} if shown.clips else {key: n for key, n in shown.scores.items() if key not in self.scores}

    def add_failure(self, number: int, letter: dict[str, Any]) -> None:
        """Add a dead letter of the set of this number."""
        self.n_rows += 1
        self.failures.append([number, *(letter[key] for key in ("stage", "code", "message", "cure"))])
        self.lost[letter["code"]] = self.lost.get(letter["code"], 0) + 1

    def line(self) -> dict[str, Any]:
        """Return the line of the table, without values that are zero or unknown."""
        turns = next(iter(self.turns.values()), [])
        windows = [window for own in self.windows.values() for window in own]
        speech, crosstalk = speech_of(turns)
        values = {
            "name": self.name,
            "duration": self._length(),
            "rate": self.sample_rate,
            "speakers": len({turn[2] for turn in turns}),
            "speech": round(speech, _DIGITS),
            "overlap": round(100 * crosstalk / speech, 1) if speech else 0,
            "turns": len(turns),
            "windows": len(windows),
            "kept": sum(window.is_kept for window in windows),
            "clips": sum(map(len, self.clips.values())),
            "failures": len(self.failures),
            "lost": {reason: round(n, _DIGITS) for reason, n in self.lost.items()},
            "scores": self.scores,
        }
        return {key: value for key, value in values.items() if value or key == "name"}

    def _length(self) -> float:
        """Return the length in seconds; where no row says it, the end of the last piece."""
        if self.duration is not None:
            return round(self.duration, _DIGITS)
        pieces = [piece for of in (self.turns, self.windows, self.clips) for own in of.values() for piece in own]
        return round(max((piece[1] for piece in pieces), default=0), _DIGITS)

    def details(self) -> dict[str, Any]:
        """Return all that is shown once the recording is opened; times are rounded to milliseconds."""
        return {
            "name": self.name,
            "path": self.path,
            "duration": self._length(),
            "turns": self._lanes(),
            "windows": {
                number: [[*_rounded(own), own.n_speakers, int(own.is_kept)] for own in sorted(of)]
                for number, of in self.windows.items()
            },
            "clips": {
                number: [[*_rounded(own), own.speaker, own.file, own.failed] for own in sorted(of)]
                for number, of in self.clips.items()
            },
            "lost": self.lost,
            "failures": self.failures,
        }

    def _lanes(self) -> list[dict[str, Any]]:
        """Return the turns of each set by speaker; sets with the same turns share their lanes."""
        lanes: list[dict[str, Any]] = []
        for number, turns in self.turns.items():
            speakers = sorted({turn[2] for turn in turns})
            rank = {speaker: k for k, speaker in enumerate(speakers)}
            spans = sorted([*_rounded(turn), rank[turn[2]]] for turn in turns)
            same = next((lane for lane in lanes if (lane["speakers"], lane["spans"]) == (speakers, spans)), None)
            if same is not None:
                same["sets"].append(number)
            else:
                lanes.append({"sets": [number], "speakers": speakers, "spans": spans})
        return lanes


def _rounded(piece: Any) -> tuple[float, float]:
    return round(piece[0], _DIGITS), round(piece[1], _DIGITS)
