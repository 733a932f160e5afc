"""`beam-curator curate` from the outside: files, texts, the reference's configuration, the same set twice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from beam_curator.models import speech_finding
from beam_curator.models.resolving import models_folder
from beam_curator.runners.jobs import kind_of_job
from beam_curator.runners.jobs.curate import CurateJob
from beam_curator.runners.options import UsageError
from tests.fakes_models import write_band_model, write_sound
from tests.manifests import failures_in, line_of, manifest_of, run, write_lines
from tests.models.real_models import need_model
from tests.quality.graphs import write_failing, write_loudness, write_spectral
from tests.transforms.curate.curate_sets import TALK, clips_in, curate, found_in, rejected_in
from tests.transforms.diarization.turn_sets import bytes_of

REFERENCE = """
mono_conversion: {output_sample_rate: 48000, strict_sample_rate: false, cpus: 1.0}
vad:
  enable: true
  adapter_target: nemo_curator.models.audio.vad.silero.SileroVADAdapter
  adapter_kwargs: {}
  min_duration_sec: 2.0
  max_duration_sec: 60.0
  threshold: 0.5
  min_interval_ms: 500
  speech_pad_ms: 300
  batch_size: 1
  num_workers: null
  cpus: 1.0
  gpus: 0.1
band_filter: {enable: false, band_value: full_band, cpus: 1.0, gpus: 0.0}
utmos: {enable: UTMOS, mos_threshold: 3.4, cpus: 1.0, gpus: 0.1}
sigmos:
  enable: false
  noise_threshold: 4.0
  ovrl_threshold: 3.5
  sig_threshold: null
  col_threshold: null
  disc_threshold: null
  loud_threshold: null
  reverb_threshold: null
concatenation: {silence_duration_sec: 0.552, cpus: 1.0}
speaker_separation: {enable: true, exclude_overlaps: true, min_duration: 0.8, gap_threshold: 0.1, buffer_time: 0.5}
timestamp_mapper: {passthrough_keys: null, cpus: 1.0}
"""
"""With the keys of the reference's own file, and its values but for the silence."""


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return write_sound(tmp_path / "in" / "talk.wav", 16.0, TALK)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_band_model(tmp_path / "model")


def write_config(path: Path, *, utmos: str = "false", more: str = "") -> Path:
    path.write_text(REFERENCE.replace("UTMOS", utmos) + more)
    return path


def test_it_is_the_job_of_its_command() -> None:
    assert kind_of_job("curate") is CurateJob
    assert CurateJob.kind.command == "curate"


class TestTheConfigurationOfTheReference:
    def test_it_is_taken_as_it_is(
        self, talk: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = curate(talk, tmp_path / "out", "--config", write_config(tmp_path / "c.yaml"), model=model)
        assert [who for who, _ in found_in(out)] == ["speaker_0", "speaker_1", "speaker_0"]
        said = capsys.readouterr()
        assert "cpus, gpus, num_workers, batch_size, adapter_target, adapter_kwargs of " in said.err
        assert said.err.count("ignored: the runner decides about resources") == 1
        assert any(line.startswith("clips     3 clips      3 clips") for line in said.out.splitlines()), said.out

    def test_with_graphs_all_of_its_filters_judge(self, talk: Path, model: Path, tmp_path: Path) -> None:
        config = write_config(tmp_path / "c.yaml", utmos="true")
        config.write_text(config.read_text().replace("{enable: false", "{enable: true").replace(
            "sigmos:\n  enable: false", "sigmos:\n  enable: true"
        ))  # fmt: skip
        graphs = (
            *("--utmos-path", write_loudness(tmp_path / "utmos.onnx")),
            *("--sigmos-path", write_spectral(tmp_path / "sigmos.onnx")),
        )
        out = curate(talk, tmp_path / "out", "--config", config, *graphs, "--on-reject", "annotate", model=model)
        assert [row["filters_failed"] for row in clips_in(out)] == [
            ["band", "utmos_mos", "sigmos_noise", "sigmos_ovrl"]
        ] * 3

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ("quality: {min_snrr: 3}", r"unknown option 'quality.min_snrr': did you mean quality.min_snr\?"),
            ("vadd: {enable: true}", r"unknown section 'vadd' in 'vadd.enable': did you mean vad\?"),
        ],
    )
    def test_unknown_keys_are_refused_with_the_nearest_name(
        self, more: str, message: str, talk: Path, tmp_path: Path
    ) -> None:
        config = write_config(tmp_path / "c.yaml", more=more)
        with pytest.raises(UsageError, match=message):
            run("curate", talk, "--output", tmp_path / "out", "--config", config)

    def test_scores_without_weights_are_refused_before_the_job(self, talk: Path, tmp_path: Path) -> None:
        config = write_config(tmp_path / "c.yaml", utmos="true")
        with pytest.raises(
            UsageError,
            match=r"utmos is asked for, and its weights are in no package: give a graph of it as utmos\.path",
        ):
            run("curate", talk, "--output", tmp_path / "out", "--config", config, "--vad", "energy")
        assert not (tmp_path / "out").exists()


