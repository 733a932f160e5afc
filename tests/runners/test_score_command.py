"""`beam-curator score`: what it reads, what it says, and its exit codes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_curator.diarization.rttm import render_rttm
from beam_curator.runners.options import UsageError
from tests import fakes_filesystem as store
from tests.fakes_models import Speech, write_band_model, write_sound
from tests.manifests import run, run_process, without_override, write_lines
from tests.transforms.diarization.turn_sets import diarize

ROOT = Path(__file__).parents[2]
TWO: list[Speech] = [(0.8, 4.0, 0), (4.0, 8.0, 1)]
ONE: list[Speech] = [(1.6, 4.8, 2)]


def write_turns(path: Path, *recordings: tuple[str, list[tuple[float, float, str]]]) -> Path:
    """Write an RTTM of several recordings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(render_rttm(name, turns) for name, turns in recordings), encoding="utf-8")
    return path


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trees of both sides: 1 of 10 s of `a` is missed, `b` is right, `lost` not there, `silent` has 2 s of turns."""
    write_turns(tmp_path / "ref/one/a.rttm", ("a", [(0, 6, "ann"), (6, 10, "bob")]))
    write_turns(tmp_path / "ref/many.rttm", ("b", [(0, 20, "ann")]), ("lost", [(5, 15, "ann")]))
    write_turns(tmp_path / "ref/silent.rttm")
    write_turns(tmp_path / "hyp/a.rttm", ("a", [(1, 6, "speaker_1"), (6, 10, "speaker_0")]))
    write_turns(tmp_path / "hyp/b.RTTM", ("b", [(0, 20, "speaker_0")]))
    write_turns(tmp_path / "hyp/silent.rttm", ("silent", [(3, 5, "speaker_0")]))
    write_turns(tmp_path / "hyp/extra.rttm", ("extra", [(0, 5, "speaker_0")]))
    for noise in ("hyp/a.ctm", "hyp/notes.txt", "hyp/.hidden.rttm"):
        (tmp_path / noise).write_text("no RTTM")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scores(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Score, and return what is said as JSON."""
    assert run("score", *arguments, "--format", "json") == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def errors_of(report: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """Return miss, false alarm and confusion of each recording, in seconds, with the first collar."""
    return {
        item["recording_id"]: (item["missed_seconds"], item["false_alarm_seconds"], item["confusion_seconds"])
        for item in report["tables"][0]["recordings"]
    }


def refused(*arguments: object) -> str:
    with pytest.raises(UsageError) as caught:
        run("score", *arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


ALL = {"a": (1, 0, 0), "b": (0, 0, 0), "lost": (10, 0, 0), "silent": (0, 2, 0)}


class TestWhatIsRead:
    def test_trees(self, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
        report = scores(capsys, "ref", "hyp")
        assert errors_of(report) == ALL
        assert (report["without_hypothesis"], report["without_reference"]) == (["lost"], ["extra"])

    def test_globs_take_what_is_an_rttm(self, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert errors_of(scores(capsys, "ref/**/*", "hyp/*")) == ALL

    def test_single_files_may_have_any_name(self, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (sides / "hyp/b.RTTM").rename(sides / "heard.txt")
        assert errors_of(scores(capsys, "ref/many.rttm", "heard.txt")) == {"b": (0, 0, 0), "lost": (10, 0, 0)}

    def test_an_empty_hypothesis_misses_everything(self, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (sides / "nothing.rttm").touch()
        report = scores(capsys, "ref/one/a.rttm", "nothing.rttm")
        assert errors_of(report) == {"a": (10, 0, 0)}
        assert report["tables"][0]["weighted"]["der"] == 100

    @pytest.mark.parametrize(
        "text", ["", "\n", ";; nobody talks\n", "SPKR-INFO x 1 <NA> <NA> <NA> adult ann <NA> <NA>\n"]
    )
    def test_a_file_without_turns_counts_by_its_name(
        self, sides: Path, capsys: pytest.CaptureFixture[str], text: str
    ) -> None:
        (sides / "ref/silent.rttm").write_text(text)
        assert errors_of(scores(capsys, "ref/silent.rttm", "hyp/silent.rttm")) == {"silent": (0, 2, 0)}

    def test_a_uem_of_a_file_or_a_tree(self, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (sides / "uem").mkdir()
        (sides / "uem/a.uem").write_text("a 1 0.5 3\n")
        (sides / "uem/rest.uem").write_text(";; all\nb 1 0 10\nlost 1 0 7\nsilent 1 0 4\nnever 1 0 4\n")
        report = scores(capsys, "ref", "hyp", "--uem", "uem")
        assert errors_of(report) == {"a": (0.5, 0, 0), "b": (0, 0, 0), "lost": (2, 0, 0), "silent": (0, 1, 0)}
        assert report["uem"] == "uem"
        assert errors_of(scores(capsys, "ref/one", "hyp", "--uem", "uem/a.uem")) == {"a": (0.5, 0, 0)}

    def test_an_object_store(self, sides: Path, capsys: pytest.CaptureFixture[str], bucket: None) -> None:
        for path in sides.rglob("*.*"):
            store.put(f"gs://scores/{path.relative_to(sides)}", path.read_bytes())
        assert errors_of(scores(capsys, "gs://scores/ref", "gs://scores/hyp")) == ALL
        assert errors_of(scores(capsys, "gs://scores/ref/one/a.rttm", "gs://scores/hyp/*")) == {"a": (1, 0, 0)}
        assert run("score", "gs://scores/ref", "hyp", "--output", "gs://scores/out/a.json", "--format", "json") == 0
        assert errors_of(json.loads(store.get("gs://scores/out/a.json"))) == ALL
        assert refused("gs://scores/none", "hyp") == (
            "gs://scores/none holds no .rttm file: give one, a directory or glob, or a set of diarize"
        )


@pytest.fixture
def bucket() -> Iterator[None]:
    """Empty the store afterwards."""
    yield
    store.OBJECTS.clear()


RIGHT = {"nobody": (0, 0, 0), "one": (0, 0, 0), "two": (0, 0, 0)}


class TestSetsOfDiarize:
    @pytest.fixture(scope="class")
    def sounds(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Two recordings, one in which nobody talks, a manifest that names the first twice, and references."""
        root = tmp_path_factory.mktemp("sounds")
        for name, speech in (("two", TWO), ("one", ONE), ("nobody", [])):
            write_sound(root / f"{name}.wav", 9.6, speech)
            write_turns(root / "ref" / f"{name}.rttm", (name, [(s, e, f"person {who}") for s, e, who in speech]))
        lines = [
            json.dumps({"audio_filepath": name}).encode() for name in ("two.wav", "one.wav", "two.wav", "nobody.wav")
        ]
        write_lines(root / "all.jsonl", lines)
        write_band_model(root / "model")
        return root

    @pytest.mark.parametrize(
        "options", [[], ["--rttm-out-dir", ""], ["--rttm-out-dir", "my-rttm", "--row-format", "parquet"]]
    )
    def test_a_set_is_read_by_its_rttm_or_its_rows(
        self, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
    ) -> None:
        out = diarize(sounds / "all.jsonl", tmp_path / "out", *options, model=sounds / "model")
        capsys.readouterr()
        assert errors_of(scores(capsys, sounds / "ref", out)) == RIGHT
        assert errors_of(scores(capsys, out, sounds / "ref", "--strict")) == RIGHT

    def test_the_rttm_of_a_set_comes_before_its_rows(
        self, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = diarize(sounds / "all.jsonl", tmp_path / "out", "--uem", model=sounds / "model")
        write_turns(out / "rttm/one.rttm", ("one", [(1.6, 3.8, "corrected")]))
        write_turns(out / "rttm/stray.rttm", ("stray", [(1.6, 3.8, "x")]))
        capsys.readouterr()
        report = scores(capsys, sounds / "ref", out, "--uem", out)
        assert errors_of(report) == RIGHT | {"one": (1, 0, 0)}
        assert report["tables"][0]["weighted"]["scored_seconds"] == pytest.approx(3 * 9.6)
        assert report["without_reference"] == []
        assert scores(capsys, sounds / "ref", out / "rttm")["without_reference"] == ["stray"]

    def test_what_is_no_such_set(self, sounds: Path, tmp_path: Path) -> None:
        ref = sounds / "ref"
        assert run("windows", ROOT / "examples/talks.jsonl", "--output", tmp_path / "windows", "--tolerate", "1") == 0
        said = f"{tmp_path}/windows was written by windows: give a set of diarize, or RTTM"
        assert refused(ref, tmp_path / "windows") == said
        out = diarize(sounds / "all.jsonl", tmp_path / "out", model=sounds / "model")
        assert refused(ref, out, "--uem", out).startswith(f"{out} holds no .uem file: run diarize with --uem")
        assert (
            refused(ref, tmp_path)
            == f"{tmp_path} holds no .rttm file: give one, a directory or glob, or a set of diarize"
        )
        (out / "rttm/one.rttm").unlink()
        assert refused(ref, out) == f"file {out}/rttm/one.rttm is not there: check the path"
        (out / "_MANIFEST.json").write_text("{}")
        assert refused(ref, out).endswith("beam-curator verify says what is wrong with it")
        (out / "_MANIFEST.json").rename(out / "_RUN.json")
        assert refused(ref, out).endswith("its job did not finish: run the same command again")


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("ref", "the following arguments are required: HYP"),
            ("ref nope.rttm", "file nope.rttm is not there: check the path"),
            ("nope/ hyp", "file nope/ is not there: check the path"),
            ("ref hyp/*.txt", "hyp/*.txt holds no .rttm file: give one, a directory or glob, or a set of diarize"),
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
                "--output hyp/a.rttm is one of the files that are scored: give another name",
            ),
            ("ref hyp --output ref", "--output ref is a directory: name a file, such as ref/scores.json"),
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

    def test_a_broken_line_is_named(self, sides: Path) -> None:
        with open("hyp/a.rttm", "a", encoding="utf-8") as stream:
            stream.write("SPEAKER a 1 12.0 0.000 <NA> <NA> speaker_0 <NA> <NA>\n")
        assert refused("ref", "hyp") == "hyp/a.rttm, line 3: duration 0.000, expected more than 0: remove the line"

    def test_a_broken_line_of_a_uem_is_named(self, sides: Path) -> None:
        (sides / "a.uem").write_text("a 1 0 5\nb 1 7 5\n")
        said = "a.uem, line 2: end 5, expected more than the start 7: mend the line"
        assert refused("ref", "hyp", "--uem", "a.uem") == said

    def test_a_uem_must_have_all_references(self, sides: Path) -> None:
        (sides / "a.uem").write_text("a 1 0 5\nb 1 0 5\n")
        assert refused("ref", "hyp", "--uem", "a.uem") == (
            "the UEM has no line for lost, silent: add their lines, or leave these recordings out of the reference"
        )

    def test_what_is_no_text(self, sides: Path) -> None:
        (sides / "hyp/a.rttm").write_bytes(b"SPEAKER \xff")
        assert refused("ref", "hyp").startswith("hyp/a.rttm: byte 0xff at position 8 is not UTF-8: convert the file")

    def test_what_may_not_be_read(self, sides: Path) -> None:
        (sides / "hyp/a.rttm").chmod(0)
        done = run_process("score", "ref", "hyp", cwd=sides, preexec_fn=without_override)
        said = "beam-curator: file hyp/a.rttm cannot be read: Permission denied: check who may read it\n"
        assert (done.returncode, done.stderr) == (2, said)

    def test_a_recording_in_two_files(self, sides: Path) -> None:
        write_turns(sides / "hyp/again/a.rttm", ("a", [(0, 1, "x")]))
        said = "turns of recording 'a' are in hyp/a.rttm and in hyp/again/a.rttm: give one of them"
        assert refused("ref", "hyp") == said

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


class TestWhatIsSaid:
    def test_a_process(self, sides: Path) -> None:
        done = run_process("score", "ref", "hyp", "--collar", "0", "--collar", "0.25", "--sort", "der", cwd=sides)
        assert done.returncode == 0
        assert done.stderr.splitlines() == [
            "beam-curator: 1 recording of the hypothesis without reference, not scored: extra",
            "beam-curator: 1 recording of the reference without hypothesis, all speech counts as missed: lost",
        ]
        first, second = done.stdout.split("\n\n")
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
        assert said.startswith(
            "--fail-under 50 has nothing to judge: no speech of the reference is scored with collar 250 s"
        )


PAGE = (ROOT / "docs" / "score.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^\$ (.*)\n((?:(?!\$ |```).*\n)*)", PAGE, re.MULTILINE)
EXIT_CODE = "echo $?"


def test_the_page_shows_what_its_commands_print(tmp_path: Path) -> None:
    code, n_commands = 0, 0
    for command, shown in BLOCKS:
        if command.startswith("cat "):
            path = tmp_path / command.removeprefix("cat ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(shown, encoding="utf-8")
        elif command == EXIT_CODE:
            assert shown == f"{code}\n"
        else:
            done = run_process(*shlex.split(command)[1:], cwd=tmp_path)
            assert sorted((done.stderr + done.stdout).splitlines()) == sorted(shown.splitlines())
            code, n_commands = done.returncode, n_commands + 1
    assert n_commands == 4


def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out == code.rpartition("  # ")[2]
