"""Every job reads a recording whose channels are files of their own like a file of several channels."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_curator.audio import encode_audio
from tests.fakes_models import write_band_model
from tests.manifests import failures_in, lines_in, manifest_of, run, speech
from tests.transforms.clips.clip_sets import clip_names, clip_rows, extract, piece, samples_in, write_rows
from tests.transforms.diarization.calls import call_of
from tests.transforms.diarization.turn_sets import diarize, entries_in
from tests.transforms.export.trees import export
from tests.transforms.separation.track_sets import separate, tracks_in

RATE = 8000
FILES = ["call_ch0.wav", "call_ch1.wav"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_band_model(tmp_path_factory.mktemp("model") / "band")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the call as one file of two channels, and as two files of one."""
    folder, call = tmp_path_factory.mktemp("calls"), call_of(RATE)
    (folder / "call.wav").write_bytes(encode_audio(call, RATE, "wav"))
    for channel, name in enumerate(FILES):
        (folder / name).write_bytes(encode_audio(call[:, [channel]], RATE, "wav"))
    return folder


def two_manifests(folder: Path, name: str, key: str = "audio_filepath", **fields: Any) -> tuple[Path, Path]:
    """Write the row of the files and that of the one file."""
    return (
        write_rows(folder / f"{name}_files.jsonl", [{key: FILES} | fields]),
        write_rows(folder / f"{name}_one.jsonl", [{key: "call.wav"} | fields]),
    )


@pytest.mark.parametrize("channels", ["mix", "first", "loudest", "split", "1"])
def test_a_model_hears_the_same(folder: Path, model: Path, tmp_path: Path, channels: str) -> None:
    files, one = two_manifests(folder, "heard", duration=9.0)
    found = entries_in(diarize(files, tmp_path / "files", "--channels", channels, model=model))[0]
    expected = entries_in(diarize(one, tmp_path / "one", "--channels", channels, model=model))[0]
    assert found["segments"]
    assert (found["audio_filepath"], found["recording_id"]) == (FILES, "call_ch0+1")
    own = {"audio_filepath", "recording_id", "rttm_filepath", "files", "_origin"}
    assert {key: found[key] for key in found.keys() - own} == {key: expected[key] for key in expected.keys() - own}
    assert (tmp_path / "files" / "rttm" / "call_ch0+1.rttm").exists()


def test_clipped_sound_is_counted_in_the_channels_that_are_heard(model: Path, tmp_path: Path) -> None:
    call = call_of(RATE)
    found: dict[tuple[int, str], float | None] = {}
    for gain in (1, 30):
        loud = np.clip(call * np.float32([1, gain]), -1, 1)
        for channel, name in enumerate(FILES):
            (tmp_path / name).write_bytes(encode_audio(loud[:, [channel]], RATE, "flac"))
        manifest = write_rows(tmp_path / "m.jsonl", [{"audio_filepath": FILES}])
        for channels in ("mix", "split", "0", "1"):
            out = diarize(manifest, tmp_path / f"{gain}_{channels}", "--channels", channels, model=model)
            entry = entries_in(out)[0]
            found[gain, channels] = entry.get("clipped_ratio")
            assert manifest_of(out)["counts"].get("diarize.clipped", 0) == int("clipped_ratio" in entry)
    runs = groupby(np.clip(samples_in(tmp_path / FILES[1])[:, 0], -32767 / 32768, 1).tolist())
    lengths = [len(list(run)) for level, run in runs if abs(level) >= 32767 / 32768]
    n_clipped, n_samples = sum(length for length in lengths if length >= 3), len(call)
    alone, half = (float(f"{n_clipped / n / n_samples:.6g}") for n in (1, 2))
    assert alone > 0.01
    assert found == dict.fromkeys(found) | {(30, "mix"): half, (30, "split"): half, (30, "1"): alone}


def test_a_row_may_name_a_channel_and_tables_have_the_list_as_text(folder: Path, model: Path, tmp_path: Path) -> None:
    files, one = two_manifests(folder, "named", channel=1)
    parquet = diarize(files, tmp_path / "files", "--row-format", "parquet", model=model)
    (table,) = [pq.read_table(path).to_pylist() for path in parquet.glob("turns-*.parquet")]
    expected = entries_in(diarize(one, tmp_path / "one", model=model))[0]
    assert table[0]["audio_filepath"] == json.dumps(FILES)
    assert json.loads(table[0]["row"])["segments"] == expected["segments"]


def test_the_rows_of_other_lists_and_files_have_their_own_ids(folder: Path, model: Path, tmp_path: Path) -> None:
    paths: list[Any] = [FILES, FILES[0], "call.wav", FILES[::-1], FILES[:1], ["call_ch0.wav", "call.wav"]]
    manifest = write_rows(folder / "ids.jsonl", [{"audio_filepath": path} for path in paths])
    out = diarize(manifest, tmp_path / "out", model=model, code=3)
    ids = [entry["recording_id"] for entry in entries_in(out)]
    assert [name.partition("~")[0] for name in ids] == ["call_ch0+1", "call_ch0", "call_ch0", "call", "call_ch1+1"]
    # the list of the pair and the one that cannot be read want the same id
    assert "~" in ids[0]
    assert ids[1] == ids[2] == "call_ch0"
    (letter,) = failures_in(out)
    assert letter["code"] == "bad_channels"
    assert letter["message"].endswith("call.wav has 2 channels, expected one in each file of an array")


