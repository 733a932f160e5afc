import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_curator.files import committing
from beam_curator.runners import cli
from beam_curator.runners.engines.opening import find_engine
from beam_curator.runners.job_run import JobFailedError, run_job
from beam_curator.runners.jobs.base import listed
from beam_curator.runners.jobs.windows import WindowsJob
from beam_curator.runners.options import UsageError
from beam_curator.runners.run_directory import prepare
from beam_curator.sets.output_set import RunRecord
from tests.manifests import (
    TALKS,
    figures_of,
    line_of,
    manifest_of,
    names_in,
    rows_in,
    run,
    speech,
    write_lines,
    write_speech,
)


class TestTable:
    def test_says_stage_by_stage_what_went_in_and_came_out(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        manifest = write_lines(tmp_path / "a.jsonl", [line_of(speech(4)), b"broken", line_of(speech(6))])
        assert run("windows", manifest, "--output", tmp_path / "out", "--tolerate", "1") == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert lines[2][:7] == ["read", "3", "rows", "3", "rows", "0", "0"]
        assert lines[3][:9] == ["build", "3", "rows", "2", "entries", "0", "1", "400.0", "s"]
        assert lines[4][:7] == ["windows", "10", "starts", "6", "windows", "4", "0"]
        assert lines[5][:9] == ["overlap", "6", "windows", "3", "kept", "3", "0", "360.0", "s"]
        assert lines[6][:7] == ["write", "3", "rows", "2", "files", "0", "0"]

    def test_says_why_nothing_came_out(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        entry = speech(4)
        for segment in entry["segments"]:
            del segment["metrics"]
        manifest = write_lines(tmp_path / "a.jsonl", [line_of(entry)])
        assert run("windows", manifest, "--output", tmp_path / "out") == 0
        hint = "No segment has metrics.bandwidth, but min_bandwidth is 8000: let diarize measure it (--bandwidth), or "
        assert hint in capsys.readouterr().out
        assert json.loads((tmp_path / "out/summary.json").read_bytes())["advice"].startswith(hint)
        assert figures_of(capsys, manifest, "--output", tmp_path / "cured", "--min-bandwidth", "0") == (
            "1 entry, 2 windows, 1 kept, 120.0 s"
        )

    def test_the_summary_holds_the_same_numbers(self, tmp_path: Path) -> None:
        run("windows", write_speech(tmp_path / "a.jsonl", 4, 6), "--output", tmp_path / "out")
        summary = json.loads((tmp_path / "out/summary.json").read_bytes())
        stages = {stage["name"]: stage for stage in summary["stages"]}
        assert list(stages) == ["read", "build", "windows", "overlap", "write"]
        assert (stages["windows"]["n_in"], stages["windows"]["n_out"]) == (10, 6)
        assert stages["windows"]["dropped"] == {"lost_win": 4}
        assert stages["overlap"]["dropped"] == {"overlap": 3}
        assert (stages["overlap"]["seconds"], stages["overlap"]["hours"]) == (360.0, 0.1)
        assert summary["counts"] == manifest_of(tmp_path / "out")["counts"]
        assert set(summary["timing_s"]) == {"startup", "run", "total"}
        assert all(value > 0 for value in summary["timing_s"].values())
        for name in ("read", "build", "overlap", "write"):
            assert stages[name]["time_total"] >= stages[name]["time_mean"] > 0


class TestPlan:
    def test_says_what_would_be_done_and_writes_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        manifest = write_speech(tmp_path / "in" / "a.jsonl", 4)
        arguments = [manifest.parent, "--output", tmp_path / "out", "--plan", "--target-window-duration", "60.5"]
        assert run("windows", *arguments, "--drop-fields", "words,text") == 0
        text, _, options = capsys.readouterr().out.partition("Options:\n")
        size = manifest.stat().st_size
        assert f"Would read 1 file, {size} bytes, in 1 block:\n  {manifest} ({size} bytes)\n" in text
        assert f"Would write to {tmp_path}/out: windows-*, " in text
        assert "Engine: direct, that is Beam's FnApiRunner\n" in text
        shown = yaml.safe_load(options)
        assert shown["windows"]["target_window_duration"] == 60.5
        assert shown["windows"]["drop_fields"] == ["words", "text"]
        assert shown["overlap"]["target_duration"] == 60.5
        assert sorted(names_in(tmp_path)) == ["in"]

    def test_names_no_more_than_twenty_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for number in range(23):
            write_speech(tmp_path / "in" / f"{number:02}.jsonl", 1)
        run("windows", tmp_path / "in", "--output", tmp_path / "out", "--plan")
        text = capsys.readouterr().out
        assert "Would read 23 files" in text
        assert text.count(".jsonl (") == 20
        assert "and 3 more\n" in text


class TestConfig:
    def test_gives_what_the_flags_do_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        write_speech(tmp_path / "a.jsonl", 4, 6)
        config = {
            "inputs": ["a.jsonl"],
            "output_dir": "from_config",
            "windows": {"target_window_duration": 80.0, "tolerance": 0.2},
            "overlap": {"overlap_percentage": 100},
            "output": {"layout": "spans"},
            "beam": {"direct_runner_bundle_repeat": 1},
        }
        Path("job.yaml").write_text(yaml.safe_dump(config))
        assert run("windows", "--config", "job.yaml", "--set", "windows.tolerance=0.1", "--output", "out") == 0
        written = manifest_of(Path("out"))["config"]
        assert (written["windows"]["target_window_duration"], written["windows"]["tolerance"]) == (80.0, 0.1)
        assert written["overlap"] == {"overlap_percentage": 100, "target_duration": 80.0, "scope": "row"}
        assert written["output"]["layout"] == "spans"
        assert run("windows", "--config", "job.yaml") == 0
        assert "_MANIFEST.json" in names_in(Path("from_config"))

    def test_of_the_example_does_what_the_tutorial_does(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(TALKS.parents[1])
        arguments = ["--config", "examples/windows.yaml", "--output", tmp_path]
        assert figures_of(capsys, *arguments) == "6 entries, 134 windows, 7 kept, 869.5 s"
        three = figures_of(capsys, *arguments, "--overwrite", "--set", "windows.min_speakers=3")
        assert three.startswith("6 entries, ")
        assert three != "6 entries, 134 windows, 7 kept, 869.5 s"
        assert manifest_of(tmp_path)["config"]["windows"]["min_speakers"] == 3

    def test_inputs_give_way_to_those_of_the_command(self, tmp_path: Path) -> None:
        manifest = write_speech(tmp_path / "a.jsonl", 4)
        (tmp_path / "a.yaml").write_text("inputs: [none.jsonl]\n")
        assert run("windows", manifest, "--config", tmp_path / "a.yaml", "--output", tmp_path / "out") == 0

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"inputs": 3}, "'inputs' of the config is 3, expected a path or a list of paths"),
            ({"inputs": "a", "widnows": {"x": 1}}, "unknown section 'widnows' in 'widnows.x': did you mean windows"),
        ],
    )
    def test_that_cannot_hold_is_refused(self, tmp_path: Path, config: dict[str, Any], message: str) -> None:
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(UsageError, match=message):
            run("windows", "--config", tmp_path / "a.yaml")

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"beam": ["a"]}, "beam"),
            ({"beam": {"direct_num_worker": 2}}, "did you mean direct_num_workers"),
            ({"ouput_dir": "x"}, "did you mean output_dir"),
        ],
    )
    def test_of_unknown_keys_names_the_nearest(self, tmp_path: Path, config: dict[str, Any], message: str) -> None:
        manifest = write_speech(tmp_path / "a.jsonl", 4)
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(UsageError, match=message):
            run("windows", manifest, "--config", tmp_path / "a.yaml", "--output", tmp_path / "out")