def test_without_the_weights_of_silero_the_job_does_not_begin(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("beam_curator.models.resolving.installed_root", lambda wheel: "")
    assert models_folder(None).startswith(str(tmp_path))
    with pytest.raises(UsageError, match="beam-curator models install silero-vad"):
        run("curate", talk, "--output", tmp_path / "out", "--no-speaker-separation")
    assert not (tmp_path / "out").exists()


def test_weights_that_were_changed_are_refused(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "vad").mkdir()
    with pytest.raises(UsageError, match="vad"):
        run("curate", talk, "--output", tmp_path / "out", "--vad-path", tmp_path / "vad", "--no-speaker-separation")


def test_noise_is_no_speech(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_model("silero-vad")
    noise = np.random.default_rng(0).standard_normal(80000) * 0.1
    soundfile.write(tmp_path / "noise.wav", noise, 16000)
    assert run("curate", tmp_path / "noise.wav", "--output", tmp_path / "out", "--no-speaker-separation") == 0
    assert clips_in(tmp_path / "out") == []
    assert "1 recording without speech: lower --threshold if there is some." in capsys.readouterr().out


def test_the_plan_names_what_would_be_written(talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--vad", "energy", "--model-name", "demo", "--output-format", "flac", "--plan")
    assert run("curate", talk, "--output", tmp_path / "out", *options) == 0
    said = capsys.readouterr().out
    assert "clips/ID/SPEAKER_FIRST-STOP.flac" in said
    assert "clips-*, rejected-*, failures-* where there are any" in said


class TestScores:
    ALONE = ("--no-speaker-separation", "--no-clips")

    def test_the_plan_and_the_summary_say_what_they_take(
        self, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        graph = write_loudness(tmp_path / "utmos.onnx")
        options = (*self.ALONE, "--utmos", "--utmos-path", graph, "--mos-threshold", "0.01")
        assert run("curate", talk, "--output", tmp_path / "out", "--vad", "energy", *options, "--plan") == 0
        assert "(clips are scored once, by utmos)" in capsys.readouterr().out
        curate(talk, tmp_path / "out", *options)
        assert "scores  2 clips      2 clips      0        0         12.0 s" in capsys.readouterr().out
        write_spectral(graph)
        with pytest.raises(UsageError, match="expected one float tensor of 2 dimensions"):
            run("curate", talk, "--output", tmp_path / "out", "--vad", "energy", *options)
        write_loudness(graph, scale=2.0)
        with pytest.raises(UsageError, match="--overwrite"):
            run("curate", talk, "--output", tmp_path / "out", "--vad", "energy", *options)

    def test_the_cost_of_dnsmos_is_in_the_plan(
        self, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        need_model("dnsmos")
        options = (*self.ALONE, "--vad", "energy", "--dnsmos", "--dnsmos-hop", "2", "--plan")
        assert run("curate", talk, "--output", tmp_path / "out", *options) == 0
        said = "(clips are scored once, by dnsmos; dnsmos hears a window each 2 s, 6.7 times real time on a core)"
        assert said in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--utmos",), r"its weights are in no package: give a graph of it as utmos\.path"),
            (("--sigmos", "--sigmos-path", "gone.onnx"), r"gone\.onnx is no graph for this onnxruntime"),
            (("--dnsmos",), r"model dnsmos is not installed: beam-curator models install dnsmos"),
            (("--dnsmos", "--dnsmos-path", "in"), "in"),
            (("--sigmos-path", "x.onnx"), "sigmos: path is given, and enable is false"),
        ],
    )
    def test_what_cannot_score_is_refused_before_the_job(
        self,
        options: tuple[str, ...],
        message: str,
        talk: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setattr("beam_curator.models.resolving.installed_root", lambda wheel: "")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError, match=message):
            run("curate", talk, "--output", tmp_path / "out", "--vad", "energy", *self.ALONE, *options)
        assert not (tmp_path / "out").exists()

    def test_weights_of_dnsmos_that_were_changed_are_refused(self, talk: Path, tmp_path: Path) -> None:
        shutil.copytree(need_model("dnsmos"), tmp_path / "dnsmos")
        with (tmp_path / "dnsmos" / "model_v8.onnx").open("ab") as graph:
            graph.write(b"x")
        options = ("--vad", "energy", *self.ALONE, "--dnsmos", "--dnsmos-path", tmp_path / "dnsmos")
        with pytest.raises(UsageError, match=r"model_v8\.onnx"):
            run("curate", talk, "--output", tmp_path / "out", *options)

    def test_a_clip_that_failed_is_tried_again(self, talk: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        graph = write_failing(tmp_path / "utmos.onnx", most=0.1)
        options = (*self.ALONE, "--utmos", "--utmos-path", graph, "--mos-threshold", "0")
        curate(talk, out, *options, code=3)
        assert [letter["code"] for letter in failures_in(out)] == ["model_error"]
        assert run("retry", out) == 3
        assert (len(clips_in(out)), len(failures_in(out))) == (1, 1)


class TestAgain:
    ALONE = ("--no-speaker-separation",)

    def test_a_complete_set_is_left_alone_and_another_is_refused(
        self, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = curate(talk, tmp_path / "out", *self.ALONE)
        curate(talk, out, *self.ALONE)
        assert "already complete: nothing to do" in capsys.readouterr().out
        with pytest.raises(UsageError, match="--overwrite"):
            run("curate", talk, "--output", out, "--vad", "energy", *self.ALONE, "--min-snr", 3)

    def test_an_update_hears_what_is_new_alone(
        self, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options = (*self.ALONE, "--max-clip-duration", "5")
        out = curate(talk.parent, tmp_path / "out", *options)
        write_sound(talk.parent / "second.wav", 16.0, TALK)
        heard = []
        sounding = speech_finding.sounding

        def listen(pieces: object) -> object:
            heard.append(1)
            return sounding(pieces)  # type: ignore[arg-type]  # passed on as it comes

        monkeypatch.setattr(speech_finding, "sounding", listen)
        curate(talk.parent, out, *options, "--update")
        assert len(heard) == 1
        assert (len(clips_in(out)), len(rejected_in(out))) == (2, 2)
        monkeypatch.undo()
        assert bytes_of(out) == bytes_of(curate(talk.parent, tmp_path / "anew", *options))

    def test_what_was_rejected_names_its_line_after_an_update_too(self, talk: Path, tmp_path: Path) -> None:
        write_sound(talk.parent / "second.wav", 16.0, TALK)
        rows = [line_of({"audio_filepath": str(talk.parent / name)}) for name in ("second.wav", "talk.wav")]
        manifest = write_lines(tmp_path / "m.jsonl", rows[1:])
        out = curate(manifest, tmp_path / "out", *self.ALONE, "--max-clip-duration", "5")
        write_lines(manifest, rows)
        curate(manifest, out, *self.ALONE, "--max-clip-duration", "5", "--update")
        assert [row["_origin"]["offset"] for row in rejected_in(out)] == [0, len(rows[0]) + 1]

    def test_failures_are_tried_again(self, talk: Path, tmp_path: Path) -> None:
        (talk.parent / "bad.wav").write_bytes(b"")
        out = curate(talk.parent, tmp_path / "out", *self.ALONE, code=3)
        assert [letter["code"] for letter in failures_in(out)] == ["empty_audio"]
        write_sound(talk.parent / "bad.wav", 16.0, TALK)
        assert run("retry", out) == 0
        assert (failures_in(out), len(clips_in(out))) == ([], 4)

    def test_two_processes_write_the_same(self, talk: Path, model: Path, tmp_path: Path) -> None:
        for number in range(3):
            write_sound(talk.parent / f"{number}.wav", 16.0, TALK)
        graph = write_loudness(tmp_path / "utmos.onnx")
        options = ("--min-snr", "5", "--utmos", "--utmos-path", graph, "--mos-threshold", "0.1")
        one = curate(talk.parent, tmp_path / "one", *options, model=model)
        two = curate(talk.parent, tmp_path / "two", *options, "--jobs", "2", model=model)
        assert clips_in(one) and {row["reason"] for row in rejected_in(one)} == {"utmos_mos"}
        assert bytes_of(one) == bytes_of(two)


def test_rows_alone_are_what_the_next_jobs_read(talk: Path, tmp_path: Path) -> None:
    out = curate(talk, tmp_path / "out", "--no-speaker-separation", "--no-clips")
    assert run("extract", out, "--output", tmp_path / "clips") == 0
    assert manifest_of(tmp_path / "clips")["counts"]["cut.clips"] == 2


def test_what_was_rejected_is_explained_beside_its_limit(
    talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = curate(talk, tmp_path / "out", "--no-speaker-separation", "--max-clip-duration", "5")
    capsys.readouterr()
    assert run("explain", out, "talk") == 0
    _, fact, seconds, head, *_ = lines = capsys.readouterr().out.splitlines()
    assert (fact, seconds) == ("  2 pieces: 1 kept, 1 rejected by long", "  4.2 s of clips")
    assert head.split()[:5] == ["start", "end", "fate", "speaker", "why"]
    first, second = (re.split(r"  +", line) for line in lines[-2:])
    assert [cell for cell in first if cell][:4] == ["0.00", "7.72", "rejected clip", "long: duration 7.724, limit 5"]
    assert second[:3] == ["9.88", "14.12", "clip"]
    assert "clips/talk/speech_000158016-000225984.wav" in second
    assert run("explain", out) == 0
    assert f"{talk}: 1 rejected by long" in capsys.readouterr().out
    # of a recording of which nothing is left, there is no other row
    gone = curate(talk, tmp_path / "gone", "--no-speaker-separation", "--max-clip-duration", "2")
    assert run("explain", gone, "talk") == 0
    assert "2 pieces: 2 rejected by long" in capsys.readouterr().out


def test_phone_calls(talk: Path, tmp_path: Path) -> None:
    write_sound(talk, 16.0, TALK, 8000, 2)
    out = curate(talk, tmp_path / "out", "--preset", "phone-calls", "--no-speaker-separation")
    assert {row["channel"] for row in clips_in(out)} == {0, 1}
    assert json.loads((out / "_MANIFEST.json").read_text())["config"]["recordings"]["channels"] == "split"
