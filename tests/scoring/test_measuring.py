"""Scores worked out by hand, by counting frames, and by pyannote.metrics called directly."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.diarization.rttm import RttmTurn
from beam_curator.scoring.measuring import score_recording, score_recordings
from beam_curator.scoring.pairing import Speakers, pair_recordings, recordings_of
from beam_curator.scoring.scores import Conditions, RecordingScore

Talk = list[tuple[int, int, str]]
"""Turns as (start, end, speaker), in hundredths of a second."""

ANN_THEN_BOB: Speakers = {"ann": ((0.0, 6.0),), "bob": ((6.0, 10.0),)}


def score(reference: Speakers, hypothesis: Speakers | None, uem: object = None, **conditions: object) -> RecordingScore:
    return score_recording("a", reference, hypothesis, conditions=Conditions(**conditions), uem=uem)  # type: ignore[arg-type]  # tests


def parts(result: RecordingScore) -> tuple[float, float, float, float]:
    """Return seconds of speech, miss, false alarm and confusion."""
    return result.speech, result.missed, result.false_alarm, result.confused


HAND_WORKED: dict[str, tuple[Speakers, Speakers, tuple[float, float, float, float], float, float]] = {
    "the same": (ANN_THEN_BOB, ANN_THEN_BOB, (10, 0, 0, 0), 0, 0),
    "other names": (ANN_THEN_BOB, {"1": ((6.0, 10.0),), "0": ((0.0, 6.0),)}, (10, 0, 0, 0), 0, 0),
    "names swapped": (ANN_THEN_BOB, {"bob": ((0.0, 6.0),), "ann": ((6.0, 10.0),)}, (10, 0, 0, 0), 0, 0),
    # ann 1 of 6 s missed; bob right
    "a miss": (ANN_THEN_BOB, {"0": ((1.0, 6.0),), "1": ((6.0, 10.0),)}, (10, 1, 0, 0), 10, 100 * (1 / 6 + 0) / 2),
    # bob's speaker talks 2 s longer: 2 of 6 s
    "a false alarm": (ANN_THEN_BOB, {"0": ((0.0, 6.0),), "1": ((6.0, 12.0),)}, (10, 0, 2, 0), 20, 100 * (2 / 6) / 2),
    # 5 to 6 s given to bob's speaker: ann lacks 1 of 6, bob's has 1 of 5 too many
    "a confusion": (
        ANN_THEN_BOB,
        {"0": ((0.0, 5.0),), "1": ((5.0, 10.0),)},
        (10, 0, 0, 1),
        10,
        100 * (1 / 6 + 1 / 5) / 2,
    ),
    # one speaker for two: matched with ann, the longer one; bob is confused, and has no speaker
    "too few speakers": (ANN_THEN_BOB, {"0": ((0.0, 10.0),)}, (10, 0, 0, 4), 40, 100 * (4 / 10 + 1) / 2),
    # ann in two: 4 to 6 s belong to a third speaker that nobody is matched with
    "too many speakers": (
        ANN_THEN_BOB,
        {"0": ((0.0, 4.0),), "1": ((4.0, 6.0),), "2": ((6.0, 10.0),)},
        (10, 0, 0, 2),
        20,
        100 * (2 / 6) / 2,
    ),
    # bob talks from 4 s on, too; of two at once, one is heard
    "overlap missed": (
        {"ann": ((0.0, 6.0),), "bob": ((4.0, 10.0),)},
        {"0": ((0.0, 6.0),), "1": ((6.0, 10.0),)},
        (12, 2, 0, 0),
        100 * 2 / 12,
        100 * (2 / 6) / 2,
    ),
    # what is matched: ann 0 to 6 with 1 (6 s), not with 0 (2 s)
    "the best mapping": (
        {"ann": ((0.0, 6.0),)},
        {"0": ((4.0, 6.0),), "1": ((0.0, 6.0),)},
        (6, 0, 2, 0),
        100 * 2 / 6,
        0,
    ),
    "nothing heard": (ANN_THEN_BOB, {}, (10, 10, 0, 0), 100, 100),
}


@pytest.mark.parametrize("name", HAND_WORKED)
def test_worked_by_hand(name: str) -> None:
    reference, hypothesis, expected, der, jer = HAND_WORKED[name]
    result = score(reference, hypothesis)
    assert parts(result) == expected
    assert result.rates.der == pytest.approx(der, abs=1e-9)
    assert result.rates.jer == pytest.approx(jer, abs=1e-9)
    assert (result.n_reference_speakers, result.n_hypothesis_speakers) == (len(reference), len(hypothesis))


def test_a_missing_hypothesis_misses_everything() -> None:
    result = score(ANN_THEN_BOB, None)
    assert parts(result) == (10, 10, 0, 0)
    assert (result.scored, result.rates.jer, result.count_error, result.has_hypothesis) == (10, 100, -2, False)
    assert score(ANN_THEN_BOB, {}).has_hypothesis


def test_a_reference_without_speech_has_no_rate() -> None:
    result = score({}, {"0": ((3.0, 5.0),), "1": ((4.0, 5.0),)})
    assert parts(result) == (0, 0, 3, 0)
    assert (result.scored, result.rates.der, result.rates.jer, result.count_error) == (2, None, None, 2)


def test_silence_on_both_sides() -> None:
    assert score({}, {}).scored == 0
    assert score({}, {}, uem=[(0, 5)]).scored == 5
    assert parts(score({}, {}, uem=[(0, 5)], collar=0.25)) == (0, 0, 0, 0)


def test_the_collar_is_on_each_side_of_a_boundary() -> None:
    """Boundaries at 0, 6 and 10: 0 to 0.25, 5.75 to 6.25 and 9.75 to 10 are left out, and so is all that was wrong."""
    hypothesis = {"0": ((0.2, 6.2),), "1": ((6.2, 10.0),)}
    assert parts(score(ANN_THEN_BOB, hypothesis)) == (10, 0.2, 0, 0.2)
    result = score(ANN_THEN_BOB, hypothesis, collar=0.25)
    assert (result.scored, *parts(result)) == (9, 9, 0, 0, 0)
    assert parts(score(ANN_THEN_BOB, hypothesis, collar=0.1)) == (9.6, 0.1, 0, 0.1)


def test_the_collar_follows_the_reference_alone_and_reaches_beyond_its_ends() -> None:
    """Ann talks from 1 to 9 s. The hole at 4 to 5 s has no collar, and of 9 to 12 s only the first 0.25 s have one."""
    result = score({"ann": ((1.0, 9.0),)}, {"0": ((1.0, 4.0), (5.0, 12.0))}, collar=0.25)
    assert parts(result) == (7.5, 1, 2.75, 0)
    assert result.scored == 10.25


def test_overlap_may_be_left_out() -> None:
    reference = {"ann": ((0.0, 6.0),), "bob": ((4.0, 10.0),)}
    result = score(reference, {"0": ((0.0, 5.0),)}, skip_overlap=True)
    assert (result.scored, *parts(result)) == (8, 8, 4, 0, 0)


def test_a_uem_cuts_both_sides() -> None:
    """Of 10 s, 1 to 3 and 5 to 7 s count: there ann talks 3 s and bob 1 s; the third speaker is elsewhere."""
    hypothesis = {"0": ((0.0, 2.0), (5.0, 7.0)), "2": ((9.0, 30.0),)}
    result = score(ANN_THEN_BOB, hypothesis, uem=[(1, 3), (5, 7)])
    assert (result.scored, *parts(result)) == (4, 4, 1, 0, 1)
    assert (result.n_reference_speakers, result.n_hypothesis_speakers) == (2, 1)


def test_a_uem_may_be_longer_than_all_turns() -> None:
    result = score(ANN_THEN_BOB, {"0": ((0.0, 6.0), (20.0, 21.0)), "1": ((6.0, 10.0),)}, uem=[(0, 60)])
    assert (result.scored, *parts(result)) == (60, 10, 0, 1, 0)


def test_a_uem_outside_of_all_speech() -> None:
    result = score(ANN_THEN_BOB, ANN_THEN_BOB, uem=[(20, 30)])
    assert (result.scored, *parts(result), result.rates.der) == (10, 0, 0, 0, 0, None)
    assert result.n_reference_speakers == 0


def test_speakers_are_matched_by_most_shared_time() -> None:
    """Matching for the least JER would take 1 for ann: 4 of 5 s shared, where 0 shares 5 of 20."""
    result = score({"ann": ((0.0, 5.0),)}, {"0": ((0.0, 20.0),), "1": ((0.0, 4.0),)})
    assert result.rates.jer == 75


def test_no_warning_is_left_of_the_extent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        score(ANN_THEN_BOB, {"0": ((0.0, 12.0),)})


TALKS = st.lists(
    st.tuples(st.integers(0, 900), st.integers(2, 400), st.sampled_from("xyz")).map(
        lambda turn: (turn[0], turn[0] + turn[1], turn[2])
    ),
    max_size=7,
)
CONDITIONS = st.builds(Conditions, collar=st.sampled_from([0.0, 0.1, 0.25]), skip_overlap=st.booleans())


def speakers_of(talk: Talk) -> Speakers:
    turns = (RttmTurn(recording_id="a", start=start / 100, end=end / 100, speaker=who) for start, end, who in talk)
    return recordings_of(turns).get("a", {})


def frames_of(spans: Iterable[tuple[float, float]]) -> set[int]:
    return {frame for start, end in spans for frame in range(round(start * 100), round(end * 100))}


def by_frames(reference: Speakers, hypothesis: Speakers, conditions: Conditions, last: int) -> tuple[float, ...]:
    """Count frames of 10 ms; return seconds scored, of speech, miss, false alarm, and confusion by the best mapping."""
    boundaries = [time for spans in reference.values() for span in spans for time in span]
    scored = set(range(last)) - frames_of((time - conditions.collar, time + conditions.collar) for time in boundaries)
    said = {name: frames_of(spans) for name, spans in reference.items()}
    if conditions.skip_overlap:
        scored -= {frame for frame in scored if sum(frame in frames for frames in said.values()) > 1}
    true = [frames & scored for frames in said.values()]
    heard = [frames_of(spans) & scored for spans in hypothesis.values()]
    n_true = [sum(frame in frames for frames in true) for frame in scored]
    n_heard = [sum(frame in frames for frames in heard) for frame in scored]
    fewer, more = sorted((true, heard), key=len)
    right = max(sum(len(a & b) for a, b in zip(fewer, order, strict=False)) for order in permutations(more))
    pairs = list(zip(n_true, n_heard, strict=True))
    missed, false_alarm = (sum(max(0, sign * (n - m)) for n, m in pairs) for sign in (1, -1))
    confused = sum(min(pair) for pair in pairs) - right
    return tuple(n / 100 for n in (len(scored), sum(n_true), missed, false_alarm, confused))


@given(TALKS, TALKS, CONDITIONS)
@settings(max_examples=150, deadline=None)
def test_equals_a_count_of_frames(true: Talk, heard: Talk, conditions: Conditions) -> None:
    reference, hypothesis = speakers_of(true), speakers_of(heard)
    result = score_recording("a", reference, hypothesis, conditions=conditions, uem=[(0, 14)])
    assert (result.scored, *parts(result)) == pytest.approx(
        by_frames(reference, hypothesis, conditions, 1400), abs=1e-6
    )


@given(TALKS, CONDITIONS)
@settings(max_examples=50, deadline=None)
def test_relabelled_speakers_are_right(talk: Talk, conditions: Conditions) -> None:
    renamed = [(start, end, {"x": "y", "y": "speaker_7", "z": "x"}[who]) for start, end, who in talk]
    for same in (talk, renamed):
        result = score_recording("a", speakers_of(talk), speakers_of(same), conditions=conditions)
        assert (result.missed, result.false_alarm, result.confused, result.jaccard_error) == (0, 0, 0, 0)


@given(TALKS, TALKS, CONDITIONS, st.booleans())
@settings(max_examples=100, deadline=None)
def test_agrees_with_pyannote_at_twice_the_collar(
    true: Talk, heard: Talk, conditions: Conditions, has_uem: bool
) -> None:
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate

    def annotation(talk: Talk) -> Annotation:
        made = Annotation(uri="a")
        for number, (start, end, who) in enumerate(talk):
            made[Segment(start / 100, end / 100), number] = who
        return made.support()

    sides = annotation(true), annotation(heard)
    uem = Timeline([Segment(1, 4), Segment(6, 9)]) if has_uem else None
    rules = {"collar": 2 * conditions.collar, "skip_overlap": conditions.skip_overlap}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        der = DiarizationErrorRate(**rules)(*sides, uem=uem, detailed=True)
        jer = JaccardErrorRate(**rules)(*sides, uem=uem)
    mine = score_recording(
        "a", speakers_of(true), speakers_of(heard), conditions=conditions, uem=[(1, 4), (6, 9)] if has_uem else None
    )
    theirs = [der[name] for name in ("total", "missed detection", "false alarm", "confusion")]
    assert parts(mine) == pytest.approx(theirs, abs=1e-6)
    if mine.rates.der is not None:
        assert mine.rates.der == pytest.approx(100 * der["diarization error rate"], abs=1e-3)
        assert mine.rates.jer == pytest.approx(100 * jer, abs=1e-6)


def test_all_recordings_of_the_reference_are_scored() -> None:
    reference = {"b": ANN_THEN_BOB, "a": ANN_THEN_BOB, "silent": {}}
    hypothesis = {"a": ANN_THEN_BOB, "c": ANN_THEN_BOB}
    scores = score_recordings(pair_recordings(reference, hypothesis), reference, hypothesis, Conditions())
    assert [(item.recording_id, item.missed, item.has_hypothesis) for item in scores] == [
        ("a", 0, True),
        ("b", 10, False),
        ("silent", 0, False),
    ]


def test_a_uem_that_lacks_recordings_is_refused() -> None:
    sides = {"a": ANN_THEN_BOB, "b": ANN_THEN_BOB, "c": ANN_THEN_BOB}
    pairing = pair_recordings(sides, sides)
    uem = {"b": ((0.0, 5.0),), "d": ((0.0, 5.0),)}
    with pytest.raises(ValueError, match=r"^the UEM has no line for a, c: add their lines, or leave these recordings"):
        score_recordings(pairing, sides, sides, Conditions(), uem)
    whole = dict.fromkeys("abcd", ((0.0, 5.0),))
    assert [item.speech for item in score_recordings(pairing, sides, sides, Conditions(), whole)] == [5, 5, 5]
