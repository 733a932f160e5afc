"""Spans of speech, worked out by hand, and beside those of silero-vad."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.vad.speech_rules import SpeechRules
from beam_curator.vad.speech_spans import Speech, speech_spans
from tests.vad.silero_spans import N_CASES, RECORDED, cases

FRAME = 512


def spans(frames: str, rules: SpeechRules, n_samples: int | None = None) -> list[tuple[int, int]]:
    """Return spans; of the frames, S is speech, - silence, and ~ is between the thresholds."""
    probabilities = np.array([{"S": 0.9, "-": 0.1, "~": 0.4}[frame] for frame in frames], np.float32)
    length = len(frames) * FRAME if n_samples is None else n_samples
    return [tuple(span) for span in speech_spans(probabilities, length, rules)]


BARE = SpeechRules(min_speech=0, min_silence=0, padding=0)


def test_they_are_those_of_silero() -> None:
    recorded = np.load(RECORDED)
    ends, stop = recorded["ends"].tolist(), 0
    for number, (probabilities, n_samples, rules) in enumerate(cases(N_CASES)):
        start, stop = stop, stop + int(recorded["n_spans"][number])
        found = [list(span) for span in speech_spans(probabilities, n_samples, SpeechRules(**rules))]
        assert found == ends[start:stop], (number, rules)
    assert stop == len(ends) > 10_000


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ("", []),
        ("---", []),
        ("-SS-", [(1, 3)]),
        ("-SS", [(1, 3)]),
        ("-S~~S-", [(1, 5)]),  # not quiet enough to end
        ("S-S", [(0, 1), (2, 3)]),
        ("~S", [(1, 2)]),  # not loud enough to begin
    ],
)
def test_thresholds(frames: str, expected: list[tuple[int, int]]) -> None:
    assert spans(frames, BARE) == [(start * FRAME, stop * FRAME) for start, stop in expected]


def test_speech_ends_below_a_threshold_of_its_own() -> None:
    rules = SpeechRules(min_speech=0, min_silence=0, padding=0, neg_threshold=0.45)
    assert rules.end_threshold == 0.45
    # a frame between the thresholds is quiet now
    assert spans("-S~~S-", rules) == [(FRAME, 2 * FRAME), (4 * FRAME, 5 * FRAME)]
    with pytest.raises(ValueError, match=r"neg_threshold is 0\.6, expected 0 to 0\.5, the threshold: lower it"):
        SpeechRules(neg_threshold=0.6)


def test_a_short_silence_does_not_end_a_span_and_a_short_span_is_left_out() -> None:
    # a silence ends a span once a quiet frame begins 0.1 s, thus 4 frames, after its first: it has 5 frames at least
    rules = SpeechRules(min_speech=0.1, padding=0)
    assert spans("SSSS----SSSS-----S-----", rules) == [(0, 12 * FRAME)]
    assert spans("SSSS-----SS----", rules) == [(0, 4 * FRAME), (9 * FRAME, 15 * FRAME)]
    # exactly as long as min_speech is too short
    assert spans("SSSS-----", SpeechRules(min_speech=4 * FRAME / 16000, padding=0)) == []


def test_padding_is_shared_where_there_is_no_room_for_two() -> None:
    rules = SpeechRules(min_speech=0, min_silence=0, padding=0.032)
    assert spans("SS-SS", rules) == [(0, 2 * FRAME + 256), (2 * FRAME + 256, 5 * FRAME)]
    assert spans("--SS---SS--", rules) == [(FRAME, 5 * FRAME), (6 * FRAME, 10 * FRAME)]
    # not beyond the audio
    assert spans("SS", rules, n_samples=2 * FRAME - 100) == [(0, 2 * FRAME - 100)]


def test_long_speech_is_cut_at_its_longest_silence() -> None:
    # longest: 0.64 s less a frame are 19 frames; a silence of 4 frames is above 98 ms, one of 3 is not
    rules = SpeechRules(min_speech=0, min_silence=1, max_speech=0.64, padding=0)
    frames = "SSSS----SSS---SSSSSSSSSSSS"
    assert spans(frames, rules) == [(0, 4 * FRAME), (8 * FRAME, 26 * FRAME)]
    # without one, where it is too long, and it begins again with the next frame
    assert spans("S" * 26, rules) == [(0, 20 * FRAME), (21 * FRAME, 26 * FRAME)]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(0, 1, width=32), max_size=200),
    st.sampled_from([0.4, 1, 3, math.inf]),
    st.sampled_from([0, 0.03, 0.1]),
)
def test_they_lie_in_the_audio_in_order(probabilities: list[float], max_speech: float, padding: float) -> None:
    rules = SpeechRules(max_speech=max_speech, padding=padding)
    found = speech_spans(np.array(probabilities, np.float32), len(probabilities) * FRAME, rules)
    ends = [end for span in found for end in span]
    assert ends == sorted(ends)
    assert all(0 <= start < stop <= len(probabilities) * FRAME for start, stop in found)
    assert all(stop - start <= 16000 * max_speech for start, stop in found)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"threshold": 0}, "threshold is 0, expected a probability above 0 and up to 1: lower it"),
        ({"threshold": 1.5}, "threshold is 1.5, expected a probability above 0 and up to 1: lower it"),
        ({"min_speech": -1}, "min_speech is -1 s, expected 0 or more: raise it"),
        ({"padding": math.inf}, "padding is inf s, expected 0 or more: raise it"),
        ({"min_silence": math.nan}, "min_silence is nan s, expected 0 or more: raise it"),
        (
            {"max_speech": 0.092},
            "max_speech is 0.092 s, expected more than 0.092 s, a frame and two times",
        ),
    ],
)
def test_rules_that_mean_nothing(rules: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        SpeechRules(**rules)
    assert str(caught.value).startswith(message)


def test_seconds_end_with_the_last_whole_millisecond() -> None:
    # speech from frame 1 on, less 30 ms: 512 - 480 samples; the recording ends 4 samples behind 96 ms
    speech = Speech(np.float32([0.1, 0.9, 0.9]), 1540)
    assert speech.seconds(SpeechRules(min_speech=0)) == ((0.002, 0.096),)
    assert speech.spans(SpeechRules(min_speech=0)) == [(32, 1540)]
