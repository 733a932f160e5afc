"""Clips in tar shards: what is in them, and that they are recordings to cut from again."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.clips.packs import AskedClips, pack
from beam_curator.transforms.clips.packing import key_recording
from tests.audio.corpus import decode_audio
from tests.manifests import manifest_of, run, whole_file, write_lines
from tests.transforms.clips.clip_sets import (
    clip_names,
    clip_rows,
    codes_of,
    extract,
    metadata_of,
    piece,
    request,
    samples_in,
    write_recording,
    write_rows,
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a manifest of pieces of five recordings, one with dots in its name, and of one that is not there."""
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(["a", "b-sub1", "c.d.e", "a_b", "f"]):
        write_recording(tmp_path / "in" / f"{name}.wav", 1, seed=number)
        rows += [piece(f"{name}.wav", start, start + 250, text=f"{name} {start}") for start in (500, 0, 250)]
    rows[1] |= {"speaker_id": "ana"}
    return write_rows(tmp_path / "in" / "m.jsonl", [*rows, piece("gone.wav", 0, 100), piece("f.wav", 2000, 2100)])


def members_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        names = tar.getnames()
        assert names == sorted(names)
        assert all(member.mtime == 0 for member in tar)
        return {name: file.read() for name in names if (file := tar.extractfile(name)) is not None}


def by_origin(directory: Path) -> dict[int, dict[str, Any]]:
    return {row["_origin"]["offset"]: row for row in clip_rows(directory)}


