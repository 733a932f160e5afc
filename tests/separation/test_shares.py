from __future__ import annotations

import time

import pytest

from beam_curator.intervals import Span
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.shares import SpeakerTime, separate_speakers
from beam_curator.separation.speaker_turns import SpeakerTurn, turns_of_row
from tests.separation.meetings import meeting, rules, separated, spans_of

KEEP_ALL = rules(exclude_overlaps=False)
LATEST = rules(exclude_overlaps=False, overlap_policy="latest")
EXCLUDE = rules(buffer_time=0.5)
PAD = rules(buffer_time=0.5, buffer_mode="pad_turns")


class TestWhatTheReferenceDoes:
    """Its examples, as they were run."""

    @pytest.mark.parametrize(
        ("turns", "expected"),
        [
            (meeting(A=[(0, 10)], B=[(8, 15)]), {"A": [(0, 7.5)], "B": [(10.5, 15)]}),
            (meeting(A=[(0, 10)], B=[(4, 5)]), {"A": [(0, 3.5), (5.5, 10)], "B": []}),
            (meeting(A=[(0, 5)], B=[(5, 9)]), {"A": [(0, 5)], "B": [(5, 9)]}),
            (meeting(A=[(0, 5)], B=[(0, 5)]), {"A": [], "B": []}),
        ],
        ids=["partly", "inside", "touching", "identical"],
    )
    def test_excluded_overlaps(self, turns: list[SpeakerTurn], expected: dict[str, list[Span]]) -> None:
        assert spans_of(turns, EXCLUDE) == expected

    @pytest.mark.parametrize(
        ("turns", "expected"),
        [
            (meeting(A=[(0, 10)], B=[(8, 15)]), {"A": [(0, 8)], "B": [(8, 15)]}),
            (meeting(A=[(0, 10)], B=[(4, 5)]), {"A": [(0, 4), (5, 10)], "B": [(4, 5)]}),
            (meeting(A=[(0, 5)], B=[(0, 5)]), {"A": [], "B": [(0, 5)]}),
        ],
        ids=["partly", "inside", "identical"],
    )
    def test_overlaps_go_to_who_began_last(self, turns: list[SpeakerTurn], expected: dict[str, list[Span]]) -> None:
        assert spans_of(turns, LATEST) == expected

    def test_pieces_are_joined_over_a_gap_of_the_threshold(self) -> None:
        turns = meeting(A=[(0, 5.0), (5.1, 6), (6.11, 7)])
        assert spans_of(turns, rules(gap_threshold=0.1)) == {"A": [(0, 6), (6.11, 7)]}

    def test_a_piece_of_the_least_duration_is_kept(self) -> None:
        turns = meeting(A=[(0, 0.8), (2, 2.79)])
        assert spans_of(turns, rules(min_duration=0.8)) == {"A": [(0, 0.8)]}

    def test_merging_comes_before_dropping(self) -> None:
        turns = meeting(A=[(0, 0.5), (0.6, 1.0)])
        assert spans_of(turns, SeparationRules()) == {"A": [(0, 1.0)]}

    def test_the_buffer_shrinks_before_pieces_are_dropped(self) -> None:
        turns = meeting(A=[(0, 10)], B=[(1.2, 4)])  # 1.2 - 0.5 s is less than 0.8 s
        assert spans_of(turns, SeparationRules())["A"] == [(4.5, 10)]

    def test_a_piece_between_two_overlaps_shrinks_on_both_sides(self) -> None:
        turns = meeting(A=[(0, 10)], B=[(2, 3), (6, 7)])
        assert spans_of(turns, EXCLUDE)["A"] == [(0, 1.5), (3.5, 5.5), (7.5, 10)]

    def test_a_piece_that_the_buffer_eats_is_gone(self) -> None:
        turns = meeting(A=[(0, 10)], B=[(2, 3), (4, 5)])
        assert spans_of(turns, EXCLUDE)["A"] == [(0, 1.5), (5.5, 10)]

    def test_pieces_beside_an_overlap_of_others_stay_whole(self) -> None:
        turns = meeting(A=[(0, 5)], B=[(5, 7)], C=[(5, 7)], D=[(7, 9)])
        assert spans_of(turns, EXCLUDE) == {"A": [(0, 5)], "B": [], "C": [], "D": [(7, 9)]}


