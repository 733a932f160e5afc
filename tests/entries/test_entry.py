from __future__ import annotations

import math
from typing import Any

import pytest

from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError, FailureCode
from tests.talks import ABSENT, line, segment, talk


def refusal(fields: dict[str, Any], *, strict: bool = False) -> tuple[FailureCode, str]:
    with pytest.raises(EntryError) as caught:
        Entry.from_fields(fields, strict=strict)
    assert caught.value.cure
    return caught.value.code, caught.value.message


def test_segments_are_read_into_columns() -> None:
    entry = Entry.from_json(line(talk(segment(0, 1.5, "a"), segment(1.5, 2.0, None, 7000.5), audio_sample_rate=44100)))
    assert (entry.starts, entry.ends, entry.speakers) == ([0, 1.5], [1.5, 2.0], ["a", None])
    assert (entry.bandwidths, entry.sample_rate) == ([8000, 7000.5], 44100)


def test_what_may_be_absent_has_a_meaning() -> None:
    entry = Entry.from_fields(talk(segment(0.0, 1.0, ABSENT, ABSENT), segment(1.0, 2.0, "", 0) | {"metrics": {}}))
    assert (entry.speakers, entry.bandwidths) == ([None, ""], [0, 0])


def test_an_entry_without_segments_has_empty_columns() -> None:
    entry = Entry.from_fields(talk())
    assert (entry.segments, entry.starts, entry.bandwidths, entry.all_float) == ([], [], [], True)


@pytest.mark.parametrize(
    ("times", "all_float"), [((0.0, 1.0), True), ((0, 1.0), False), ((0.0, 1), False), ((0.0, True), False)]
)
def test_integer_times_are_noticed(times: tuple[float, float], all_float: bool) -> None:
    assert Entry.from_fields(talk(segment(0.0, 1.0), segment(*times))).all_float is all_float


def test_unknown_keys_ride_along_untouched() -> None:
    text = (
        '{"audio_filepath":null,"x":{"y":[1e2,10000000000000000000000000000000000,"é😀"]},'
        '"segments":[],"audio_sample_rate":1,"x":2.0}'
    )
    fields = Entry.from_json(text.replace(',"x":2.0', "").encode()).fields
    assert list(fields) == ["audio_filepath", "x", "segments", "audio_sample_rate"]
    assert repr(fields["x"]) == "{'y': [100.0, 10000000000000000000000000000000000, 'é😀']}"
    assert Entry.from_json(text.encode()).fields["x"] == 2.0  # of repeated keys the last counts


def test_the_fields_are_those_given_and_not_changed() -> None:
    fields = talk(segment(0, 1, words=[]), id="x")
    before = repr(fields)
    entry = Entry.from_fields(fields)
    assert entry.fields is fields
    assert entry.segments is fields["segments"]
    assert repr(fields) == before


@pytest.mark.parametrize("speaker", ["a", 1, 2.5, True, None, ""])
def test_a_label_may_be_any_plain_value(speaker: Any) -> None:
    assert Entry.from_fields(talk(segment(0.0, 1.0, speaker))).speakers == [speaker]


RATES = "expected a number of Hz up to 1e+12"


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        (talk(audio_filepath=ABSENT), FailureCode.MISSING_KEY, "key 'audio_filepath' is absent"),
        (talk(segments=ABSENT), FailureCode.MISSING_KEY, "key 'segments' is absent"),
        (talk(audio_sample_rate=ABSENT), FailureCode.MISSING_KEY, "key 'audio_sample_rate' is absent"),
        ({}, FailureCode.MISSING_KEY, "key 'audio_filepath' is absent"),
        (talk(audio_sample_rate=None), FailureCode.BAD_TYPE, f"audio_sample_rate is null, {RATES}"),
        (talk(audio_sample_rate="1"), FailureCode.BAD_TYPE, f"audio_sample_rate is a string, {RATES}"),
        (talk(audio_sample_rate=2e12), FailureCode.BAD_TYPE, f"audio_sample_rate is 2000000000000.0, {RATES}"),
        (talk(audio_sample_rate=math.nan), FailureCode.BAD_TYPE, f"audio_sample_rate is nan, {RATES}"),
        (talk(audio_sample_rate=10**400), FailureCode.BAD_TYPE, f"audio_sample_rate is 1{'0' * 23}, {RATES}"),
        (talk(segments=None), FailureCode.BAD_TYPE, "segments is null, expected an array"),
        (talk(segments={}), FailureCode.BAD_TYPE, "segments is an object, expected an array"),
        (talk(segments=""), FailureCode.BAD_TYPE, "segments is a string, expected an array"),
        (talk(segments=3), FailureCode.BAD_TYPE, "segments is a number, expected an array"),
        (talk(segments=[[]]), FailureCode.BAD_TYPE, "segments[0] is an array, expected an object"),
        (talk(segments=[None]), FailureCode.BAD_TYPE, "segments[0] is null, expected an object"),
    ],
)
def test_a_bad_entry_is_refused(fields: dict[str, Any], code: FailureCode, message: str) -> None:
    assert refusal(fields) == (code, message)


TIMES = "expected seconds between -1e+12 and 1e+12"
MISSING, BAD_TYPE, BAD_TIME = FailureCode.MISSING_KEY, FailureCode.BAD_TYPE, FailureCode.BAD_TIME


