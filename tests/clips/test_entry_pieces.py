from __future__ import annotations

import json
from typing import Any

import pytest

from beam_curator.clips.entry_pieces import milliseconds
from beam_curator.clips.records import BadInterval, ClipRequest
from beam_curator.clips.requests import combo_of, requests_of_row
from beam_curator.entries.entry import Entry
from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.failures import EntryError
from beam_curator.windows.line_windows import choose_in_row, windows_of_line
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.rendering import render_row
from beam_curator.windows.training_windows import plan_entry
from beam_curator.windows.window_rules import WindowRules

ENTRY: dict[str, Any] = {
    "audio_filepath": "talks/harbour.wav",
    "audio_sample_rate": 16000,
    "duration": 60.0,
    "id": "h1",
    "language": "en",
    "text": "all that was said",
    "truncation_events": 3,
    "_origin": {"source": "m.jsonl", "offset": 0},
}


def asked(row: dict[str, Any], what: Any = "auto") -> list[ClipRequest]:
    requests = requests_of_row(row, what)
    assert all(isinstance(request, ClipRequest) for request in requests)
    return [request for request in requests if isinstance(request, ClipRequest)]


def window(*segments: tuple[float, float, Any, str]) -> dict[str, Any]:
    keys = ("start", "end", "speaker", "text")
    return {"segments": [dict(zip(keys, segment, strict=True)) for segment in segments], "speaker_durations": [1.0]}


def test_a_segment_becomes_a_row_of_combo_4() -> None:
    segment = {
        "start": 0.3,
        "end": 3.18,
        "speaker": "ana",
        "text": "the dog slept",
        "words": [{"word": "the", "start": 0.3, "end": 0.8}],
        "metrics": {"bandwidth": 8100, "all": [1], "language": "de"},
        "confidence": 0.5,
        "checked": True,
        "note": None,
        "tags": ["x"],
    }
    [request] = asked(ENTRY | {"segments": [segment]})
    assert (request.combo, request.index, request.start, request.end, request.unit) == (4, 0, 0.3, 3.18, "s")
    assert list(request.fields.items()) == [
        ("original_file", "talks/harbour.wav"),
        ("original_start_ms", 300),
        ("original_end_ms", 3180),
        ("duration", 3.18 - 0.3),
        ("speaker_id", "ana"),
        ("text", "the dog slept"),
        ("confidence", 0.5),
        ("checked", True),
        ("bandwidth", 8100),
        ("language", "de"),  # the segment's goes before the entry's
        ("id", "h1"),
    ]
    assert request.sample_range(16000) == (4800, 50880)


@pytest.mark.parametrize("nobody", [{}, {"speaker": None}, {"speaker": ""}])
def test_a_segment_without_a_speaker_is_of_combo_2(nobody: dict[str, Any]) -> None:
    [request] = asked(ENTRY | {"segments": [{"start": 1, "end": 2.5} | nobody]})
    assert (request.combo, request.fields) == (
        2,
        {
            "original_file": "talks/harbour.wav",
            "original_start_ms": 1000,
            "original_end_ms": 2500,
            "duration": 1.5,
            "id": "h1",
            "language": "en",
        },
    )


@pytest.mark.parametrize("speaker", [0, 1, True, 1.5, "no-speaker", [1]])
def test_speakers_are_of_any_type(speaker: Any) -> None:
    [request] = asked(ENTRY | {"segments": [{"start": 1, "end": 2, "speaker": speaker}]})
    assert (request.combo, request.fields["speaker_id"]) == (4, speaker)


def test_an_entry_of_one_speaker_lends_it_to_its_segments() -> None:
    segments = [{"start": 1, "end": 2}, {"start": 3, "end": 4, "speaker": "ben"}]
    requests = asked(ENTRY | {"speaker_id": "ana", "segments": segments})
    assert [(request.combo, request.fields["speaker_id"]) for request in requests] == [(4, "ana"), (4, "ben")]


def test_segments_come_in_time_order_and_bad_ones_last_or_in_their_place() -> None:
    segments = [{"start": 5, "end": 6}, {"start": 1, "end": 1}, {"start": 0, "end": 9}, 7, {"start": 5, "end": 8}]
    found = requests_of_row(ENTRY | {"segments": segments, "windows": [], "stats": {}}, "auto")
    assert [
        item.error.message if isinstance(item, BadInterval) else (item.index, item.start, item.end) for item in found
    ] == [
        (0, 0, 9),
        "segments[1] runs from 1 to 1 s, expected an end after the start",
        (2, 5, 6),
        (3, 5, 8),
        "segments[3] is a number, expected [start, end] or an object with start and end",
    ]
    bad = found[1]
    assert isinstance(bad, BadInterval)
    assert bad.fields == ENTRY | {"segments": [{"start": 1, "end": 1}]}
    [again] = requests_of_row(bad.fields, "auto")
    assert isinstance(again, BadInterval)
    assert again.fields == bad.fields


