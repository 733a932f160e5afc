"""Which samples clips hold: worked out by hand, and what holds for all speech."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.curate.clip_plan import (
    PlannedClip,
    SpeakerTrack,
    at_own_rate,
    clips_of_track,
    common_ranges,
    length_of,
    share_speech,
)
from beam_curator.curate.curate_rules import OTHERS
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.speaker_turns import SpeakerTurn
from beam_curator.timelines import SampleRange, concatenated

RATE = 100
RULES = SeparationRules(min_duration=0, gap_threshold=0, buffer_time=0)


def turn(start: float, end: float, speaker: str) -> SpeakerTurn:
    return SpeakerTurn(start=start, end=end, speaker=speaker)


def track_of(kept: list[SampleRange], quiet: list[SampleRange], *pieces: SampleRange, silence: int = 0) -> SpeakerTrack:
    return SpeakerTrack(speaker="a", kept=tuple(kept), quiet=tuple(quiet), concatenation=concatenated(pieces, silence))


def spans_of(track: SpeakerTrack, speech: list[SampleRange], others: str = "silence") -> list[tuple[SampleRange, ...]]:
    return [clip.spans for clip in clips_of_track(track, speech, others)]


def test_what_a_clip_is() -> None:
    clip = PlannedClip(spans=((10, 20), (25, 30)), speaker="a")
    assert (clip.first, clip.stop, clip.n_samples, clip.n_held) == (10, 30, 20, 15)
    assert clip.track.placed == ((0, (10, 20)), (15, (25, 30)))


def test_spans_of_a_model_in_samples_of_the_recording() -> None:
    # rounded down at both ends; the last one ends with what was heard
    assert at_own_rate([(1, 3), (16000, 16001), (32000, 50000)], 16000, 8000, 7, 20000) == [(7, 8), (16007, 20007)]


class TestSharing:
    def test_tracks_and_silence(self) -> None:
        shared = share_speech([turn(0, 2, "a"), turn(3, 9, "b")], concatenated([(0, 500)]), RATE, RULES)
        assert {track.speaker: track.kept for track in shared.tracks} == {"a": ((0, 200),), "b": ((300, 500),)}
        assert shared.tracks[0].quiet == ((200, 300),)
        assert shared.tracks[0].track.sources == ((0, 200),)

    def test_a_speaker_without_a_track_has_a_reason(self) -> None:
        turns = [turn(0, 5, "a"), turn(1, 2, "b"), turn(4.99, 5, "c")]
        shared = share_speech(turns, concatenated([(0, 500)]), RATE, SeparationRules(min_duration=0.8))
        assert [track.speaker for track in shared.tracks] == ["a"]
        assert shared.dropped == {"b": "only_overlapped", "c": "only_overlapped"}

    def test_nothing_is_kept_so_near_to_others(self) -> None:
        turns = [turn(0, 2, "a"), turn(2, 4, "b"), turn(4.05, 4.2, "a")]
        near = share_speech(turns, concatenated([(0, 500)]), RATE, RULES, collar=0.1)
        # of silence, a loses what is near to b; b what is near to a; the last turn of a is too near to b for the most
        assert [(track.kept, track.quiet) for track in near.tracks] == [
            (((0, 190), (410, 420)), ((420, 500),)),
            (((210, 395),), ((430, 500),)),
        ]
        overlapped = SeparationRules(exclude_overlaps=False, min_duration=0, gap_threshold=0)
        kept = share_speech([turn(0, 2, "a"), turn(1, 4, "b")], concatenated([(0, 500)]), RATE, overlapped, collar=0.1)
        assert [track.kept for track in kept.tracks] == [((0, 200),), ((100, 400),)]

    def test_turns_behind_the_end_are_nothing(self) -> None:
        assert share_speech([turn(6, 7, "a")], concatenated([(0, 500)]), RATE, RULES).tracks == ()


class TestClips:
    def test_others_within_are_silent_and_padding_ends_where_they_begin(self) -> None:
        # own speech 20-40 and 60-80, others 10-20, 45-55 and 85-100, nobody else
        track = track_of([(20, 40), (60, 80)], [(0, 10), (40, 45), (55, 60), (80, 85)], (0, 100))
        assert spans_of(track, [(5, 95)]) == [((20, 45), (55, 85))]
        assert spans_of(track, [(5, 95)], "split") == [((20, 45),), ((55, 85),)]
        assert spans_of(track, [(5, 95)], "keep") == [((5, 95),)]

    def test_a_silence_between_others_belongs_to_a_clip_only_between_its_own_speech(self) -> None:
        # own 0-10 and 50-60, others 10-20 and 30-50, nobody 20-30
        track = track_of([(0, 10), (50, 60)], [(20, 30)], (0, 60))
        assert spans_of(track, [(0, 60)]) == [((0, 10), (20, 30), (50, 60))]
        assert spans_of(track, [(0, 60)], "split") == [((0, 10),), ((50, 60),)]

    @pytest.mark.parametrize("others", OTHERS)
    def test_one_that_reaches_over_two_pieces_is_two(self, others: str) -> None:
        track = track_of([(0, 100), (110, 160)], [], (1000, 1100), (5000, 5050), silence=10)
        assert spans_of(track, [(50, 140)], others) == [((1050, 1100),), ((5000, 5030),)]

    def test_speech_of_others_alone_is_no_clip(self) -> None:
        track = track_of([(0, 10)], [(20, 30)], (0, 100))
        assert spans_of(track, [(15, 60)]) == spans_of(track, [(15, 60)], "keep") == []

    def test_nothing_comes_of_nothing(self) -> None:
        assert spans_of(track_of([], [], (0, 10)), [(0, 10)]) == []
        assert spans_of(track_of([(0, 10)], [], (0, 10)), []) == []


@st.composite
def meetings(draw: st.DrawFn) -> tuple[list[SampleRange], list[SpeakerTurn], list[SampleRange], int]:
    """Pieces of speech, turns in the concatenation of them, spans of speech there, and the silence between."""

    def spans(n_samples: int) -> list[SampleRange]:
        ends = sorted(set(draw(st.lists(st.integers(0, n_samples), max_size=10))))
        return list(zip(ends[::2], ends[1::2], strict=False))

    pieces, silence = spans(400), draw(st.integers(0, 20))
    n_samples = concatenated(pieces, silence).n_samples
    turns = [turn(a / RATE, b / RATE, speaker) for speaker in "abc" for a, b in spans(n_samples)]
    return pieces, turns, spans(n_samples), silence


@settings(max_examples=300, deadline=None)
@given(meetings(), st.sampled_from(OTHERS))
def test_clips_are_of_their_speaker_and_within_speech(
    meeting: tuple[list[SampleRange], list[SpeakerTurn], list[SampleRange], int], others: str
) -> None:
    pieces, turns, speech, silence = meeting
    concatenation = concatenated(pieces, silence)
    places = [sample for source in concatenation.sources for sample in range(*source)]
    for track in share_speech(turns, concatenation, RATE, RULES).tracks:
        theirs = [(round(each.start * RATE), round(each.end * RATE)) for each in turns if each.speaker != track.speaker]
        of_others = {sample for span in theirs for source in concatenation.part(*span).sources
                     for sample in range(*source)}  # fmt: skip
        own = {sample for first, stop in track.track.sources for sample in range(first, stop)}
        before = -1
        for clip in clips_of_track(track, speech, others):
            held = {sample for span in clip.spans for sample in range(*span)}
            assert len(held) == length_of(clip.spans) == clip.n_held
            assert held <= set(places)  # a subset, in samples, of speech
            assert held & own
            assert clip.first > before  # none twice
            before = clip.stop - 1
            assert any(first <= clip.first and clip.stop <= stop for first, stop in concatenation.sources)
            if others != "keep":
                assert not held & of_others
            if others == "split":
                assert len(clip.spans) == 1


@given(*[st.lists(st.integers(0, 60), max_size=12, unique=True).map(sorted)] * 2)
def test_common_ranges_are_those_of_both(one: list[int], other: list[int]) -> None:
    both = [list(zip(ends[::2], ends[1::2], strict=False)) for ends in (one, other)]
    samples = [{sample for span in spans for sample in range(*span)} for spans in both]
    common = common_ranges(*both)
    assert [sample for span in common for sample in range(*span)] == sorted(samples[0] & samples[1])
