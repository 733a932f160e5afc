"""What an export leaves out, refuses or reports: bad rows and recordings, repeats, missing values, dry runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.clips import cutting
from beam_curator.export.embeddings import parquet_bytes
from tests.manifests import failures_in, manifest_of, run
from tests.transforms.clips.clip_sets import clip_rows, codes_of, piece, write_recording, write_rows
from tests.transforms.export.trees import (
    Talk,
    bytes_of,
    chunk_of,
    cut,
    document,
    export,
    meta_of,
    tree_of,
    uuid_of,
)

ALL = ("--generate-embeddings", "--generate-captions", "--score-keys", "utmos")

BAD_VALUES: dict[str, tuple[dict[str, Any], str]] = {
    "embedding is text": ({"embedding": "1 2"}, "bad_type"),
    "embedding is empty": ({"embedding": []}, "bad_type"),
    "embedding holds null": ({"embedding": [1, None]}, "bad_type"),
    "embedding is beyond float32": ({"embedding": [1, 1e39]}, "non_finite"),
    "embedding is longer": ({"embedding": [1, 2, 3]}, "bad_type"),
    "score is text": ({"utmos": "3"}, "bad_type"),
    "transcript is a number": ({"text": 3}, "bad_type"),
    "rejection is a number": ({"rejected_by": 3}, "bad_type"),
    "rejection names numbers": ({"rejected_by": [3]}, "bad_type"),
}


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    return Talk(tmp_path)


def test_bad_values_of_a_row_fail_its_clip_alone(talk: Talk, tmp_path: Path) -> None:
    good = {"text": "x", "embedding": [1, 2], "utmos": 1}
    rows = [cut(100 * (1 + k), 100 * (2 + k), **good | bad) for k, (bad, _) in enumerate(BAD_VALUES.values())]
    manifest = talk.manifest(cut(0, 100, **good), *rows, cut(2000, 2500, **good))
    out = export(manifest, tmp_path / "out", "--input-path", talk.root, *ALL, code=3)
    codes = {letter["offset"]: letter["code"] for letter in failures_in(out)}
    assert [codes[offset] for offset in sorted(codes)] == [code for _, code in BAD_VALUES.values()]
    good_ones = [talk.clip(0, 100), talk.clip(2000, 2500)]
    assert [row["span_uuid"] for row in clip_rows(out)] == chunk_of(out, "talks/a.wav", 0)["clips"] == good_ones
    assert sorted(name for name in tree_of(out) if name.startswith("metas/")) == sorted(
        f"metas/v0/{clip}.json" for clip in good_ones
    )
    assert document(out, "processed_audios/talks/a.wav.json")["num_total_clips"] == 2


def test_a_bad_row_leaves_its_clip_to_another(talk: Talk, tmp_path: Path) -> None:
    out = export(talk.manifest(cut(0, 100, utmos="x"), cut(0, 100, utmos=2)), tmp_path / "out", *ALL, code=3)
    assert [(row["span_uuid"], row["utmos"]) for row in clip_rows(out)] == [(talk.clip(0, 100), 2)]


def test_bad_recordings_fail_alone(talk: Talk, tmp_path: Path) -> None:
    (talk.root / "text.wav").write_bytes(b"no audio at all")
    write_recording(tmp_path / "in2" / "b.wav")
    rows = [
        piece(tmp_path / "in2" / "b.wav", 0, 100),
        piece("gone.wav", 0, 100),
        piece("text.wav", 0, 100),
        cut(9000, 9100),
        cut(200, 200.01),
        cut(0, 100),
        cut(300, 200),
    ]
    out = export(talk.manifest(*rows), tmp_path / "out", "--input-path", talk.root, code=3)
    found = [(letter["stage"], letter["code"]) for letter in sorted(failures_in(out), key=_offset)]
    assert found == [
        ("cut", "path_outside_root"),
        ("cut", "not_found"),
        ("cut", "not_audio"),
        ("cut", "out_of_range"),
        ("cut", "empty_audio"),
        ("plan", "bad_time"),
    ]
    clip = talk.clip(0, 100)
    assert tree_of(out) == [
        f"clips/{clip}.flac",
        f"metas/v0/{clip}.json",
        "processed_audios/talks/a.wav.json",
        "processed_clip_chunks/talks/a.wav_0.json",
    ]


def _offset(letter: dict[str, Any]) -> int:
    offset: int = letter["offset"]
    return offset


def test_a_dead_letter_can_be_run_again(talk: Talk, tmp_path: Path) -> None:
    out = export(talk.manifest(cut(0, 100, utmos="x", text="hi")), tmp_path / "out", *ALL, code=3)
    [letter] = failures_in(out)
    mended = letter["payload"].replace(b'"utmos":"x"', b'"utmos":1')
    (talk.root / "again.jsonl").write_bytes(mended + b"\n")
    assert [row["text"] for row in clip_rows(export(talk.root / "again.jsonl", tmp_path / "again", *ALL))] == ["hi"]


def test_damage_in_the_middle_fails_what_it_touches(talk: Talk, tmp_path: Path) -> None:
    path = talk.root / "b.flac"
    write_recording(path, 20)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data)
    rows = [piece("b.flac", 1000 * k, 1000 * k + 1000) for k in range(20)]
    out = export(talk.manifest(*rows), tmp_path / "out", "--input-path", talk.root, "--clips-per-chunk", 10, code=3)
    n_clips, n_failed = len(clip_rows(out)), len(codes_of(out))
    assert n_clips + n_failed == 20
    assert 1 <= n_failed <= 12
    chunks = [chunk_of(out, "b.flac", number) for number in range(2)]
    assert sum(chunk["num_clips_passed"] for chunk in chunks) == n_clips
    assert document(out, "processed_audios/b.flac.json")["num_total_clips"] == n_clips


def test_what_is_missing_is_reported_and_never_made_up(talk: Talk, tmp_path: Path) -> None:
    rows = [cut(0, 100, embedding=[1], text="x"), cut(100, 200, text=None), cut(200, 300, rejected_by=["snr"])]
    out = export(talk.manifest(*rows), tmp_path / "out", *ALL, "--caption-models", "canary,text")
    metas = [meta_of(out, talk.clip(start, start + 100)) for start in (0, 100, 200)]
    assert [meta["errors"] for meta in metas] == [
        ["canary_transcript_missing"],
        ["canary_transcript_missing", "text_transcript_missing", "speaker_embedding_missing"],
        ["canary_transcript_missing", "text_transcript_missing"],
    ]
    counts = manifest_of(out)["counts"]
    assert (counts["cut.missing_embeddings"], counts["cut.missing_transcripts"]) == (1, 5)
    assert [name for name in tree_of(out) if "_embd/" in name] == [f"speaker_embd/{talk.clip(0, 100)}.npy"]


def test_embeddings_come_from_a_table_where_rows_have_none(talk: Talk, tmp_path: Path) -> None:
    ids = [talk.clip(start, start + 100) for start in (0, 100, 200)]
    vectors = [np.float32([k, 1]) for k in range(3)]
    (tmp_path / "e.parquet").write_bytes(parquet_bytes(ids, [vectors[0], np.float32([np.nan, 1]), vectors[2]]))
    manifest = talk.manifest(
        cut(0, 100), cut(100, 200), cut(200, 300, embedding=[9, 9]), cut(300, 400), cut(400, 500, embedding=[1, 2, 3])
    )
    out = export(manifest, tmp_path / "out", *ALL[:1], "--embeddings", tmp_path / "e.parquet", code=3)
    assert {letter["offset"]: letter["code"] for letter in failures_in(out)} == {
        _offset_of(manifest, 1): "non_finite",
        _offset_of(manifest, 4): "bad_type",
    }
    folder = out / "speaker_embd"
    assert {path.stem: np.load(path).tolist() for path in folder.iterdir()} == {ids[0]: [0, 1], ids[2]: [9, 9]}
    assert meta_of(out, talk.clip(300, 400))["errors"] == ["speaker_embedding_missing"]


def _offset_of(manifest: Path, number: int) -> int:
    return sum(len(line) for line in manifest.read_bytes().splitlines(keepends=True)[:number])


def test_a_table_that_is_none_fails_the_job(talk: Talk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e.parquet").write_bytes(b"not a table")
    options = ("--generate-embeddings", "--embeddings", tmp_path / "e.parquet")
    assert run("export", talk.manifest(cut(0, 100)), "--output", tmp_path / "out", *options) == 1
    assert "e.parquet cannot be read as Parquet" in capsys.readouterr().err
    assert not (tmp_path / "out" / "_MANIFEST.json").exists()


def test_a_clip_asked_for_twice_is_written_once(talk: Talk, tmp_path: Path) -> None:
    rows = [cut(0, 100, text="first"), cut(0, 100, text="second"), cut(0, 200), cut(0.01, 100, text="third")]
    out = export(talk.manifest(*rows), tmp_path / "out")
    assert [row.get("text") for row in clip_rows(out)] == ["first", None]
    counts = manifest_of(out)["counts"]
    assert (counts["plan.clips"], counts["cut.clips"], counts["cut.dropped.duplicate"]) == (4, 2, 2)


def test_recordings_that_some_disk_takes_for_one_have_marked_documents(tmp_path: Path) -> None:
    for name in ("A.wav", "a.wav", "b.wav"):
        write_recording(tmp_path / "in" / name)
    rows = [piece(name, 0, 100) for name in ("a.wav", "A.wav", "b.wav")]
    out = export(write_rows(tmp_path / "in" / "m.jsonl", rows), tmp_path / "out", "--input-path", tmp_path / "in")
    names = [name for name in tree_of(out) if name.startswith("processed_audios/")]
    assert len({name.lower() for name in names}) == 3
    assert [name[:19] for name in names] == ["processed_audios/A~", "processed_audios/a~", "processed_audios/b."]
    assert len(clip_rows(out)) == 3


class TestDryRun:
    OPTIONS = (*ALL, "--generate-previews", "--clips-per-chunk", 2)

    @pytest.fixture
    def manifest(self, talk: Talk) -> Path:
        rows = [cut(100 * k, 100 * k + 50, embedding=[k], text=str(k), rejected_by=k == 1) for k in range(3)]
        return talk.manifest(*rows, cut(9000, 9001), cut(0, 50))

    def test_writes_documents_of_recordings_and_chunks_only(self, manifest: Path, talk: Talk, tmp_path: Path) -> None:
        whole = export(manifest, tmp_path / "out", "--input-path", talk.root, *self.OPTIONS, code=3)
        dry = export(manifest, tmp_path / "dry", "--input-path", talk.root, *self.OPTIONS, "--dry-run", code=3)
        documents = [name for name in tree_of(whole) if name.startswith("processed_")]
        assert tree_of(dry) == documents
        assert [(dry / name).read_bytes() for name in documents] == [(whole / name).read_bytes() for name in documents]
        assert codes_of(dry) == codes_of(whole) == ["out_of_range"]

    def test_rows_say_what_clips_would_be(self, manifest: Path, talk: Talk, tmp_path: Path) -> None:
        whole = clip_rows(export(manifest, tmp_path / "out", code=3))
        dry = clip_rows(export(manifest, tmp_path / "dry", "--dry-run", code=3))
        assert [row["sha256"] for row in dry] == [row["sha256"] for row in whole]
        assert {(row["extracted_path"], tuple(row["files"])) for row in dry} == {(None, ())}


def test_without_upload_there_is_everything_but_the_clips(talk: Talk, tmp_path: Path) -> None:
    manifest = talk.manifest(cut(0, 100), cut(100, 200, rejected_by="x"))
    whole = bytes_of(export(manifest, tmp_path / "whole", "--generate-previews"))
    out = export(manifest, tmp_path / "out", "--generate-previews", "--no-upload-clips")
    expected = [name for name in tree_of(tmp_path / "whole") if "clips/" not in name]
    assert tree_of(out) == expected
    assert all((out / name).read_bytes() == whole[name] for name in expected)
    assert [row["extracted_path"] for row in clip_rows(out)] == [None, None]


def test_long_clips_are_made_in_pieces_and_come_out_the_same(
    talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recording(talk.root / "b.wav", 7, 44100, 2)
    manifest = talk.manifest(piece("b.wav", 100, 6900))
    options = ("--generate-previews", "--input-path", talk.root)
    whole = bytes_of(export(manifest, tmp_path / "whole", *options))
    monkeypatch.setattr(cutting, "LONG_CLIP", 1000)
    assert bytes_of(export(manifest, tmp_path / "pieces", *options)) == whole
    clip = uuid_of(talk.root / "b.wav", 4410, 304290)
    assert f"previews/{clip}/0_299880.ogg" in whole
