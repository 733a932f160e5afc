from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from beam_curator.failures import EntryError, Failure
from beam_curator.files.annotation_manifests import AnnotationReading, find_recording
from beam_curator.files.listing import list_inputs, with_form
from beam_curator.files.manifest_files import read_rows
from beam_curator.formats.registry import FORMATS
from beam_curator.sets.blocks import MAX_LINE_BYTES, LineBlock, plan_blocks
from tests.fakes_models import write_sound
from tests.formats.corrected import TALK, text_of_recording

TEXT = (
    "SPEAKER talk 1 5.20 3.00 <NA> <NA> eve <NA> <NA>\n"
    "SPEAKER gone 1 0.00 1.00 <NA> <NA> eve <NA> <NA>\n"
    "SPEAKER talk 1 0.40 4.60 <NA> <NA> bob <NA> <NA>\n"
)
SEGMENTS = [{"start": 0.4, "end": 5.0, "speaker": "bob"}, {"start": 5.2, "end": 8.2, "speaker": "eve"}]


def read(path: Path, reading: AnnotationReading) -> tuple[list[tuple[int, dict[str, object]]], list[Failure]]:
    """Return the rows of an RTTM with their offsets, and its failures."""
    rows, failures = [], []
    for ref in plan_blocks([with_form(file) for file in list_inputs([str(path)])[0]], 16):
        for item in read_rows(ref, MAX_LINE_BYTES, reading):
            if isinstance(item, LineBlock):
                rows += [(line.offset, json.loads(line.raw)) for line in item.lines]
            else:
                failures.append(item)
    return rows, failures


def test_an_rttm_is_one_block_with_a_row_for_each_recording_that_is_found(tmp_path: Path) -> None:
    write_sound(tmp_path / "rec" / "day" / "talk.wav", 1.0, [])
    (tmp_path / "x.rttm").write_text(TEXT)
    rows, failures = read(tmp_path / "x.rttm", AnnotationReading(audio_root=str(tmp_path / "rec")))
    assert rows == [(0, {"audio_filepath": "day/talk.wav", "segments": SEGMENTS})]
    (gone,) = failures
    assert (gone.code, gone.stage, gone.source, gone.offset) == ("not_found", "read", f"{tmp_path}/x.rttm", 49)
    assert gone.payload == TEXT.split("\n")[1].encode()
    assert "--audio-root" in gone.cure


def test_recordings_are_beside_the_rttm_unless_said_otherwise(tmp_path: Path) -> None:
    write_sound(tmp_path / "talk.flac", 1.0, [])
    (tmp_path / "x.rttm").write_text(TEXT)
    rows, _ = read(tmp_path / "x.rttm", AnnotationReading(sample_rates=True))
    assert rows == [(0, {"audio_filepath": "talk.flac", "segments": SEGMENTS, "audio_sample_rate": 16000})]


def test_a_recording_without_a_readable_header_fails_where_its_rate_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(b"no audio at all")
    (tmp_path / "x.rttm").write_text(TEXT.partition("\n")[0])
    assert len(read(tmp_path / "x.rttm", AnnotationReading())[0]) == 1
    rows, failures = read(tmp_path / "x.rttm", AnnotationReading(sample_rates=True))
    assert (rows, [failure.code for failure in failures]) == ([], ["not_audio"])


def test_a_speaker_whose_name_is_no_text_fails_its_recording(tmp_path: Path) -> None:
    write_sound(tmp_path / "talk.wav", 1.0, [])
    (tmp_path / "x.rttm").write_text("SPEAKER talk 1 5.2 3 <NA> <NA> %ED%A0%80 <NA> <NA>\n")
    rows, failures = read(tmp_path / "x.rttm", AnnotationReading())
    assert (rows, [failure.code for failure in failures]) == ([], ["bad_unicode"])


