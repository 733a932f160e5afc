"""Turns of speech that was put end to end, in the time of the recording and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from beam_curator.curate.clip_plan import common_ranges, gaps_of
from beam_curator.diarization.crosstalk import rests_of
from beam_curator.diarization.turns import Turn
from beam_curator.timelines import SampleRange, Timeline

_SHORTEST = 0.01
"""Seconds: a tick, as turns have it."""


def in_recording(turns: Sequence[Turn], concatenation: Timeline, rate: int) -> list[Turn]:
    """Return turns in seconds of the recording; one that reaches over several pieces is several.

    Args:
      turns: in seconds of the concatenation.
      concatenation: pieces of the recording.
      rate: of the recording, Hz.

    Example:
      >>> from beam_curator.timelines import concatenated
      >>> in_recording([Turn(start=0.5, end=1.8, speaker=0)], concatenated([(300, 400), (700, 800)], 50), 100)
      [Turn(start=3.5, end=4.0, speaker=0), Turn(start=7.0, end=7.3, speaker=0)]
    """
    return [
        replace(turn, start=first / rate, end=stop / rate)
        for turn in turns
        for first, stop in concatenation.part(*_samples_of(turn, rate)).sources
    ]


def as_far_as_kept(turns: Sequence[Turn], concatenation: Timeline, rate: int, kept: Sequence[Turn]) -> list[Turn]:
    """Return turns without all that is not among those that were kept of them in the recording.

    Args:
      turns: in seconds of the concatenation.
      concatenation: pieces of the recording.
      rate: of the recording, Hz.
      kept: parts of these turns as `in_recording` gives them.

    Example:
      >>> from beam_curator.timelines import concatenated
      >>> pieces, turns = concatenated([(300, 400), (700, 800)], 50), [Turn(start=0.5, end=1.8, speaker=0)]
      >>> as_far_as_kept(turns, pieces, 100, [Turn(start=3.7, end=4.0, speaker=0), Turn(start=7.0, end=7.3, speaker=0)])
      [Turn(start=0.7, end=1.8, speaker=0)]
    """
    found: list[Turn] = []
    for turn in turns:
        own = sorted(_samples_of(each, rate) for each in kept if each.speaker == turn.speaker)
        lost = [(first / rate, stop / rate) for first, stop in _lost(turn, concatenation, rate, own)]
        found += rests_of(turn, lost, _SHORTEST)
    return found


def _lost(turn: Turn, concatenation: Timeline, rate: int, kept: Sequence[SampleRange]) -> Iterator[SampleRange]:
    """Yield the samples of the concatenation in which a turn was not kept."""
    begin, end = _samples_of(turn, rate)
    for place, (first, stop) in concatenation.part(begin, end).placed:
        for start, behind in common_ranges(list(gaps_of(kept, stop)), [(first, stop)]):
            yield begin + place + start - first, begin + place + behind - first


def _samples_of(turn: Turn, rate: int) -> SampleRange:
    return round(turn.start * rate), round(turn.end * rate)