BAD_SEGMENTS: list[tuple[dict[str, Any], FailureCode, str]] = [
    (segment(ABSENT, 1.0), MISSING, "segments[1].start is absent"),
    (segment(0.0, ABSENT), MISSING, "segments[1].end is absent"),
    (segment(None, 1.0), BAD_TIME, f"segments[1].start is null, {TIMES}"),
    (segment(0.0, "2"), BAD_TIME, f"segments[1].end is a string, {TIMES}"),
    (segment(0.0, 2e12), BAD_TIME, f"segments[1].end is 2000000000000.0, {TIMES}"),
    (segment(-(10**13), 1), BAD_TIME, f"segments[1].start is -10000000000000, {TIMES}"),
    (segment(0.0, math.inf), BAD_TIME, f"segments[1].end is inf, {TIMES}"),
    (segment(0.0, 1.0) | {"metrics": None}, BAD_TYPE, "segments[1].metrics is null, expected an object"),
    (segment(0.0, 1.0) | {"metrics": [1]}, BAD_TYPE, "segments[1].metrics is an array, expected an object"),
    (segment(0.0, 1.0, "a", None), BAD_TYPE, "segments[1].metrics.bandwidth is null, expected a number of Hz"),
    (segment(0.0, 1.0, "a", [8]), BAD_TYPE, "segments[1].metrics.bandwidth is an array, expected a number of Hz"),
    (segment(0.0, 1.0, words=None), BAD_TYPE, "segments[1].words is null, expected an array"),
    (segment(0.0, 1.0, words={}), BAD_TYPE, "segments[1].words is an object, expected an array"),
    (segment(0.0, 1.0, ["a"]), BAD_TYPE, "segments[1].speaker is an array, expected a label"),
    (segment(0.0, 1.0, {}), BAD_TYPE, "segments[1].speaker is an object, expected a label"),
]


@pytest.mark.parametrize(("bad", "code", "message"), BAD_SEGMENTS)
def test_a_bad_segment_is_refused_and_located(bad: dict[str, Any], code: FailureCode, message: str) -> None:
    assert refusal(talk(segment(0.0, 1.0), bad), strict=True) == (code, message)
    assert refusal(talk(segment(0.0, 1.0), bad, segment(None, None)), strict=True) == (code, message), (
        "the first counts"
    )


NULLS = ("metrics is null", "bandwidth is null", "words is null")


@pytest.mark.parametrize(("bad", "message"), [(case[0], case[2]) for case in BAD_SEGMENTS])
def test_a_bad_segment_is_left_out_and_a_null_is_absent(bad: dict[str, Any], message: str) -> None:
    row = talk(segment(0.0, 1.0, "a"), bad, segment(2, 3.5, "b"))
    before = repr(row)
    entry = Entry.from_fields(row)
    if any(null in message for null in NULLS):
        assert (entry.segments, entry.positions, entry.bad_segments) == (row["segments"], [0, 1, 2], 0)
        assert entry.bandwidths == [8000, 8000 if "words" in message else 0, 8000]
    else:
        assert (entry.segments, entry.bad_segments) == ([row["segments"][0], row["segments"][2]], 1)
        assert (list(entry.positions), entry.starts, entry.ends) == ([0, 2], [0.0, 2], [1.0, 3.5])
        assert (entry.speakers, entry.bandwidths, entry.all_float) == (["a", "b"], [8000, 8000], False)
    assert repr(row) == before


def test_a_row_of_bad_segments_alone_is_refused_for_the_first() -> None:
    bad = segment(None, 1.0), None, segment(0.0, ABSENT)
    assert refusal(talk(*bad)) == (BAD_TIME, f"segments[0].start is null, {TIMES}")  # type: ignore[arg-type]


def test_times_up_to_the_limit_are_accepted() -> None:
    assert Entry.from_fields(talk(segment(-1e12, 1e12), audio_sample_rate=1e12)).starts == [-1e12]


@pytest.mark.parametrize("text", ["1" + "0" * 400, "-1" + "0" * 400], ids=["10**400", "-10**400"])
def test_an_integer_time_beyond_any_double_is_refused(text: str) -> None:
    row = line(talk(segment(0, "TIME"))).replace(b'"TIME"', text.encode())
    with pytest.raises(EntryError) as caught:
        Entry.from_json(row)
    assert caught.value.code is BAD_TIME


@pytest.mark.parametrize("starts", [(math.nan, 0.0), (0.0, math.nan), (math.inf, -math.inf)])
def test_a_time_that_is_not_a_number_is_refused(starts: tuple[float, float]) -> None:
    segments = [segment(start, 1.0) for start in starts]
    assert refusal(talk(*segments), strict=True)[0] is BAD_TIME
    assert Entry.from_fields(talk(*segments, segment(2.0, 3.0))).starts == [*filter(math.isfinite, starts), 2.0]


TRACK = {"separation": {}, "track_duration": 9.0, "source_audio_filepath": "a.wav"}


@pytest.mark.parametrize(
    ("widths", "bandwidths"),
    [([ABSENT, ABSENT], [math.inf, math.inf]), ([ABSENT, 4000], [0, 4000]), ([0, ABSENT], [0, 0]), ([], [])],
)
def test_a_track_has_one_speaker_and_is_judged_by_bandwidths_that_are_known(
    widths: list[Any], bandwidths: list[float]
) -> None:
    segments = [segment(0.0, 1.0, "a", width) for width in widths]
    track = Entry.from_fields(talk(*segments, **TRACK))
    assert (track.bandwidths, [track.least_speakers(asked) for asked in (0, 1, 2)]) == (bandwidths, [0, 1, 1])
    other = Entry.from_fields(talk(*segments, separation={}))
    assert (other.bandwidths, other.least_speakers(2)) == ([0 if width is ABSENT else width for width in widths], 2)
    broken = Entry.from_fields(talk(*segments, {"start": None}, **TRACK)) if segments else track
    assert broken.bandwidths == bandwidths