def test_turns_are_pairs_or_objects() -> None:
    pairs = asked(ENTRY | {"diar_segments": [[2, 3.5], [0.25, 1]]})
    assert [(r.combo, r.start, r.end, r.fields["duration"]) for r in pairs] == [(2, 0.25, 1, 0.75), (2, 2, 3.5, 1.5)]
    [turn] = asked(ENTRY | {"diar_segments": [{"start": 2, "end": 3, "speaker": "speaker_1"}]})
    assert (turn.combo, turn.start, turn.end, turn.fields["speaker_id"]) == (4, 2, 3, "speaker_1")


def test_a_window_runs_from_its_first_segment_to_its_last_end() -> None:
    first = window((10, 12.5, "ana", "one"), (12, 20.0, "ben", " two "), (15, 18, "ana", ""))
    second = window((0, 5, None, ""), (5, 6, "", ""))
    requests = asked(ENTRY | {"filtered_windows": [first, second], "windows": [first], "stats": {}})
    assert [(r.combo, r.index, r.start, r.end, r.unit) for r in requests] == [(2, 0, 0, 6, "s"), (2, 1, 10, 20.0, "s")]
    assert list(requests[1].fields.items()) == [
        ("original_file", "talks/harbour.wav"),
        ("original_start_ms", 10000),
        ("original_end_ms", 20000),
        ("duration", 10.0),
        ("num_speakers", 2),
        ("text", "one two"),
        ("id", "h1"),
        ("language", "en"),
        ("turns", [[10, 12.5, "ana"], [12, 20.0, "ben"], [15, 18, "ana"]]),
    ]
    assert not {"num_speakers", "text"} & requests[0].fields.keys()
    assert requests[0].fields["turns"] == [[0, 5, None], [5, 6, None]]


def test_a_window_is_of_all_its_speakers_even_where_the_entry_has_one() -> None:
    [request] = asked(ENTRY | {"speaker_id": "ana", "filtered_windows": [window((0, 1, "ana", ""), (1, 2, "ben", ""))]})
    assert (request.combo, combo_of(request.fields)) == (2, 2)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"segments": []}, "filtered_windows[1] is without them, expected an object with segments"),
        ({}, "filtered_windows[1] is without them, expected an object with segments"),
        (None, "filtered_windows[1] is null, expected an object with segments"),
        (window((1, 1, "a", "")), "filtered_windows[1] runs from 1 to 1 s, expected an end after the start"),
        (
            {"segments": [{"start": 0, "end": 2}, {"start": None, "end": 1}]},
            "filtered_windows[1].segments[1].start is null, expected seconds between -1e+12 and 1e+12",
        ),
    ],
)
def test_a_bad_window_stands_beside_good_ones(bad: Any, message: str) -> None:
    good = window((0, 1, "ana", ""))
    found = requests_of_row(ENTRY | {"filtered_windows": [good, bad]}, "auto")
    assert sum(isinstance(item, ClipRequest) for item in found) == 1
    [failed] = [item for item in found if isinstance(item, BadInterval)]
    assert failed.error.message == message
    assert failed.fields == ENTRY | {"filtered_windows": [bad]}


def test_index_ranges_take_their_times_from_filtered_end_first() -> None:
    ranges = [{"segments": [12, 49], "speaker_durations": [1.0]}, {"segments": [2, 5], "cut_words": 3}]
    row = ENTRY | {"filtered": [[173.5, 43.9], [40.0, None], [30.5, 10]], "filtered_windows": ranges}
    found = requests_of_row(row, "auto")
    assert [(r.combo, r.index, r.start, r.end) for r in found if isinstance(r, ClipRequest)] == [
        (2, 0, 10, 30.5),
        (2, 1, 43.9, 173.5),
    ]
    [failed] = [item for item in found if isinstance(item, BadInterval)]
    assert failed.error.message == "filtered[1].start is null, expected seconds between -1e+12 and 1e+12"
    assert failed.fields == ENTRY | {"filtered_windows": ranges[:1], "filtered": [[40.0, None]]}
    with pytest.raises(EntryError, match=r"missing_key: .*'filtered'.*--layout full"):
        requests_of_row(ENTRY | {"filtered_windows": ranges}, "auto")


@pytest.mark.parametrize("key", ["segments", "diar_segments", "filtered_windows"])
def test_lists_that_are_none_fail_the_row(key: str) -> None:
    assert asked(ENTRY | {key: []}) == []
    for value in (None, {}, "x"):
        with pytest.raises(EntryError, match=f"bad_type: {key} is .*, expected an array"):
            requests_of_row(ENTRY | {key: value}, "auto")
    with pytest.raises(EntryError, match=f"missing_key: key '{key}' is absent"):
        requests_of_row(ENTRY, key)  # type: ignore[arg-type]  # one of the three


