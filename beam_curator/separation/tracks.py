"""Tracks: from spans in seconds to samples, and from pieces of a recording to pieces of each speaker's track."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from beam_curator.audio import Samples
from beam_curator.clips.records import ClipRequest
from beam_curator.intervals import Span
from beam_curator.timelines import Timeline, concatenated, laid_out


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPlan:
    """The parts of a recording that are on one track.

    Attributes:
      kept: `[first, stop)` in samples of the recording, ascending, none empty.
      spans: in seconds of the recording, one for each of `kept`.
      sample_rate: of the recording and the track, Hz.
      n_samples: length of the recording.
      compact: the track is what is kept, one piece after the other; else it is as long as the recording, and silent
        elsewhere.
      channel: the only one on the track, counted from 0; None for all.
    """

    kept: tuple[tuple[int, int], ...]
    spans: tuple[Span, ...]
    sample_rate: int
    n_samples: int
    compact: bool
    channel: int | None = None

    @property
    def timeline(self) -> Timeline:
        """Where each sample of the track comes from."""
        return concatenated(self.kept) if self.compact else laid_out(self.kept, self.n_samples)

    @property
    def n_kept(self) -> int:
        """Samples of the recording that are on the track; 0 where all spans are shorter than a sample."""
        return sum(stop - first for first, stop in self.kept)

    @property
    def n_track_samples(self) -> int:
        """Length of the track."""
        return self.timeline.n_samples

    @property
    def track_spans(self) -> tuple[Span, ...]:
        """Where the spans lie on the track, in seconds of it; to the sample, if they are cut out of it."""
        if not self.compact:
            return self.spans
        spans, here = [], 0
        for first, stop in self.kept:
            spans.append((here / self.sample_rate, (here + stop - first) / self.sample_rate))
            here += stop - first
        return tuple(spans)


def track_plan(spans: Iterable[Span], sample_rate: int, n_samples: int, *, compact: bool = False) -> TrackPlan:
    """Find the samples of a track, as clips of the same spans have them: each end at the nearest sample.

    Args:
      spans: in seconds, ascending, not overlapping.
      sample_rate: of the recording, Hz.
      n_samples: length of the recording; spans end with it.
      compact: see `TrackPlan`.

    Returns:
      The plan; a span that holds no sample is not on it.

    Raises:
      ValueError: spans are negative, reversed, overlap, or are out of order.

    Example:
      >>> plan = track_plan([(0.5, 1.0), (2.0, 2.5)], 8000, 18000, compact=True)
      >>> plan.kept, plan.n_track_samples, plan.track_spans
      (((4000, 8000), (16000, 18000)), 6000, ((0.0, 0.5), (0.5, 0.75)))
    """
    kept, held = [], []
    before = 0.0
    for start, end in spans:
        if not before <= start <= end:
            raise ValueError(
                f"span {start!r}-{end!r} s, expected times from {before!r} s on: give spans in order, without overlap"
            )
        before = end
        asked = ClipRequest(fields={}, combo=2, index=0, start=start, end=end, unit="s").sample_range(sample_rate)
        first, stop = min(asked[0], n_samples), min(asked[1], n_samples)
        if first < stop:
            kept.append((first, stop))
            held.append((start, end))
    return TrackPlan(kept=tuple(kept), spans=tuple(held), sample_rate=sample_rate, n_samples=n_samples, compact=compact)


def pieces_of_tracks(pieces: Iterable[Samples], plans: Sequence[TrackPlan]) -> Iterator[tuple[int, Samples]]:
    """Make tracks of a recording in one pass over it; memory is that of a piece, however many tracks there are.

    Args:
      pieces: float32 [n, n_channels] each, of any lengths: the whole recording in order.
      plans: of all tracks, all of this recording.

    Yields:
      `(index, samples)`: the next float32 [n, n_channels] of the track of `plans[index]`, [n, 1] where it is of one
      channel, to be read only: they may be views of the piece, and silence is one array for all. What is kept equals
      the recording bit for bit, all else is 0. Pieces of full-length tracks are as long as those of the recording;
      compact ones come where some is kept.

    Raises:
      ValueError: the recording is not as long as the plans say.

    Example:
      >>> plans = [track_plan([(0, 1)], 2, 4), track_plan([(1, 2)], 2, 4, compact=True)]
      >>> for index, samples in pieces_of_tracks([np.float32([[1], [2], [3]]), np.float32([[4]])], plans):
      ...     print(index, samples[:, 0].tolist())
      0 [1.0, 2.0, 0.0]
      1 [3.0]
      0 [0.0]
      1 [4.0]
    """
    cutters = [_Cutter(plan) for plan in plans]
    first = 0
    silence = np.zeros((0, 0), np.float32)
    for piece in pieces:
        if not len(piece):
            continue
        _check_length(first + len(piece), plans, ended=False)
        if silence.shape != piece.shape:
            silence = np.zeros_like(piece)
            silence.flags.writeable = False
        for index, cutter in enumerate(cutters):
            for samples in cutter.next(first, piece, silence):
                yield index, samples
        first += len(piece)
    _check_length(first, plans, ended=True)


def _check_length(n_samples: int, plans: Iterable[TrackPlan], *, ended: bool) -> None:
    for plan in plans:
        if n_samples > plan.n_samples or (ended and n_samples < plan.n_samples):
            raise ValueError(
                f"the pieces hold {n_samples} samples{'' if ended else ' or more'}, the plan is for {plan.n_samples}: "
                "give all of the recording, in order"
            )


class _Cutter:
    """Makes one track of the pieces of its recording, which come in order."""

    def __init__(self, plan: TrackPlan) -> None:
        self._kept = plan.kept
        self._compact = plan.compact
        self._channels = slice(None) if plan.channel is None else slice(plan.channel, plan.channel + 1)
        self._at = 0

    def next(self, first: int, piece: Samples, silence: Samples) -> list[Samples]:
        """Return the samples that a piece, which begins at sample `first`, puts on the track."""
        piece, silence = piece[:, self._channels], silence[:, self._channels]
        cuts = self._cuts(first, first + len(piece))
        if self._compact:
            return [piece[start:stop] for start, stop in cuts]
        if not cuts:
            return [silence]
        if cuts[0] == (0, len(piece)):
            return [piece]
        laid = np.zeros_like(piece)
        for start, stop in cuts:
            laid[start:stop] = piece[start:stop]
        return [laid]

    def _cuts(self, first: int, stop: int) -> list[tuple[int, int]]:
        """Return the kept parts of samples `[first, stop)`, counted from `first`."""
        cuts = []
        while self._at < len(self._kept) and self._kept[self._at][0] < stop:
            kept_first, kept_stop = self._kept[self._at]
            cuts.append((max(kept_first, first) - first, min(kept_stop, stop) - first))
            if kept_stop > stop:
                break
            self._at += 1
        return cuts
