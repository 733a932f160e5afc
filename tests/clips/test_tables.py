from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.clips.naming import number_names, sort_requests
from beam_curator.clips.records import ClipRequest
from beam_curator.clips.requests import requests_of_row
from beam_curator.clips.tables import (
    CUT_KEYS,
    CutFacts,
    ExtractionTotals,
    claimed_duration,
    clip_row,
    csv_text,
    extraction_summary,
    fields_before_cut,
    metadata_of_clip_row,
    metadata_row,
    summary_text,
)

CUT = CutFacts(
    extracted_path="clips/a_segment_000.flac",
    sha256="ab" * 32,
    n_bytes=4096,
    sample_rate=16000,
    n_channels=1,
    n_samples=12000,
    real_start_sec=0.5,
    real_end_sec=1.25,
)
ROW: dict[str, Any] = {
    "original_file": "/talks/a.wav",
    "original_start_ms": 1234.5678,
    "original_end_ms": 2500,
    "duration_ms": 1265,
    "duration": 1.26543,
    "num_speakers": 2,
    "utmos_mos": 3.141592,
    "sample_rate": 48000,
    "speaker_id": "speaker_0",
    "band_prediction": "full_band",
}
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5))
KEYS = st.one_of(
    st.sampled_from([*CUT_KEYS, "input_sha256", "input_input_sha256", "input_", "input", "turns", "input_text"]),
    st.text(max_size=8),
)


def test_a_row_of_the_metadata() -> None:
    assert list(metadata_row("a_speaker_0_segment_007.wav", ROW, 0).items()) == [
        ("filename", "a_speaker_0_segment_007.wav"),
        ("original_file", "/talks/a.wav"),
        ("segment_index", 0),
        ("start_sec", 1.235),
        ("end_sec", 2.5),
        ("duration", 1.265),
        ("speaker_id", "speaker_0"),
        ("num_speakers", 2),
        ("utmos_mos", 3.1416),
        ("sample_rate", 48000),
        ("band_prediction", "full_band"),
    ]


def test_what_is_structural_missing_or_ours_is_no_column() -> None:
    fields = {
        "original_end_ms": 1000,
        "speaker_id": None,
        "num_speakers": None,
        "speaking_duration": 1.5,
        "diar_segments": [[0, 1]],
        "segment_index": 5,
        "filename": "x",
        "start_sec": 7,
        "end_sec": 8,
        "turns": [[0, 1, "ana"]],
        "list": [1.23456],
    }
    assert metadata_row("f", fields, 3) == {
        "filename": "f",
        "original_file": "",
        "segment_index": 3,
        "start_sec": 0.0,
        "end_sec": 1.0,
        "duration": 1.0,
        "list": [1.23456],  # only numbers by themselves are rounded
    }


@pytest.mark.parametrize(
    ("fields", "duration"),
    [
        ({"duration": 2, "original_end_ms": 9}, 2),
        ({"duration": None, "original_end_ms": 1500}, 1.5),
        ({"original_start_ms": 500, "original_end_ms": 1500}, 1.0),
        ({"duration": 0.0, "original_end_ms": 1500}, 0.0),
    ],
)
def test_a_claimed_duration_goes_before_the_times(fields: dict[str, Any], duration: float) -> None:
    assert claimed_duration(fields) == duration


def test_the_end_of_a_piece_without_one_is_filled_in() -> None:
    fields = {"original_file": "a.wav", "original_start_ms": 500, "original_end_ms": None, "duration": None, "mos": 3}
    row = clip_row(fields, 0, CUT)
    assert list(row.items())[:5] == [*(fields | {"original_end_ms": 1250, "duration": 0.75}).items()]