class TestDuplicates:
    def test_are_read_once_with_a_warning(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        manifest = write_speech(tmp_path / "a.jsonl", 4)
        assert run("windows", manifest, manifest, "--output", tmp_path / "out") == 0
        assert f"listed more than once, read once: {manifest} (--keep-duplicates)" in capsys.readouterr().err
        assert len(rows_in(tmp_path / "out")) == 1

    def test_are_read_twice_where_asked_for(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        manifest = write_speech(tmp_path / "a.jsonl", 4)
        arguments = [manifest, manifest, "--keep-duplicates", "--output"]
        assert figures_of(capsys, *arguments, tmp_path / "out") == "2 entries, 4 windows, 2 kept, 240.0 s"
        assert "listed more than once" not in capsys.readouterr().err
        assert run("verify", tmp_path / "out") == 0
        file = figures_of(capsys, *arguments, tmp_path / "file", "--overlap-scope", "audio_file")
        assert file == "2 entries, 4 windows, 1 kept, 120.0 s"


def test_what_is_left_out_of_a_directory_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_speech(tmp_path / "in" / "_a.jsonl", 4)
    for name in ("notes.txt", "b.sphx", "c.TXT", ".hidden"):
        (tmp_path / "in" / name).touch()
    assert run("windows", tmp_path / "in", "--output", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "left out: 2 .txt, 1 .sphx, 1 hidden (a file that is named is read)\n" in said
    assert len(rows_in(tmp_path / "out")) == 1


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_speech(tmp_path / "a.jsonl", 4)
    assert run("windows", "~/a.jsonl", "--output=~/out") == 0
    assert run("verify", "~/out") == 0
    assert len(rows_in(tmp_path / "out")) == 1


def test_beams_own_flags_pass_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_speech(tmp_path / "a.jsonl", 4)
    flags = ["--direct_running_mode", "in_memory", "--job_name=mine"]
    expected = "1 entry, 2 windows, 1 kept, 120.0 s"
    assert figures_of(capsys, *flags, manifest, "--output", tmp_path / "out") == expected


def job(tmp_path: Path, *arguments: object) -> WindowsJob:
    parsed = cli.parser_of("windows").parse_intermixed_args([str(argument) for argument in arguments])
    return WindowsJob.of(parsed, [], str(tmp_path / "out"))


def test_a_run_that_was_replaced_stops(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    work = job(tmp_path, write_speech(tmp_path / "a.jsonl", 4))
    files = listed(work)
    prepared = prepare(work.output, work.kind, work.config(), files, overwrite=False)
    record = RunRecord.from_json((tmp_path / "out/_RUN.json").read_bytes())
    assert record is not None
    other = replace(record, token="other")
    (tmp_path / "out/_RUN.json").write_bytes(other.to_json())
    with pytest.raises(JobFailedError, match="now belongs to another run: this one stops writing"):
        run_job(work, find_engine(work.engine), files, prepared)
    assert names_in(tmp_path / "out") == ["_RUN.json"]


@pytest.mark.parametrize("replaces", [False, True])
def test_a_failure_after_the_commit_leaves_a_complete_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], replaces: bool
) -> None:
    """As when a worker dies that has committed, and the engine gives up before another one has done so again."""
    manifest, out = write_speech(tmp_path / "a.jsonl", 4), tmp_path / "out"
    if replaces:
        assert run("windows", write_speech(tmp_path / "b.jsonl", 5), "--output", out) == 0

    def fails(*arguments: Any) -> None:
        committing.commit(*arguments)
        (out / ".windows-00000-of-00009.jsonl.00000000000000000000000000000000.beam_curator.tmp").write_text(
            "of a task that was started again"
        )
        raise RuntimeError("CANCELLED: call already cancelled")

    with monkeypatch.context() as patch:
        patch.setattr("beam_curator.transforms.jobs.writing.commit", fails)
        assert run("windows", manifest, "--output", out, *(["--overwrite"] if replaces else [])) == 0
    said = capsys.readouterr()
    assert "beam-curator: the engine failed when the set was complete: CANCELLED: call already cancelled" in said.err
    assert "nothing was committed" not in said.err
    assert "is already complete: nothing to do." in said.out
    assert names_in(out) == ["_MANIFEST.json", "summary.json", "windows-00000-of-00001.jsonl"]
    assert manifest_of(out)["inputs"][0]["name"] == str(manifest)
    assert run("verify", out) == 0


def test_local_paths_may_be_written_as_uris(tmp_path: Path) -> None:
    manifest = write_speech(tmp_path / "a.jsonl", 4)
    assert run("windows", f"file://{manifest}", "--output", f"file://{tmp_path}/out") == 0
    assert manifest_of(tmp_path / "out")["inputs"][0]["name"] == str(manifest)