@pytest.mark.parametrize("row_channel", [{}, {"channel": 0}, {"channel": "BBC"}])
@pytest.mark.parametrize("truncation", [False, True])
def test_both_layouts_of_a_windows_job_are_cut_at_the_same_times_from_the_same_channels(
    truncation: bool, row_channel: dict[str, Any]
) -> None:
    segments: list[Any] = [
        {
            "start": n * 3.0,
            "end": n * 3.0 + 3.0,
            "speaker": "ab"[n % 2],
            "text": f"t{n}",
            "metrics": {"bandwidth": 8000},
            "words": [{"word": f"t{n}", "start": n * 3.0, "end": n * 3.0 + 2}],
            **({"channel": n // 8} if n % 5 else {}),
        }
        for n in range(20)
    ]
    segments.insert(5, {"start": None, "end": 3.0})
    line = encode(ENTRY | {"segments": segments} | row_channel)
    target = 11.5 if truncation else 12
    rules, overlap = (
        WindowRules(target_window_duration=target, tolerance=0.05, truncation=truncation),
        OverlapRules(overlap_percentage=0, target_duration=target),
    )
    entry = Entry.from_json(line)
    plan = plan_entry(entry, rules)
    spans = parse_object(render_row(entry, plan, choose_in_row(plan, overlap), rules, "spans"))
    full = parse_object(windows_of_line(line, rules, overlap))
    from_full, from_spans = asked(full), asked(spans)
    assert any("cut_words" in window for window in spans["filtered_windows"]) == truncation
    assert [(r.start, r.end, r.channel) for r in from_full] == [(r.start, r.end, r.channel) for r in from_spans]
    assert [r.fields.get("channel") for r in from_full] == [r.fields.get("channel") for r in from_spans]
    assert len({r.channel for r in from_spans}) > 1
    if not truncation:
        assert [(r.start, r.end) for r in from_full] == [(0, 12), (12, 24), (24, 36), (36, 48), (48, 60)]
        assert from_full[0].fields["num_speakers"] == 2
        assert from_full[0].fields["text"] == "t0 t1 t2 t3"


RANGES: dict[str, Any] = {
    "windows": [{"segments": [0, 1], "channel": -1}, {"segments": [1, 2], "channel": 1}, {"segments": [1, 2]}],
    "total_dur_list_window_timestamps": [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]],
    "filtered_windows": [{"segments": [0, 1], "channel": -1}],
    "filtered": [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0], [None, 9]],
}


def test_a_bad_channel_fails_its_window_whose_payload_fails_again() -> None:
    bad, *good, _ = requests_of_row(ENTRY | RANGES, "auto")
    assert [item.channel for item in good if isinstance(item, ClipRequest)] == [1, None]
    for _ in range(2):
        assert isinstance(bad, BadInterval)
        assert bad.error.message == "filtered[0].channel is -1, expected a whole number from 0"
        [bad] = requests_of_row(bad.fields, "auto")


@pytest.mark.parametrize(
    "gone", [{"windows": None}, {"windows": []}, {"windows": [1, 2, 3]}, {"total_dur_list_window_timestamps": 7}]
)
def test_lists_that_were_changed_say_no_channel(gone: dict[str, Any]) -> None:
    found = requests_of_row(ENTRY | RANGES | gone, "auto")
    assert [item.channel for item in found if isinstance(item, ClipRequest)] == [None] * 3


def test_what_comes_out_can_be_cut_again() -> None:
    segment = {"start": 1.2344, "end": 2.5, "speaker": "ana"}
    for key, value in (("segments", segment), ("filtered_windows", window((1.2344, 2.5, "ana", "x")))):
        [request] = asked(ENTRY | {key: [value]})
        [again] = asked(json.loads(json.dumps(request.fields)))
        assert (again.combo, again.start, again.end, again.unit) == (request.combo, 1234.4, 2500, "ms")
        assert again.fields == request.fields
        assert again.sample_range(10000) == request.sample_range(10000) == (12344, 25000)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0"), (2, "2000"), (3.18, "3180"), (0.0005, "0.5"), (1 / 3, "333.333333"), (-1.5, "-1500")],
)
def test_milliseconds_are_whole_where_they_can_be(seconds: float, expected: str) -> None:
    assert repr(milliseconds(seconds)) == expected


def test_a_clip_is_not_at_the_offset_of_its_entry() -> None:
    entry = {
        "audio_filepath": "a.wav",
        "offset": 1.5,
        "duration": 9,
        "lang": "de",
        "segments": [{"start": 2, "end": 3}],
    }
    [request] = requests_of_row(entry, "segments")
    assert isinstance(request, ClipRequest)
    assert request.fields == {
        "original_file": "a.wav", "original_start_ms": 2000, "original_end_ms": 3000, "duration": 1, "lang": "de"
    }  # fmt: skip
