from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.diarization.clustering import (
    ClusterRules,
    Merge,
    Voices,
    expected_likeness,
    find_speakers,
    give_voices,
    labels_after,
    merge_alike,
    speakers_among,
    unit,
    widest_gap,
)
from beam_curator.diarization.speaker_counts import SpeakerCounts


def voices_at(degrees: Sequence[float], seconds: float = 2.0, apart: Sequence[tuple[int, int]] = ()) -> Voices:
    """Return voices in a plane, at these angles."""
    angles = np.deg2rad(degrees)
    vectors = np.float32(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    return Voices(vectors, np.full(len(degrees), seconds, np.float32), apart)


def angles_of(speakers: np.ndarray) -> list[int]:
    return sorted(round(float(np.rad2deg(np.arctan2(y, x)))) for x, y in speakers)


def counted(**counts: int) -> ClusterRules:
    return ClusterRules(counts=SpeakerCounts(**counts))


class TestMergeAlike:
    def test_the_average_counts_items_by_their_weights(self) -> None:
        likeness = np.float32([[1, 0.9, 0.2], [0.9, 1, 0.6], [0.2, 0.6, 1]])
        merges = merge_alike(likeness, np.float32([1, 3, 1]))
        assert merges == [Merge(pytest.approx(0.9), 0, 1), Merge(pytest.approx(0.25 * 0.2 + 0.75 * 0.6), 0, 2)]

    def test_one_item_is_merged_with_nothing(self) -> None:
        assert merge_alike(np.ones((1, 1), np.float32), np.ones(1, np.float32)) == []

    @settings(max_examples=50, deadline=None)
    @given(n_items=st.integers(2, 12), seed=st.integers(0, 10_000))
    def test_each_merge_is_of_the_two_groups_that_are_most_alike(self, n_items: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        likeness = np.float32(random.uniform(-1, 1, (n_items, n_items)))
        likeness = (likeness + likeness.T) / 2
        weights = np.float32(random.uniform(0.5, 3, n_items))
        merges = merge_alike(likeness.copy(), weights)
        groups = {item: [item] for item in range(n_items)}
        for merge in merges:
            alike = {
                (one, other): np.average(
                    [likeness[i, j] for i in groups[one] for j in groups[other]],
                    weights=[weights[i] * weights[j] for i in groups[one] for j in groups[other]],
                )
                for one in groups
                for other in groups
                if one < other
            }
            assert alike[merge.keep, merge.gone] == pytest.approx(max(alike.values()), abs=1e-5)
            assert merge.likeness == pytest.approx(alike[merge.keep, merge.gone], abs=1e-5)
            groups[merge.keep] += groups.pop(merge.gone)
        assert len(groups) == 1


def test_groups_have_numbers_in_the_order_of_their_first_items() -> None:
    assert labels_after(5, [Merge(0.9, 2, 4), Merge(0.5, 0, 3)]).tolist() == [0, 1, 2, 0, 2]


class TestWidestGap:
    @pytest.mark.parametrize(
        ("likenesses", "expected"),
        [
            ([], 0.725),  # nothing between the limits: their middle
            ([1.1, 0.2, -0.1], 0.725),
            ([0.84, 0.82, 0.8], 0.7),  # one speaker, whose groups are not so alike
            ([0.64, 0.62], 0.745),  # two
            ([0.8, 0.65], 0.725),
        ],
    )
    def test_lies_between_merges_of_one_speaker_and_of_two(self, likenesses: list[float], expected: float) -> None:
        assert widest_gap(likenesses, ClusterRules()) == pytest.approx(expected)


def test_voices_of_one_person_are_less_alike_the_less_they_say() -> None:
    # 3.125 s lie half way from 2.25 to 4 s: from 0.6 to 0.7
    expected = [[0.65, (0.65 * 0.42) ** 0.5], [(0.65 * 0.42) ** 0.5, 0.42]]
    assert expected_likeness(np.float32([3.125, 0.1])) == pytest.approx(np.array(expected))


class TestFindSpeakers:
    def test_voices_that_are_alike_are_one_speaker(self) -> None:
        voices = voices_at([0, 10, 20, 100, 110])
        assert angles_of(find_speakers(voices, 1.0, ClusterRules())) == [10, 105]

    def test_a_lone_speaker_is_one(self) -> None:
        assert angles_of(find_speakers(voices_at([40, 42, 44]), 1.0, ClusterRules())) == [42]

    def test_one_voice_is_a_speaker_however_short(self) -> None:
        assert angles_of(find_speakers(voices_at([40], seconds=0.3), 1.0, ClusterRules())) == [40]

    def test_who_says_too_little_is_no_speaker(self) -> None:
        # 2 s of the one voice at 100 degrees are 0.8 s of the recording, as windows overlap
        voices = voices_at([0, 10, 20, 100])
        assert angles_of(find_speakers(voices, 0.4, ClusterRules())) == [10]
        assert angles_of(find_speakers(voices, 0.6, ClusterRules())) == [10, 100]

    def test_who_says_little_is_a_speaker_who_sounds_like_nobody_else(self) -> None:
        # 70 and 60 degrees from the middle of the others: cosines of 0.34 and 0.5
        unlike, like = voices_at([0, 10, 20, 80], seconds=7.0), voices_at([0, 10, 20, 70], seconds=7.0)
        assert angles_of(find_speakers(unlike, 0.25, ClusterRules())) == [10, 80]
        assert angles_of(find_speakers(like, 0.25, ClusterRules())) == [10]
        # 2.1 s are not little
        assert angles_of(find_speakers(like, 0.3, ClusterRules())) == [10, 70]

    def test_short_voices_of_one_person_may_be_less_alike(self) -> None:
        # 63 degrees: a likeness of 0.454, which is 0.6 of what is expected of 7 s, and 0.84 of 1.6 s
        assert len(find_speakers(voices_at([0, 63], seconds=7.0), 1.0, ClusterRules())) == 2
        assert len(find_speakers(voices_at([0, 63], seconds=1.6), 1.0, ClusterRules())) == 1

    def test_voices_that_are_two_people_count_against_a_merge(self) -> None:
        # 40 degrees: a likeness of 0.77
        assert len(find_speakers(voices_at([0, 40]), 1.0, ClusterRules())) == 1
        assert len(find_speakers(voices_at([0, 40], apart=[(0, 1)]), 1.0, ClusterRules())) == 2

    def test_voices_that_always_talk_at_the_same_time_are_never_one(self) -> None:
        # 8 voices with one sound, of 4 windows: a quarter of the pairs between two halves of them count -1, others 1.7
        pairs = [(0, 1), (2, 3), (4, 5), (6, 7)]
        assert angles_of(find_speakers(voices_at([30] * 8, apart=pairs), 1.0, ClusterRules())) == [30]
        surely = voices_at([30] * 8, apart=pairs)._replace(never_one=pairs)
        assert angles_of(find_speakers(surely, 1.0, ClusterRules())) == [30, 30]
        assert angles_of(find_speakers(surely, 1.0, counted(max_speakers=1))) == [30]

    @pytest.mark.parametrize(
        ("rules", "expected"),
        [
            (counted(num_speakers=1), [44]),
            (counted(max_speakers=2), [2, 85]),
            (counted(max_speakers=3), [2, 85]),
            (counted(min_speakers=3), [2, 80, 90]),
            (counted(num_speakers=3), [2, 80, 90]),
            (counted(num_speakers=9), [0, 5, 80, 90]),  # more than there can be
        ],
    )
    def test_as_many_as_are_asked_for(self, rules: ClusterRules, expected: list[int]) -> None:
        assert angles_of(find_speakers(voices_at([0, 5, 80, 90]), 1.0, rules)) == expected

    def test_sixty_people(self) -> None:
        random = np.random.default_rng(0)
        people = unit(np.float32(random.normal(size=(60, 192))))
        said = np.repeat(np.arange(60), 8)
        random.shuffle(said)
        vectors = unit(people[said] + np.float32(random.normal(0, 0.03, (480, 192))))
        voices = Voices(vectors, np.full(480, 3.0, np.float32), [(2 * n, 2 * n + 1) for n in range(240)])
        speakers = find_speakers(voices, 0.1, ClusterRules())
        assert speakers.shape == (60, 192)
        assert sorted((speakers @ people.T).argmax(1)) == list(range(60))
        assert (said == (speakers @ people.T).argmax(1)[give_voices(voices, speakers)]).mean() > 0.99

    def test_the_order_of_voices_does_not_matter(self) -> None:
        degrees = [0, 7, 15, 95, 103, 181, 190]
        for seed in range(5):
            order = np.random.default_rng(seed).permutation(degrees)
            assert angles_of(find_speakers(voices_at(list(order)), 1.0, ClusterRules())) == [-174, 7, 99]


class TestSpeakersAmong:
    SOUNDS = np.float32([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]])

    def among(self, *talk: float) -> list[int]:
        rules = ClusterRules(least_seconds=1, least_share=0.1, brief_seconds=2, brief_likeness=0.7)
        return speakers_among(np.arange(4), np.float32(talk), self.SOUNDS, rules)

    def test_who_talks_long_is_one_however_alike(self) -> None:
        assert self.among(3, 2, 2, 2) == [0, 1, 2, 3]

    def test_a_brief_one_is_none_that_sounds_like_a_longer_one(self) -> None:
        assert self.among(3, 1.9, 1.8, 1) == [0, 2, 3]
        # the longest of all is one
        assert self.among(1.2, 1.4, 1.3, 1.1) == [1, 2, 3]

    def test_less_than_a_second_or_a_tenth_is_none(self) -> None:
        assert self.among(3, 3, 0.9, 1) == [0, 1, 3]
        assert self.among(20, 20, 2, 3) == [0, 1]

    def test_where_all_say_too_little_the_longest_is_one(self) -> None:
        assert self.among(0.2, 0.3, 0.4, 0.1) == [2]


class TestGiveVoices:
    def test_to_the_speaker_that_each_sounds_like(self) -> None:
        assert give_voices(voices_at([5, 85, 50]), np.eye(2, dtype=np.float32)).tolist() == [0, 1, 1]

    def test_of_two_that_talk_at_once_the_longer_one_chooses(self) -> None:
        voices = voices_at([5, 10], apart=[(0, 1)])._replace(seconds=np.float32([1, 3]))
        assert give_voices(voices, np.eye(2, dtype=np.float32)).tolist() == [1, 0]

    def test_there_may_be_nobody_left(self) -> None:
        assert give_voices(voices_at([5, 10], apart=[(0, 1)]), np.float32([[1, 0]])).tolist() == [0, -1]


class TestSpeakerCounts:
    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"link_pieces": 5}, "link_pieces 5 is below 10 s: raise it, or give 0"),
            ({"link_by": "frames"}, "link_by links nothing without link_pieces"),
            ({"link_pieces": 60, "link_by": "names"}, "link_by 'names' is not known: use one of campplus, frames"),
        ],
    )
    def test_links_that_cannot_be(self, options: dict[str, Any], problem: str) -> None:
        with pytest.raises(ValueError, match=problem):
            SpeakerCounts(**options)

    def test_bounds(self) -> None:
        assert SpeakerCounts().bounds == (1, 1000)
        assert SpeakerCounts(num_speakers=4).bounds == (4, 4)
        assert SpeakerCounts(min_speakers=2, max_speakers=5).bounds == (2, 5)

    @pytest.mark.parametrize(
        ("counts", "message"),
        [
            ({"num_speakers": -1}, "num_speakers -1 must be 0-1000"),
            ({"num_speakers": 2, "max_speakers": 3}, "num_speakers 2 leaves nothing to limit"),
            ({"min_speakers": 3, "max_speakers": 2}, "min_speakers 3 exceeds max_speakers 2: lower min_speakers"),
        ],
    )
    def test_numbers_that_contradict_each_other(self, counts: dict[str, int], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            SpeakerCounts(**counts)


def test_vectors_have_length_1_also_where_there_is_none() -> None:
    assert unit(np.float32([[0, 2], [0, 0]])).tolist() == [[0, 1], [0, 0]]
