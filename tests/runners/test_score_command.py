"""`beam-curator score`: what it says, where it writes, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.manifests import run, run_process, without_override
from tests.runners.score_sides import refused, scores, write_sides, write_turns

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with both sides, which is the current one."""
    write_sides(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("ref", "the following arguments are required: HYP"),
            ("ref nope.rttm", "file nope.rttm is not there: check the path"),
            ("nope/ hyp", "file nope/ is not there: check the path"),
            ("ref hyp/*.none", "hyp/*.none holds no .rttm, .textgrid, .txt, .eaf, .stm, .vtt or .srt file: "),
            (
                "ref hyp/*.txt",
                "hyp/notes.txt, line 1: type 'no', expected SPEAKER: give an RTTM",
            ),
            ("ref s4://x/y", "scheme s4:// in s4://x/y is not allowed: use a local path, gs:// or s3://"),
            ("ref hyp --colar 1", "unknown flag --colar: did you mean --collar?"),
            (
                "ref hyp --collar 1 --collar -1",
                "argument --collar: '-1', expected seconds, 0 or more: give for example 0.25",
            ),
            ("ref hyp --collar nan", "argument --collar: 'nan', expected seconds, 0 or more: give for example 0.25"),
            (
                "ref hyp --fail-under 101",
                "argument --fail-under: '101', expected percent, 0 to 100: give for example 85",
            ),
            ("ref hyp --fail-under x", "argument --fail-under: 'x', expected percent, 0 to 100: give for example 85"),
            ("ref hyp --uem nope.uem", "file nope.uem is not there: check the path"),
            (
                "ref hyp --output hyp/a.rttm",
                "--output hyp/a.rttm is one of the files that are read: give another name",
            ),
            ("ref hyp --output ref", "--output ref is a directory: name a file in it"),
            ("ref hyp --output s4://x/y", "scheme s4:// in s4://x/y is not allowed: use a local path, gs:// or s3://"),
            ("ref hyp --project p", "unknown flag --project of score: known are "),
            (
                "ref hyp --strict",
                "1 recording of the hypothesis without reference: extra: add references, or leave out --strict",
            ),
            (
                "ref/one hyp/extra.rttm",
                "no recording is on both sides: the reference has a, the hypothesis extra: "
                "recordings are matched by the second field of their RTTM, so give both the same names",
            ),
        ],
    )
    def test_wrong_usage(self, sides: Path, arguments: str, said: str) -> None:
        assert refused(*arguments.split()).startswith(said)

    def test_without_pyannote_it_says_how_to_get_it(self, sides: Path) -> None:
        code = "import sys; sys.modules['pyannote.metrics'] = None; from beam_curator.runners import cli; cli.main()"
        command = [sys.executable, "-c", code, "score", "ref/one", "hyp/a.rttm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(
            r"beam-curator: score needs pyannote\.metrics, and pyannote\.metrics\S* is not installed: "
            r"pip install 'beam-curator\[eval\]'\n",
            done.stderr,
        )


