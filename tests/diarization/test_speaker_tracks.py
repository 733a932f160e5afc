from __future__ import annotations

import numpy as np
import pytest

from beam_curator.diarization.cascade import CascadeStream
from beam_curator.diarization.clustering import ClusterRules
from beam_curator.diarization.models import Floats
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.diarization.speaker_tracks import TRACK_STEP, chosen_tracks, in_order, speaker_tracks
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import turns_from_probabilities
from tests.fakes_cascade import BankEmbedding, ToneSegmentation, talk


def tracks_of(samples: Floats, **counts: int) -> Floats:
    stream = CascadeStream(ToneSegmentation(), BankEmbedding())
    stream.push(samples)
    return speaker_tracks(stream.finish(), len(samples), ClusterRules(counts=SpeakerCounts(**counts)))


def turns_of(tracks: Floats) -> list[tuple[float, float, int]]:
    found = turns_from_probabilities(tracks, TurnRules(), TRACK_STEP)
    return [(round(turn.start, 1), round(turn.end, 1), turn.speaker) for turn in found]


CALL = ((1.0, 6.0, 3), (6.5, 12.0, 0), (13.0, 20.0, 3), (21.0, 27.0, 1), (28.0, 34.0, 0))


class TestSpeakerTracks:
    def test_who_talks_when_in_a_recording_of_several_windows(self) -> None:
        tracks = tracks_of(talk(35, *CALL))
        assert (tracks.shape, tracks.dtype) == ((1750, 3), np.float32)
        assert turns_of(tracks) == [
            (1.0, 6.0, 0), (6.5, 12.0, 1), (13.0, 20.0, 0), (21.0, 27.0, 2), (28.0, 34.0, 1),
        ]  # fmt: skip

    def test_two_at_once(self) -> None:
        tracks = tracks_of(talk(20, (1, 8, 0), (7, 13, 1), (14, 19, 0)))
        # of two at once, the second one's track is 0.6 of how likely there are two
        found = turns_from_probabilities(tracks, TurnRules(onset=0.3, offset=0.15), TRACK_STEP)
        assert [(round(turn.start, 1), round(turn.end, 1), turn.speaker) for turn in found] == [
            (1.0, 8.0, 0), (7.0, 13.0, 1), (14.0, 19.0, 0),
        ]  # fmt: skip

    def test_two_who_always_talk_at_once(self) -> None:
        spans = ((1.0, 9.0), (11.0, 19.0), (21.0, 29.0))
        tracks = tracks_of(talk(30, *((*span, person) for span in spans for person in (0, 1))))
        found = turns_from_probabilities(tracks, TurnRules(onset=0.3, offset=0.15), TRACK_STEP)
        assert [(round(turn.start, 1), round(turn.end, 1), turn.speaker) for turn in found] == [
            (*span, person) for span in spans for person in (0, 1)
        ]

    def test_a_lone_speaker(self) -> None:
        assert turns_of(tracks_of(talk(30, (1, 12, 2), (13, 29, 2)))) == [(1.0, 12.0, 0), (13.0, 29.0, 0)]

    def test_a_second_of_speech(self) -> None:
        assert turns_of(tracks_of(talk(1.5, (0.3, 1.3, 2)))) == [(0.3, 1.3, 0)]

    @pytest.mark.parametrize("n_samples", [0, 1, 319, 320, 321, 16_000, 400_001])
    def test_nobody_talks(self, n_samples: int) -> None:
        tracks = tracks_of(np.zeros(n_samples, np.float32))
        assert tracks.shape == (-(-n_samples // 320), 0)

    def test_as_many_speakers_as_are_asked_for(self) -> None:
        assert tracks_of(talk(35, *CALL), num_speakers=2).shape[1] == 2
        assert tracks_of(talk(35, *CALL), max_speakers=1).shape[1] == 1
        assert tracks_of(talk(35, *CALL), num_speakers=1).shape[1] == 1

    def test_windows_of_a_long_recording_are_taken_in_turns_to_find_speakers(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        samples = talk(35, *CALL)
        expected = turns_of(tracks_of(samples))
        monkeypatch.setattr("beam_curator.diarization.speaker_tracks._MOST_VOICES", 20)
        assert turns_of(tracks_of(samples)) == expected


class TestChosenTracks:
    def test_the_two_highest_scores_have_the_frame(self) -> None:
        tracks = chosen_tracks(np.float32([[0.2, 0.5, 0.9]]), np.float32([[1.0, 0.5]]))
        assert tracks[0].tolist() == pytest.approx([0, 0.3, 1.0])

    def test_one_speaker_has_no_second(self) -> None:
        assert chosen_tracks(np.float32([[0.9]]), np.float32([[0.8, 0.7]])).tolist() == [[pytest.approx(0.8)]]

    def test_a_frame_that_nobody_was_given_is_empty(self) -> None:
        assert chosen_tracks(np.float32([[0.01, 0.0]]), np.float32([[0.9, 0.9]])).tolist() == [[0, 0]]


def test_who_is_never_heard_has_no_track() -> None:
    tracks = np.float32([[0.1, 0.0, 0.9], [0.2, 0.8, 0.0]])
    assert in_order(tracks).tolist() == np.float32([[0.9, 0.0], [0.0, 0.8]]).tolist()
