from __future__ import annotations

import json
from pathlib import Path

import pytest

from beam_curator.files.searching import NoInputError
from beam_curator.transforms.clips.standalone import detect_combo, extract_segments, load_manifests
from tests import fakes_filesystem
from tests.manifests import line_of, names_in, run
from tests.transforms.clips.clip_sets import clip_rows, piece, summary_of, write_recording, write_rows


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    write_recording(tmp_path / "in" / "a.wav")
    rows = [piece("a.wav", 500, 600, speaker_id=speaker, duration=0.1) for speaker in ("ben", "ana", "ben")]
    return write_rows(tmp_path / "in" / "m.jsonl", [*rows, {"bad": 1}])


def test_a_set_is_written_into_a_directory_that_is_not_there_yet(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    summary = extract_segments(manifest, out, "flac")
    assert summary == {
        "manifest_path": str(manifest),
        "output_dir": str(out),
        "total_segments": 3,
        "total_duration_sec": 0.3,
        "output_format": "flac",
        "segments_by_speaker": {"ana": 1, "ben": 2},
    }
    assert summary_of(out) == summary
    assert [row["extracted_path"] for row in clip_rows(out)] == [
        "a_speaker_ana_segment_000.flac",
        "a_speaker_ben_segment_000.flac",
        "a_speaker_ben_segment_001.flac",
    ]
    assert run("verify", out) == 0
    assert extract_segments(manifest, str(out), "flac") == summary


def test_into_an_object_store_and_out_of_it(manifest: Path) -> None:
    for name in ("a.wav", "m.jsonl"):
        fakes_filesystem.put(f"gs://alone/in/{name}", (manifest.parent / name).read_bytes())
    summary = extract_segments("gs://alone/in/m.jsonl", "gs://alone/out")
    assert summary["total_segments"] == 3
    names = fakes_filesystem.names_under("gs://alone/out")
    assert [name for name in names if name.endswith(".wav")] == [
        "a_speaker_ana_segment_000.wav",
        "a_speaker_ben_segment_000.wav",
        "a_speaker_ben_segment_001.wav",
    ]
    assert {"_MANIFEST.json", "metadata.csv", "extraction_summary.json"} < {*names}
    assert not [name for name in names if name.startswith(".")]


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"gone\.jsonl is not there"):
        extract_segments(tmp_path / "gone.jsonl", tmp_path / "out")
    assert names_in(tmp_path) == []


def test_rows_are_read_in_order_of_names_and_lines(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "b.jsonl", [{"n": 3}])
    (tmp_path / "in" / "a.jsonl").write_bytes(line_of({"n": 1}) + b"\nbroken\n[1]\n\n" + line_of({"n": 2}))
    (tmp_path / "in" / "c.json").write_text(json.dumps([{"n": 4}, {"n": 5}], indent=1))
    assert [row["n"] for row in load_manifests(tmp_path / "in")] == [1, 2, 3, 4, 5]
    assert load_manifests(str(tmp_path / "in" / "b.jsonl")) == [{"n": 3}]
    with pytest.raises(NoInputError):
        load_manifests(tmp_path / "gone")


def test_the_combo_of_a_manifest_is_that_of_its_first_row(manifest: Path) -> None:
    rows = load_manifests(manifest)
    assert detect_combo(rows) == 4
    assert detect_combo([rows[0] | {"diar_segments": []}, *rows]) == 3
    assert detect_combo(rows[3:]) == detect_combo([]) == 2
