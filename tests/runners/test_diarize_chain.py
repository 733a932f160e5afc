"""What `diarize` writes goes into `windows`, `extract` and `export` as it is; the samples lie where the turns say."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.random_sortformer import talk
from tests.fakes_models import Speech, segments_of, write_band_model, write_sound
from tests.manifests import failures_in, lines_in, manifest_of, run
from tests.sortformers import Model
from tests.transforms.clips.clip_sets import clip_rows, extract, samples_in
from tests.transforms.diarization.turn_sets import by_id, diarize, entries_in
from tests.transforms.export.trees import export, tree_of

pytestmark = pytest.mark.heavy

PANEL: list[Speech] = [(10.0 * number, 10.0 * number + 8.0, number % 3) for number in range(12)]
"""Three speakers in turn for two minutes: 8 s each, and pauses of 2 s."""
CALL: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 3)]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings of several kinds; two have one stem, one is silent and one bad."""
    folder = tmp_path_factory.mktemp("talks")
    write_sound(folder / "panel.flac", 120.0, PANEL, 44100, 2)
    write_sound(folder / "monday" / "call.wav", 2.4, CALL, 8000)
    write_sound(folder / "friday" / "call.wav", 2.4, CALL[1:], 48000)
    write_sound(folder / "silence.wav", 3.0)
    (folder / "bad.wav").write_bytes(b"<html>")
    return folder


@pytest.fixture(scope="module")
def turns(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes of them."""
    model = write_band_model(tmp_path_factory.mktemp("model") / "band")
    out = tmp_path_factory.mktemp("turns") / "out"
    return diarize(recordings, out, "--bandwidth", "--tolerate", 1, model=model)


@pytest.fixture(scope="module")
def windows(turns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `windows` makes of its rows."""
    out = tmp_path_factory.mktemp("windows") / "out"
    flags = ("--target-window-duration", "58", "--min-bandwidth", "400", "--no-truncation", "--overlap-percentage", "0")
    assert run("windows", turns, "--output", out, *flags) == 0
    return out


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_in(out, "windows-*.jsonl")]


def assert_clips_lie_where_rows_say(out: Path, n_clips: int) -> None:
    """Compare the samples of all clips with those of their recordings."""
    rows = clip_rows(out)
    assert len(rows) == n_clips
    for row in rows:
        whole, rate = soundfile.read(row["original_file"], dtype="float32", always_2d=True)
        first, stop = (round(row[f"original_{side}_ms"] * rate / 1000) for side in ("start", "end"))
        np.testing.assert_array_equal(samples_in(out / row["extracted_path"]), whole[first:stop])
        assert (row["real_start_sec"], row["real_end_sec"]) == (first / rate, stop / rate)


def spans_of(out: Path) -> Counter[tuple[str, float, float, str | None]]:
    return Counter(
        (row["original_file"], row["original_start_ms"], row["original_end_ms"], row.get("speaker_id"))
        for row in clip_rows(out)
    )


def expected_spans(turns: Path) -> Counter[tuple[str, float, float, str | None]]:
    return Counter(
        (entry["audio_filepath"], round(1000 * turn["start"]), round(1000 * turn["end"]), turn["speaker"])
        for entry in entries_in(turns)
        for turn in entry["segments"]
    )


def test_the_turns_are_those_of_the_speech(turns: Path) -> None:
    found = {
        Path(entry["audio_filepath"]).relative_to(Path(entry["audio_filepath"]).parents[1]): entry["diar_segments"]
        for entry in entries_in(turns)
    }
    spoken = {path.name if path.name != "call.wav" else str(path): segments for path, segments in found.items()}
    assert spoken == {
        "panel.flac": segments_of(PANEL),
        "monday/call.wav": segments_of(CALL),
        "friday/call.wav": segments_of(CALL[1:]),
        "silence.wav": [],
    }
    for entry in entries_in(turns):
        assert all(400 <= segment["metrics"]["bandwidth"] <= 24000 for segment in entry["segments"])