def test_a_clips_row_is_its_fields_and_then_the_cut() -> None:
    row = clip_row(ROW, 4, CUT)
    assert list(row.items()) == [
        *((("input_sample_rate" if key == "sample_rate" else key), value) for key, value in ROW.items()),
        ("extracted_path", "clips/a_segment_000.flac"),
        ("segment_index", 4),
        ("sha256", "ab" * 32),
        ("n_bytes", 4096),
        ("sample_rate", 16000),
        ("n_channels", 1),
        ("n_samples", 12000),
        ("real_start_sec", 0.5),
        ("real_end_sec", 1.25),
    ]
    assert clip_row(ROW, 4, replace(CUT, clamped=True)) == row | {"clamped": True}
    assert set(row) - set(ROW) - {"input_sample_rate"} <= set(CUT_KEYS)


def test_the_metadata_follow_from_a_clips_row() -> None:
    row = json.loads(json.dumps(clip_row(ROW, 4, CUT)))
    assert metadata_of_clip_row(row) == metadata_row("a_segment_000.flac", ROW, 4)
    assert list(metadata_of_clip_row(row)) == list(metadata_row("a_segment_000.flac", ROW, 4))
    assert metadata_row("a_segment_000.flac", row, 4) == metadata_of_clip_row(row)


@given(st.dictionaries(KEYS, VALUES, max_size=8), st.booleans())
def test_a_cut_can_be_taken_back(fields: dict[str, Any], clamped: bool) -> None:
    row = clip_row(fields, 0, replace(CUT, clamped=clamped))
    assert list(fields_before_cut(row).items()) == list(fields.items())


def test_a_clips_row_is_cut_again_as_the_row_it_was() -> None:
    [request] = requests_of_row(clip_row(ROW | {"turns": [[1.5, 2, "ana"]]}, 4, CUT), "auto")
    assert request == ClipRequest(
        fields=ROW | {"turns": [[1.5, 2, "ana"]]}, combo=4, index=0, start=1234.5678, end=2500, unit="ms"
    )


def test_a_table_as_python_writes_it() -> None:
    rows = [
        {"filename": "a.wav", "mos": 3.5, "note": 'say "hi", twice'},
        {"filename": "é.wav", "flag": True, "list": [1, None], "note": "two\nlines"},
        {"filename": "=1+1", "note": None},
    ]
    columns = ["filename", "mos", "note", "flag", "list"]
    assert (
        b"".join(csv_text(columns, rows))
        == (
            "filename,mos,note,flag,list\r\n"
            'a.wav,3.5,"say ""hi"", twice",,\r\n'
            'é.wav,,"two\nlines",True,"[1, None]"\r\n'
            "=1+1,,,,\r\n"
        ).encode()
    )


def test_long_tables_come_in_pieces_and_read_back() -> None:
    rows = [{"filename": f"{n:05d}.wav", "text": "x" * 100} for n in range(2000)]
    pieces = list(csv_text(["filename", "text"], iter(rows)))
    assert len(pieces) == 4  # 226 KB in pieces of a little over 64 KB
    text = b"".join(pieces).decode()
    assert list(csv.DictReader(io.StringIO(text, newline=""))) == rows


def test_text_that_is_not_unicode_is_shown_as_escapes() -> None:
    assert list(csv_text(["a"], [{"a": "x\ud800"}])) == [b"a\r\nx\\ud800\r\n"]