def test_clips_are_cut_alike_by_every_kind_of_row(folder: Path, tmp_path: Path) -> None:
    segments = [{"start": 0.8, "end": 2.4, "speaker": "ana", "channel": 0}, {"start": 3.2, "end": 4.8, "speaker": "bo"}]
    whole = samples_in(folder / "call.wav")
    rows: list[dict[str, Any]] = [
        {"audio_filepath": FILES, "segments": segments},
        {"audio_filepath": FILES, "offset": 1.0, "duration": 0.5},
        piece("", 2000, 2500, channel=1) | {"original_file": FILES},
    ]
    out = extract(write_rows(folder / "cut.jsonl", rows), tmp_path / "out", "--mono", "keep")
    clips = {(row["original_start_ms"], row["original_end_ms"]): row for row in clip_rows(out)}
    assert {row["original_file"] for row in clips.values()} == {json.dumps(FILES)}
    for (start, end), expected in {
        (800, 2400): [0],
        (3200, 4800): [0, 1],
        (1000, 1500): [0, 1],
        (2000, 2500): [1],
    }.items():
        clip = samples_in(out / clips[start, end]["extracted_path"])
        np.testing.assert_array_equal(clip, whole[8 * start : 8 * end][:, expected])
    assert all(name.startswith("call_ch0+1_") for name in clip_names(out))
    again = extract(out, tmp_path / "again", "--mono", "keep", "--audio-root", folder)
    assert [row["sha256"] for row in clip_rows(again)] == [row["sha256"] for row in clip_rows(out)]


def test_tracks_are_made_alike_and_may_be_cut(folder: Path, tmp_path: Path) -> None:
    turns = [{"start": 0.8, "end": 2.4, "speaker": "ana", "channel": 0}, {"start": 3.2, "end": 4.8, "speaker": "bo"}]
    files, one = two_manifests(folder, "tracks", segments=turns)
    found, expected = (tracks_in(separate(path, tmp_path / path.stem)) for path in (files, one))
    assert [row["files"][0][2] for row in found] == [row["files"][0][2] for row in expected]
    assert {row["source_audio_filepath"] for row in found} == {json.dumps(FILES)}
    assert found[0]["audio_filepath"].startswith("tracks/call_ch0+1_speaker_")
    assert len(clip_rows(extract(tmp_path / "tracks_files", tmp_path / "clips", "--what", "segments"))) == 2


def test_a_tree_is_exported_alike(folder: Path, tmp_path: Path) -> None:
    files, one = two_manifests(folder, "tree", segments=[{"start": 0.8, "end": 2.4, "speaker": "ana", "channel": 1}])
    out, other = (export(path, tmp_path / path.stem, "--input-path", folder) for path in (files, one))
    assert [row["sha256"] for row in clip_rows(out)] == [row["sha256"] for row in clip_rows(other)]
    assert (out / "processed_clips" / "call_ch0+1.wav.json").exists() or list(out.rglob("*call_ch0+1.wav*"))


def test_windows_carry_the_list_and_keep_one_of_two_rows(folder: Path, tmp_path: Path) -> None:
    paths: list[Any] = [FILES, [str(folder / name) for name in FILES], FILES[::-1]]
    manifest = write_rows(folder / "w.jsonl", [speech(4) | {"audio_filepath": path} for path in paths])
    for layout in ("full", "spans"):
        out = tmp_path / layout
        assert run("windows", manifest, "--output", out, "--overlap-scope", "audio_file", "--layout", layout) == 0
        rows = [json.loads(line) for line in lines_in(out, "windows-*.jsonl")]
        assert [row["audio_filepath"] for row in rows] == paths
        assert [bool(row["filtered"]) for row in rows] == [True, False, True]
    assert run("windows", manifest, "--output", tmp_path / "table", "--row-format", "parquet") == 0
    (table,) = [pq.read_table(path).to_pylist() for path in (tmp_path / "table").glob("windows-*.parquet")]
    assert table[0]["audio_filepath"] == json.dumps(FILES)


def test_a_missing_file_is_one_failure_that_names_it(folder: Path, model: Path, tmp_path: Path) -> None:
    rows = [{"audio_filepath": ["call_ch0.wav", "gone.wav"]}, {"audio_filepath": ["call_ch0.wav", ""]}]
    out = diarize(write_rows(folder / "gone.jsonl", rows), tmp_path / "out", model=model, code=3)
    assert sorted((letter["code"], letter["message"]) for letter in failures_in(out)) == [
        ("bad_type", "audio_filepath[1] is empty, expected the path of a file"),
        ("not_found", f"there is no file {folder}/gone.wav"),
    ]
