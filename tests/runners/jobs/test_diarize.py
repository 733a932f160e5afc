"""The `diarize` job: its stages and words, and sets that the command writes with an exported model."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest

from beam_curator.files.output_target import OutputTarget
from beam_curator.runners import cli
from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.jobs.diarize import DiarizeJob
from beam_curator.runners.options import UsageError
from beam_curator.runners.summary import render_reasons, render_table
from tests.fakes_models import Speech, segments_of, write_band_model, write_sound
from tests.manifests import failures_in, lines_in, manifest_of, names_in, run, state_of
from tests.transforms.clips.clip_sets import clip_rows, extract, samples_in, write_rows
from tests.transforms.diarization.turn_sets import by_id, bytes_of, diarize, entries_in, names_below

TALK: list[Speech] = [(0.8, 1.6, 0), (1.2, 2.0, 1), (2.4, 3.2, 2)]

COUNTS = Counter(
    {
        "read.rows": 12,
        "read.failures": 1,
        "read.failures.line_too_long": 1,
        "plan.rows": 11,
        "plan.failures": 1,
        "plan.failures.bad_type": 1,
        "diarize.turns": 9,
        "diarize.segments": 40,
        "diarize.failures": 2,
        "diarize.failures.not_audio": 2,
        "diarize.audio_us": 3_600_000_000,
        "diarize.speech_us": 1_800_000_000,
        "diarize.speakers": 20,
    }
)


def job(*arguments: str) -> DiarizeJob:
    parsed = cli.parser_of("diarize").parse_args(["a.wav", *arguments])
    return DiarizeJob.of(parsed, [], "out")


def test_it_is_the_job_of_its_command() -> None:
    assert kind_of_job("diarize") is DiarizeJob
    assert (DiarizeJob.kind.command, DiarizeJob.label) == ("diarize", "Diarize")


class TestStages:
    def test_follow_a_row_from_reading_to_writing(self) -> None:
        stages = DiarizeJob.stages(COUNTS, 1, {"listen": (9.0, 1.0)})
        flow = [(stage.name, stage.n_in, stage.what_in, stage.n_out, stage.what_out) for stage in stages]
        assert flow == [
            ("read", 13, "rows", 12, "rows"),
            ("plan", 12, "rows", 11, "recordings"),
            ("listen", 11, "recordings", 9, "recordings"),
            ("turns", 9, "recordings", 40, "turns"),
            ("write", 11, "recordings", 1, "files"),
        ]
        assert [stage.failures for stage in stages[:3]] == [{"line_too_long": 1}, {"bad_type": 1}, {"not_audio": 2}]
        assert [stage.seconds for stage in stages] == [None, None, 3600.0, 1800.0, None]
        assert (stages[2].time_total, stages[2].time_mean) == (9.0, 1.0)
        for stage in stages[:3]:
            assert stage.n_in == stage.n_out + sum(stage.failures.values())
        assert "9 recordings" in render_table(stages)
        assert any("2 recordings failed in listen: not_audio" in line for line in render_reasons(stages))

    def test_models_that_were_loaded_are_one(self) -> None:
        stages = DiarizeJob.stages(COUNTS, 1, {"load": (3.0, 1.5)})
        assert [stage.name for stage in stages] == ["read", "plan", "load", "listen", "turns", "write"]
        assert (stages[2].n_in, stages[2].n_out, stages[2].time_total) == (2, 2, 3.0)
        assert job().result(stages) == "9 recordings, 40 turns, 3,600.0 s"

    def test_of_nothing_are_empty(self) -> None:
        for stage in DiarizeJob.stages(Counter(), 0, {}):
            assert (stage.n_in, stage.n_out, stage.dropped, stage.failures) == (0, 0, {}, {})
        assert job().result(DiarizeJob.stages(Counter(), 0, {})) == "0 recordings, 0 turns, 0.0 s"


@pytest.mark.parametrize(
    ("arguments", "latency", "beside"),
    [
        ((), "30.40", ["rttm/ID.rttm"]),
        (("--latency", "low", "--uem"), "1.04", ["rttm/ID.rttm, rttm/ID.uem"]),
        (("--overlap-view", "--rttm-out-dir", "pred_rttms"), "30.40", ["pred_rttms/ID.rttm, pred_rttms/ID.ctm"]),
        (("--chunk-len", "6", "--rttm-out-dir", ""), "3.68", []),
    ],
)
def test_a_plan_names_the_files_and_the_latency(arguments: tuple[str, ...], latency: str, beside: list[str]) -> None:
    assert job("--model-name", "demo", *arguments).plan_lines() == [
        f"turns-*, failures-* where there are any (model demo; latency of a streaming model: {latency} s)",
        *beside,
        "_MANIFEST.json, summary.json",
    ]


@pytest.mark.parametrize(
    ("counts", "hint"),
    [
        ({}, None),
        ({"diarize.turns": 3, "diarize.silent": 2}, None),
        ({"diarize.turns": 3, "diarize.silent": 3}, "No recording has a turn: look whether they hold speech"),
        ({"diarize.turns": 3, "diarize.crosstalk_us": 1_600_000}, "1.6 s of turns were the same speech as on a louder"),
        (
            {"diarize.clipped": 2},
            "2 recordings with clipped samples, three or more in a row at full scale: clipped_ratio of the row says",
        ),
        (
            {"diarize.non_speech_us": 2_500_000},
            "2.5 s of turns were left out, as nobody speaks there; --vad none keeps them.",
        ),
        ({"diarize.turns": 3, "diarize.saturated": 1}, "1 recording with speech from as many speakers as the model"),
    ],
)
def test_a_hint_says_what_to_look_at(counts: dict[str, int], hint: str | None) -> None:
    found = job().hint(Counter(counts))
    assert found is None if hint is None else found is not None and found.startswith(hint)


def test_a_line_says_how_far_a_job_is() -> None:
    assert DiarizeJob.progress(Counter(), 0.0, 0.0) == "0 of 0 recordings  0.0 h heard  0 failures  0x real time"
    counts = {"plan.rows": 1200, "plan.failures": 1, "file.failures": 2, "read.failures": 4}
    counts |= {
        "progress.diarize.turns": 999,
        "progress.diarize.failures": 8,
        "progress.diarize.audio_us": 7_200_000_000,
    }
    expected = "1,007 of 1,200 recordings  2.0 h heard  15 failures  720x real time  about 2 s left"
    assert DiarizeJob.progress(Counter(counts), 0.5, 10.0) == expected


class TestOptions:
    def test_reach_the_composite(self) -> None:
        flags = ("--model-path", "/m.nemo", "--onset", "0.6", "--turn-preset", "v2-callhome", "--latency", "high")
        more = (
            "--audio-filepath-key",
            "path",
            "--diar-format",
            "pairs",
            "--inference-batch-size",
            "4",
            "--shards",
            "3",
        )
        config = job(*flags, *more).transform(OutputTarget(directory="out", n_shards=3)).config()
        assert (config["turns"]["onset"], config["turns"]["offset"]) == (0.6, 0.561)
        assert (config["streaming"]["chunk_len"], config["streaming"]["fifo_len"]) == (124, 124)
        assert (config["diarization"]["audio_filepath_key"], config["diarization"]["diar_format"]) == ("path", "pairs")
        assert config["model"]["name"] == "m.nemo"
        assert config["inference"] == {"inference_batch_size": 4}
        assert config["output"] == {"row_format": "jsonl", "shards": 3}

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (("--onset", "2"), "onset 2 must be 0-1"),
            (("--rttm-out-dir", "../x"), "rttm_out_dir '../x' is no name of a folder of the output set"),
            (("--diar-segments-key", "files"), "diar_segments_key 'files' is a key of the entry already"),
            (("--chunk-len", "0"), "chunk_len 0 is below 1: raise it"),
        ],
    )
    def test_that_cannot_hold_are_refused(self, flags: tuple[str, ...], message: str) -> None:
        with pytest.raises(UsageError) as caught:
            job(*flags)
        assert message in str(caught.value)

    def test_files_of_a_local_model_decide_the_rows(self, tmp_path: Path) -> None:
        model = write_band_model(tmp_path)
        names = ["SHA256SUMS", "config.json", "encode.onnx", "mel_filters.npy", "pre_encode.onnx"]
        assert job("--model-path", str(model)).beside() == tuple(str(model / name) for name in names)

    def test_cores_are_shared_among_processes(self) -> None:
        one, two, three = (
            job(*flags)._inference().threads for flags in ((), ("--jobs", "2"), ("--jobs", "2", "--threads", "7"))
        )
        assert (one, two, three) == (0, max(1, (os.cpu_count() or 1) // 2), 7)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model whose answers are worked out by hand."""
    return write_band_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two recordings of one name, and one that is bad."""
    folder = tmp_path_factory.mktemp("talks")
    write_sound(folder / "monday" / "talk.wav", 4.0, TALK)
    write_sound(folder / "friday" / "talk.flac", 2.0, [], 8000, 2)
    (folder / "bad.mp3").write_bytes(b"<html>")
    return folder


@pytest.fixture(scope="module")
def done(talks: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set that the command writes of them."""
    out = tmp_path_factory.mktemp("done") / "out"
    return diarize(talks, out, "--tolerate", 1, "--bandwidth", "--uem", "--overlap-view", model=model)


