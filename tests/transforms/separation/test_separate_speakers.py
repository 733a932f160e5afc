"""`SeparateSpeakers` as a composite: tracks, rows, counts, ids, and what an earlier attempt left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import soundfile
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.audio import encode_audio
from beam_curator.files.jobs.track_job import TrackJob
from beam_curator.files.output_target import OutputTarget
from beam_curator.separation.separate_rules import SeparateRules, TrackOutputOptions
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs.job_sets import Reading
from beam_curator.transforms.jobs.recording_sets import ReadAsked
from beam_curator.transforms.jobs.recording_steps import GroupRecordings, WriteRecordings
from beam_curator.transforms.separation.separate_speakers import SeparateSpeakers
from tests.manifests import failures_in, manifest_of
from tests.transforms.clips.clip_sets import mark_run
from tests.transforms.separation.track_sets import (
    RATE,
    assert_tracks_hold_what_rows_say,
    names_of_tracks,
    row,
    samples_of,
    separate_here,
    tracks_in,
    write_noise,
    write_rows,
)

TALK = ([0, 10, 0], [4, 5, "speaker_1"], [12.5, 14, "speaker_1"], [4.2, 4.6, "bo"])


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A manifest of one recording, in which one of three speakers only talks while others do."""
    write_noise(tmp_path / "talk.wav", 16)
    return write_rows(tmp_path / "m.jsonl", row("talk.wav", *TALK, lang="de"))


def test_each_speaker_gets_a_track_and_a_row(talk: Path, tmp_path: Path) -> None:
    with TestPipeline() as pipeline:
        written = pipeline | SeparateSpeakers([str(talk)], str(tmp_path / "out"))
        expected = {
            "plan.rows": 1,
            "plan.speakers": 3,
            "plan.turns": 4,
            "read.bytes": talk.stat().st_size,
            "read.rows": 1,
            "separate.audio_us": 16_000_000,
            "separate.dropped": 1,
            "separate.dropped.only_overlapped": 1,
            "separate.rows": 1,
            "separate.spans": 3,
            "separate.spans_us": 9_500_000,
            "separate.tracks": 2,
        }
        assert_that(written.committed, equal_to([expected]))
    first, second = tracks_in(tmp_path / "out")
    assert list(first) == [
        *("audio_filepath", "lang", "speaker_id", "num_speakers", "duration", "track_duration", "audio_sample_rate"),
        *("diar_segments", "segments", "source_audio_filepath", "recording_id", "separation", "files", "_origin"),
    ]
    assert (first["speaker_id"], first["diar_segments"]) == ("speaker_0", [[0.0, 3.5], [5.5, 10.0]])
    assert (second["speaker_id"], second["diar_segments"]) == ("speaker_1", [[12.5, 14.0]])
    assert (first["num_speakers"], first["lang"], first["recording_id"]) == (2, "de", "talk")
    assert first["_origin"] == {"source": str(talk), "offset": 0}
    assert names_of_tracks(tmp_path / "out") == {"tracks/talk_speaker_0.wav", "tracks/talk_speaker_1.wav"}
    assert assert_tracks_hold_what_rows_say(tmp_path / "out", tmp_path) == 2


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("output_format", ["wav", "flac"])
@pytest.mark.parametrize(
    ("name", "subtype", "expected"),
    [
        ("a.wav", "PCM_16", {"wav": "PCM_16", "flac": "PCM_16"}),
        ("a.wav", "PCM_24", {"wav": "PCM_24", "flac": "PCM_24"}),
        ("a.flac", "PCM_24", {"wav": "PCM_24", "flac": "PCM_24"}),
        ("a.wav", "PCM_U8", {"wav": "PCM_U8", "flac": "PCM_S8"}),
    ],
)
def test_tracks_keep_rate_channels_and_depth(
    name: str, subtype: str, expected: dict[str, str], output_format: Any, compact: bool, tmp_path: Path
) -> None:
    write_noise(tmp_path / name, 12, subtype, 11025, 8)
    rows = write_rows(tmp_path / "m.jsonl", row(name, [0.1, 6.00003, "ana"], [9, 11.9, "ana"], [6.3, 8.7, "bo"]))
    rules = SeparationRules(compact=compact)
    out = separate_here(
        [rows], tmp_path / "out", separation=rules, output=TrackOutputOptions(output_format=output_format)
    )
    assert assert_tracks_hold_what_rows_say(out, tmp_path) == 2
    for each in tracks_in(out):
        info = soundfile.info(out / each["audio_filepath"])
        assert (info.samplerate, info.channels, info.subtype) == (11025, 8, expected[output_format])
        assert compact == (info.frames < 12 * 11025)


