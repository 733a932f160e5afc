"""RTTM and recordings as the input of commands, as corpora come: no manifest is written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beam_curator.formats.annotations import Annotation, Segment
from beam_curator.formats.textgrid import render_textgrid
from tests.fakes_models import write_sound
from tests.manifests import failures_in, lines_in, manifest_of, run

SEGMENTS: list[dict[str, Any]] = [
    {"start": 0.4, "end": 5.0, "speaker": "spk00"},
    {"start": 5.2, "end": 8.2, "speaker": "spk01"},
]
ROWS = {"separate": "tracks", "extract": "clips", "export": "clips", "windows": "windows"}


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An RTTM that names a recording, one that is missing, and one by a broken line."""
    write_sound(tmp_path / "rec" / "dev" / "abjxc.wav", 10.0, [])
    (tmp_path / "abjxc.rttm").write_text(
        "SPEAKER abjxc 1 5.20 3.00 <NA> <NA> spk01 <NA> <NA>\n"
        "SPEAKER gone 1 0.00 1.00 <NA> <NA> spk00 <NA> <NA>\n"
        "SPEAKER broken 1 0.00\n"
        "SPEAKER abjxc 1 0.40 4.60 <NA> <NA> spk00 <NA> <NA>\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", sorted(ROWS))
def test_an_rttm_with_recordings_is_a_manifest(corpus: Path, command: str) -> None:
    more = {
        "windows": ["--min-bandwidth", "0", "--target-window-duration", "8", "--overlap-scope", "audio_file"],
        "extract": ["--what", "segments"],
        "export": ["--what", "segments"],
    }.get(command, [])
    code = run(command, "abjxc.rttm", "--audio-root", "rec", "--output", "out", "--tolerate", "2", *more)
    assert code == 0
    letters = [(letter["code"], letter["source"], letter["offset"]) for letter in failures_in(corpus / "out")]
    assert letters == [("not_found", "abjxc.rttm", 52), ("bad_turns", "abjxc.rttm", 103)]
    counts = manifest_of(corpus / "out")["counts"]
    assert (counts["read.rows"], counts["read.failures"]) == (1, 2)
    rows = [json.loads(line) for line in lines_in(corpus / "out", f"{ROWS[command]}-*.jsonl")]
    if command == "windows":
        (row,) = rows
        assert (row["audio_filepath"], row["audio_sample_rate"]) == ("dev/abjxc.wav", 16000)
        assert row["filtered"] == [[8.2, 0.4]]
    elif command == "separate":
        assert [(row["speaker_id"], row["diar_segments"]) for row in rows] == [
            ("spk00", [[0.4, 5.0]]),
            ("spk01", [[5.2, 8.2]]),
        ]
    else:
        assert [(row["original_start_ms"], row["original_end_ms"], row["speaker_id"]) for row in rows] == [
            (400, 5000, "spk00"),
            (5200, 8200, "spk01"),
        ]


def test_windows_of_an_rttm_say_what_they_lack(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("windows", "abjxc.rttm", "--audio-root", "rec", "--output", "out", "--tolerate", "2") == 0
    assert "--min-bandwidth 0" in capsys.readouterr().out


def test_turns_that_a_person_corrected_are_a_manifest(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turns = tuple(Segment(start=one["start"], end=one["end"], speaker=one["speaker"]) for one in SEGMENTS)
    text = render_textgrid(Annotation(name="abjxc", duration=10.0, segments=turns))
    (corpus / "corrected").mkdir()
    (corpus / "corrected" / "abjxc.TextGrid").write_bytes(text.encode("utf-16"))
    assert run("extract", "corrected", "--audio-root", "rec", "--output", "out") == 0
    rows = [json.loads(line) for line in lines_in(corpus / "out", "clips-*.jsonl")]
    assert [(row["original_start_ms"], row["original_end_ms"], row["speaker_id"]) for row in rows] == [
        (400, 5000, "spk00"),
        (5200, 8200, "spk01"),
    ]
    assert all(row["original_file"] == "dev/abjxc.wav" for row in rows)
    (corpus / "ref.rttm").write_text("SPEAKER abjxc 1 0.40 4.60 <NA> <NA> ann <NA> <NA>\n")
    capsys.readouterr()
    assert run("score", "ref.rttm", "corrected", "--format", "csv") == 0
    assert ",7.8,4.6,0.0,3.0,0.0,65.217391," in capsys.readouterr().out
