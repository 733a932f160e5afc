"""Timelines in whole samples: where each sample of a track that was put together comes from.

A track is a list of pieces that lie end to end. Each is samples of its parent, or silence that was put in. The parent
of a composed timeline is that of the outer one, so that a track of a track leads back to the recording.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

SampleRange = tuple[int, int]
"""Samples `[first, stop)`."""


class Piece(NamedTuple):
    """Samples of a track that follow one another.

    Attributes:
      n_samples: how many; at least one.
      source: the first of them in the parent; None for silence that was put in.
    """

    n_samples: int
    source: int | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """A track as pieces of its parent; no two neighbours could be one piece.

    Attributes:
      pieces: in order, end to end.
    """

    pieces: tuple[Piece, ...]

    @property
    def n_samples(self) -> int:
        """Length of the track."""
        return sum(piece.n_samples for piece in self.pieces)

    @property
    def sources(self) -> tuple[SampleRange, ...]:
        """The samples of the parent that are on the track, in its order; those that touch are one range."""
        return tuple(_range_of(piece) for piece in self.pieces if piece.source is not None)

    @property
    def placed(self) -> tuple[tuple[int, SampleRange], ...]:
        """The same, each with its first sample on the track."""
        return tuple(
            (first, _range_of(piece))
            for first, piece in zip(_firsts(self.pieces), self.pieces, strict=False)
            if piece.source is not None
        )

    def part(self, first: int, stop: int) -> Timeline:
        """Return samples `[first, stop)` of the track as a track.

        Example:
          >>> concatenated([(10, 20), (30, 40)], silence=5).part(8, 16).placed
          ((0, (18, 20)), (7, (30, 31)))
        """
        return Timeline(tuple(_between(self.pieces, _firsts(self.pieces), first, stop)))


def whole(n_samples: int) -> Timeline:
    """Return a track that is its parent."""
    return concatenated([(0, n_samples)])


def concatenated(spans: Iterable[SampleRange], silence: int = 0) -> Timeline:
    """Put samples of a parent end to end, with so many samples of silence between.

    Example:
      >>> concatenated([(10, 20), (30, 40)], silence=5).n_samples
      25
    """
    pieces: list[Piece] = []
    for first, stop in spans:
        if first < stop:
            if pieces and silence:
                pieces.append(Piece(silence, None))
            pieces.append(Piece(stop - first, first))
    return _joined(pieces)


def laid_out(spans: Iterable[SampleRange], n_samples: int, first: int = 0) -> Timeline:
    """Return samples `[first, first + n_samples)` of a parent that is silent but for spans, which are in order.

    Example:
      >>> laid_out([(2, 4), (5, 9)], 6).placed
      ((2, (2, 4)), (5, (5, 6)))
    """
    pieces, here, end = [], first, first + n_samples
    for span in spans:
        start, stop = max(span[0], here), min(span[1], end)
        if start < stop:
            pieces += [Piece(start - here, None)] if here < start else []
            pieces.append(Piece(stop - start, start))
            here = stop
    return _joined([*pieces, *([Piece(end - here, None)] if here < end else [])])


def composed(outer: Timeline, inner: Timeline) -> Timeline:
    """Return a track of a track as one of the parent of that.

    Args:
      outer: the track that `inner` is made of.
      inner: its pieces are samples of `outer`.

    Example:
      >>> composed(concatenated([(10, 20), (30, 40)]), concatenated([(8, 12)])).sources
      ((18, 20), (30, 32))
    """
    firsts = _firsts(outer.pieces)
    pieces: list[Piece] = []
    for piece in inner.pieces:
        if piece.source is None:
            pieces.append(piece)
        else:
            pieces += _between(outer.pieces, firsts, piece.source, piece.source + piece.n_samples)
    return _joined(pieces)


def at_rate(span: SampleRange, rate: int, to_rate: int, n_samples: int) -> SampleRange:
    """Return samples at one rate as samples at another: both ends rounded down, so that neighbours stay neighbours.

    Args:
      span: at `rate`.
      rate: Hz.
      to_rate: Hz.
      n_samples: length at `to_rate`, which a rounded length at `rate` may exceed.

    Example:
      >>> at_rate((160, 321), 16000, 44100, 44100)
      (441, 884)
    """
    first, stop = (min(sample * to_rate // rate, n_samples) for sample in span)
    return first, stop


def _range_of(piece: Piece) -> SampleRange:
    first = piece.source or 0
    return first, first + piece.n_samples


def _firsts(pieces: Sequence[Piece]) -> list[int]:
    """Return where each piece begins on the track, and where the last one ends."""
    return [0, *accumulate(piece.n_samples for piece in pieces)]


def _between(pieces: Sequence[Piece], firsts: Sequence[int], first: int, stop: int) -> Iterator[Piece]:
    """Yield samples `[first, stop)` of a track."""
    for number in range(max(bisect_right(firsts, first) - 1, 0), len(pieces)):
        if firsts[number] >= stop:
            return
        start, end = max(first, firsts[number]), min(stop, firsts[number + 1])
        source = pieces[number].source
        if start < end:
            yield Piece(end - start, None if source is None else source + start - firsts[number])


def _joined(pieces: Iterable[Piece]) -> Timeline:
    """Make a track of pieces; neighbours that go on where the one before ends are one."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last is not None and piece.source == (None if last.source is None else last.source + last.n_samples):
            joined[-1] = Piece(last.n_samples + piece.n_samples, last.source)
        else:
            joined.append(piece)
    return Timeline(tuple(joined))
