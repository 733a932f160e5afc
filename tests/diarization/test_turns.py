from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beam_curator.diarization.turn_rules import TURN_PRESETS, TurnRules
from beam_curator.diarization.turns import (
    Overlap,
    Turn,
    exclusive_turns,
    is_saturated,
    overlap_regions,
    spans_of_track,
    speakers_of,
    turns_from_probabilities,
)
from beam_curator.failures import EntryError, FailureCode

pytestmark = pytest.mark.heavy

Track = NDArray[np.float32]
PRESETS = list(TURN_PRESETS.values())
LEVELS = [0.0, 0.3, 0.49, 0.5, 0.53, 0.56, 0.561, 0.6, 0.64, 0.641, 0.7, 0.74, 0.9, 1.0]


def turn(start: float, end: float, speaker: int = 0) -> Turn:
    return Turn(start=start, end=end, speaker=speaker)


def times(turns: list[Turn]) -> list[tuple[float, float, int]]:
    return [(turn.start, turn.end, turn.speaker) for turn in turns]


@pytest.mark.parametrize(
    ("rules", "track", "expected"),
    [
        ({}, [], []),
        ({}, [0.1, 0.5], []),  # the threshold itself starts nothing
        ({}, [0.9, 0.5, 0.4], [(0.0, 0.16)]),  # nor does it end anything
        ({}, [0.1, 0.9], [(0.08, 0.15)]),  # open at the end: the last tick of 10 ms, not its end
        ({}, [0.9, 0.1, 0.9, 0.1], [(0.0, 0.08), (0.16, 0.24)]),
        ({"onset": 0.6, "offset": 0.4}, [0.5, 0.7, 0.5, 0.3, 0.5, 0.0], [(0.08, 0.24)]),
        ({"onset": 0.53}, [0.53, 0.1], []),  # compared in float32, where 0.53 is less
        ({"pad_onset": 0.1, "pad_offset": 0.05}, [0, 0, 0.9, 0, 0], [(0.06, 0.29)]),
        ({"pad_onset": 0.1}, [0.9, 0], [(0.0, 0.08)]),
        ({"pad_onset": -0.03, "pad_offset": -0.02}, [0.9, 0, 0, 0.9, 0], [(0.03, 0.06), (0.27, 0.3)]),
        ({"pad_onset": -0.05, "pad_offset": -0.05}, [0.9, 0, 0.9, 0.9, 0], [(0.21, 0.27)]),
        ({"pad_onset": 0.08}, [0, 0.9, 0, 0.9, 0], [(0.0, 0.32)]),  # padding touches: merged
        ({"pad_onset": 0.2}, [0.9, 0, 0.9, 0.9, 0], [(0.0, 0.32)]),  # both cut at 0: the longer stays
        ({"min_duration_on": 0.1}, [0.9, 0, 0.9, 0.9, 0], [(0.16, 0.32)]),
        ({"min_duration_on": 0.08}, [0.9, 0], [(0.0, 0.08)]),  # exactly as long stays
        ({"min_duration_off": 0.1}, [0.9, 0, 0.9, 0, 0, 0.9, 0], [(0.0, 0.24), (0.4, 0.48)]),
        (
            {"min_duration_off": 0.08},
            [0.9, 0, 0.9, 0],
            [(0.0, 0.08), (0.16, 0.24)],
        ),  # exactly as long is no gap to fill
        ({"min_duration_on": 0.1, "min_duration_off": 0.1}, [0.9, 0, 0.9, 0], []),  # short turns go before gaps
        ({"offset": 0.8}, [0.6, 0], [(0.0, 0.01), (0.02, 0.03), (0.04, 0.05), (0.06, 0.07)]),
        ({"offset": 0.8}, [0.9, 0.6, 0.6], [(0.0, 0.08), *((t / 100, (t + 1) / 100) for t in range(9, 23, 2))]),
        ({"offset": 0.8, "min_duration_off": 0.011}, [0.6, 0.9, 0], [(0.0, 0.16)]),
        ({"pad_onset": 0.0049}, [0, 0.9, 0], [(0.08, 0.16)]),  # rounded to 10 ms, as NeMo does
    ],
)
def test_one_speaker(rules: dict[str, float], track: list[float], expected: list[tuple[float, float]]) -> None:
    probabilities = np.float32(track).reshape(-1, 1)
    assert [(turn.start, turn.end) for turn in turns_from_probabilities(probabilities, TurnRules(**rules))] == expected