class TestWhatTheReferenceGetsWrong:
    """Ours on purpose, worked out by hand."""

    def test_a_turn_without_length_says_nothing(self) -> None:
        items = [[0, 5, "A"], [20, 30, "A"], [6, 6, "B"], [40, 50, "B"]]
        found = turns_of_row({"segments": items})
        assert found.n_empty == 1
        assert spans_of(list(found.turns), EXCLUDE) == {"A": [(0, 5), (20, 30)], "B": [(40, 50)]}
        assert spans_of(meeting(A=[(0, 5), (20, 30)], B=[(6, 6), (40, 50)]), EXCLUDE)["B"] == [(40, 50)]

    def test_turns_of_one_speaker_that_overlap_are_one(self) -> None:
        assert spans_of(meeting(A=[(0, 2), (1, 3)]), EXCLUDE) == {"A": [(0, 3)]}
        assert spans_of(meeting(A=[(0, 9), (1, 3)], B=[(9, 10)]), EXCLUDE) == {"A": [(0, 9)], "B": [(9, 10)]}

    def test_turns_of_one_speaker_that_touch_are_one(self) -> None:
        turns = meeting(A=[(0, 5), (5, 9)], B=[(4, 5)])
        assert spans_of(turns, EXCLUDE)["A"] == [(0, 3.5), (5.5, 9)]

    @pytest.mark.parametrize("at", [1.0, 5.0, 0.3, 1234.5])
    def test_a_gap_of_the_threshold_is_bridged_wherever_it_is(self, at: float) -> None:
        turns = meeting(A=[(at - 0.2, at), (round(at + 0.1, 6), at + 1)])
        assert len(spans_of(turns, rules(gap_threshold=0.1), 2000)["A"]) == 1

    def test_a_gap_of_a_microsecond_more_is_not_bridged(self) -> None:
        assert len(spans_of(meeting(A=[(0, 1), (1.100001, 2)]), rules(gap_threshold=0.1))["A"]) == 2

    def test_an_overlap_shorter_than_the_gap_stays_left_out(self) -> None:
        turns = meeting(A=[(0, 10)], B=[(4, 4.05)])
        assert spans_of(turns, rules(gap_threshold=0.1))["A"] == [(0, 4), (4.05, 10)]
        assert spans_of(turns, rules(gap_threshold=5, buffer_time=0.5))["A"] == [(0, 3.5), (4.55, 10)]

    @pytest.mark.parametrize("chosen", [{}, {"exclude_overlaps": False}], ids=["exclude", "keep"])
    def test_what_another_says_in_a_gap_is_not_bridged(self, chosen: dict[str, bool]) -> None:
        turns = meeting(A=[(0, 4), (4.1, 9), (9.1, 10)], B=[(4, 4.05)])
        assert spans_of(turns, rules(gap_threshold=1, **chosen))["A"] == [(0, 4), (4.1, 10)]

    def test_each_moment_has_one_latest_speaker_also_of_three(self) -> None:
        turns = meeting(A=[(0, 20)], B=[(5, 15)], C=[(8, 10)])
        assert spans_of(turns, LATEST) == {"A": [(0, 5), (15, 20)], "B": [(5, 8), (10, 15)], "C": [(8, 10)]}


class TestOverlapsThatStay:
    def test_they_are_on_the_tracks_of_all(self) -> None:
        turns = meeting(A=[(0, 10)], B=[(8, 15)], C=[(9, 9.5)])
        assert spans_of(turns, KEEP_ALL) == {"A": [(0, 10)], "B": [(8, 15)], "C": [(9, 9.5)]}

    def test_nothing_shrinks(self) -> None:
        turns = meeting(A=[(0, 10)], B=[(8, 15)])
        chosen = rules(exclude_overlaps=False, buffer_time=3)
        assert spans_of(turns, chosen) == {"A": [(0, 10)], "B": [(8, 15)]}


