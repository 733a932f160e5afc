"""Speakers of pieces, linked by hand-worked voices."""

import numpy as np
import pytest

from beam_curator.diarization.clustering import ClusterRules
from beam_curator.diarization.linked_pieces import PieceVoice, joined_tracks, link_speakers, piece_samples
from beam_curator.diarization.speaker_counts import SpeakerCounts

EYE = np.eye(8, dtype=np.float32)


def voices(*people: int, seconds: float = 9.0) -> list[PieceVoice]:
    """Return the voices of a piece whose slots people have in this order; two of them are not at all alike."""
    return [PieceVoice(slot, EYE[person], seconds) for slot, person in enumerate(people)]


def test_more_people_than_slots() -> None:
    links = link_speakers([voices(0, 1, 2, 3), voices(4, 2, 5, 0), voices(6, 4, 1)], ClusterRules())
    # numbered as they come: 0 to 3, then the people 4, 5 and 6
    assert links == [{0: 0, 1: 1, 2: 2, 3: 3}, {0: 4, 1: 2, 2: 5, 3: 0}, {0: 6, 1: 4, 2: 1}]


def test_two_of_a_piece_are_two_however_alike() -> None:
    near = (EYE[0] + 0.3 * EYE[1]) / np.float32(np.sqrt(1.09))
    twins = [PieceVoice(0, EYE[0], 9.0), PieceVoice(2, near, 8.0)]
    assert link_speakers([twins, [PieceVoice(1, near, 5.0)]], ClusterRules()) == [{0: 0, 2: 1}, {1: 1}]


def test_one_who_is_never_alone_is_somebody_who_is_not_there_yet() -> None:
    first, mute = voices(0, 1), [PieceVoice(0, EYE[1], 9.0), PieceVoice(3, None, 2.0)]
    assert link_speakers([first, mute], ClusterRules()) == [{0: 0, 1: 1}, {0: 1, 3: 0}]
    assert link_speakers([[PieceVoice(2, None, 1.0)], []], ClusterRules()) == [{2: 0}, {}]
    assert link_speakers([[], []], ClusterRules()) == [{}, {}]


@pytest.mark.parametrize(
    ("counts", "n_speakers"),
    [({"num_speakers": 1}, 1), ({"max_speakers": 2}, 2), ({"min_speakers": 3}, 3), ({}, 3)],
)
def test_as_many_as_are_asked_for(counts: dict[str, int], n_speakers: int) -> None:
    links = link_speakers([voices(0, 1), voices(2, 0)], ClusterRules(counts=SpeakerCounts(**counts)))
    assert len({speaker for link in links for speaker in link.values()}) == n_speakers


def test_tracks_are_joined_by_the_higher_of_two() -> None:
    first, second = np.float32([[0.9, 0.4, 0.3]]), np.float32([[0.1, 0.2, 0.7], [0.3, 0.6, 0.5]])
    joined = joined_tracks([first, second], [{0: 1, 1: 0}, {0: 0, 1: 0, 2: 2}])
    assert np.array_equal(joined, np.float32([[0.4, 0.9, 0], [0.2, 0, 0.7], [0.6, 0, 0.5]]))
    assert joined_tracks([first], [{}]).shape == (1, 0)


@pytest.mark.parametrize(
    ("seconds", "longest", "expected"),
    # two pieces of 60 s; three of 40.08 s, of which the last is shorter; all of it
    [(120.0, 60.0, 60.0), (120.2, 60.0, 40.08), (30.0, 60.0, 30.0)],
)
def test_pieces_are_equal_and_whole_frames(seconds: float, longest: float, expected: float) -> None:
    assert piece_samples(seconds, longest, 0.08) == round(expected * 16000)