def test_speakers_are_columns_and_turns_are_sorted() -> None:
    probabilities = np.float32([[0, 1, 1], [1, 1, 1], [0, 0, 1], [0, 0, 0]])
    turns = turns_from_probabilities(probabilities, TurnRules())
    assert times(turns) == [(0.0, 0.16, 1), (0.0, 0.24, 2), (0.08, 0.16, 0)]
    assert [turn.label for turn in turns] == ["speaker_1", "speaker_2", "speaker_0"]


@pytest.mark.parametrize(
    ("duration", "ends"),
    [(None, [0.08, 0.31]), (9.0, [0.08, 0.31]), (0.2009, [0.08, 0.2]), (0.29, [0.08, 0.29]), (0.16, [0.08]), (0, [])],
)
def test_turns_end_with_the_recording(duration: float | None, ends: list[float]) -> None:
    probabilities = np.float32([[1], [0], [1], [1]])
    turns = turns_from_probabilities(probabilities, TurnRules(), duration=duration)
    assert [turn.end for turn in turns] == ends


def test_padding_does_not_leave_the_recording() -> None:
    turns = turns_from_probabilities(np.float32([[0], [1]]), TurnRules(pad_onset=1, pad_offset=1), duration=0.1599)
    assert times(turns) == [(0.0, 0.159, 0)]


@pytest.mark.parametrize(("frame_step", "end"), [(0.01, 0.02), (0.04, 0.08), (0.03, 0.06), (1.0, 2.0)])
def test_frames_of_other_lengths(frame_step: float, end: float) -> None:
    turns = turns_from_probabilities(np.float32([[1], [1], [0]]), TurnRules(), frame_step=frame_step)
    assert times(turns) == [(0.0, end, 0)]


@pytest.mark.parametrize("frame_step", [0.0, 0.005, 0.085, -0.08])
def test_other_frame_steps_are_refused(frame_step: float) -> None:
    with pytest.raises(ValueError, match=r"frame_step .* is no multiple of 0\.01 s: give the model's"):
        spans_of_track(np.float32([1]), TurnRules(), frame_step)


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \[n_frames, n_speakers\]"):
        turns_from_probabilities(np.zeros(3, np.float32), TurnRules())
    with pytest.raises(EntryError, match="1 of 2 probabilities of a speaker are not finite") as caught:
        turns_from_probabilities(np.float32([[0.5], [np.nan]]), TurnRules())
    assert caught.value.code is FailureCode.NON_FINITE


def test_the_input_stays_as_it_is() -> None:
    probabilities = np.float32([[0.9], [0.1]])
    turns_from_probabilities(probabilities, PRESETS[-1])
    assert probabilities.tolist() == np.float32([[0.9], [0.1]]).tolist()


def literal_spans(track: Track, rules: TurnRules, ticks: int) -> list[list[np.float32]]:
    """Walk through the track tick by tick, as the rules read."""
    onset, offset = np.float32(rules.onset), np.float32(rules.offset)
    raw, start = [], None
    for tick, value in enumerate(np.repeat(track, ticks)):
        if start is None and value > onset:
            start = tick
        elif start is not None and value < offset:
            raw.append((start, tick))
            start = None
    if start is not None:
        raw.append((start, len(track) * ticks - 1))
    spans: list[list[np.float32]] = []
    for first, last in raw:
        begin, end = max(0.0, first * 0.01 - rules.pad_onset), last * 0.01 + rules.pad_offset
        if end > begin:
            _append(spans, np.float32(begin), np.float32(end), np.float32(0))
    filled: list[list[np.float32]] = []
    for span in spans:
        if span[1] - span[0] >= np.float32(rules.min_duration_on):
            _append(filled, *span, np.float32(rules.min_duration_off))
    return filled


def _append(spans: list[list[np.float32]], begin: np.float32, end: np.float32, gap: np.float32) -> None:
    if spans and (begin - spans[-1][1] < gap or begin <= spans[-1][1]):
        spans[-1][1] = max(end, spans[-1][1])
    else:
        spans.append([begin, end])


