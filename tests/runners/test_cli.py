import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from beam_curator.runners import cli
from beam_curator.runners.job_options import JOBS
from beam_curator.runners.options import UsageError, flag_of
from tests.manifests import names_in, run, run_main, run_process, write_lines, write_speech


def split(*arguments: str) -> tuple[list[str], list[str]]:
    return cli.split_arguments(cli.parser_of("windows"), arguments)


class TestSplitArguments:
    def test_tells_ours_from_beams(self) -> None:
        ours = ["a.jsonl", "--jobs", "2", "--output=o", "--no-truncation", "b.jsonl", "--set", "run.jobs=1"]
        assert split(*ours, "--direct_runner_bundle_repeat=1") == (ours, ["--direct_runner_bundle_repeat=1"])

    def test_a_value_of_a_beam_flag_is_no_input(self) -> None:
        beams = ["--direct_running_mode", "in_memory"]
        assert split(*beams, "a.jsonl") == (["a.jsonl"], beams)
        assert split("a.jsonl", *beams) == (["a.jsonl"], beams)

    def test_a_beam_flag_without_value_takes_none(self) -> None:
        assert split("--save_main_session", "a.jsonl") == (["a.jsonl"], ["--save_main_session"])

    def test_a_beam_flag_may_come_last_without_its_value(self) -> None:
        assert split("a.jsonl", "--direct_running_mode") == (["a.jsonl"], ["--direct_running_mode"])

    @pytest.mark.parametrize(
        ("flag", "message"),
        [
            ("--min-speaker", "unknown flag --min-speaker: did you mean --min-speakers?"),
            ("--min-speaker=3", "unknown flag --min-speaker: did you mean --min-speakers?"),
            ("--min_speaker", "unknown flag --min_speaker: did you mean --min-speakers?"),
            ("--direct_num_worker", "unknown flag --direct_num_worker: did you mean --direct_num_workers?"),
            ("--xyzzy", "unknown flag --xyzzy"),
        ],
    )
    def test_an_unknown_flag_is_refused_with_the_nearest(self, flag: str, message: str) -> None:
        with pytest.raises(UsageError) as caught:
            split("a.jsonl", flag)
        assert str(caught.value) == message

    def test_flags_cannot_be_shortened(self) -> None:
        with pytest.raises(UsageError, match="unknown flag --over"):
            split("a.jsonl", "--over")


class TestRun:
    def test_without_a_command_shows_the_overview_and_is_wrong_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run() == 2
        assert capsys.readouterr().out == cli.overview() + "\n"

    @pytest.mark.parametrize("flag", ["-h", "--help", "help"])
    def test_help_names_every_command(self, capsys: pytest.CaptureFixture[str], flag: str) -> None:
        assert run(flag) == 0
        text = capsys.readouterr().out
        for name, command in cli.COMMANDS.items():
            assert f"  {name:<11} {command.help}\n" in text

    @pytest.mark.parametrize("name", ["verify", "models", "worker-pool"])
    def test_commands_without_a_pipeline_take_no_options_of_beam(self, name: str) -> None:
        with pytest.raises(UsageError, match=rf"unknown flag --project of {name}: "):
            cli.run([name, "--project", "p"])

    def test_version_is_that_of_the_package(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--version") == 0
        assert capsys.readouterr().out == version("beam-curator") + "\n"

    def test_an_unknown_command_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(UsageError, match="unknown command 'window': did you mean windows\\?"):
            run("window")
        known = (
            "windows, extract, export, diarize, separate, curate, filter, measure, stream, publish, listen, sets, retry"
        )
        with pytest.raises(UsageError, match=f"unknown command 'xyz': known are {known}"):
            run("xyz")

    @pytest.mark.parametrize(("command", "job"), [*((name, name) for name in JOBS), ("benchmark", "windows")])
    def test_help_of_a_command_names_every_option(
        self, capsys: pytest.CaptureFixture[str], command: str, job: str
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            run(command, "--help")
        assert ended.value.code == 0
        text = capsys.readouterr().out
        for options in JOBS[job].sections.values():
            for field in options.__dataclass_fields__.values():
                assert f"{flag_of(field)} " in text or f"{flag_of(field)}]" in text
        assert "Any Beam pipeline option may be given too" in " ".join(text.split())

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["windows"], "no INPUT given: name a file, a glob or a directory, or 'inputs' in --config"),
            (["windows", "a.jsonl", "--layout", "spam"], "argument --layout: invalid choice: 'spam'"),
            (
                ["windows", "a.jsonl", "--jobs", "two"],
                "run: jobs 'two' is neither auto nor a number above 0: give one of them",
            ),
            (
                ["windows", "a.jsonl", "--jobs", "0"],
                "run: jobs '0' is neither auto nor a number above 0: give one of them",
            ),
            (["windows", "a.jsonl", "--output"], "argument --output: expected one argument"),
            (["windows", "a.jsonl", "-x"], "unrecognized arguments: -x"),
            (["windows", "a.jsonl", "--runner", "direkt"], "unknown runner 'direkt': did you mean direct?"),
            (["windows", "a.jsonl", "--runner", "DirectRunner"], "unknown runner 'DirectRunner'"),
            (
                ["windows", "a.jsonl", "--overlap-percentage", "101"],
                "overlap rules: overlap_percentage 101 must be 0-100",
            ),
            (["windows", "none.jsonl"], "file none.jsonl is not there: check the path"),
            (["verify"], "the following arguments are required: DIR"),
        ],
    )
    def test_wrong_usage_says_what_is_wrong(self, arguments: list[str], message: str) -> None:
        with pytest.raises(UsageError) as caught:
            run(*arguments)
        assert message in str(caught.value)


class TestMain:
    """The exit codes."""

    def test_done_is_0(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        ended = run_main(capsys, "windows", write_speech(tmp_path / "a.jsonl", 4), "--output", tmp_path / "out")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.splitlines()[-1].startswith("1 entry, 2 windows, 1 kept, 120.0 s in ")

    def test_done_with_failures_is_3_also_in_a_process_of_its_own(self, tmp_path: Path) -> None:
        manifest = write_lines(tmp_path / "a.jsonl", [b"broken"])
        ended = run_process("windows", manifest, "--output", tmp_path / "out")
        assert ended.returncode == 3
        assert ended.stderr == f"1 failure, more than --tolerate 0: see {tmp_path}/out/failures-*.jsonl\n"

    def test_wrong_usage_is_2_with_one_line(self, tmp_path: Path) -> None:
        ended = run_process("windows", tmp_path / "none.jsonl", "--output", tmp_path / "out")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == f"beam-curator: file {tmp_path}/none.jsonl is not there: check the path\n"
        assert names_in(tmp_path) == []

    def test_a_job_that_failed_is_1_and_leaves_no_manifest(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        manifest = write_speech(tmp_path / "a.jsonl", 4)
        (tmp_path / "out" / "windows-00000-of-00001.jsonl").mkdir(parents=True)  # in the way of the rows
        ended = run_main(capsys, "windows", manifest, "--output", tmp_path / "out")
        assert ended.returncode == 1
        assert "beam-curator: the job failed: " in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not (tmp_path / "out" / "_MANIFEST.json").exists()

    def test_help_needs_no_engine(self) -> None:
        code = "import sys; from beam_curator.runners import cli; cli.run(['--help'])\n"
        code += "for name in ('windows', 'diarize'):\n"
        code += "  try: cli.run([name, '--help'])\n  except SystemExit: pass\n"
        code += "print(sorted({'apache_beam', 'numpy', 'pyarrow', 'torch'} & set(sys.modules)))"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ended.stdout.splitlines()[-1] == "[]"
