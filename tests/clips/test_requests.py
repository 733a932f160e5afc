from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.clips.cut_rules import WHATS as OPTION_WHATS
from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.clips.records import BadInterval, ClipRequest
from beam_curator.clips.requests import WHATS, What, combo_of, detect_combo, requests_of_row
from beam_curator.failures import EntryError, FailureCode
from beam_curator.recordings.asked import asked_by
from beam_curator.recordings.row_paths import resolve_recording

ROW = {"original_file": "talks/a.wav", "original_start_ms": 500, "original_end_ms": 1250, "duration": 0.75, "mos": 3.5}
TURNS = {
    "original_file": "a.wav",
    "original_start_ms": 0,
    "original_end_ms": 9000,
    "duration_ms": 9000,
    "speaker_id": "s",
}


def asked(row: dict[str, Any], what: Any = "auto", audio_key: str = "") -> list[ClipRequest]:
    requests = requests_of_row(row, what, EntryKeys(audio=audio_key))
    assert all(isinstance(request, ClipRequest) for request in requests)
    return [request for request in requests if isinstance(request, ClipRequest)]


def error_of(row: dict[str, Any], what: Any = "auto", audio_key: str = "") -> EntryError:
    with pytest.raises(EntryError) as caught:
        requests_of_row(row, what, EntryKeys(audio=audio_key))
    return caught.value


def test_the_options_and_the_type_name_the_same() -> None:
    assert WHATS == OPTION_WHATS == get_args(What)


@pytest.mark.parametrize(
    ("row", "combo"),
    [
        ({}, 2),
        ({"diar_segments": [[0, 1]]}, 2),
        ({"speaker_id": "speaker_0"}, 4),
        ({"speaker_id": None}, 4),  # presence counts, not the value
        ({"speaker_id": "speaker_0", "diar_segments": None}, 3),
    ],
)
def test_combo_follows_from_the_keys(row: dict[str, Any], combo: int) -> None:
    assert combo_of(row) == combo
    assert detect_combo([row, {"speaker_id": 1}]) == combo


def test_a_row_of_combo_2_or_4_is_one_piece_and_stays_as_it_is() -> None:
    assert asked(ROW) == [ClipRequest(fields=ROW, combo=2, index=0, start=500, end=1250, unit="ms")]
    by_ana = ROW | {"speaker_id": 7}
    assert asked(by_ana) == [ClipRequest(fields=by_ana, combo=4, index=0, start=500, end=1250, unit="ms")]
    dicts = ROW | {"diar_segments": [{"start": 0, "end": 1}]}
    assert asked(dicts) == [ClipRequest(fields=dicts, combo=2, index=0, start=500, end=1250, unit="ms")]


def test_the_start_of_a_row_is_0_where_it_has_none() -> None:
    [request] = asked({"original_file": "a.wav", "original_end_ms": 40.5, "duration": None})
    assert (request.start, request.end) == (0, 40.5)


def test_a_row_of_combo_3_gives_its_turns_in_time_order_in_truncated_milliseconds() -> None:
    requests = asked(TURNS | {"diar_segments": [[4.0, 5.5], [1.001, 2.25], [3, 3.5]], "mos": 3.5})
    assert [(r.combo, r.index, r.start, r.end, r.unit) for r in requests] == [
        (3, 0, 1000, 2250, "ms"),  # 1.001 * 1000 is 1000.9999999999999
        (3, 1, 3000, 3500, "ms"),
        (3, 2, 4000, 5500, "ms"),
    ]
    assert list(requests[0].fields.items()) == [
        ("original_file", "a.wav"),
        ("original_start_ms", 1000),
        ("original_end_ms", 2250),
        ("duration_ms", 1250),
        ("speaker_id", "s"),
        ("mos", 3.5),
        ("duration", 2.25 - 1.001),
    ]
    assert [request.fields["duration"] for request in requests[1:]] == [0.5, 1.5]


def test_turns_may_be_objects_whose_speaker_goes_before_the_rows() -> None:
    turns = [{"start": 2.0, "end": 3.0, "speaker": "speaker_1"}, {"start": 0.5, "end": 1.0}]
    requests = asked(TURNS | {"diar_segments": turns})
    assert [(r.start, r.end, r.fields["speaker_id"]) for r in requests] == [(500, 1000, "s"), (2000, 3000, "speaker_1")]


@pytest.mark.parametrize("nothing", [[], None])
def test_a_row_of_combo_3_without_turns_asks_for_nothing(nothing: Any) -> None:
    assert asked(TURNS | {"diar_segments": nothing}) == []


