"""Speakers of a recording that was heard in pieces: those of each piece, linked by how they sound.

A model with a few slots for speakers tells as many apart in each piece, and more in the recording.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from beam_curator.diarization.clustering import ClusterRules, Voices, find_speakers, give_voices
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats
from beam_curator.intervals import Seconds

Links = Mapping[int, int]
"""Slot of a piece to speaker of the recording."""


class PieceVoice(NamedTuple):
    """Somebody in a piece.

    Attributes:
      slot: of the model, there.
      vector: float32 [width] of length 1, how the person sounds; None for one who is never alone.
      seconds: of talk.
    """

    slot: int
    vector: Floats | None
    seconds: Seconds


def piece_samples(seconds: Seconds, longest: Seconds, frame_step: Seconds) -> int:
    """Return the length of the pieces of a recording: equal, whole frames, and no longer than asked by a frame.

    Args:
      seconds: length of the recording.
      longest: of a piece.
      frame_step: seconds of a frame of the model.

    Example:
      >>> piece_samples(130.0, 60.0, 0.08) / MODEL_SAMPLE_RATE
      43.36
    """
    n_pieces = max(1, math.ceil(round(seconds / longest, 9)))
    n_frames = math.ceil(round(seconds / n_pieces / frame_step, 6))
    return n_frames * round(frame_step * MODEL_SAMPLE_RATE)


def link_speakers(pieces: Sequence[Sequence[PieceVoice]], rules: ClusterRules) -> list[Links]:
    """Tell who is who in the pieces of a recording. Speakers of one piece are never the same, if they need not be.

    Args:
      pieces: the voices of each, in order of time.
      rules: how voices are merged, and how many speakers there may be.

    Returns:
      The speaker of each slot that has a voice, for each piece. Speakers are in the order in which pieces name them.

    Example:
      >>> ann, bob = np.float32([1, 0]), np.float32([0, 1])
      >>> first = [PieceVoice(0, bob, 9.0), PieceVoice(1, ann, 9.0)]
      >>> link_speakers([first, [PieceVoice(0, ann, 9.0)]], ClusterRules())
      [{0: 0, 1: 1}, {0: 1}]
    """
    known = [(number, voice) for number, piece in enumerate(pieces) for voice in piece if voice.vector is not None]
    links: list[dict[int, int]] = [{} for _ in pieces]
    n_speakers = 0
    if known:
        apart = [(one, other) for one, other in combinations(range(len(known)), 2) if known[one][0] == known[other][0]]
        vectors = np.stack([voice.vector for _, voice in known if voice.vector is not None])
        voices = Voices(vectors, np.array([voice.seconds for _, voice in known], np.float32), apart)
        speakers = find_speakers(voices, 1.0, rules)
        nearest = (vectors @ speakers.T).argmax(axis=1)
        n_speakers = len(speakers)
        for (number, voice), given, near in zip(known, give_voices(voices, speakers), nearest, strict=True):
            links[number][voice.slot] = int(given if given >= 0 else near)
    for link, piece in zip(links, pieces, strict=True):
        for voice in piece:
            if voice.slot not in link:
                free = [speaker for speaker in range(n_speakers) if speaker not in link.values()]
                link[voice.slot] = free[0] if free else n_speakers
                n_speakers = max(n_speakers, link[voice.slot] + 1)
    return _numbered(links)


def _numbered(links: Sequence[Links]) -> list[Links]:
    """Number speakers in the order in which pieces and their slots name them."""
    order = list(dict.fromkeys(link[slot] for link in links for slot in sorted(link)))
    return [{slot: order.index(link[slot]) for slot in sorted(link)} for link in links]


def joined_tracks(tracks: Sequence[Floats], links: Sequence[Links]) -> Floats:
    """Return the probabilities of the speakers of a recording from those of its pieces.

    Args:
      tracks: float32 [n_frames, n_slots] of each piece.
      links: the speaker of each slot; a slot without one is left out, and of two with the same the higher counts.

    Returns:
      float32 [n_frames, n_speakers] of all pieces.

    Example:
      >>> joined_tracks([np.float32([[0.9, 0.1]]), np.float32([[0.2, 0.8]])], [{0: 0}, {0: 1, 1: 0}]).round(1).tolist()
      [[0.8999999761581421, 0.0], [0.800000011920929, 0.20000000298023224]]
    """
    n_speakers = max((speaker + 1 for link in links for speaker in link.values()), default=0)
    joined = np.zeros((sum(map(len, tracks)), n_speakers), np.float32)
    first = 0
    for track, link in zip(tracks, links, strict=True):
        part = joined[first : first + len(track)]
        for slot, speaker in link.items():
            part[:, speaker] = np.maximum(part[:, speaker], track[:, slot])
        first += len(track)
    return joined