class TestCommand:
    def test_recordings_of_one_name_have_files_of_their_own(self, done: Path, talks: Path) -> None:
        friday, monday = entries_in(done)
        assert (friday["segments"], friday["audio_filepath"]) == ([], str(talks / "friday" / "talk.flac"))
        spoken = [{key: segment[key] for key in ("start", "end", "speaker")} for segment in monday["segments"]]
        assert spoken == monday["diar_segments"] == segments_of(TALK)
        ids = sorted(entry["recording_id"] for entry in (friday, monday))
        assert ids == ["friday_talk", "monday_talk"]
        assert names_below(done / "rttm") == [f"{name}.{kind}" for name in ids for kind in ("ctm", "rttm", "uem")]
        assert (done / "rttm" / f"{friday['recording_id']}.uem").read_text().endswith(" 1 0.000 2.000\n")
        assert [letter["code"] for letter in failures_in(done)] == ["not_audio"]
        assert manifest_of(done)["command"] == "diarize"

    def test_again_nothing_is_done(
        self, done: Path, talks: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = state_of(done)
        diarize(talks, done, "--tolerate", 1, "--bandwidth", "--uem", "--overlap-view", model=model)
        assert "is already complete: nothing to do" in capsys.readouterr().out
        assert state_of(done) == before

    def test_rows_in_every_format_and_in_pairs(self, talks: Path, model: Path, tmp_path: Path) -> None:
        (recording,) = (talks / "monday").iterdir()
        options = ("--diar-format", "pairs", "--diar-segments-key", "turns", "--rttm-out-dir", "")
        parquet = diarize(recording, tmp_path / "parquet", *options, "--row-format", "parquet", model=model)
        avro = diarize(recording, tmp_path / "avro", *options, "--row-format", "avro", model=model)
        with next(avro.glob("turns-*.avro")).open("rb") as stream:
            (record,) = fastavro.reader(stream)
        assert pq.read_table(next(parquet.glob("turns-*.parquet"))).to_pylist() == [record]
        entry = json.loads(record["row"])
        assert entry["turns"] == [[0.8, 1.6], [1.2, 2.0], [2.4, 3.2]]
        assert (record["recording_id"], record["num_turns"], record["num_speakers"]) == ("talk", 3, 3)
        assert (record["rttm_filepath"], entry["files"]) == (None, [])
        assert names_in(avro) == ["_MANIFEST.json", "summary.json", "turns-00000-of-00001.avro"]

    def test_inputs_of_both_kinds_are_refused(self, talks: Path, model: Path, tmp_path: Path) -> None:
        manifest = write_rows(tmp_path / "m.jsonl", [{"audio_filepath": "a.wav"}])
        with pytest.raises(UsageError, match="give one kind at a time"):
            run("diarize", talks, manifest, "--output", tmp_path / "out", "--model-path", model)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("content", "message"),
        [(None, r"model\.nemo is not there: give"), (b"x", "is damaged .1 bytes that are no tar")],
    )
    def test_a_model_that_is_none_is_said_at_once(
        self, talks: Path, tmp_path: Path, content: bytes | None, message: str
    ) -> None:
        path = tmp_path / "model.nemo"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            run("diarize", talks, "--output", tmp_path / "out", "--model-path", path)
        assert not (tmp_path / "out").exists()