def test_webdataset_shards_hold_a_clip_and_its_row_each(manifest: Path, tmp_path: Path) -> None:
    plain = by_origin(extract(manifest, tmp_path / "plain", "--output-format", "flac", code=3))
    options = ["--pack", "webdataset", "--output-format", "flac", "--shards", 7]
    out = extract(manifest, tmp_path / "out", *options, code=3)
    shards = {path.name: members_of(path) for path in out.glob("*.tar")}
    assert sorted(shards) == [f"shard-{number:06d}.tar" for number in range(7)]
    assert [] in map(list, shards.values()), "seven shards of five recordings: some are empty"
    assert clip_names(out) == []
    rows = by_origin(out)
    assert len(rows) == len(plain) == 15
    for offset, row in rows.items():
        shard, _, name = row["extracted_path"].partition("::")
        key = name.removesuffix(".flac")
        assert "." not in key
        assert json.loads(shards[shard][f"{key}.json"]) == row
        assert shards[shard][name] == (tmp_path / "plain" / plain[offset]["extracted_path"]).read_bytes()
    assert sum(map(len, shards.values())) == 30
    kinds = {file["name"]: (file["kind"], file["rows"]) for file in manifest_of(out)["files"] if file["kind"] == "tar"}
    assert kinds == {name: ("tar", len(members) // 2) for name, members in shards.items()}
    assert sorted(codes_of(out)) == sorted(codes_of(tmp_path / "plain")) == ["not_found", "out_of_range"]


def test_nemo_shards_have_a_manifest_each(manifest: Path, tmp_path: Path) -> None:
    out = extract(manifest, tmp_path / "out", "--pack", "nemo-tar", "--shards", 3, code=3)
    assert sorted(path.name for path in out.glob("*.tar")) == [f"audio_{number}.tar" for number in range(3)]
    manifests = sorted((out / "sharded_manifests").iterdir())
    assert [path.name for path in manifests] == [f"manifest_{number}.json" for number in range(3)]
    texts = []
    for number, path in enumerate(manifests):
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        members = members_of(out / f"audio_{number}.tar")
        assert [row["audio_filepath"] for row in rows] == list(members)
        for row in rows:
            samples, _ = decode_audio(members[row["audio_filepath"]])
            assert (row["duration"], row["shard_id"], len(samples)) == (0.25, number, 2000)
            assert not {"offset", "audio_filename"} & set(row)
            assert "-sub" not in row["audio_filepath"]
        texts += [row["text"] for row in rows]
    assert sorted(texts) == sorted(row["text"] for row in clip_rows(out))
    assert [row["filename"] for row in metadata_of(out)] == [
        row["extracted_path"].partition("::")[2] for row in clip_rows(out)
    ]


def test_without_a_number_there_is_a_shard_for_each_block(manifest: Path, tmp_path: Path) -> None:
    write_rows(manifest.parent / "other.jsonl", [piece("f.wav", 0, 100)])
    inputs = [manifest.parent / "other.jsonl", manifest, manifest]
    arguments = ["extract", *inputs, "--output", tmp_path / "out", "--pack", "nemo-tar", "--keep-duplicates"]
    assert run(*arguments) == 3
    tars = sorted(path.name for path in (tmp_path / "out").glob("*.tar"))
    assert tars == ["audio_0.tar", "audio_1.tar", "audio_2.tar"]
    assert len(list((tmp_path / "out" / "sharded_manifests").iterdir())) == 3
    assert run("verify", tmp_path / "out") == 0


def test_nothing_to_cut_gives_empty_shards(tmp_path: Path) -> None:
    out = extract(write_lines(tmp_path / "m.jsonl", []), tmp_path / "out", "--pack", "webdataset", "--shards", 2)
    assert [members_of(path) for path in sorted(out.glob("*.tar"))] == [{}, {}]


@pytest.mark.parametrize("kind", ["webdataset", "nemo-tar"])
class TestCutAgain:
    def test_members_are_recordings(self, manifest: Path, tmp_path: Path, kind: str) -> None:
        out = extract(manifest, tmp_path / "out", "--pack", kind, "--shards", 2, code=3)
        rows = clip_rows(out)
        again = [piece(f"out/{row['extracted_path']}", 50, 150, number=number) for number, row in enumerate(rows)]
        second = extract(write_rows(tmp_path / "again.jsonl", again), tmp_path / "second")
        assert len(clip_names(second)) == len(rows)
        for row in clip_rows(second):
            first = rows[row["number"]]
            whole = samples_in(manifest.parent / first["original_file"])
            start = round(first["real_start_sec"] * 8000) + 400
            found = samples_in(second / row["extracted_path"])
            np.testing.assert_array_equal(found, whole[start : start + 800], strict=True)

    def test_links_and_missing_members_are_failures(self, manifest: Path, tmp_path: Path, kind: str) -> None:
        out = extract(manifest, tmp_path / "out", "--pack", kind, "--shards", 1, code=3)
        (tar,) = out.glob("*.tar")
        (tmp_path / "cut.tar").write_bytes(tar.read_bytes()[:700])  # 188 bytes behind the first header
        (tmp_path / "page.tar").write_bytes(b"<html>" * 200)
        with tarfile.open(tmp_path / "links.tar", "w") as made:
            link = tarfile.TarInfo("passwd.wav")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            made.addfile(link)
            up = tarfile.TarInfo("../../up.wav")
            up.size = 6
            made.addfile(up, (tmp_path / "page.tar").open("rb"))
        names = ["out/" + tar.name + "::nobody.wav", "cut.tar::x.wav", "page.tar::x.wav", "links.tar::passwd.wav"]
        names += ["links.tar::../../up.wav", "gone.tar::x.wav"]
        rows = [piece(name, 0, 100) for name in names]
        second = extract(write_rows(tmp_path / "again.jsonl", rows), tmp_path / "second", code=3)
        expected = ["not_found", "truncated_file", "not_readable", "not_found", "not_audio", "not_found"]
        assert codes_of(second) == expected


def test_sharded_manifests_are_inputs(manifest: Path, tmp_path: Path) -> None:
    out = extract(manifest, tmp_path / "out", "--pack", "nemo-tar", "--shards", 2, code=3)
    second = extract(out / "sharded_manifests", tmp_path / "second")
    first = {row["text"]: row for row in clip_rows(out)}
    assert len(clip_names(second)) == len(first)
    for row in clip_rows(second):
        whole = samples_in(manifest.parent / first[row["text"]]["original_file"])
        start = round(first[row["text"]]["real_start_sec"] * 8000)
        found = samples_in(second / row["extracted_path"])
        np.testing.assert_array_equal(found, whole[start : start + 2000], strict=True)


def test_a_set_of_packed_clips_is_cut_as_the_recordings_were(manifest: Path, tmp_path: Path) -> None:
    packed = extract(manifest, tmp_path / "packed", "--pack", "webdataset", code=3)
    second = extract(packed, tmp_path / "second")
    plain = extract(manifest, tmp_path / "plain", code=3)
    assert {name: (second / name).read_bytes() for name in clip_names(second)} == {
        name: (plain / name).read_bytes() for name in clip_names(plain)
    }


def test_the_shard_follows_from_the_name_of_the_recording() -> None:
    def shard_of(name: str, n_shards: int) -> int:
        packs = (pack(whole_file("m.jsonl", n_blocks=5), 0, name, [(0, request(0, 1))]),)
        return key_recording(AskedClips(recording=name, packs=packs, marked=False), n_shards)[0]

    shards = [shard_of(f"{number}.wav", 4) for number in range(1000)]
    assert shards == [shard_of(f"{number}.wav", 4) for number in range(1000)]
    assert all(200 < shards.count(number) < 300 for number in range(4))
    assert {shard_of(f"{number}.wav", 0) for number in range(1000)} == set(range(5))
