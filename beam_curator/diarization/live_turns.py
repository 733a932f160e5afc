"""Turns of a stream while it goes on: each is given out once, as soon as no later frame can change it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_curator.diarization.models import Floats
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import TICK, Turn, rounded_spans, ticks_of, turn_order
from beam_curator.intervals import Seconds

_Times = tuple[np.float32, np.float32]
_Span = tuple[int, _Times]
_Given = tuple[_Times, bool]
"""Times of a turn that is final, and whether its beginning was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTurns:
    """The turns that some more frames bring.

    Attributes:
      begun: turns that are sure to come, each told once, before or with its end; where they end is not known yet.
      final: turns that no later frame can change.
    """

    begun: tuple[Turn, ...] = ()
    final: tuple[Turn, ...] = ()


class LiveTurns:
    """Turns of frames that come bit by bit.

    The union of the final turns equals `turns_from_probabilities` of the whole stream, however it is cut. A turn is
    final once `pad_onset`, `pad_offset`, `min_duration_on`, `min_duration_off` and one frame beyond its end are
    decided, or earlier: a streaming Sortformer never revises a frame. Memory does not depend on the length of the
    stream or of a turn.

    Args:
      rules: thresholds and durations.
      n_speakers: slots of the model.
      frame_step: seconds from frame to frame, a multiple of 0.01.

    Example:
      >>> turns = LiveTurns(TurnRules(), n_speakers=1)
      >>> turns.add(np.float32([[0.9], [0.9]])).begun
      (Turn(start=0.0, end=0.16, speaker=0),)
      >>> turns.add(np.float32([[0.1]])).final
      (Turn(start=0.0, end=0.16, speaker=0),)
    """

    def __init__(self, rules: TurnRules, n_speakers: int, frame_step: Seconds = 0.08) -> None:
        self._rules = rules
        self._ticks = ticks_of(frame_step)
        self._tracks = [_Track(rules) for _ in range(n_speakers)]
        self._now = 0

    @property
    def decided_until(self) -> Seconds:
        """Seconds of which frames were added."""
        return round(self._now * TICK, 2)

    def add(self, probabilities: Floats) -> NewTurns:
        """Take frames that follow those before, float32 [n_frames, n_speakers], finite."""
        stop = self._now + len(probabilities) * self._ticks
        begun: list[_Span] = []
        final: list[_Span] = []
        for speaker, track in enumerate(self._tracks):
            for times, was_told in track.hear(self._steps(probabilities[:, speaker]), stop):
                final.append((speaker, times))
                begun += [] if was_told else [(speaker, times)]
            if (start := track.begun_at(stop)) is not None:
                begun.append((speaker, (start, np.float32(max(stop * TICK, float(start) + TICK)))))
        self._now = stop
        return NewTurns(begun=_turns(begun), final=_turns(final))

    def _steps(self, values: Floats) -> Iterator[tuple[int, bool, bool]]:
        """Yield ticks at which speech may change, and whether it may start and end there."""
        rules = self._rules
        starting, ending = values > np.float32(rules.onset), values < np.float32(rules.offset)
        # with crossed thresholds a frame between them starts and ends speech at each tick
        n_each = self._ticks if rules.offset > rules.onset else 1
        for frame, (starts, ends) in enumerate(zip(starting.tolist(), ending.tolist(), strict=True)):
            for tick in range(n_each):
                yield self._now + frame * self._ticks + tick, starts, ends

    def finish(self, duration: Seconds | None = None) -> NewTurns:
        """Return the turns that were not final yet, of which some may not have begun yet; no frames may follow.

        Args:
          duration: of the stream in seconds, as for `turns_from_probabilities`.
        """
        spans = [(speaker, *given) for speaker, track in enumerate(self._tracks) for given in track.finish(self._now)]
        return NewTurns(
            begun=_turns([(speaker, times) for speaker, times, was_told in spans if not was_told], duration),
            final=_turns([(speaker, times) for speaker, times, _ in spans], duration),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the values that are needed to go on, as JSON has them."""
        return {"now": self._now, "tracks": [track.to_list() for track in self._tracks]}

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on from the values that `to_dict` returned.

        Raises:
          KeyError, TypeError, ValueError: they are others.
        """
        self._now = int(kept["now"])
        for track, values in zip(self._tracks, kept["tracks"], strict=True):
            track.restore(values)


class _Track:
    """The speech of one speaker.

    Speech goes from `since`, where it lasts, to `joined` at its end: with its pads, and united with the speech before
    that it touches. That becomes, or prolongs, the turn that is `waiting` once no speech can touch it any more. The
    turn is final when the pause behind it is long enough.
    """

    def __init__(self, rules: TurnRules) -> None:
        self._rules = rules
        self._least_on = np.float32(rules.min_duration_on)
        self._least_off = np.float32(rules.min_duration_off)
        self._since: int | None = None
        self._joined: _Times | None = None
        self._waiting: _Times | None = None
        self._is_told = False

    def hear(self, steps: Iterable[tuple[int, bool, bool]], stop: int) -> Iterator[_Given]:
        """Take `(tick, starts, ends)`, up to the tick `stop`; yield turns that are final."""
        for tick, starts, ends in steps:
            if self._since is None:
                self._since = tick if starts else None
            elif ends:
                yield from self._pause(tick)
        # the earliest that any speech to come may begin, with its pad
        earliest = self._start_of(stop if self._since is None else self._since)
        if self._joined is not None and earliest > self._joined[1]:
            yield from self._settle()
        if self._joined is not None:
            earliest = self._joined[0]
        # with a negative pad_onset a span may reach beyond the frames that are decided
        if self._is_apart(earliest) and self._waiting is not None and self._waiting[1] <= np.float32(stop * TICK):
            yield from self._give()

    def finish(self, stop: int) -> Iterator[_Given]:
        """End the speech that lasts; yield the turns that are left."""
        if self._since is not None:
            # NeMo closes an open turn at its last tick, not behind it
            yield from self._pause(stop - 1)
        yield from self._settle()
        yield from self._give()

    def begun_at(self, stop: int) -> np.float32 | None:
        """Return the start of a turn that became sure to come by the tick `stop`; None where none did."""
        if self._is_told:
            return None
        start = self._waiting[0] if self._waiting is not None else self._sure_start(stop)
        self._is_told = start is not None
        return start

    def _sure_start(self, stop: int) -> np.float32 | None:
        """Return the start of speech that is long enough already."""
        span = self._joined
        if self._since is not None:
            # a stream that ends now ends its speech at the last tick, not behind it
            lasting = self._padded(self._since, stop - 1)
            if lasting is not None:
                span = lasting if span is None or span[1] < lasting[0] else (span[0], lasting[1])
        return span[0] if span is not None and span[1] - span[0] >= self._least_on else None

    def _start_of(self, tick: int) -> np.float32:
        return np.float32(max(0.0, tick * TICK - self._rules.pad_onset))

    def _padded(self, since: int, stop: int) -> _Times | None:
        start, end = max(0.0, since * TICK - self._rules.pad_onset), stop * TICK + self._rules.pad_offset
        return (np.float32(start), np.float32(end)) if end > start else None

    def _pause(self, tick: int) -> Iterator[_Given]:
        since, self._since = self._since, None
        span = self._padded(since, tick) if since is not None else None
        if span is None:
            return
        if self._joined is not None and self._joined[1] >= span[0]:
            self._joined = self._joined[0], span[1]
        else:
            yield from self._settle()
            self._joined = span

    def _settle(self) -> Iterator[_Given]:
        """Make speech that nothing touches any more a turn, or a part of the one that waits, if it is long enough."""
        span, self._joined = self._joined, None
        if span is None or span[1] - span[0] < self._least_on:
            return
        if self._waiting is not None and not self._is_apart(span[0]):
            self._waiting = self._waiting[0], span[1]
        else:
            yield from self._give()
            self._waiting = span

    def _is_apart(self, start: np.float32) -> bool:
        """Tell whether speech from `start` on would leave the turn that waits as it is."""
        return self._waiting is None or bool(start - self._waiting[1] >= self._least_off)

    def _give(self) -> Iterator[_Given]:
        span, self._waiting = self._waiting, None
        if span is not None:
            was_told, self._is_told = self._is_told, False
            yield span, was_told

    def to_list(self) -> list[Any]:
        times = [None if span is None else [float(time) for time in span] for span in (self._joined, self._waiting)]
        return [self._since, *times, self._is_told]

    def restore(self, values: Sequence[Any]) -> None:
        self._since, joined, waiting, self._is_told = values
        self._joined, self._waiting = (
            None if span is None else (np.float32(span[0]), np.float32(span[1])) for span in (joined, waiting)
        )


def _turns(spans: Iterable[_Span], duration: Seconds | None = None) -> tuple[Turn, ...]:
    turns = [
        Turn(start=start, end=end, speaker=speaker)
        for speaker, span in spans
        for start, end in rounded_spans(np.array([span], np.float32), duration)
    ]
    return tuple(sorted(turns, key=turn_order))
