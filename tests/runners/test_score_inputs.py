"""What `beam-curator score` reads, and what it says of files that it cannot read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fakes_filesystem as store
from tests.fakes_models import Speech, write_band_model, write_sound
from tests.manifests import run, run_process, without_override, write_lines
from tests.runners.score_sides import ALL, errors_of, refused, scores, write_sides, write_turns
from tests.transforms.diarization.turn_sets import diarize

ROOT = Path(__file__).parents[2]
TWO: list[Speech] = [(0.8, 4.0, 0), (4.0, 8.0, 1)]
ONE: list[Speech] = [(1.6, 4.8, 2)]


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with both sides, which is the current one."""
    write_sides(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
        store.put("gs://scores/sets/one/_MANIFEST.json", b"{}")
        said = "holds the output set gs://scores/sets/one: give that set by itself, or a glob of its files"
        assert refused("gs://scores/sets", "hyp") == f"gs://scores/sets {said}"
        assert refused("ref", "hyp", "--output", "gs://scores/sets/one/a/b.json") == (
            "--output gs://scores/sets/one/a/b.json lies in the output set gs://scores/sets/one: "
            "give a name outside of it"
        )
        assert refused("gs://scores/none", "hyp") == (
            "gs://scores/none holds no .rttm, .textgrid, .txt, .eaf, .stm, .vtt or .srt file: give one, "
            "a directory or glob, or a set of diarize"
        )


@pytest.fixture
def bucket() -> Iterator[None]:
    """Empty the store afterwards."""
    yield
    store.clear()


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
        (out / "rttm/one.rttm").unlink()
        assert refused(ref, out) == f"file {out}/rttm/one.rttm is not there: check the path"
        (out / "_MANIFEST.json").write_text("{}")
        assert refused(ref, out).endswith("beam-curator verify says what is wrong with it")
        (out / "_MANIFEST.json").rename(out / "_RUN.json")
        assert refused(ref, out).endswith("its job did not finish: run the same command again")

    def test_a_set_in_a_tree_is_not_passed_over(
        self, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ref = sounds / "ref"
        diarize(sounds / "all.jsonl", tmp_path / "hyp/deep/set", "--row-format", "parquet", model=sounds / "model")
        write_turns(tmp_path / "hyp/more.rttm", ("more", [(0, 1, "x")]))
        for given in ("hyp", "hyp/*", "hyp/**/*", "hyp/deep/set/*"):
            assert refused(ref, given) == (
                f"{given} holds the output set hyp/deep/set: give that set by itself, or a glob of its files"
            )
        assert refused(ref, "hyp/deep/set", "--uem", "hyp").endswith("or a glob of its files")
        capsys.readouterr()
        report = scores(capsys, ref, "hyp/**/*.rttm")
        assert (errors_of(report), report["without_reference"]) == (RIGHT, ["more"])
        (tmp_path / "hyp/deep/set/_MANIFEST.json").rename(tmp_path / "hyp/deep/set/_RUN.json")
        assert refused(ref, "hyp").startswith("hyp holds the output set hyp/deep/set: ")
        (tmp_path / "hyp/deep").rename(tmp_path / "hyp/.deep")
        assert scores(capsys, "hyp", "hyp")["n_recordings"] == 1

    def test_a_file_of_rows_is_no_rttm(self, sounds: Path, tmp_path: Path) -> None:
        out = diarize(sounds / "all.jsonl", tmp_path / "out", model=sounds / "model")
        (rows,) = out.glob("turns-*.jsonl")
        for name in (rows, out / "_MANIFEST.json"):
            said = f"{name} is a file of an output set, expected .rttm, .textgrid, "
            assert refused(sounds / "ref", name).startswith(said)
        assert "expected .uem: give the directory of the set" in refused(sounds / "ref", out, "--uem", rows)

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("{}", "Object missing required field `recording_id`"),
            ("[]", "Expected `object`, got `array`"),
            ('{"recording_id": "a", "files": []}', "Object missing required field `segments`"),
            ('{"recording_id": 7, "files": [], "segments": []}', "Expected `str`, got `int` - at `$.recording_id`"),
            ('{"recording_id": "a", "files": [], "segments": null}', "Expected `array`, got `null` - at `$.segments`"),
            (
                '{"recording_id": "a", "files": [], "segments": [{"start": "0", "end": 1, "speaker": "x"}]}',
                "Expected `float`, got `str` - at `$.segments[0].start`",
            ),
            (
                '{"recording_id": "a", "files": [], "segments": [{"start": 0, "end": 1e10, "speaker": "x"}]}',
                "Expected `float` <= 1000000000.0 - at `$.segments[0].end`",
            ),
            (
                '{"recording_id": "a", "files": [], "segments": [{"start": 2, "end": 1, "speaker": "x"}]}',
                "end 1, expected more than the start 2 - at `$.segments[0]`",
            ),
        ],
    )
    def test_rows_that_are_damaged(self, sounds: Path, tmp_path: Path, row: str, said: str) -> None:
        out = tmp_path / "out"
        shutil.copytree(self.set_without_rttm(sounds), out)
        (rows,) = out.glob("turns-*.jsonl")
        rows.write_text(row + "\n")
        whole = f"{out}: {said}: beam-curator verify says what is wrong with it"
        assert refused(sounds / "ref", out) == refused(sounds / "ref", sounds / "ref", "--uem", out) == whole

    @staticmethod
    def set_without_rttm(sounds: Path) -> Path:
        """Make a set whose rows name no RTTM, once."""
        out = sounds / "set"
        if not out.exists():
            diarize(sounds / "all.jsonl", out, "--rttm-out-dir", "", model=sounds / "model")
        return out

    def test_a_table_that_is_damaged(self, sounds: Path, tmp_path: Path) -> None:
        out = diarize(sounds / "all.jsonl", tmp_path / "out", "--row-format", "parquet", model=sounds / "model")
        (rows,) = out.glob("turns-*.parquet")
        rows.write_bytes(rows.read_bytes()[:-20])
        assert refused(sounds / "ref", out).endswith("beam-curator verify says what is wrong with it")