class TestPadding:
    @pytest.mark.parametrize(
        ("turns", "expected"),
        [
            (meeting(A=[(2, 5)]), {"A": [(1.5, 5.5)]}),
            (meeting(A=[(0.2, 5), (11.7, 12)]), {"A": [(0, 5.5), (11.2, 12)]}),
            (meeting(A=[(2, 5)], B=[(5.2, 7)]), {"A": [(1.5, 5.1)], "B": [(5.1, 7.5)]}),
            (meeting(A=[(2, 5)], B=[(5, 7)]), {"A": [(1.5, 5)], "B": [(5, 7.5)]}),
            (meeting(A=[(2, 5)], B=[(4, 7)]), {"A": [(1.5, 4)], "B": [(5, 7.5)]}),
            (meeting(A=[(2, 5), (5.9, 7)]), {"A": [(1.5, 7.5)]}),
            (meeting(A=[(2, 5), (6, 7)]), {"A": [(1.5, 7.5)]}),
            (meeting(A=[(2, 5), (6.1, 7)]), {"A": [(1.5, 5.5), (5.6, 7.5)]}),
            (meeting(A=[(2, 5)], B=[(5.3, 6)], C=[(5.3, 6)]), {"A": [(1.5, 5.3)], "B": [], "C": []}),
        ],
        ids=["alone", "ends", "shared", "touching", "overlap", "own", "own halves", "apart", "beside an overlap"],
    )
    def test_it_goes_into_silence_alone(self, turns: list[SpeakerTurn], expected: dict[str, list[Span]]) -> None:
        assert spans_of(turns, PAD, 12) == expected

    def test_an_odd_microsecond_is_the_second_ones(self) -> None:
        turns = meeting(A=[(2, 5)], B=[(5.000003, 7)])
        assert spans_of(turns, PAD) == {"A": [(1.5, 5.000001)], "B": [(5.000001, 7.5)]}

    def test_it_does_not_make_a_short_piece_long_enough(self) -> None:
        chosen = rules(buffer_time=0.5, buffer_mode="pad_turns", min_duration=0.8)
        assert spans_of(meeting(A=[(2, 2.7), (4, 5)]), chosen) == {"A": [(3.5, 5.5)]}

    def test_it_may_go_as_far_as_what_was_dropped(self) -> None:
        chosen = rules(buffer_time=0.5, buffer_mode="pad_turns", min_duration=0.8)
        assert spans_of(meeting(A=[(2, 5)], B=[(5.2, 5.4)]), chosen)["A"] == [(1.5, 5.2)]

    def test_merged_turns_are_padded_once(self) -> None:
        chosen = rules(buffer_time=0.1, buffer_mode="pad_turns", gap_threshold=0.5)
        assert spans_of(meeting(A=[(2, 5), (5.5, 7)]), chosen) == {"A": [(1.9, 7.1)]}

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            ("all", {"A": [(1.5, 5)], "B": [(4, 7.5)]}),
            ("latest", {"A": [(1.5, 4)], "B": [(4, 7.5)]}),
        ],
    )
    def test_overlaps_that_stay_are_not_padded_into(self, policy: str, expected: dict[str, list[Span]]) -> None:
        chosen = rules(buffer_time=0.5, buffer_mode="pad_turns", exclude_overlaps=False, overlap_policy=policy)
        assert spans_of(meeting(A=[(2, 5)], B=[(4, 7)]), chosen) == expected