def test_a_bad_turn_leaves_the_others_alone() -> None:
    turns = [[5, 4], [1, 2], [None, 3], [0, 1], [7, 7], [2, 2.0001], "x", [1, 2, 3], {"start": 6}]
    found = requests_of_row(TURNS | {"diar_segments": turns}, "auto")
    good = [item for item in found if isinstance(item, ClipRequest)]
    bad = [item for item in found if isinstance(item, BadInterval)]
    assert [(r.index, r.start) for r in good] == [(0, 0), (1, 1000)]
    assert [(item.error.code, item.error.message) for item in bad] == [
        ("bad_type", "diar_segments[7] is an array of 3, expected [start, end] or an object with start and end"),
        (
            "bad_time",
            "diar_segments[5], in whole milliseconds, runs from 2000 to 2000 ms, expected an end after the start",
        ),
        ("bad_time", "diar_segments[0] runs from 5 to 4 s, expected an end after the start"),
        ("missing_key", "diar_segments[8].end is absent"),
        ("bad_time", "diar_segments[4] runs from 7 to 7 s, expected an end after the start"),
        ("bad_time", "diar_segments[2][0] is null, expected seconds between -1e+12 and 1e+12"),
        ("bad_type", "diar_segments[6] is a string, expected [start, end] or an object with start and end"),
    ]
    assert bad[2].fields == TURNS | {"diar_segments": [[5, 4]]}
    [again] = requests_of_row(bad[2].fields, "auto")
    assert isinstance(again, BadInterval)
    assert str(again.error) == str(bad[2].error)
    assert again.fields == bad[2].fields
    assert pickle.loads(pickle.dumps(bad[2])).error.message == bad[2].error.message


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"original_file": ""}, "bad_type", "original_file is empty, expected the path of the recording"),
        ({"original_file": None}, "bad_type", "original_file is null, expected the path of the recording"),
        ({"original_file": ["a", 1]}, "bad_type", "original_file[1] is a number, expected the path of a file"),
        ({"original_start_ms": None}, "bad_time", "original_start_ms is null, expected milliseconds"),
        ({"original_end_ms": "1250"}, "bad_time", "original_end_ms is a string, expected milliseconds"),
        ({"original_end_ms": True}, "bad_time", "original_end_ms is a boolean, expected milliseconds"),
        ({"original_end_ms": float("nan")}, "bad_time", "original_end_ms is nan, expected milliseconds"),
        ({"original_end_ms": 10**13}, "bad_time", "original_end_ms is 10000000000000, expected milliseconds"),
        ({"original_end_ms": 500}, "bad_time", "the row runs from 500 to 500 ms, expected an end after the start"),
        ({"original_end_ms": 499.9}, "bad_time", "the row runs from 500 to 499.9 ms, expected an end after the start"),
        ({"duration": "long"}, "bad_time", "duration is a string, expected seconds"),
        ({"speaker_id": 1, "diar_segments": 5}, "bad_type", "diar_segments is a number, expected an array"),
    ],
)
def test_a_row_that_cannot_be_cut_says_why(change: dict[str, Any], code: str, message: str) -> None:
    error = error_of(ROW | change)
    assert (error.code, error.message[: len(message)]) == (code, message)


@pytest.mark.parametrize(
    ("times", "start", "end"),
    [
        ({"duration": 5.0}, 0, 5.0),
        ({"offset": None, "duration": 5}, 0, 5),
        ({"offset": 1.5, "duration": 2}, 1.5, 3.5),
        ({"offset": 2.0, "duration": None}, 2.0, None),
        ({"offset": 2.0}, 2.0, None),
        ({"duration": None}, 0, None),
    ],
)
def test_a_row_of_nemo_is_a_piece_to_every_job(times: dict[str, Any], start: float, end: float | None) -> None:
    row = {"audio_filepath": "a.wav", "text": "hi", **times}
    [request] = requests_of_row(row, "auto")
    assert isinstance(request, ClipRequest)
    assert (request.start, request.end, request.fields["text"]) == (start, end, "hi")
    wanted = asked_by(row, "audio_filepath")
    assert (wanted.start, wanted.end) == (start, end)
    [again] = requests_of_row(request.fields, "auto")
    assert isinstance(again, ClipRequest)
    assert (again.start, again.end) == (start * 1000, None if end is None else end * 1000)


@pytest.mark.parametrize("times", [{"duration": "5"}, {"duration": 0}, {"offset": -1}, {"offset": 1, "duration": -2}])
def test_a_row_of_nemo_with_other_times_is_refused_by_every_job(times: dict[str, Any]) -> None:
    row = {"audio_filepath": "a.wav", **times}
    with pytest.raises(EntryError) as caught:
        asked_by(row, "audio_filepath")
    assert str(error_of(row)) == str(caught.value)


def test_missing_keys_are_named() -> None:
    assert error_of({"original_file": "a.wav"}).message == "key 'original_end_ms' is absent"
    assert error_of({"segments": []}).message == "key 'audio_filepath' is absent, expected the path of the recording"
    assert error_of(ROW, "segments").message == "key 'audio_filepath' is absent, expected the path of the recording"
    assert error_of({"audio_filepath": "a.wav"}).message == (
        "the row has none of 'original_file', 'filtered_windows', 'segments', 'diar_segments', 'duration' and 'offset'"
    )
    assert {error_of({}).code, error_of({}, "rows").code} == {FailureCode.MISSING_KEY}
    with pytest.raises(ValueError, match="what 'windows' is not known"):
        requests_of_row({}, "windows")  # type: ignore[arg-type]  # what a typo does