class TestBadInput:
    def test_a_broken_line_is_named(self, sides: Path) -> None:
        with open("hyp/a.rttm", "a", encoding="utf-8") as stream:
            stream.write("SPEAKER a 1 12.0 -1 <NA> <NA> speaker_0 <NA> <NA>\n")
        said = "line 3: duration '-1', expected seconds, 0 or more: mend the line"
        assert refused("ref", "hyp") == f"hyp/a.rttm, {said}"
        with open("hyp/a.rttm", "a", encoding="utf-8") as stream:
            stream.write("SPEAKER a\n")
        more = "line 4: 2 fields, expected 10: mend the line"
        assert refused("ref", "hyp") == f"hyp/a.rttm, 2 lines cannot be read: {said}; {more}"

    def test_turns_without_length_change_nothing_and_are_said(
        self, sides: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = scores(capsys, "ref", "hyp")
        for file, times in (("ref/one/a.rttm", ("0.0", "9.0")), ("hyp/a.rttm", ("500.0",))):
            with open(file, "a", encoding="utf-8") as stream:
                stream.writelines(f"SPEAKER a 1 {time} 0.00 <NA> <NA> nobody\n" for time in times)
        after = scores(capsys, "ref", "hyp")
        assert after == before | {"empty_turns": {"reference": 2, "hypothesis": 1}}

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
        assert refused("ref", "hyp").startswith(
            "hyp/a.rttm: byte 0xff at position 8 is not UTF-8: save the file as UTF-8"
        )

    def test_what_may_not_be_read(self, sides: Path) -> None:
        (sides / "hyp/a.rttm").chmod(0)
        done = run_process("score", "ref", "hyp", cwd=sides, preexec_fn=without_override)
        said = "beam-curator: file hyp/a.rttm cannot be read: Permission denied: check who may read it\n"
        assert (done.returncode, done.stderr) == (2, said)

    def test_a_recording_in_two_files(self, sides: Path) -> None:
        write_turns(sides / "hyp/again/a.rttm", ("a", [(0, 1, "x")]))
        said = "turns of recording 'a' are in hyp/a.rttm and in hyp/again/a.rttm: give one of them"
        assert refused("ref", "hyp") == said

    def test_two_uem_of_a_recording(self, sides: Path) -> None:
        for name in ("a", "b"):
            (sides / f"{name}.uem").write_text("kitchen 1 0 5\n")
        said = "lines of recording 'kitchen' are in ./a.uem and in ./b.uem: give one of them"
        assert refused("ref", "hyp", "--uem", ".") == said

    def test_times_beyond_all_recordings(self, sides: Path) -> None:
        (sides / "hyp/a.rttm").write_text("SPEAKER a 1 1e308 1e308 <NA> <NA> x <NA> <NA>\n")
        assert refused("ref", "hyp").startswith(
            "hyp/a.rttm, line 1: start 1e308 and duration 1e308, expected an end at"
        )
