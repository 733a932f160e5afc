"""Crosstalk: the same speech on several channels, which belongs to the loudest of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.turns import Turn, overlap_regions
from beam_curator.intervals import Seconds, Span

Levels = NDArray[np.float64]
"""How loud channels are: root mean squares, [n_frames, n_channels]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrosstalkRules:
    """When speech on two channels is the same.

    Attributes:
      margin_db: a channel that is quieter than the other by at least this may be an echo of it.
      correlation: of the levels of such channels, frame by frame, from which it is one.
      same_correlation: of the levels of channels that are about as loud, from which they hold the same speech.
      frame: seconds over which a level is measured.
      part: longest part that is judged at once, seconds; longer speech is judged in equal parts.
      shortest_part: speech that is shorter than this, in seconds, is not judged.
      shortest_rest: what is left of a turn and is shorter than this, in seconds, goes with the rest.
    """

    margin_db: float = 6.0
    correlation: float = 0.8
    same_correlation: float = 0.98
    frame: Seconds = 0.02
    part: Seconds = 1.0
    shortest_part: Seconds = 0.3
    shortest_rest: Seconds = 0.25


RULES = CrosstalkRules()


class LevelMeter:
    """Measures how loud each channel of a recording is, frame by frame; memory is that of the levels.

    Args:
      sample_rate: of the recording, Hz.
      n_channels: of the recording.
      frame: length of a frame in seconds, rounded to whole samples.

    Attributes:
      frame_step: seconds of a frame as it is.

    Example:
      >>> meter = LevelMeter(100, 2)
      >>> meter.add(np.float32([[3, 0], [4, 0], [1, 1]]))
      >>> meter.levels().round(2).tolist()
      [[3.54, 0.0], [1.0, 1.0]]
    """

    def __init__(self, sample_rate: int, n_channels: int, frame: Seconds = RULES.frame) -> None:
        self._size = max(1, round(frame * sample_rate))
        self.frame_step = self._size / sample_rate
        self._held = np.empty((0, n_channels), np.float32)
        self._levels: list[Levels] = []

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples, float32 [n, n_channels]."""
        held = np.concatenate((self._held, samples))
        n_whole = len(held) // self._size * self._size
        self._measure(held[:n_whole].reshape(-1, self._size, held.shape[1]))
        self._held = held[n_whole:]

    def levels(self) -> Levels:
        """Return the levels of all frames, float64 [n_frames, n_channels]; the last frame may be shorter."""
        if len(self._held):
            self._measure(self._held[np.newaxis])
            self._held = self._held[:0]
        return np.concatenate(self._levels) if self._levels else np.empty((0, self._held.shape[1]))

    def _measure(self, frames: NDArray[np.float32]) -> None:
        if len(frames):
            self._levels.append(np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1)))


def owners_of(levels: Levels, loudness: Sequence[float], rules: CrosstalkRules = RULES) -> tuple[int, ...]:
    """Tell whose speech each channel holds in a part in which people talk on all of them.

    The loudest channel has its own speech. Another one holds the same if its levels rise and fall alike: if they
    correlate by `correlation` and it is quieter by `margin_db` or more, or else by `same_correlation`. Of channels that
    hold the same and are about as loud as the loudest, it belongs to the one that is louder in all of the recording.
    So it goes on with the loudest of those that are left.

    Args:
      levels: [n_frames, n_channels] of the part.
      loudness: of each channel in all of the recording; of equal ones, the first counts as louder.
      rules: thresholds.

    Returns:
      For each channel the place of the channel that its speech belongs to: its own, or a louder one's.

    Example:
      >>> loud = np.array([1.0, 4.0, 2.0, 8.0])
      >>> owners_of(np.stack((loud, 0.1 * loud, loud[::-1]), axis=1), (2.0, 1.0, 2.0))
      (0, 0, 2)
    """
    left = list(range(levels.shape[1]))
    decibels = 20 * np.log10(np.maximum(np.sqrt(np.mean(np.square(levels), axis=0)), 1e-12))
    owners = dict.fromkeys(left, 0)
    while left:
        loudest = max(left, key=lambda place: (decibels[place], -place))
        near = [place for place in left if decibels[loudest] - decibels[place] < rules.margin_db]
        same = [
            place
            for place in left
            if place == loudest
            or _correlation(levels[:, place], levels[:, loudest])
            >= (rules.same_correlation if place in near else rules.correlation)
        ]
        owner = max((place for place in same if place in near), key=lambda place: (loudness[place], -place))
        owners |= dict.fromkeys(same, owner)
        left = [place for place in left if place not in same]
    return tuple(owners[place] for place in sorted(owners))


def _correlation(one: Levels, other: Levels) -> float:
    """Return Pearson's correlation, 0 where a level does not change."""
    one, other = one - one.mean(), other - other.mean()
    scale = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / scale if scale > 0 else 0.0