class TestWindows:
    def test_take_the_turns_as_segments(self, windows: Path, turns: Path) -> None:
        rows = {row["audio_filepath"]: row for row in rows_of(windows)}
        entries = {entry["audio_filepath"]: entry for entry in entries_in(turns)}
        assert rows.keys() == entries.keys(), "a row for each entry, whether it has windows or not"
        (kept,) = [row["filtered_windows"] for row in rows.values() if row["filtered_windows"]]
        spans = [(window["segments"][0]["start"], window["segments"][-1]["end"]) for window in kept]
        assert spans == [(0.0, 58.0), (60.0, 118.0)]
        with_bandwidth = by_id(turns)["panel"]["segments"]
        assert [segment for window in kept for segment in window["segments"]] == with_bandwidth

    def test_say_what_is_missing_without_bandwidth(
        self, recordings: Path, turns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = write_band_model(tmp_path / "band")
        plain = diarize(recordings / "panel.flac", tmp_path / "plain", model=model)
        assert run("windows", plain, "--output", tmp_path / "windows", "--target-window-duration", "58") == 0
        assert rows_of(tmp_path / "windows")[0]["filtered_windows"] == []
        assert "metrics.bandwidth" in capsys.readouterr().out
        assert by_id(plain)["panel"]["diar_segments"] == by_id(turns)["panel"]["diar_segments"]


class TestExtract:
    def test_cuts_the_turns(self, turns: Path, tmp_path: Path) -> None:
        out = extract(turns, tmp_path / "out")
        assert_clips_lie_where_rows_say(out, len(PANEL) + 3)
        assert spans_of(out) == expected_spans(turns)

    def test_cuts_diar_segments_alike(self, turns: Path, tmp_path: Path) -> None:
        out = extract(turns, tmp_path / "out", "--what", "diar_segments", "--output-format", "flac")
        assert_clips_lie_where_rows_say(out, len(PANEL) + 3)
        assert spans_of(out) == expected_spans(turns)

    def test_cuts_the_windows(self, windows: Path, tmp_path: Path) -> None:
        out = extract(windows, tmp_path / "out")
        assert_clips_lie_where_rows_say(out, 2)
        spans = [(row["original_start_ms"], row["original_end_ms"]) for row in clip_rows(out)]
        assert spans == [(0, 58000), (60000, 118000)]


def test_export_takes_the_turns(turns: Path, recordings: Path, tmp_path: Path) -> None:
    out = export(turns, tmp_path / "out", "--input-path", recordings, "--generate-previews")
    n_clips = len(PANEL) + 3
    assert manifest_of(out)["counts"]["cut.clips"] == n_clips
    folders = Counter(name.partition("/")[0] for name in tree_of(out))
    assert (folders["clips"], folders["metas"]) == (n_clips, n_clips)
    lengths = Counter(round(soundfile.info(str(path)).duration, 3) for path in (out / "clips").iterdir())
    assert lengths == Counter([8.0] * len(PANEL) + [0.8] * 3)


def test_a_sets_own_rows_may_be_diarized_again(turns: Path, windows: Path, recordings: Path, tmp_path: Path) -> None:
    model = write_band_model(tmp_path / "band")
    for number, rows in enumerate((turns, windows)):
        again = diarize(rows, tmp_path / str(number), "--bandwidth", model=model)
        keys = ("segments", "diar_segments", "exclusive_segments", "num_speakers", "duration", "audio_filepath")
        found, before = ([{key: entry[key] for key in keys} for entry in entries_in(out)] for out in (again, turns))
        assert found == before
        ids = [entry["recording_id"] for entry in entries_in(turns)]
        # of an entry whose sample rate is too low `windows` writes the path alone
        expected = ids if number == 0 else [name.replace("monday_call", "call") for name in ids]
        assert [entry["recording_id"] for entry in entries_in(again)] == expected


def test_with_a_real_model(streaming_model: Model, tmp_path: Path) -> None:
    """Its weights are random: turns are short and many, so gaps are filled until windows are possible."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        soundfile.write(folder / f"{number}.wav", talk(40.0, seed=number), 16000)
    flags = ("--bandwidth", "--onset", "0.7", "--min-duration-off", "0.6", "--min-duration-on", "0.3")
    turns = diarize(folder, tmp_path / "turns", *flags, model=streaming_model.onnx)
    n_turns = sum(len(entry["segments"]) for entry in entries_in(turns))
    clips = extract(turns, tmp_path / "clips")
    assert_clips_lie_where_rows_say(clips, n_turns)
    assert spans_of(clips) == expected_spans(turns)
    limits = ("--target-window-duration", "10", "--tolerance", "0.5", "--min-bandwidth", "0", "--min-speakers", "1")
    assert run("windows", turns, "--output", tmp_path / "windows", *limits) == 0
    n_windows = sum(len(row["filtered_windows"]) for row in rows_of(tmp_path / "windows"))
    assert n_windows > 1
    assert_clips_lie_where_rows_say(extract(tmp_path / "windows", tmp_path / "long"), n_windows)
    assert failures_in(turns) == []
