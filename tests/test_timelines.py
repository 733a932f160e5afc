"""Timelines beside the sound that they stand for: every sample of a parent has a number, and silence is 0."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.timelines import (
    Piece,
    SampleRange,
    Timeline,
    at_rate,
    composed,
    concatenated,
    laid_out,
    whole,
)


def sound(timeline: Timeline, parent: np.ndarray) -> np.ndarray:
    pieces = [
        np.zeros(piece.n_samples, int)
        if piece.source is None
        else parent[piece.source : piece.source + piece.n_samples]
        for piece in timeline.pieces
    ]
    return np.concatenate([np.zeros(0, int), *pieces])


def spans_below(n_samples: int) -> st.SearchStrategy[list[SampleRange]]:
    ends = st.lists(st.integers(0, n_samples), max_size=12).map(sorted)
    return ends.map(lambda found: list(zip(found[::2], found[1::2], strict=False)))


@st.composite
def tracks(draw: st.DrawFn) -> tuple[np.ndarray, Timeline, Timeline, Timeline]:
    """A recording, a concatenation of it, a track of that, and pieces of the track."""
    recording = np.arange(1, draw(st.integers(0, 300)) + 1)
    outer = concatenated(draw(spans_below(len(recording))), draw(st.integers(0, 9)))
    turns = draw(spans_below(outer.n_samples))
    inner = laid_out(turns, outer.n_samples) if draw(st.booleans()) else concatenated(turns)
    return recording, outer, inner, concatenated(draw(spans_below(inner.n_samples)))


@settings(max_examples=300, deadline=None)
@given(tracks())
def test_a_track_of_a_track_sounds_as_if_both_were_made_one_after_the_other(
    made: tuple[np.ndarray, Timeline, Timeline, Timeline],
) -> None:
    recording, outer, inner, third = made
    assert np.array_equal(sound(inner, sound(outer, recording)), sound(composed(outer, inner), recording))
    assert composed(outer, inner).n_samples == inner.n_samples
    assert composed(composed(outer, inner), third) == composed(outer, composed(inner, third))
    assert composed(whole(len(recording)), outer) == outer == composed(outer, whole(outer.n_samples))


@settings(max_examples=300, deadline=None)
@given(tracks(), st.data())
def test_every_sample_of_a_part_is_traced_and_none_but_those(
    made: tuple[np.ndarray, Timeline, Timeline, Timeline], data: st.DataObject
) -> None:
    recording, outer, inner, _ = made
    track = composed(outer, inner)
    first, stop = sorted(data.draw(st.tuples(*[st.integers(0, track.n_samples)] * 2)))
    part = track.part(first, stop)
    heard = sound(track, recording)[first:stop]
    assert np.array_equal(sound(part, recording), heard)
    traced = [recording[start:end] for start, end in part.sources]
    assert np.array_equal(np.concatenate([np.zeros(0, int), *traced]), heard[heard > 0])
    for start, (source, end) in part.placed:
        assert np.array_equal(heard[start : start + end - source], recording[source:end])


@settings(max_examples=300, deadline=None)
@given(tracks())
def test_neighbours_are_one_piece_where_they_can_be(made: tuple[np.ndarray, Timeline, Timeline, Timeline]) -> None:
    for track in (*made[1:], composed(made[1], made[2])):
        assert all(piece.n_samples > 0 for piece in track.pieces)
        for piece, after in pairwise(track.pieces):
            assert piece.source is not None or after.source is not None
            assert piece.source is None or after.source != piece.source + piece.n_samples


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000]), st.integers(1, 10**6), st.data())
def test_neighbours_stay_neighbours_at_another_rate(rate: int, n_heard: int, data: st.DataObject) -> None:
    n_samples = -(-n_heard * rate // 16000)
    ends = sorted(data.draw(st.lists(st.integers(0, n_heard), min_size=2, max_size=6)))
    spans = list(pairwise(ends))
    found = [at_rate(span, 16000, rate, n_samples) for span in spans]
    assert all(one[1] == other[0] for one, other in pairwise(found))
    for (first, _), (start, stop) in zip(spans, found, strict=True):
        assert 0 <= first / 16000 - start / rate < 1 / rate
        assert start <= stop <= n_samples


def test_a_long_concatenation_does_not_drift() -> None:
    n_clip, silence = 103_445, 22_050  # 2.3457 s and half a second at 44.1 kHz, 600 times
    track = concatenated([(number * 200_000, number * 200_000 + n_clip) for number in range(600)], silence)
    assert track.placed[599] == (599 * (n_clip + silence), (119_800_000, 119_903_445))


def test_a_span_over_two_segments_is_two_ranges_of_the_recording() -> None:
    track = concatenated([(0, 32_000), (40_000, 72_000)], silence=8000)
    assert track.part(30_000, 45_000).sources == ((30_000, 32_000), (40_000, 45_000))


@pytest.mark.parametrize(
    ("spans", "n_samples", "first", "pieces"),
    [
        ([], 3, 0, ((3, None),)),
        ([(0, 3)], 3, 0, ((3, 0),)),
        ([(1, 9)], 3, 2, ((3, 2),)),
        ([(0, 1), (4, 6)], 3, 2, ((2, None), (1, 4))),
        ([(1, 2), (2, 3)], 4, 0, ((1, None), (2, 1), (1, None))),
    ],
)
def test_a_laid_out_track_is_silent_elsewhere(
    spans: list[SampleRange], n_samples: int, first: int, pieces: tuple[tuple[int, int | None], ...]
) -> None:
    assert laid_out(spans, n_samples, first).pieces == tuple(Piece(*piece) for piece in pieces)