FRACTIONS = st.one_of(st.sampled_from(LEVELS), st.floats(0, 1, width=32))
DURATIONS = st.one_of(st.sampled_from([0.0, 0.01, 0.08, 0.16, 0.24]), st.floats(0, 1))
RULES = st.one_of(
    st.sampled_from(PRESETS),
    st.builds(
        TurnRules,
        onset=FRACTIONS,
        offset=FRACTIONS,
        pad_onset=st.one_of(DURATIONS, st.floats(-0.3, 0)),
        pad_offset=st.one_of(DURATIONS, st.floats(-0.3, 0)),
        min_duration_on=DURATIONS,
        min_duration_off=DURATIONS,
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(FRACTIONS, max_size=40), RULES, st.integers(1, 9))
def test_spans_are_what_a_walk_through_the_ticks_finds(values: list[float], rules: TurnRules, ticks: int) -> None:
    track = np.array(values, np.float32)
    spans = spans_of_track(track, rules, ticks / 100)
    assert spans.dtype == np.float32 and spans.shape[1:] == (2,)
    assert spans.tolist() == [[float(start), float(end)] for start, end in literal_spans(track, rules, ticks)]
    assert (spans[1:, 0] > spans[:-1, 1]).all()


def random_track(rng: np.random.Generator, kind: int, n_frames: int) -> Track:
    """Noise, smooth speech-like curves, or plateaus of levels that lie at and about the thresholds."""
    if kind == 0:
        track = rng.random(n_frames)
    elif kind == 1:
        track = np.convolve(rng.random(n_frames + 8), np.ones(9) / 9, "valid") * 4 - 1.5
    else:
        track = np.repeat(rng.choice(LEVELS, n_frames), rng.integers(1, 12, n_frames))[:n_frames]
    return np.clip(track, 0, 1).astype(np.float32)


def random_tracks(n_tracks: int, *, silence: int) -> Iterator[tuple[TurnRules, Track]]:
    """Yield tracks of up to 16 s under all presets in turn, up to `silence` frames silent at the beginning."""
    rng = np.random.default_rng(6)
    for index in range(n_tracks):
        track = random_track(rng, index % 3, int(rng.integers(1, 201)))
        track[: rng.integers(0, silence + 1)] = 0
        yield PRESETS[index % len(PRESETS)], track


NemoSpans = Callable[[Track, TurnRules], Track]


@pytest.fixture(scope="module")
def nemo_spans() -> NemoSpans:
    if find_spec("nemo") is None:
        if os.environ.get("BEAM_CURATOR_REQUIRE_NEMO") == "1":
            pytest.fail("BEAM_CURATOR_REQUIRE_NEMO=1, but NeMo is not installed: pip install 'beam-curator[nemo]'")
        pytest.skip("NeMo is not installed: pip install 'beam-curator[nemo]'")
    import torch
    from nemo.collections.asr.parts.utils.vad_utils import ts_vad_post_processing
    from omegaconf import OmegaConf

    configs = {rules: OmegaConf.create(asdict(rules)) for rules in PRESETS}

    def spans(track: Track, rules: TurnRules) -> Track:
        found: Track = ts_vad_post_processing(torch.from_numpy(track.copy()), configs[rules], 8).numpy()
        return found.reshape(-1, 2)

    return spans


def check_explained(nemo_spans: NemoSpans, track: Track, rules: TurnRules) -> None:
    """Assert that a difference comes from NeMo's unstable sort of several starts that padding brings to 0.

    Out of order, the end of a shorter turn may be taken for that of the longest (torch sorts 17 and more unstably).
    So torch must bring the padded starts out of order, ours must be what the walk finds, and behind a second of
    silence there must be no difference.
    """
    import torch

    raw = literal_spans(track, TurnRules(onset=rules.onset, offset=rules.offset), 8)
    starts = torch.tensor([max(0.0, float(start) - rules.pad_onset) for start, _ in raw])
    assert int((starts == 0).sum()) > 1
    assert starts.sort()[1].tolist() != list(range(len(raw)))
    assert spans_of_track(track, rules).tolist() == [list(map(float, span)) for span in literal_spans(track, rules, 8)]
    later = np.concatenate((np.zeros(13, np.float32), track))
    assert np.array_equal(nemo_spans(later, rules), spans_of_track(later, rules))


def test_spans_equal_those_of_nemo(nemo_spans: NemoSpans) -> None:
    n_spans = n_boundaries = 0
    for rules, track in random_tracks(800, silence=12):
        ours, theirs = spans_of_track(track, rules), nemo_spans(track, rules)
        n_spans += len(ours)
        if not np.array_equal(ours, theirs):
            check_explained(nemo_spans, track, rules)
            assert len(ours) == len(theirs)
            n_boundaries += int((np.abs(ours - theirs) > 1e-6).sum())
    print(f"800 tracks, {n_spans} spans, {n_boundaries} boundaries differ")
    assert n_spans > 4_000
    assert n_boundaries <= 26


def test_where_nemo_differs_it_has_cut_several_turns_at_0(nemo_spans: NemoSpans) -> None:
    n_differing = 0
    for rules, track in random_tracks(300, silence=0):
        if not np.array_equal(spans_of_track(track, rules), nemo_spans(track, rules)):
            check_explained(nemo_spans, track, rules)
            n_differing += 1
    print(f"300 tracks that begin loud, {n_differing} differ")


def test_turns_are_the_lines_that_nemo_prints(nemo_spans: NemoSpans) -> None:
    from nemo.collections.asr.parts.utils.speaker_utils import generate_diarization_output_lines

    rng = np.random.default_rng(7)
    for rules in PRESETS:
        probabilities = np.stack([random_track(rng, kind, 400) for kind in (0, 1, 2, 2)], axis=1)
        probabilities[:4] = 0
        stamps = [
            [[round(start, 2), round(end, 2)] for start, end in nemo_spans(track, rules).tolist()]
            for track in probabilities.T
        ]
        lines = [
            f"{turn.start:.3f} {turn.end:.3f} {turn.label}" for turn in turns_from_probabilities(probabilities, rules)
        ]
        assert sorted(lines) == sorted(generate_diarization_output_lines(stamps, 4))


@pytest.mark.parametrize(
    ("turns", "alone", "overlaps"),
    [
        ([], [], []),
        ([turn(0, 10), turn(8, 15, 1)], [(0, 8, 0), (10, 15, 1)], [(8, 10, (0, 1))]),
        ([turn(8, 15, 1), turn(0, 10)], [(0, 8, 0), (10, 15, 1)], [(8, 10, (0, 1))]),
        ([turn(0, 10), turn(4, 5, 1)], [(0, 4, 0), (5, 10, 0)], [(4, 5, (0, 1))]),
        ([turn(0, 5), turn(5, 9, 1)], [(0, 5, 0), (5, 9, 1)], []),  # touching is no overlap
        ([turn(0, 5), turn(0, 5, 1)], [], [(0, 5, (0, 1))]),
        ([turn(0, 2), turn(1, 3)], [(0, 3, 0)], []),  # a speaker does not overlap with itself
        ([turn(0, 2), turn(2, 3)], [(0, 3, 0)], []),
        ([turn(0, 3), turn(1, 2), turn(1, 2, 1)], [(0, 1, 0), (2, 3, 0)], [(1, 2, (0, 1))]),
        ([turn(0, 5), turn(6, 6, 1), turn(20, 30)], [(0, 5, 0), (20, 30, 0)], []),  # no length counts for nothing
        (
            [turn(0, 6), turn(1, 5, 2), turn(2, 4, 1)],
            [(0, 1, 0), (5, 6, 0)],
            [(1, 2, (0, 2)), (2, 4, (0, 1, 2)), (4, 5, (0, 2))],
        ),
    ],
)
def test_who_talks_alone_and_who_at_once(
    turns: list[Turn], alone: list[tuple[float, float, int]], overlaps: list[tuple[float, float, tuple[int, ...]]]
) -> None:
    assert times(exclusive_turns(turns)) == alone
    assert overlap_regions(turns) == [
        Overlap(start=start, end=end, speakers=speakers) for start, end, speakers in overlaps
    ]


@given(st.lists(st.builds(turn, st.integers(0, 30), st.integers(0, 30), st.integers(0, 3)), max_size=12))
def test_each_second_is_silent_exclusive_or_overlapping(turns: list[Turn]) -> None:
    alone, overlaps = exclusive_turns(turns), overlap_regions(turns)
    for second in range(31):
        talking = {turn.speaker for turn in turns if turn.start <= second < turn.end}
        assert [turn.speaker for turn in alone if turn.start <= second < turn.end] == (
            list(talking) if len(talking) == 1 else []
        )
        assert [set(overlap.speakers) for overlap in overlaps if overlap.start <= second < overlap.end] == (
            [talking] if len(talking) > 1 else []
        )
    assert all(piece.start < piece.end for piece in [*alone, *overlaps])
    assert times(alone) == sorted(times(alone))
    assert all(a.end < b.start or a.speaker != b.speaker for a, b in pairwise(alone))
    assert exclusive_turns(alone) == alone


def test_speakers_and_saturation() -> None:
    turns = [turn(0, 1, 3), turn(1, 2, 0), turn(2, 3, 3)]
    assert speakers_of(turns) == (0, 3)
    assert is_saturated(turns, 2)
    assert not is_saturated(turns, 4)
    assert not is_saturated([], 1)
