"""Speech of one speaker alone: cut out of a recording for a model that embeds voices, and its embeddings joined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats
from beam_curator.diarization.probabilities import ModelIdentity
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings, direction, parts_in, spans_alone
from beam_curator.diarization.turns import Turn, speakers_of
from beam_curator.intervals import Seconds

SHORTEST = 0.1
"""Seconds of the shortest speech that is embedded: a few frames say nothing of a voice."""

_Doubles = NDArray[np.float64]

LONGEST = 20.0
"""Seconds of the longest speech that is embedded at once; of longer one there are several parts of equal length."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SoloPart:
    """Some speech of one speaker alone.

    Attributes:
      first: its first sample, at 16 kHz, in what is heard of a recording.
      stop: sample behind the last one.
      turn: number of the turn that it is of.
    """

    first: int
    stop: int
    turn: int

    @property
    def seconds(self) -> Seconds:
        """How long it is."""
        return (self.stop - self.first) / MODEL_SAMPLE_RATE


def plan_solo_parts(turns: Sequence[Turn], begin: Seconds = 0.0) -> list[SoloPart]:
    """Return the parts of turns in which one speaker talks alone, in order of time.

    Args:
      turns: the recording's turns, in any order.
      begin: when what is heard begins, in the time of the turns.

    Example:
      >>> turns = [Turn(start=1.0, end=31.0, speaker=0), Turn(start=30.95, end=32.0, speaker=1)]
      >>> [(part.first, part.stop, part.turn) for part in plan_solo_parts(turns, begin=1.0)]
      [(0, 239600, 0), (239600, 479200, 0), (480000, 496000, 1)]
    """
    alone = spans_alone(turns)
    parts: list[SoloPart] = []
    for number, turn in enumerate(turns):
        for start, end in parts_in(alone[turn.speaker], turn):
            first, stop = (max(0, round((time - begin) * MODEL_SAMPLE_RATE)) for time in (start, end))
            if stop - first >= SHORTEST * MODEL_SAMPLE_RATE:
                parts += _in_equal_parts(first, stop, number)
    return sorted(parts)


def _in_equal_parts(first: int, stop: int, turn: int) -> Iterator[SoloPart]:
    n_parts = math.ceil((stop - first) / (LONGEST * MODEL_SAMPLE_RATE))
    edges = [first + (stop - first) * number // n_parts for number in range(n_parts + 1)]
    for start, end in pairwise(edges):
        yield SoloPart(first=start, stop=end, turn=turn)


def cut_solo_parts(pieces: Iterable[Floats], parts: Sequence[SoloPart]) -> Iterator[tuple[SoloPart, Floats]]:
    """Yield each part with its samples, float32 [n_samples], as soon as they are heard.

    Samples beyond the end are missing; a part that is left with less than `SHORTEST` seconds is omitted.

    Args:
      pieces: float32 [n_samples] each, at 16 kHz, which follow one another.
      parts: in order of their first samples.
    """
    remaining = iter(pieces)
    held, stop = np.empty(0, np.float32), 0
    for part in parts:
        waiting = [_since(part.first, held, stop)]
        while stop < part.stop and (piece := next(remaining, None)) is not None:
            stop += len(piece)
            waiting.append(_since(part.first, piece, stop))
        held = np.concatenate(waiting)
        samples = held[: part.stop - part.first]
        if len(samples) >= SHORTEST * MODEL_SAMPLE_RATE:
            yield part, samples


def _since(first: int, samples: Floats, stop: int) -> Floats:
    """Return samples that end at sample `stop` of a recording, from its sample `first` on."""
    return samples[len(samples) - min(len(samples), max(0, stop - first)) :]


def joined_embeddings(
    turns: Sequence[Turn], embedded: Sequence[tuple[SoloPart, Floats]], model: ModelIdentity | None = None
) -> SpeakerEmbeddings:
    """Return the embeddings of speakers and turns: means of those of their parts, each as long as its speech.

    Args:
      turns: the recording's turns.
      embedded: parts of them with their embeddings, float32 [width], of any length above 0.
      model: which one made them.

    Example:
      >>> turns = [Turn(start=0.0, end=1.0, speaker=1), Turn(start=2.0, end=2.05, speaker=1)]
      >>> found = joined_embeddings(turns, [(SoloPart(first=0, stop=16000, turn=0), np.float32([3, 4]))])
      >>> found.speakers[1].tolist() == found.turns[0].tolist(), found.turns[0].round(2).tolist(), found.turns[1]
      (True, [0.6000000238418579, 0.800000011920929], None)
    """
    of_turns: list[list[_Doubles]] = [[] for _ in turns]
    of_speakers: dict[int, list[_Doubles]] = {speaker: [] for speaker in speakers_of(turns)}
    for part, vector in embedded:
        length = np.linalg.norm(vector.astype(np.float64))
        if not (np.isfinite(length) and length > 0):
            continue
        weighted = vector.astype(np.float64) / length * part.seconds
        of_turns[part.turn].append(weighted)
        of_speakers[turns[part.turn].speaker].append(weighted)
    return SpeakerEmbeddings(
        speakers={speaker: direction(vectors) for speaker, vectors in of_speakers.items()},
        turns=tuple(map(direction, of_turns)),
        model=model,
    )
