"""A call with a speaker on each channel, from `diarize --channels split` to clips, trees, tracks and windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.audio import encode_audio, open_audio
from beam_curator.export.tree import clip_uuid
from tests.fakes_models import TONES, write_band_model
from tests.manifests import lines_in, run
from tests.transforms.clips.clip_sets import clip_rows, extract, samples_in, write_rows
from tests.transforms.diarization.calls import ANA, BO, call_of, write_call
from tests.transforms.diarization.turn_sets import diarize, entries_in
from tests.transforms.export.trees import export

RATE = 8000
TONE = {"channel_0": TONES[ANA[0][2]], "channel_1": TONES[BO[0][2]]}
"""Hz of each speaker."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_band_model(tmp_path_factory.mktemp("model") / "band")


@pytest.fixture(scope="module")
def turns(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calls")
    write_call(folder / "call.wav", RATE)
    return diarize(folder, folder.parent / "turns_of_calls", "--channels", "split", "--bandwidth", model=model)


def share_of_tone(samples: Any, tone: int) -> float:
    """Return the share of a sound's power within 100 Hz of a tone: its spectrum tells who is heard."""
    assert samples.shape[1] == 1
    power = np.abs(np.fft.rfft(samples[:, 0])) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(power[np.abs(hertz - tone) < 100].sum() / power.sum())


def test_each_clip_holds_the_channel_of_its_speaker_alone(turns: Path, tmp_path: Path) -> None:
    """Both talk from 6.4 to 7.2 s: with the channels mixed, either's tone would have half of the power there."""
    out = extract(turns, tmp_path / "clips", "--what", "segments", "--mono", "mix")
    rows = clip_rows(out)
    assert sorted((row["speaker_id"], row["channel"], row["n_channels"]) for row in rows) == [
        *[("channel_0", 0, 1)] * 2, *[("channel_1", 1, 1)] * 2
    ]  # fmt: skip
    whole = samples_in(Path(rows[0]["original_file"]))
    for row in rows:
        clip = samples_in(out / row["extracted_path"])
        assert share_of_tone(clip, TONE[row["speaker_id"]]) > 0.99
        first, stop = (round(row[f"original_{side}_ms"] * RATE / 1000) for side in ("start", "end"))
        np.testing.assert_array_equal(clip[:, 0], whole[first:stop, row["channel"]])
    assert "channel" in (out / "metadata.csv").read_text().splitlines()[0].split(",")


@pytest.mark.parametrize("pack", ["webdataset", "nemo-tar"])
def test_packs_do_likewise_and_may_be_cut_again(turns: Path, tmp_path: Path, pack: str) -> None:
    out = extract(turns, tmp_path / "packed", "--what", "segments", "--pack", pack)
    plain = extract(turns, tmp_path / "plain", "--what", "segments")
    hashes = {row["span"]: row["sha256"] for row in map(_with_span, clip_rows(plain))}
    assert {row["span"]: row["sha256"] for row in map(_with_span, clip_rows(out))} == hashes
    again = extract(plain, tmp_path / "again")
    assert {row["span"]: row["sha256"] for row in map(_with_span, clip_rows(again))} == hashes
    if pack == "nemo-tar":
        manifests = out / "sharded_manifests"
        rows = [json.loads(line) for path in sorted(manifests.iterdir()) for line in path.read_text().splitlines()]
        assert {(row["speaker_id"], row["source_audio_channel"]) for row in rows} == {
            ("channel_0", 0), ("channel_1", 1)
        }  # fmt: skip
        assert len(clip_rows(extract(manifests, tmp_path / "members"))) == 4


def _with_span(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"span": (row["speaker_id"], row["original_start_ms"])}


def test_clips_can_be_diarized_although_their_rows_name_a_channel(turns: Path, tmp_path: Path, model: Path) -> None:
    clips = extract(turns, tmp_path / "clips", "--what", "segments")
    options = ("--audio-filepath-key", "extracted_path", "--audio-root", clips, "--channels", "split")
    entries = entries_in(diarize(clips, tmp_path / "of_clips", *options, model=model))
    assert sorted((entry["input_channel"], "channel" in entry) for entry in entries) == [
        (0, False), (0, False), (1, False), (1, False)
    ]  # fmt: skip
    assert all({turn["speaker"] for turn in entry["segments"]} == {"channel_0"} for entry in entries)
    recut = extract(
        tmp_path / "of_clips", tmp_path / "recut", "--audio-filepath-key", "extracted_path", "--audio-root", clips
    )
    assert len(clip_rows(recut)) >= 4


def test_a_tree_has_a_clip_for_each_channel_of_the_same_span(turns: Path, tmp_path: Path) -> None:
    call = entries_in(turns)[0]["audio_filepath"]
    segments = [{"start": 6.4, "end": 7.2, "speaker": f"s{channel}", "channel": channel} for channel in (0, 1, 0)]
    manifest = write_rows(tmp_path / "m.jsonl", [{"audio_filepath": call, "segments": segments}])
    out = export(manifest, tmp_path / "tree", "--what", "segments", "--generate-previews")
    rows = clip_rows(out)
    first, stop = round(6.4 * RATE), round(7.2 * RATE)
    assert {row["span_uuid"]: row["channel"] for row in rows} == {
        clip_uuid(call, first, stop, channel): channel for channel in (0, 1)
    }
    for row in rows:
        with open_audio((out / row["extracted_path"]).read_bytes()) as reader:
            np.testing.assert_array_equal(reader.read()[:, 0], samples_in(Path(call))[first:stop, row["channel"]])


def test_tracks_hold_their_channel_alone_and_keep_what_others_talk_into(turns: Path, tmp_path: Path) -> None:
    out = tmp_path / "tracks"
    assert run("separate", turns, "--output", out) == 0
    rows = {row["speaker_id"]: row for row in map(json.loads, lines_in(out, "tracks-*.jsonl"))}
    whole = samples_in(Path(entries_in(turns)[0]["audio_filepath"]))
    for channel, (speaker, speech) in enumerate((("channel_0", ANA), ("channel_1", BO))):
        row = rows[speaker]
        assert row["diar_segments"] == [[start, end] for start, end, _ in speech]
        assert (row["source_channel"], row["separation"]["overlapped"]) == (channel, 0.0)
        track = samples_in(out / row["audio_filepath"])
        for start, end, _ in speech:
            first, stop = round(start * RATE), round(end * RATE)
            np.testing.assert_array_equal(track[first:stop, 0], whole[first:stop, channel])
        assert share_of_tone(track, TONE[speaker]) > 0.98
    clips = extract(out, tmp_path / "clips", "--what", "segments")
    assert {row["n_channels"] for row in clip_rows(clips)} == {1}


def test_windows_keep_the_channels_of_segments(turns: Path, tmp_path: Path) -> None:
    out = tmp_path / "windows"
    lengths = ("--target-window-duration", "7", "--tolerance", "0.5", "--no-truncation")
    limits = ("--min-sample-rate", "8000", "--min-bandwidth", "400")
    assert run("windows", turns, "--output", out, *lengths, *limits) == 0
    (row,) = map(json.loads, lines_in(out, "windows-*.jsonl"))
    channels = {segment["channel"] for window in row["filtered_windows"] for segment in window["segments"]}
    assert channels == {0, 1}
    (clip, *_) = clip_rows(extract(out, tmp_path / "clips"))
    assert (clip["n_channels"], "channel" in clip) == (2, False)


@pytest.mark.parametrize("layout", ["full", "spans"])
def test_windows_of_one_channel_are_cut_from_it(tmp_path: Path, layout: str) -> None:
    times = np.arange(40 * RATE) / RATE
    tones = 0.3 * np.sin(2 * np.pi * np.stack([TONES[2] * times, TONES[3] * times], axis=1))
    (tmp_path / "call.wav").write_bytes(encode_audio(tones.astype(np.float32), RATE, "wav"))
    segments = [
        {"start": n * 2.0, "end": n * 2.0 + 2, "speaker": "ab"[n % 2], "channel": n // 10, "metrics": {"bandwidth": 40}}
        for n in range(20)
    ]
    entry = {"audio_filepath": "call.wav", "audio_sample_rate": RATE, "segments": segments}
    limits = ("--min-sample-rate", "8000", "--min-bandwidth", "0", "--target-window-duration", "10", "--tolerance", "0")
    manifest = write_rows(tmp_path / "m.jsonl", [entry])
    flags = ("--layout", layout, "--no-truncation", *limits, "--overlap-percentage", "0")
    assert run("windows", manifest, "--output", tmp_path / "windows", *flags) == 0
    out = extract(tmp_path / "windows", tmp_path / "clips", "--mono", "mix")
    found = [(row["original_start_ms"], row["channel"]) for row in clip_rows(out)]
    assert found == [(0, 0), (10000, 0), (20000, 1), (30000, 1)]
    for row in clip_rows(out):
        tone = (TONES[2], TONES[3])[row["channel"]]
        assert share_of_tone(samples_in(out / row["extracted_path"]), tone) > 0.99


def test_the_summary_says_how_much_was_crosstalk(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_call(tmp_path / "in" / "call.wav", RATE)
    diarize(tmp_path / "in", tmp_path / "out", "--channels", "split", model=model)
    assert "1.6 s of turns were the same speech as on a louder channel, and were left to it." in capsys.readouterr().out


def test_the_former_name_of_the_option_works_with_a_warning(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_call(tmp_path / "in" / "call.wav", RATE)
    out = diarize(tmp_path / "in", tmp_path / "out", "--mono", "first", model=model)
    assert {turn["channel"] for turn in entries_in(out)[0]["segments"]} == {0}
    assert "--mono is now called --channels" in capsys.readouterr().err
    config = tmp_path / "config.yaml"
    config.write_text("diarization:\n  channels: 1\n")
    other = diarize(tmp_path / "in", tmp_path / "other", "--config", config, model=model)
    assert {turn["channel"] for turn in entries_in(other)[0]["segments"]} == {1}


def test_the_call_has_other_sounds_on_its_channels() -> None:
    samples = call_of(RATE)
    shares = [share_of_tone(samples[:, [channel]], TONE[f"channel_{channel}"]) for channel in (0, 1)]
    assert shares[0] > 0.99
    assert shares[1] < 0.95