def test_float_wav_keeps_what_lies_beyond_full_scale(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 2, (RATE * 3, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    out = separate_here([write_rows(tmp_path / "m.jsonl", row("a.wav", [0, 1.5, 0]))], tmp_path / "out")
    assert assert_tracks_hold_what_rows_say(out, tmp_path) == 1
    assert soundfile.info(out / "tracks" / "a_speaker_0.wav").subtype == "FLOAT"


def test_of_mp3_tracks_are_16_bit_and_as_long_as_what_is_decoded(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16000 * 3).astype(np.float32)
    soundfile.write(tmp_path / "a.mp3", samples, 16000)
    manifest = write_rows(tmp_path / "m.jsonl", row("a.mp3", [0, 1.5, 0], [1.5, 2.9, 1]))
    out = separate_here([manifest], tmp_path / "out", output=TrackOutputOptions(output_format="flac"))
    one, two = (samples_of(out / each["audio_filepath"]) for each in tracks_in(out))
    assert len(one) == len(two)
    assert (one[24000:] == 0).all()
    assert (two[:24000] == 0).all()
    assert np.abs(one[:24000] + two[:24000]).max() > 0.3
    assert soundfile.info(out / "tracks" / "a_speaker_0.flac").subtype == "PCM_16"


def test_ogg_holds_what_the_encoder_makes_of_the_whole_track(tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav", 60)
    rows = write_rows(tmp_path / "m.jsonl", row("a.wav", [1, 20, 0], [30, 50, 0], [50, 59, 1]))
    out = separate_here([rows], tmp_path / "out", output=TrackOutputOptions(output_format="ogg"))
    expected = samples_of(tmp_path / "a.wav").astype(np.float32)
    for gap in ((0, 1), (20, 30), (50, 60)):
        expected[gap[0] * RATE : gap[1] * RATE] = 0
    assert (out / "tracks" / "a_speaker_0.ogg").read_bytes() == encode_audio(expected, RATE, "ogg")
    assert len(tracks_in(out)) == 2


def test_more_speakers_than_are_written_at_once(tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav", 140)
    turns = [[number, number + 1, number] for number in range(140)]
    out = separate_here([write_rows(tmp_path / "m.jsonl", row("a.wav", *turns))], tmp_path / "out")
    assert assert_tracks_hold_what_rows_say(out, tmp_path) == 140
    assert [each["speaker_id"] for each in tracks_in(out)] == [f"speaker_{number}" for number in range(140)]


def test_rows_with_the_same_turns_of_one_recording_share_its_tracks(talk: Path, tmp_path: Path) -> None:
    again = write_rows(
        tmp_path / "n.jsonl", row("talk.wav", *reversed(TALK), id=7), row("talk.wav", [0, 3, "speaker_0"])
    )
    out = separate_here([talk, again], tmp_path / "out")
    rows = tracks_in(out)
    assert [(each.get("lang"), each.get("id"), each["speaker_id"]) for each in rows] == [
        ("de", None, "speaker_0"),
        ("de", None, "speaker_1"),
        (None, 7, "speaker_0"),
        (None, 7, "speaker_1"),
        (None, None, "speaker_0"),
    ]
    assert rows[0]["files"] == rows[2]["files"] != rows[4]["files"]
    assert len(names_of_tracks(out)) == 3
    assert assert_tracks_hold_what_rows_say(out, tmp_path) == 5


def test_recordings_of_one_name_have_ids_of_their_own(tmp_path: Path) -> None:
    for number, name in enumerate(["monday/talk.wav", "friday/Talk.wav", "else.wav"]):
        write_noise(tmp_path / name, 2, seed=number)
    manifest = write_rows(
        tmp_path / "m.jsonl",
        row("monday/talk.wav", [0, 1, 0]),
        row("friday/Talk.wav", [0, 1, 0]),
        row("else.wav", [0, 1, 0], recording_id="talk~3d6fbda23a2c7fa9"),
        row("else.wav", [0, 1.5, 0], session_name="meeting 1"),
    )
    out = separate_here([manifest], tmp_path / "out")
    ids = [each["recording_id"] for each in tracks_in(out)]
    assert len({name.casefold() for name in names_of_tracks(out)}) == 4
    assert ids[0].startswith("talk~")
    assert ids[1].startswith("Talk~")
    assert ids[2:] == ["talk~3d6fbda23a2c7fa9", "meeting 1"]
    assert assert_tracks_hold_what_rows_say(out, tmp_path) == 4


def test_other_keys_and_roots(tmp_path: Path) -> None:
    write_noise(tmp_path / "audio" / "a.wav", 3)
    entry = {"wav": "a.wav", "who": [[0, 1, "ana"]], "segments": "not read", "audio_filepath": "not read"}
    rules = SeparateRules(
        audio_filepath_key="wav",
        diar_segments_key="who",
        audio_root=str(tmp_path / "audio"),
        allowed_root=(str(tmp_path / "audio"),),
    )
    out = separate_here([write_rows(tmp_path / "m.jsonl", entry)], tmp_path / "out", rules=rules)
    (track,) = tracks_in(out)
    assert (track["wav"], track["source_audio_filepath"], track["speaker_id"]) == ("a.wav", "a.wav", "ana")
    assert "who" not in track
    assert assert_tracks_hold_what_rows_say(out, tmp_path / "audio") == 1


class TestEarlierAttempts:
    def target(self, directory: Path, **options: Any) -> OutputTarget:
        directory.mkdir(exist_ok=True)
        mark_run(directory, "t")
        return OutputTarget(directory=str(directory), token="t", **options)

    def leave_parts(self, talk: Path, out: Path) -> None:
        """Separate, and leave what a job has before its rows are merged."""
        target = self.target(out)
        job = TrackJob(SeparationRules(), SeparateRules(), "wav")
        reading = Reading(inputs=(str(talk),), options=InputOptions())
        with beam.Pipeline("FnApiRunner") as pipeline:
            read = pipeline | ReadAsked(job, reading, target)
            _ = read.asked | GroupRecordings(job) | WriteRecordings(job, target)

    def test_are_gone_on_with(self, talk: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        expected = separate_here([talk], tmp_path / "expected")
        self.leave_parts(talk, out)
        damaged, whole = out / "tracks" / "talk_speaker_0.wav", out / "tracks" / "talk_speaker_1.wav"
        before = whole.stat().st_mtime_ns
        separate_here([talk], self.target(out, resume=True))
        assert whole.stat().st_mtime_ns == before
        self.leave_parts(talk, tmp_path / "again")
        damaged.write_bytes(bytes(damaged.stat().st_size))
        for left in (tmp_path / "again").glob(".tracks-*"):
            left.rename(out / left.name)
        (out / "_MANIFEST.json").unlink()
        separate_here([talk], self.target(out, resume=True))
        assert (out / "_MANIFEST.json").read_bytes() == (expected / "_MANIFEST.json").read_bytes()

    def test_leave_no_tracks_of_a_recording_that_fails_now(self, talk: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        self.leave_parts(talk, out)
        (out / "tracks" / "talk_speaker_0.wav").write_bytes(b"torn")
        (tmp_path / "talk.wav").write_bytes(b"<html>")
        separate_here([talk], self.target(out, resume=True))
        assert [letter["code"] for letter in failures_in(out)] == ["not_audio"]
        assert names_of_tracks(out) == set()
        assert manifest_of(out)["counts"]["separate.speakers_failed"] == 3

    def test_that_are_whole_stay_where_the_recording_is_gone(self, talk: Path, tmp_path: Path) -> None:
        expected = separate_here([talk], tmp_path / "expected")
        self.leave_parts(talk, tmp_path / "out")
        (tmp_path / "talk.wav").unlink()
        out = separate_here([talk], self.target(tmp_path / "out", resume=True))
        assert (out / "_MANIFEST.json").read_bytes() == (expected / "_MANIFEST.json").read_bytes()

    def test_leave_no_tracks_of_speakers_who_have_none_now(self, talk: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        self.target(out)
        (out / "tracks").mkdir()
        for name in ("talk_speaker_bo.wav", "talk_speaker_1.wav"):
            (out / "tracks" / name).write_bytes(b"of other rules")
        separate_here([talk], self.target(out, resume=True))
        assert names_of_tracks(out) == {"tracks/talk_speaker_0.wav", "tracks/talk_speaker_1.wav"}
        assert assert_tracks_hold_what_rows_say(out, tmp_path) == 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"inputs": "m.jsonl"}, "inputs"),
        ({"target": ""}, "output is empty: name a directory"),
    ],
)
def test_wrong_usage_is_refused_at_once(options: dict[str, Any], problem: str) -> None:
    with pytest.raises((ValueError, TypeError), match=problem):
        SeparateSpeakers(**{"inputs": ["m.jsonl"], "target": "out", **options})
