"""Who talks when, in whole microseconds, so that times can be compared and added without rounding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from beam_curator.intervals import Span, united
from beam_curator.separation.speaker_turns import SpeakerTurn, natural_order
from beam_curator.sets.counting import microseconds

MICROSECONDS = 1_000_000
"""In a second."""

MicroSpan = tuple[int, int]
"""A half-open piece of a recording, `(start, end)` in whole microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A piece of a recording in which the same speakers talk.

    Attributes:
      start_us: where it begins, microseconds.
      end_us: where it ends, microseconds.
      n_talking: how many talk.
      latest: who of them began last, of those who began at once the last in natural order; None where nobody talks.
    """

    start_us: int
    end_us: int
    n_talking: int
    latest: str | None


def in_seconds(span: MicroSpan) -> Span:
    """Return a span in seconds, each time the double next to it: times with six decimals come back as they were."""
    return span[0] / MICROSECONDS, span[1] / MICROSECONDS


def united_turns(turns: Iterable[SpeakerTurn]) -> dict[str, list[MicroSpan]]:
    """Return when each speaker talks: turns of one that overlap or touch are one.

    Returns:
      By speaker in natural order, spans in microseconds, ascending, with a gap between any two; none where no turn of
      a speaker has a length.

    Example:
      >>> united_turns([SpeakerTurn(start=0, end=2, speaker="a"), SpeakerTurn(start=1, end=3, speaker="a")])
      {'a': [(0, 3000000)]}
    """
    spans: dict[str, list[MicroSpan]] = {}
    for turn in turns:
        span = microseconds(turn.start), microseconds(turn.end)
        own = spans.setdefault(turn.speaker, [])
        if span[0] < span[1]:
            own.append(span)
    return {speaker: united(spans[speaker]) for speaker in sorted(spans, key=natural_order)}


def stretches(talk: Mapping[str, Sequence[MicroSpan]], duration_us: int) -> Iterator[Stretch]:
    """Cut a recording wherever somebody begins or ends to talk.

    Args:
      talk: as of `united_turns`.
      duration_us: length of the recording, microseconds.

    Yields:
      Stretches in order of time, none empty, from 0 to the end of the recording or of the talk.

    Example:
      >>> for stretch in stretches({"a": [(0, 10)], "b": [(8, 15)]}, 20):
      ...     print(stretch.start_us, stretch.end_us, stretch.n_talking, stretch.latest)
      0 8 1 a
      8 10 2 b
      10 15 1 b
      15 20 0 None
    """
    speakers = list(talk)
    since = 0
    talking: dict[int, int] = {}
    starters: list[tuple[int, int]] = []
    for number, (time, is_start, rank) in enumerate(_changes(talk)):
        if time > since:
            latest = speakers[starters[-1][0]] if starters else None
            yield Stretch(start_us=since, end_us=time, n_talking=len(talking), latest=latest)
            since = time
        if is_start:
            talking[rank] = number
            starters.append((rank, number))
            continue
        del talking[rank]
        # a speaker may have begun again since: the number of the change tells the two turns apart
        while starters and talking.get(starters[-1][0]) != starters[-1][1]:
            starters.pop()
    if since < duration_us:
        yield Stretch(start_us=since, end_us=duration_us, n_talking=0, latest=None)


def _changes(talk: Mapping[str, Sequence[MicroSpan]]) -> list[tuple[int, int, int]]:
    """Return `(time, 1 for a start or 0 for an end, rank of the speaker)` in order: ends come before starts."""
    starts = [(start, 1, rank) for rank, spans in enumerate(talk.values()) for start, _ in spans]
    ends = [(end, 0, rank) for rank, spans in enumerate(talk.values()) for _, end in spans]
    return sorted(starts + ends)