def test_totals_count_speakers_by_their_first_clip() -> None:
    rows = [
        {"duration": 1.25, "speaker_id": "speaker_1"},
        {"duration": 2, "speaker_id": 0},
        {"original_start_ms": 0, "original_end_ms": 500, "speaker_id": None},
        {"duration": 0.1, "speaker_id": "speaker_1"},
        {"duration": 0.2, "speaker_id": ""},
        clip_row({"duration": 0.007, "speaker_id": True}, 0, CUT),
    ]
    totals = ExtractionTotals()
    assert list(totals.of(rows)) == rows
    assert totals == ExtractionTotals(
        n_clips=6,
        duration_sec=0.0 + 1.25 + 2 + 0.5 + 0.1 + 0.2 + 0.007,
        by_speaker={"speaker_1": 2, "0": 1, "true": 1},
    )
    assert list(totals.by_speaker) == ["speaker_1", "0", "true"]
    summary = extraction_summary(totals, manifest_path="m.jsonl", output_dir="ü", output_format="flac")
    assert summary_text(summary).decode() == (
        '{\n  "manifest_path": "m.jsonl",\n  "output_dir": "\\u00fc",\n  "total_segments": 6,\n'
        '  "total_duration_sec": 4.06,\n  "output_format": "flac",\n'
        '  "segments_by_speaker": {\n    "speaker_1": 2,\n    "0": 1,\n    "true": 1\n  }\n}'
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [
                {
                    "original_file": "/x/talk.wav",
                    "original_start_ms": 2000,
                    "original_end_ms": 2500,
                    "utmos_mos": 4.00004,
                },
                {"original_file": "/x/talk.wav", "original_start_ms": 0, "original_end_ms": 1000, "duration": 1.0},
            ],
            "filename,original_file,segment_index,start_sec,end_sec,duration,utmos_mos\r\n"
            "talk_segment_000.wav,/x/talk.wav,0,0.0,1.0,1.0,\r\n"
            "talk_segment_001.wav,/x/talk.wav,0,2.0,2.5,0.5,4.0\r\n",
        ),
        (
            [
                {"original_file": "/x/talk.wav", "speaker_id": "speaker_1", "diar_segments": [[2.0, 2.5], [0.25, 1.0]]},
                {"original_file": "/x/talk.wav", "speaker_id": "speaker_0", "diar_segments": [[1.001, 3.0]]},
            ],
            "filename,original_file,segment_index,start_sec,end_sec,duration,speaker_id\r\n"
            "talk_speaker_0_segment_000.wav,/x/talk.wav,0,1.0,3.0,1.999,speaker_0\r\n"
            "talk_speaker_1_segment_000.wav,/x/talk.wav,0,0.25,1.0,0.75,speaker_1\r\n"
            "talk_speaker_1_segment_001.wav,/x/talk.wav,1,2.0,2.5,0.5,speaker_1\r\n",
        ),
        (
            [
                {
                    "original_file": "/x/talk.wav",
                    "original_start_ms": 9,
                    "original_end_ms": 1009,
                    "speaker_id": "speaker_1",
                },
                {
                    "original_file": "/x/talk.wav",
                    "original_start_ms": 5,
                    "original_end_ms": 1005,
                    "speaker_id": "speaker_1",
                },
                {
                    "original_file": "/x/talk.wav",
                    "original_start_ms": 7,
                    "original_end_ms": 1007,
                    "speaker_id": "speaker_0",
                },
            ],
            "filename,original_file,segment_index,start_sec,end_sec,duration,speaker_id\r\n"
            "talk_speaker_0_segment_000.wav,/x/talk.wav,0,0.007,1.007,1.0,speaker_0\r\n"
            "talk_speaker_1_segment_000.wav,/x/talk.wav,0,0.005,1.005,1.0,speaker_1\r\n"
            "talk_speaker_1_segment_001.wav,/x/talk.wav,0,0.009,1.009,1.0,speaker_1\r\n",
        ),
    ],
    ids=["combo 2", "combo 3", "combo 4"],
)
def test_names_and_metadata_of_a_small_manifest(rows: list[dict[str, Any]], expected: str) -> None:
    requests = [
        ((0, 0, offset), request)
        for offset, row in enumerate(rows)
        for request in requests_of_row(row, "auto")
        if isinstance(request, ClipRequest)
    ]
    ordered = [request for _, request in sort_requests(requests)]
    names = number_names([("talk", each) for each in ordered], "wav")
    table = [metadata_row(name, each.fields, each.index) for name, each in zip(names, ordered, strict=True)]
    assert b"".join(csv_text(list(dict.fromkeys(name for row in table for name in row)), table)).decode() == expected