def test_a_recording_is_found_by_its_stem_or_its_name(tmp_path: Path) -> None:
    for name in ("a.b.wav", "sub/a.MP3", "c.wav", "c.flac", ".old/a.wav", ".x/a.wav", "a.txt", "a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff.wav", os.O_CREAT))
    directory = f"{tmp_path}/"
    assert [find_recording(name, directory) for name in ("sub_a", "a.b", "a", "a.MP3", "c.flac")] == [
        "sub/a.MP3",
        "a.b.wav",
        "sub/a.MP3",
        "sub/a.MP3",
        "c.flac",
    ]
    with pytest.raises(EntryError, match=r"ambiguous: 2 recordings 'c' below .*: c.flac, c.wav: narrow --audio-root"):
        find_recording("c", directory)
    with pytest.raises(EntryError, match=r"not_found: no recording 'd' below .*: expected d\.wav"):
        find_recording("d", directory)
    with pytest.raises(
        EntryError,
        match=r"not_found: no recording 'd': .*/none cannot be listed: No such file or directory: .*--audio-root",
    ):
        find_recording("d", f"{tmp_path}/none")
    with pytest.raises(EntryError, match=r"not_found: no recording 'd': .*ftp"):
        find_recording("d", "ftp://host/recordings")


def test_a_recording_that_came_later_is_found(tmp_path: Path) -> None:
    with pytest.raises(EntryError, match=r"not_found"):
        find_recording("a", str(tmp_path))
    (tmp_path / "a.wav").touch()
    assert find_recording("a", str(tmp_path)) == "a.wav"


@pytest.mark.parametrize("rows", ["tracks-00000-of-00001.jsonl", "tracks-00000-of-00001.parquet"])
def test_output_sets_hold_no_recordings_of_an_rttm(tmp_path: Path, rows: str) -> None:
    (tmp_path / "out" / "tracks").mkdir(parents=True)
    (tmp_path / "out" / "tracks" / "a.wav").touch()
    file = {"name": rows, "n_bytes": 0, "sha256": "", "n_rows": 0, "kind": "tracks"}
    manifest = {"format": 1, "command": "separate", "config": {}, "inputs": [], "counts": {}, "files": [file]}
    (tmp_path / "out" / "_MANIFEST.json").write_text(json.dumps(manifest))
    (tmp_path / "a.flac").touch()
    assert find_recording("a", str(tmp_path)) == "a.flac"


@pytest.mark.parametrize("name", ["textgrid", "labels", "eaf", "webvtt", "srt", "stm", "ctm"])
def test_each_format_gives_the_row_of_its_recording(tmp_path: Path, name: str) -> None:
    write_sound(tmp_path / "rec" / "my talk.wav", 1.0, [])
    of = FORMATS[name]
    (tmp_path / f"my talk{of.ending}").write_text(text_of_recording(of, TALK), encoding="utf-8")
    ((offset, row),), failures = read(tmp_path, AnnotationReading(audio_root=str(tmp_path / "rec"), sample_rates=True))
    assert (offset, row["audio_filepath"], row["audio_sample_rate"], failures) == (0, "my talk.wav", 16000, [])
    says_nothing = {"ctm": [1]}.get(name, [])
    expected = [segment.fields() for place, segment in enumerate(TALK.segments) if place not in says_nothing]
    if name == "ctm":
        expected = [{key: value for key, value in segment.items() if key != "speaker"} for segment in expected]
    assert row["segments"] == expected


def test_a_file_that_cannot_be_read_is_one_failure_with_its_text(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", 1.0, [])
    (tmp_path / "a.TextGrid").write_bytes(b'"ooTextFile"\r\n"TextGrid"\r\n0\r\nx')
    (tmp_path / "b.textgrid").write_bytes(
        '"ooTextFile" "TextGrid" 0 1 <exists> 1 "IntervalTier" "\xfc"'.encode("cp1252")
    )
    (tmp_path / "c.TextGrid").write_text('"ooTextFile" "TextGrid" 0 1 <absent>')
    rows, failures = read(tmp_path, AnnotationReading())
    assert [(failure.code, failure.offset) for failure in failures] == [
        ("bad_turns", 0),
        ("bad_utf8", 0),
        ("not_found", 0),
    ]
    assert failures[0].message == "line 4: the file ends before xmax"
    assert failures[0].payload.endswith(b"\r\n0\r\nx")
    assert rows == []