def without_crosstalk(
    turns: Sequence[Turn], levels: Levels, frame_step: Seconds, begin: Seconds = 0.0, rules: CrosstalkRules = RULES
) -> list[Turn]:
    """Leave out of turns the speech that is the same as on a louder channel, where somebody has a turn at that time.

    Args:
      turns: of all channels, each with its own.
      levels: [n_frames, n_channels] of all channels of the recording.
      frame_step: seconds of a frame.
      begin: when the first frame begins, in the time of the turns.
      rules: thresholds.

    Returns:
      Turns in the order given; one that had to give speech away may be shorter, in several pieces, or gone.

    Example:
      >>> loud = np.tile(np.sin(np.arange(50) / 3) + 1, 2)
      >>> turns = [Turn(start=0.0, end=2.0, speaker=0, channel=0), Turn(start=0.0, end=1.0, speaker=4, channel=1)]
      >>> without_crosstalk(turns, np.stack((loud, 0.1 * loud), axis=1), 0.02)
      [Turn(start=0.0, end=2.0, speaker=0)]
    """
    lost: dict[int, list[Span]] = {}
    loudness = np.sqrt(np.mean(np.square(levels), axis=0)).tolist() if len(levels) else []
    as_speakers = [replace(turn, speaker=turn.channel or 0) for turn in turns]
    for region in overlap_regions(as_speakers):
        channels = list(region.speakers)
        for start, end in _parts(region.start, region.end, rules.part):
            first, stop = (max(0, math.ceil(round((time - begin) / frame_step - 0.5, 6))) for time in (start, end))
            heard = levels[first:stop, channels]
            if len(heard) * frame_step < rules.shortest_part - frame_step / 2:
                continue
            owners = owners_of(heard, [loudness[channel] for channel in channels], rules)
            for place, owner in enumerate(owners):
                if owner != place:
                    lost.setdefault(channels[place], []).append((start, end))
    return [rest for turn in turns for rest in rests_of(turn, lost.get(turn.channel or 0, ()), rules.shortest_rest)]


def _parts(start: Seconds, end: Seconds, longest: Seconds) -> Iterator[Span]:
    """Yield equal parts of a span, on the grid of milliseconds that turns are on."""
    n = max(1, math.ceil(round((end - start) / longest, 6)))
    edges = [round(start + (end - start) * number / n, 3) for number in range(n)] + [end]
    yield from pairwise(edges)


def rests_of(turn: Turn, lost: Iterable[Span], shortest: Seconds) -> Iterator[Turn]:
    """Yield the parts of a turn outside of spans, which ascend and do not overlap."""
    inside = [span for span in lost if span[0] < turn.end and span[1] > turn.start]
    if not inside:
        yield turn
        return
    here = turn.start
    for start, end in [*inside, (turn.end, turn.end)]:
        if round(start - here, 6) >= shortest:
            yield replace(turn, start=here, end=start)
        here = max(here, end)


def seconds_of(turns: Iterable[Turn]) -> Seconds:
    """Return how long turns last together, to the microsecond.

    Example:
      >>> seconds_of([Turn(start=0.1, end=0.4, speaker=0), Turn(start=0.2, end=0.4, speaker=1)])
      0.5
    """
    return round(math.fsum(turn.end - turn.start for turn in turns), 6)
