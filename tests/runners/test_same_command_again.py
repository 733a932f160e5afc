"""The same command again, on a complete set or one that was changed meanwhile."""

import json
from pathlib import Path

import pytest

from beam_curator.runners.options import UsageError
from tests.manifests import manifest_of, names_in, rows_in, run, state_of, write_lines, write_speech


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_speech(tmp_path / "in" / "a.jsonl", 4, 6)


class TestSameCommandAgain:
    def test_nothing_is_written(self, tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        run("windows", source, "--output", out)
        before = state_of(out)
        capsys.readouterr()
        assert run("windows", source, "--output", out, "--jobs", "1", "--tolerate", "5") == 0
        assert capsys.readouterr().out == f"{out} is already complete: nothing to do.\n"
        assert state_of(out) == before

    def test_a_run_killed_right_after_its_commit_is_tidied_up(self, tmp_path: Path, source: Path) -> None:
        out = tmp_path / "out"
        run("windows", source, "--output", out)
        (out / "summary.json").unlink()
        before = state_of(out)
        write_lines(out / "_RUN.json", [b"{}"])
        (out / ".7f.beam_curator.live").mkdir()
        write_lines(out / ".7f.beam_curator.live" / "progress-1-2.json", [b"{}"])
        assert run("windows", source, "--output", out) == 0
        after = state_of(out)
        assert json.loads((out / "summary.json").read_bytes())["counts"] == manifest_of(out)["counts"]
        assert {name: seen for name, seen in after.items() if name != "summary.json"} == before

    def test_a_changed_byte_of_the_input_is_refused_and_may_be_overwritten(self, tmp_path: Path, source: Path) -> None:
        out = tmp_path / "out"
        run("windows", source, "--output", out)
        source.write_bytes(source.read_bytes().replace(b"a-0.wav", b"b-0.wav"))
        before = state_of(out)
        with pytest.raises(UsageError, match=rf"complete set of another job \({source} has changed\): --update keeps"):
            run("windows", source, "--output", out)
        assert state_of(out) == before
        assert run("windows", source, "--output", out, "--overwrite") == 0
        assert b"b-0.wav" in rows_in(out)[0]
        assert run("verify", out) == 0

    def test_another_input_is_refused_by_name(self, tmp_path: Path, source: Path) -> None:
        out, other = tmp_path / "out", write_speech(tmp_path / "b.jsonl", 4)
        run("windows", source, "--output", out)
        with pytest.raises(UsageError, match=f"{other} is a new input; {source} is no longer among the inputs"):
            run("windows", other, "--output", out)

    def test_another_rule_is_refused_by_name(self, tmp_path: Path, source: Path) -> None:
        out = tmp_path / "out"
        run("windows", source, "--output", out)
        with pytest.raises(UsageError, match=r"\(output\.shards was 0, is 3; windows\.min_speakers was 2, is 1\)"):
            run("windows", source, "--output", out, "--min-speakers", "1", "--shards", "3")
        assert run("windows", source, "--output", out, "--shards", "3", "--overwrite") == 0
        assert names_in(out) == ["_MANIFEST.json", "summary.json", "windows-00000-of-00003.jsonl"]

    @pytest.mark.parametrize("damage", ["longer", "gone"])
    @pytest.mark.parametrize("cure", ["--update", "--overwrite"])
    def test_a_damaged_set_is_refused(self, tmp_path: Path, source: Path, damage: str, cure: str) -> None:
        out = tmp_path / "out"
        run("windows", source, "--output", out)
        rows = out / "windows-00000-of-00001.jsonl"
        rows.unlink() if damage == "gone" else rows.write_bytes(rows.read_bytes() + b"\n")
        with pytest.raises(UsageError, match=rf"is complete, but {rows.name} was changed or removed: --update"):
            run("windows", source, "--output", out)
        assert run("windows", source, "--output", out, cure) == 0
        assert run("verify", out) == 0

    def test_a_damaged_manifest_is_refused(self, tmp_path: Path, source: Path) -> None:
        write_lines(tmp_path / "out" / "_MANIFEST.json", [b"{"])
        with pytest.raises(UsageError, match="cannot be understood"):
            run("windows", source, "--output", tmp_path / "out")

    def test_duplicates_under_two_names_are_the_same_job(
        self, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(source.parent)
        arguments = ["windows", "a.jsonl", "./a.jsonl", "--keep-duplicates", "--output", tmp_path / "out"]
        assert run(*arguments) == 0
        assert run(*arguments) == 0

    def test_failures_decide_the_exit_code_again(
        self, tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        source.write_bytes(source.read_bytes() + b"{broken\n")
        assert run("windows", source, "--output", out) == 3
        capsys.readouterr()
        assert run("windows", source, "--output", out) == 3
        said = capsys.readouterr()
        hint = f"To try again what failed: beam-curator retry {out}\n"
        assert said.out == f"{out} is already complete: nothing to do.\n{hint}"
        assert said.err == f"1 failure, more than --tolerate 0: see {out}/failures-*.jsonl\n"
        assert run("windows", source, "--output", out, "--tolerate", "1") == 0