@pytest.mark.parametrize(
    ("keys", "combo_and_unit"),
    [
        (["segments", "diar_segments", "filtered_windows", "original_file"], [(2, "ms")]),
        (["diar_segments", "segments", "filtered_windows"], [(2, "s")] * 3),
        (["diar_segments", "segments"], [(2, "s")] * 2),
        (["diar_segments"], [(2, "s")]),
    ],
)
def test_auto_takes_what_a_row_has(keys: list[str], combo_and_unit: list[tuple[int, str]]) -> None:
    piece = {"start": 0, "end": 1}
    values: dict[str, Any] = {
        "original_file": "a.wav",
        "filtered_windows": [{"segments": [piece]}] * 3,
        "segments": [piece] * 2,
        "diar_segments": [piece],
    }
    row = {"audio_filepath": "a.wav", "original_end_ms": 5} | {key: values[key] for key in keys}
    assert [(request.combo, request.unit) for request in asked(row)] == combo_and_unit


def test_another_key_may_name_the_recording() -> None:
    row = {"path": "b.wav", "original_end_ms": 5}
    for what in ("auto", "rows"):
        [request] = asked(row, what, "path")
        assert list(request.fields.items()) == [("original_file", "b.wav"), ("path", "b.wav"), ("original_end_ms", 5)]
    [request] = asked(row | {"original_file": "gone.wav"}, "rows", "path")
    assert request.fields["original_file"] == "b.wav"
    [request] = asked({"path": "b.wav", "id": 3, "segments": [{"start": 0, "end": 1}]}, "auto", "path")
    assert request.fields == {
        "original_file": "b.wav",
        "original_start_ms": 0,
        "original_end_ms": 1000,
        "duration": 1,
        "id": 3,
    }


@pytest.mark.parametrize(
    ("start", "end", "unit", "rate", "expected"),
    [
        (0, 1000, "ms", 16000, (0, 16000)),
        (1, 2, "ms", 11025, (11, 22)),  # 11.025 and 22.05 truncated
        (33, 67, "ms", 22050, (727, 1477)),  # 727.65 and 1477.35
        (-1, 1, "ms", 22050, (-22, 22)),  # toward zero
        (0.5, 1.5, "ms", 8000, (4, 12)),
        (0.0001, 0.0002, "s", 8000, (1, 2)),  # 0.8 and 1.6 to the nearest
        (2.3, 4.6, "s", 44100, (101430, 202860)),
        (-0.5, 1, "s", 8000, (-4000, 8000)),
        (0, 0.01, "ms", 8000, (0, 0)),
    ],
)
def test_samples_of_a_request(start: float, end: float, unit: Any, rate: int, expected: tuple[int, int]) -> None:
    request = ClipRequest(fields={}, combo=2, index=0, start=start, end=end, unit=unit)
    assert request.sample_range(rate) == expected


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**4)), max_size=8), st.sampled_from([8000, 44100]))
def test_neighbours_in_seconds_share_their_border(lengths: list[tuple[int, int]], rate: int) -> None:
    borders = [0.0]
    for number, divisor in lengths:
        borders.append(borders[-1] + (1 + number) / divisor)
    segments = [{"start": a, "end": b} for a, b in pairwise(borders)]
    ranges = [r.sample_range(rate) for r in asked({"audio_filepath": "a", "segments": segments})]
    assert [stop for _, stop in ranges[:-1]] == [start for start, _ in ranges[1:]]


@pytest.mark.parametrize(
    ("path", "source", "resolved"),
    [
        ("/data/a.wav", "/lists/m.jsonl", "/data/a.wav"),
        ("gs://b/a.wav", "/lists/m.jsonl", "gs://b/a.wav"),
        ("file:///a.wav", "m.jsonl", "file:///a.wav"),
        ("a.wav", "/lists/m.jsonl", "/lists/a.wav"),
        ("a.wav", "/m.jsonl", "/a.wav"),
        ("./x/../a.wav", "/lists/m.jsonl", "/lists/a.wav"),
        ("../../../a.wav", "/lists/m.jsonl", "/a.wav"),
        ("a.wav", "m.jsonl", "a.wav"),
        ("../a.wav", "lists/m.jsonl", "a.wav"),
        ("../a.wav", "gs://bucket/lists/m.jsonl", "gs://bucket/a.wav"),
        ("../../../a.wav", "gs://bucket/lists/m.jsonl", "gs://bucket/a.wav"),
        ("a.wav", "s3://bucket/m.jsonl", "s3://bucket/a.wav"),
        ("~/a.wav", "/lists/m.jsonl", "/lists/~/a.wav"),
    ],
)
def test_recordings_are_found_from_their_manifest(path: str, source: str, resolved: str) -> None:
    assert resolve_recording(path, source) == resolved