class TestReasons:
    @pytest.mark.parametrize(
        ("turns", "reason"),
        [
            (meeting(A=[(0, 9)], B=[(1, 2), (4, 5)]), "only_overlapped"),
            (meeting(B=[(1, 1.7), (4, 4.7)]), "too_short"),
            (meeting(A=[(0, 9)], B=[(8, 9.7)]), "too_short"),  # 0.7 s, of which the buffer leaves 0.2 s
            (meeting(A=[(0, 9)], B=[(8, 9.3)]), "too_short"),  # the buffer leaves nothing
            (meeting(A=[(0, 9)], B=[(8, 8.5), (10, 10.5)]), "too_short"),
            (meeting(B=[(1, 1)]), "too_short"),
            (meeting(B=[(1, 2)]), None),
        ],
    )
    def test_who_has_no_track_is_told_why(self, turns: list[SpeakerTurn], reason: str | None) -> None:
        found = separated(turns, SeparationRules())["B"]
        assert (found.reason, not found.spans) == (reason, reason is not None)

    def test_an_overlap_that_goes_to_another_counts_too(self) -> None:
        assert separated(meeting(A=[(0, 5)], B=[(0, 5)]), LATEST)["A"].reason == "only_overlapped"


class TestTime:
    def test_every_microsecond_has_its_place(self) -> None:
        turns = meeting(A=[(0, 10), (10.05, 11), (13, 13.5)], B=[(2, 3)])
        found = separated(turns, SeparationRules(), 20)["A"]
        assert found.spans == ((0, 1.5), (3.5, 11))
        assert found.time == SpeakerTime(
            spoken_us=11_450_000,
            kept_us=8_950_000,
            overlapped_us=1_000_000,
            buffer_us=1_000_000,
            too_short_us=500_000,
            gaps_us=50_000,
        )

    def test_padding_is_told(self) -> None:
        found = separated(meeting(A=[(0.2, 5)], B=[(7, 8)]), PAD, 9)["A"]
        assert found.time == SpeakerTime(spoken_us=4_800_000, kept_us=4_800_000, padding_us=700_000)
        assert found.time.spans_us == 5_500_000


class TestPlainCases:
    def test_nobody_talks(self) -> None:
        assert separate_speakers([], SeparationRules(), 5) == ()

    def test_one_speaker_only(self) -> None:
        assert spans_of(meeting(A=[(1, 3)]), SeparationRules()) == {"A": [(1, 3)]}

    def test_integers_are_times_too(self) -> None:
        assert separate_speakers(meeting(A=[(1, 3)]), SeparationRules(), 5) == separate_speakers(
            meeting(A=[(1.0, 3.0)]), SeparationRules(), 5.0
        )

    def test_speakers_are_in_natural_order(self) -> None:
        turns = meeting(speaker_10=[(0, 1)], speaker_2=[(2, 3)], ana=[(4, 5)])
        assert list(separated(turns, SeparationRules())) == ["ana", "speaker_2", "speaker_10"]

    @pytest.mark.parametrize("span", [(3, 2), (-1, 2), (1, 5.1)])
    def test_turns_that_were_not_checked_are_a_mistake_of_the_caller(self, span: Span) -> None:
        with pytest.raises(ValueError, match="is reversed or outside of the recording of 5 s: read turns with"):
            separate_speakers(meeting(A=[span]), SeparationRules(), 5)


class TestScale:
    def test_ten_hours_with_forty_thousand_turns(self) -> None:
        turns = [SpeakerTurn(start=at * 0.9, end=at * 0.9 + 1, speaker=f"speaker_{at % 7}") for at in range(40_000)]
        began = time.perf_counter()
        found = separate_speakers(turns, SeparationRules(buffer_time=0, min_duration=0.5), 36_001)
        assert time.perf_counter() - began < 10
        assert sum(len(each.spans) for each in found) == 40_000

    @pytest.mark.parametrize("chosen", [EXCLUDE, LATEST, KEEP_ALL], ids=["exclude", "latest", "all"])
    def test_thousands_of_speakers_at_once(self, chosen: SeparationRules) -> None:
        n = 20_000
        turns = [SpeakerTurn(start=at / 100, end=500 - at / 100, speaker=f"s{at}") for at in range(n)]
        began = time.perf_counter()
        found = separate_speakers(turns, chosen, 500)
        assert time.perf_counter() - began < 10
        assert len(found) == n
        assert (
            found[0].spans
            == {
                EXCLUDE: (),
                LATEST: ((0, 0.01), (499.99, 500)),
                KEEP_ALL: ((0, 500),),
            }[chosen]
        )