class TestChain:
    def test_windows_and_extract_read_its_rows(self, done: Path, tmp_path: Path) -> None:
        limits = ("--target-window-duration", "3.0", "--min-bandwidth", "400", "--tolerance", "0.5")
        assert run("windows", done, "--output", tmp_path / "windows", *limits, "--min-speakers", "1") == 0
        rows = [json.loads(line) for line in lines_in(tmp_path / "windows", "windows-*.jsonl")]
        assert [len(window["segments"]) for row in rows for window in row["filtered_windows"]] == [3]
        out = extract(done, tmp_path / "clips")
        assert len(clip_rows(out)) == 3
        found = sorted(len(samples_in(out / row["extracted_path"])) for row in clip_rows(out))
        assert found == [12800, 12800, 12800]

    def test_sets_of_other_jobs_are_inputs(self, done: Path, model: Path, tmp_path: Path) -> None:
        run("windows", done, "--output", tmp_path / "windows", "--target-window-duration", "3.0")
        again = diarize(tmp_path / "windows", tmp_path / "again", "--bandwidth", model=model)
        # of an entry whose sample rate is too low `windows` writes the path alone
        found, before = (
            {entry["audio_filepath"]: entry["segments"] for entry in entries_in(out)} for out in (again, done)
        )
        assert found == before
        clips = extract(done, tmp_path / "clips")
        root = ("--audio-filepath-key", "extracted_path", "--audio-root", clips)
        of_clips = diarize(clips, tmp_path / "of_clips", *root, model=model)
        spoken = sorted(len(entry["segments"]) for entry in entries_in(of_clips))
        assert spoken == [1, 2, 2]
        assert len(by_id(of_clips)) == 3


def test_processes_change_nothing(done: Path, talks: Path, model: Path, tmp_path: Path) -> None:
    flags: list[Any] = ["--tolerate", 1, "--bandwidth", "--uem", "--overlap-view", "--jobs", 2]
    assert bytes_of(diarize(talks, tmp_path / "two", *flags, model=model)) == bytes_of(done)
