"""`retry`: what failed in a set is tried again by the command that made it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from beam_curator.runners.options import UsageError
from tests.manifests import failures_in, run, write_lines, write_speech
from tests.runners.test_update import Corpus, files_of


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """Return recordings of which one is no audio, beside which the commands are given."""
    monkeypatch.chdir(tmp_path)
    corpus = Corpus(tmp_path)
    for name, version in (("a", 1), ("b", 0), ("c", 2)):
        corpus.change(name, version)
    corpus.write_pieces()
    return corpus


def extract(output: str = "out") -> int:
    return run("extract", "pieces.jsonl", "--output", output, "--output-format", "flac", "--shards", 2)


def test_the_set_is_that_of_a_run_in_which_nothing_failed(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert extract() == 3
    corpus.change("b", 3)
    capsys.readouterr()
    assert run("retry", "out") == 0
    assert capsys.readouterr().out.splitlines()[0] == "2 kept, 0 new, 0 changed, 1 tried again, 0 gone"
    assert extract("fresh") == 0
    assert files_of(corpus.folder / "out") == files_of(corpus.folder / "fresh")
    assert run("retry", "out") == 0
    assert capsys.readouterr().out.endswith("out: nothing has failed.\n")


def test_what_fails_again_is_in_the_dead_letters_again(corpus: Corpus) -> None:
    assert extract() == 3
    before = failures_in(corpus.folder / "out")
    assert run("retry", "out") == 3
    assert failures_in(corpus.folder / "out") == before
    assert run("retry", "out", "--tolerate", "3") == 0


def test_options_that_decide_no_row_may_change(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    extract()
    capsys.readouterr()
    assert run("retry", "out", "--plan") == 0
    assert "Would read 1 file" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"output_format was 'flac', is 'wav'.*an update keeps the options"):
        run("retry", "out", "--output-format", "wav")
    with pytest.raises(UsageError, match="unknown flag --tolerates: did you mean --tolerate"):
        run("retry", "out", "--tolerates", "1")


def test_sets_that_were_made_from_it_are_named(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    extract()
    assert run("extract", "out", "--output", "again", "--what", "rows") == 0
    corpus.change("b", 3)
    capsys.readouterr()
    assert run("retry", "out") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Made from what this set held before: again; ")


class TestOnlySomeCodes:
    @pytest.fixture
    def out(self, corpus: Corpus) -> Path:
        """Return a set in which one recording is no audio, one is not there, and one ends before a piece of it."""
        corpus.change("d", 4)
        corpus.change("e", 5)
        corpus.write_pieces()
        corpus.folder.joinpath("in/e.wav").unlink()
        short = soundfile.read(corpus.folder / "in/d.wav", dtype="int16")[0][: 16000 * 3]
        soundfile.write(corpus.folder / "in/d.wav", short, 16000)
        assert extract() == 3
        assert {letter["code"] for letter in failures_in(corpus.folder / "out")} == {
            "not_audio",
            "not_found",
            "out_of_range",
        }
        return corpus.folder / "out"

    def test_others_stay_as_they_are(self, corpus: Corpus, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = files_of(out)
        letters = failures_in(out)
        for name in ("b", "e"):  # one of them would fail no more, and is not looked at
            corpus.change(name, 3)
        capsys.readouterr()
        assert run("retry", out, "--code", "not_found", "--tolerate", "9") == 0
        assert capsys.readouterr().out.splitlines()[0] == "4 kept, 0 new, 0 changed, 1 tried again, 0 gone"
        assert failures_in(out) == [letter for letter in letters if letter["code"] != "not_found"]
        clips = {name: data for name, data in before.items() if name.endswith(".flac")}
        assert {name: data for name, data in files_of(out).items() if name in clips} == clips
        assert len(list(out.glob("e_*.flac"))) == 3
        assert run("verify", out) == 0

        # what was left alone is tried again without a code
        assert run("retry", out, "--tolerate", "9") == 0
        assert {letter["code"] for letter in failures_in(out)} == {"out_of_range"}
        extract("fresh")
        assert files_of(out) == files_of(corpus.folder / "fresh")

    def test_a_recording_that_failed_in_part_and_has_changed_is_done_again(self, corpus: Corpus, out: Path) -> None:
        corpus.change("d", 9)
        run("retry", out, "--code", "not_found", "--tolerate", "9")
        assert {letter["code"] for letter in failures_in(out)} == {"not_audio", "not_found"}

    def test_the_plan_names_them(self, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        assert run("retry", "--code", "not_found,not_audio", out, "--plan") == 0
        lines = capsys.readouterr().out.splitlines()
        # three pieces of each
        assert lines[0] == "Would try again 6 failures:"
        assert sorted({line.split(": ")[1] for line in lines[1:7]}) == ["not_audio", "not_found"]
        assert lines[1].startswith("  pieces.jsonl:")
        assert lines[7].startswith("3 kept, 0 new, 0 changed, 2 tried again, 0 gone; to open: 2 recordings")

    def test_codes_that_nothing_failed_with(self, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = files_of(out)
        capsys.readouterr()
        assert run("retry", out, "--code", "timeout,too_long") == 0
        n_pieces = sum(letter["code"] == "out_of_range" for letter in failures_in(out))
        listed = f"3 not_audio, 3 not_found, {n_pieces} out_of_range"
        said = f"{out}: nothing has failed with timeout or too_long, but {listed}.\n"
        assert capsys.readouterr().out == said
        assert files_of(out) == before

    def test_codes_that_are_none(self, out: Path) -> None:
        with pytest.raises(UsageError, match="unknown code 'timeuot' of --code: did you mean timeout"):
            run("retry", out, "--code", "not_found,timeuot")


class TestRefused:
    def test_no_set(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="holds no complete set: give the --output of a job"):
            run("retry", tmp_path)

    def test_a_set_without_its_command(self, corpus: Corpus) -> None:
        extract()
        summary = corpus.folder / "out" / "summary.json"
        summary.write_text(json.dumps({"counts": {}}))
        with pytest.raises(UsageError, match="does not say which command made it: give that again, with --update"):
            run("retry", "out")

    def test_another_directory(self, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
        extract()
        monkeypatch.chdir("/")
        with pytest.raises(UsageError, match=r"was made in .*, of pieces.jsonl: change to that directory first"):
            run("retry", corpus.folder / "out")

    def test_inputs_that_are_gone(self, corpus: Corpus) -> None:
        extract()
        (corpus.folder / "pieces.jsonl").unlink()
        before = files_of(corpus.folder / "out")
        with pytest.raises(UsageError, match=r"file pieces.jsonl is not there"):
            run("retry", "out")
        assert files_of(corpus.folder / "out") == before


def test_windows_of_a_manifest_that_was_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_speech(tmp_path / "a.jsonl", 4)
    write_lines(tmp_path / "b.jsonl", [b"{"])
    assert run("windows", "a.jsonl", "b.jsonl", "--output", "out") == 3
    write_speech(tmp_path / "b.jsonl", 6)
    assert run("retry", "out") == 0
    assert run("windows", "a.jsonl", "b.jsonl", "--output", "fresh") == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")