class TestWhereTheReportGoes:
    def test_a_minus_names_no_file(self, sides: Path) -> None:
        assert refused("ref", "hyp", "--output", "-") == "--output - names no file: leave --output out to print"

    def test_nothing_but_a_file_is_replaced(self, sides: Path) -> None:
        os.mkfifo("pipe")
        os.symlink("pipe", "to-pipe")
        for name in ("pipe", "to-pipe"):
            assert refused("ref", "hyp", "--output", name) == (
                f"--output {name} is a device, pipe or socket, expected a file: "
                "give one, or leave --output out to print"
            )
        assert stat.S_ISFIFO(os.stat("to-pipe").st_mode)
        os.symlink("round", "round")
        assert refused("ref", "hyp", "--output", "round") == (
            "--output round cannot be written: Too many levels of symbolic links: give another name"
        )
        assert refused("ref", "hyp", "--output", "hyp/a.rttm/x").startswith(
            "--output hyp/a.rttm/x cannot be written: Not a directory"
        )

    @pytest.mark.parametrize("is_there", [True, False])
    def test_a_link_stays_one(self, sides: Path, is_there: bool) -> None:
        (sides / "elsewhere").mkdir()
        if is_there:
            (sides / "elsewhere/old.csv").write_text("old")
        os.symlink("elsewhere/old.csv", "new.csv")
        assert run("score", "ref", "hyp", "--format", "csv", "--output", "new.csv") == 0
        assert os.readlink("new.csv") == "elsewhere/old.csv"
        assert (sides / "elsewhere/old.csv").read_text().startswith("row,reference,hypothesis,uem,")

    def test_no_input_is_replaced(self, sides: Path) -> None:
        (sides / "uem").mkdir()
        (sides / "uem/a.uem").write_text("a 1 0 5\n")
        os.symlink("uem/a.uem", "link")
        for name in ("uem/a.uem", "link", "uem/../uem/a.uem"):
            said = refused("ref/one", "hyp/a.rttm", "--uem", "uem", "--output", name)
            assert said == f"--output {name} is one of the files that are read: give another name"
        assert (sides / "uem/a.uem").read_text() == "a 1 0 5\n"

    def test_nothing_is_written_into_an_output_set(self, sides: Path) -> None:
        assert run("windows", ROOT / "examples/talks.jsonl", "--output", "set", "--tolerate", "1") == 0
        os.symlink("set", "link")
        for name in ("set/x.json", "set/_MANIFEST.json", "link/deep/x.json"):
            assert refused("ref", "hyp", "--output", name) == (
                f"--output {name} lies in the output set {sides}/set: give a name outside of it"
            )
        assert run("score", "ref", "hyp", "--output", "set.json") == 0

    def test_what_cannot_be_written_is_said(self, sides: Path) -> None:
        (sides / "closed").mkdir(mode=0o500)
        done = run_process("score", "ref", "hyp", "--output", "closed/new/x", cwd=sides, preexec_fn=without_override)
        said = "--output closed/new/x cannot be written: Permission denied: give a file where you may write one"
        assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"beam-curator: {said}")


