"""Embeddings of speakers and of turns: means of the encoder's frames in which one speaker talks alone."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats, Lengths
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.turns import Turn, exclusive_turns, speakers_of
from beam_curator.intervals import Seconds, Span


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpeakerEmbeddings:
    """The voices of a recording as embeddings.

    Attributes:
      speakers: float32 [width] of length 1 for each speaker that has a turn; None for one who never talks alone.
      turns: the same for each turn.
      model: which one made them; None where that is not told.
    """

    speakers: dict[int, Floats | None]
    turns: tuple[Floats | None, ...]
    model: ModelIdentity | None = None


class EmbeddingFacts(NamedTuple):
    """The facts about a loaded model that workers need: its identity, and how many seconds it took to load."""

    identity: ModelIdentity
    load_seconds: float


class EmbeddingModel(Protocol):
    """A loaded model that embeds voices. Workers share it, also through a proxy to another process."""

    def describe(self) -> EmbeddingFacts:
        """Return the facts about the model that workers need."""
        ...

    def embed(self, waveforms: Floats, lengths: Lengths) -> Floats:
        """Embed voices.

        Args:
          waveforms: float32 [n_items, n_samples] at 16 kHz, padded at the end of each item.
          lengths: int64 [n_items], samples of each item.

        Returns:
          float32 [n_items, width].

        Raises:
          OutOfMemoryError: there is not enough memory for so much at once.
        """
        ...


def pool_embeddings(
    frames: NDArray[np.floating],
    frame_step: Seconds,
    turns: Sequence[Turn],
    begin: Seconds = 0.0,
    model: ModelIdentity | None = None,
) -> SpeakerEmbeddings:
    """Return the mean of the frames of each speaker and of each turn, scaled to length 1.

    A frame counts where its middle lies in a part of a turn in which nobody else talks.

    Args:
      frames: [n_frames, width], one row for `frame_step` seconds.
      frame_step: in seconds.
      turns: the recording's turns, in any order.
      begin: when the first frame begins, in the time of the turns.
      model: which one the frames are of.

    Example:
      >>> turns = [Turn(start=0.0, end=1.0, speaker=1), Turn(start=0.5, end=1.5, speaker=0)]
      >>> found = pool_embeddings(np.float32([[3, 4], [1, 0], [0, 2]]), 0.5, turns)
      >>> {speaker: vector.astype(float).round(1).tolist() for speaker, vector in found.speakers.items()}
      {0: [0.0, 1.0], 1: [0.6, 0.8]}
    """
    alone = spans_alone(turns)

    def mean(spans: Iterable[Span]) -> Floats | None:
        places = [_frames_within(span, frame_step, begin, len(frames)) for span in spans]
        return direction([frames[first:stop].sum(axis=0, dtype=np.float64) for first, stop in places if first < stop])

    return SpeakerEmbeddings(
        speakers={speaker: mean(alone[speaker]) for speaker in speakers_of(turns)},
        turns=tuple(mean(parts_in(alone[turn.speaker], turn)) for turn in turns),
        model=model,
    )


def spans_alone(turns: Sequence[Turn]) -> dict[int, list[Span]]:
    """Return where each speaker that has a turn talks and nobody else does, in order of time.

    Example:
      >>> spans_alone([Turn(start=0.0, end=1.0, speaker=1), Turn(start=0.5, end=1.5, speaker=0)])
      {0: [(1.0, 1.5)], 1: [(0.0, 0.5)]}
    """
    alone: dict[int, list[Span]] = {speaker: [] for speaker in speakers_of(turns)}
    for turn in exclusive_turns(turns):
        alone[turn.speaker].append((turn.start, turn.end))
    return alone


def _frames_within(span: Span, frame_step: Seconds, begin: Seconds, n_frames: int) -> tuple[int, int]:
    """Return the frames `[first, stop)` whose middles lie within a span."""
    first, stop = (math.ceil(round((time - begin) / frame_step - 0.5, 6)) for time in span)
    return max(first, 0), min(stop, n_frames)


def parts_in(spans: Sequence[Span], turn: Turn) -> Iterator[Span]:
    """Yield the parts of sorted, separate spans that lie within a turn."""
    place = max(bisect_right(spans, (turn.start, math.inf)) - 1, 0)
    while place < len(spans) and spans[place][0] < turn.end:
        start, end = max(spans[place][0], turn.start), min(spans[place][1], turn.end)
        if start < end:
            yield start, end
        place += 1


def direction(vectors: Sequence[NDArray[np.float64]]) -> Floats | None:
    """Return the direction of the sum of vectors, of length 1; None where there are none, or where they cancel out."""
    if not vectors:
        return None
    total = np.sum(vectors, axis=0)
    length = float(np.linalg.norm(total))
    return (total / length).astype(np.float32) if length > 0 else None