class TestNamesThatCannotBePrinted:
    @pytest.fixture(autouse=True)
    def odd(self, sides: Path) -> None:
        for side in ("odd-ref", "odd-hyp"):
            write_turns(sides / f"{side}.rttm", ("会é😀", [(0, 5, "x")]))

    def test_a_process_escapes_them(self) -> None:
        arguments = ("score", "odd-ref.rttm", "odd-hyp.rttm", "--format", "table")
        environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
        done = run_process(*arguments, env=environment, encoding="latin-1")
        assert (done.returncode, done.stderr) == (0, "")
        assert r"\u4f1aé\U0001f600" in done.stdout

    @pytest.mark.parametrize("form", ["table", "csv"])
    def test_they_are_escaped(self, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert r"\u4f1aé\U0001f600" in said_in("latin-1", form, monkeypatch)

    @pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
    def test_json_stays_json(self, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
        said = said_in(encoding, "json", monkeypatch)
        assert json.loads(said)["tables"][0]["recordings"][0]["recording_id"] == "会é😀"
        assert ("会é😀" in said) == (encoding == "utf-8")


def said_in(encoding: str, form: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Score recordings with odd names while standard output has an encoding; return what it is given."""
    written = io.BytesIO()
    with monkeypatch.context() as patch, io.TextIOWrapper(written, encoding) as stream:
        patch.setattr(sys, "stdout", stream)
        assert run("score", "odd-ref.rttm", "odd-hyp.rttm", "--format", form) == 0
        stream.flush()
        return written.getvalue().decode(encoding)


class TestWhatIsSaid:
    def test_a_process(self, sides: Path) -> None:
        done = run_process("score", "ref", "hyp", "--collar", "0", "--collar", "0.25", "--sort", "der", cwd=sides)
        assert done.returncode == 0
        assert done.stderr.splitlines() == [
            "beam-curator: 1 recording of the hypothesis without reference, not scored: extra",
            "beam-curator: 1 recording of the reference without hypothesis, all speech counts as missed: lost",
        ]
        head, _, tables = done.stdout.partition("\n")
        assert head == "reference ref, hypothesis hyp"
        first, second = tables.split("\n\n")
        assert first.splitlines()[0].startswith("4 recordings, collar 0 s, overlap scored, no UEM: ")
        assert second.splitlines()[0].startswith("4 recordings, collar 0.25 s on each side, overlap scored, no UEM: ")
        rows = [line.split() for line in first.splitlines()[3:7]]
        assert [(row[0], row[3]) for row in rows] == [
            ("lost", "100.00"),
            ("a", "10.00"),
            ("b", "0.00"),
            ("silent", "-"),
        ]
        assert first.splitlines()[8].split()[3:] == ["36.67", "36.67", "0.00", "0.00", "36.11"]
        assert first.splitlines()[9].split()[3:] == ["42.00", "40.00", "32.50", "27.50", "5.00", "0.00", "29.17"]

    def test_a_collar_that_is_repeated_is_said_once(self, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
        report = scores(capsys, "ref", "hyp", "--collar", "0.25", "--collar", "0", "--collar", "0.250")
        assert [table["collar_seconds"] for table in report["tables"]] == [0.25, 0]

    def test_overlap_may_be_left_out(self, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_turns(sides / "both.rttm", ("a", [(0, 6, "ann"), (4, 10, "bob")]))
        (table,) = scores(capsys, "both.rttm", "hyp/a.rttm", "--skip-overlap")["tables"]
        assert (table["skip_overlap"], table["weighted"]["speech_seconds"]) == (True, 8)

    @pytest.mark.parametrize("form", ["table", "json", "csv"])
    def test_a_report_may_go_into_a_file(self, sides: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
        assert run("score", "ref", "hyp", "--format", form) == 0
        said = capsys.readouterr().out
        assert run("score", "ref", "hyp", "--format", form, "--output", "new/scores") == 0
        assert (sides / "new/scores").read_bytes().decode() == said
        line = "new/scores: 4 recordings, collar 0 s, overlap scored: DER 32.50 % weighted by speech\n"
        assert capsys.readouterr().out == line
        assert [path.name for path in (sides / "new").iterdir()] == ["scores"]

    def test_help_loads_nothing_heavy(self) -> None:
        code = (
            "import sys; from beam_curator.runners import cli\ntry: cli.run(['score', '--help'])\nexcept SystemExit: "
            "print(sorted({'apache_beam', 'numpy', 'pandas', 'pyannote'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"


class TestFailUnder:
    @pytest.mark.parametrize(("least", "code"), [("0", 0), ("67.5", 0), ("67.500001", 3), ("100", 3)])
    def test_the_bound_itself_is_enough(self, sides: Path, least: str, code: int) -> None:
        assert run("score", "ref", "hyp", "--fail-under", least) == code

    def test_it_says_value_and_bound(self, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert (
            run("score", "ref", "hyp", "--collar", "0.25", "--collar", "0", "--fail-under", "70", "--format", "csv")
            == 3
        )
        said = capsys.readouterr()
        assert said.out.count("\nweighted,") == 2
        assert said.err.splitlines()[-1] == (
            "beam-curator: 100 - DER is 67.7632 %, under --fail-under 70 "
            "(collar 0.25 s on each side, overlap scored, weighted by speech)"
        )

    def test_a_rate_below_zero_is_under_zero(self, sides: Path) -> None:
        write_turns(sides / "ref.rttm", ("silent", [(3, 4, "x")]))
        write_turns(sides / "hyp.rttm", ("silent", [(3, 9, "x")]))
        assert run("score", "ref.rttm", "hyp.rttm", "--fail-under", "0") == 3

    def test_nothing_to_judge_is_not_good_enough(self, sides: Path) -> None:
        said = refused("ref/one", "hyp/a.rttm", "--collar", "250", "--fail-under", "50")
        assert said == (
            "--fail-under 50 has nothing to judge: no speech of the reference is scored "
            "with collar 250 s on each side, overlap scored: give references with speech, or a smaller collar"
        )

    def test_its_cure_is_one(self, sides: Path) -> None:
        (sides / "a.uem").write_text("a 1 20 30\n")
        said = refused("ref/one", "hyp/a.rttm", "--uem", "a.uem", "--skip-overlap", "--fail-under", "50")
        assert said.endswith(
            "collar 0 s, overlap left out, UEM a.uem: "
            "give references with speech, or a UEM with some of it, or leave out --skip-overlap"
        )


PAGE = (ROOT / "docs" / "score.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^\$ (.*)\n((?:(?!\$ |```).*\n)*)", PAGE, re.MULTILINE)
EXIT_CODE = "echo $?"


def test_the_page_shows_what_its_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, n_commands = 0, 0
    for command, shown in BLOCKS:
        if command.startswith("cat "):
            path = Path(command.removeprefix("cat "))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(shown, encoding="utf-8")
        elif command == EXIT_CODE:
            assert shown == f"{code}\n"
        else:
            code, n_commands = run(*shlex.split(command)[1:]), n_commands + 1
            said = capsys.readouterr()
            assert sorted((said.err + said.out).splitlines()) == sorted(shown.splitlines())
    assert n_commands == 4


def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out == code.rpartition("  # ")[2]
