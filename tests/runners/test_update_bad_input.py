"""Updates that meet damage, other versions, other jobs, and files that change under them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beam_curator.files import kept_parts
from beam_curator.files.replacing import change_over
from beam_curator.runners.options import UsageError
from beam_curator.runners.run_directory import locked
from beam_curator.transforms.jobs import manifests
from tests.manifests import failures_in, rows_in, run, speech, write_lines, write_speech
from tests.runners.test_update import Corpus, files_of


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """Return recordings, one of which is no audio, and a set of clips of them."""
    monkeypatch.chdir(tmp_path)
    corpus = Corpus(tmp_path)
    for name, version in (("a", 1), ("b", 0)):
        corpus.change(name, version)
    assert extract(corpus) == 3
    return corpus


def extract(corpus: Corpus, *flags: str, output: str = "out") -> int:
    return run("extract", corpus.write_pieces().name, "--output", output, *flags)


def assert_fresh(corpus: Corpus) -> None:
    """Check that the set is that of a run from nothing."""
    extract(corpus, output="fresh")
    assert files_of(corpus.folder / "out") == files_of(corpus.folder / "fresh")


class TestRefused:
    def test_two_at_once(self, corpus: Corpus) -> None:
        corpus.change("b", 2)
        before = files_of(corpus.folder / "out")
        with locked("out"):
            for command in (["retry", "out"], ["extract", "pieces.jsonl", "--output", "out", "--update"]):
                with pytest.raises(UsageError, match=r"another job \(process \d+\) is writing into out: wait for it"):
                    run(*command)
        assert files_of(corpus.folder / "out") == before
        assert run("retry", "out") == 0
        assert_fresh(corpus)

    def test_a_set_of_another_version(self, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
        corpus.change("b", 2)
        with monkeypatch.context() as patch:
            patch.setattr(kept_parts, "version", lambda package: "0.0.9")
            assert extract(corpus, "--overwrite") == 0
        before = files_of(corpus.folder / "out")
        assert extract(corpus, "--update") == 0  # nothing has changed
        corpus.change("a", 3)
        with pytest.raises(UsageError, match=r"was made by version 0\.0\.9, and this is .*: an update would mix"):
            extract(corpus, "--update")
        assert files_of(corpus.folder / "out") == before
        assert extract(corpus, "--overwrite") == 0
        assert_fresh(corpus)

    def test_a_set_whose_manifest_is_damaged(self, corpus: Corpus) -> None:
        manifest = corpus.folder / "out" / "_MANIFEST.json"
        manifest.write_bytes(manifest.read_bytes()[:-20])
        before = files_of(corpus.folder / "out")
        with pytest.raises(UsageError, match=r"out: the manifest cannot be understood .*, with --overwrite"):
            extract(corpus, "--update")
        with pytest.raises(UsageError, match="out holds no complete set"):
            run("retry", "out")
        assert files_of(corpus.folder / "out") == before


class TestDamage:
    @pytest.mark.parametrize("damage", ["gone", "longer"])
    @pytest.mark.parametrize("pattern", ["clips-*.jsonl", "failures-cut-*.jsonl", "a_segment_000.wav"])
    def test_files_of_the_set_are_made_again(self, damage: str, pattern: str, corpus: Corpus) -> None:
        [path] = (corpus.folder / "out").glob(pattern)
        path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes() + b"{")
        assert extract(corpus, "--update") == 3
        assert_fresh(corpus)

    def test_dead_letters_that_were_edited_are_made_again(self, corpus: Corpus) -> None:
        [letters] = (corpus.folder / "out").glob("failures-cut-*.jsonl")
        letters.write_bytes(letters.read_bytes().replace(b"not_audio", b"mended"))
        assert run("retry", "out") == 3
        assert_fresh(corpus)

    def test_a_plan_of_dead_letters_that_cannot_be_read_says_so(self, corpus: Corpus) -> None:
        [letters] = (corpus.folder / "out").glob("failures-cut-*.jsonl")
        letters.write_bytes(letters.read_bytes()[:-5])
        with pytest.raises(UsageError, match=rf"{letters.name} cannot be read .*: it was changed; retry makes"):
            run("retry", "out", "--plan")

    def test_hidden_files_that_are_gone_keep_nothing(self, corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
        for archive in (corpus.folder / "out" / ".kept.beam_curator").iterdir():
            archive.unlink()
        corpus.change("b", 2)
        assert extract(corpus, "--update") == 0
        assert "out keeps nothing of what it was made of: all is done again." in capsys.readouterr().err
        assert_fresh(corpus)


def test_a_name_that_changes_only_in_case_is_another_recording(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus.change("A", 1)
    corpus.change("a", None)
    capsys.readouterr()
    assert extract(corpus, "--update") == 3
    assert capsys.readouterr().out.splitlines()[0] == "0 kept, 1 new, 0 changed, 1 tried again, 1 gone"
    assert sorted(path.name for path in (corpus.folder / "out").glob("[aA]_*.wav")) == [
        f"A_segment_{number:03d}.wav" for number in range(3)
    ]
    assert_fresh(corpus)


class TestASetThatIsReplacedWhileItIsRead:
    @pytest.fixture
    def replaced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """Make a set of entries with another one in its hidden folder; return what puts that in place once."""
        rows = tmp_path / "rows"
        for name, numbers in {"one": (4, 6), "two": (6, 8)}.items():
            write_speech(tmp_path / f"{name}.jsonl", *numbers)
        assert run("windows", tmp_path / "one.jsonl", "--output", rows) == 0
        following = rows / ".next.beam_curator"
        assert run("windows", tmp_path / "two.jsonl", "--output", following) == 0
        (following / "summary.json").unlink()
        left = [(str(rows), str(following))]
        return lambda: change_over(*left.pop()) if left else None

    @pytest.mark.parametrize("begun", [False, True])
    def test_no_rows_of_two_sets_are_committed(
        self,
        begun: bool,
        replaced: Callable[[], None],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        really: Callable[..., Any] = manifests.read_rows

        def read_rows(*arguments: Any) -> Any:
            items = list(really(*arguments)) if begun else None
            replaced()
            return iter(items) if items is not None else really(*arguments)

        monkeypatch.setattr(manifests, "read_rows", read_rows)
        # rows of windows are no entries: all are dead letters, which say what was read
        command = ["windows", tmp_path / "rows", "--tolerate", "100%", "--output", tmp_path / "out"]
        assert run(*command) == 1
        said = capsys.readouterr().err
        assert "rows/windows-00000-of-00001.jsonl changed while it was read, so nothing was committed: run" in said
        assert not (tmp_path / "out" / "_MANIFEST.json").exists()

        assert run(*command, "--overwrite") == 0
        assert run(*command[:-1], tmp_path / "fresh") == 0
        assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")
        assert [letter["payload"] for letter in failures_in(tmp_path / "out")] == rows_in(tmp_path / "rows")

    def test_an_update_is_given_again(
        self, replaced: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inputs = [tmp_path / "rows", tmp_path / "more.jsonl"]
        command = ["windows", *inputs, "--tolerate", "100%", "--output", tmp_path / "out", "--update"]
        write_lines(tmp_path / "more.jsonl", [])
        assert run(*command) == 0
        before = files_of(tmp_path / "out")
        write_speech(tmp_path / "more.jsonl", 4)
        really: Callable[..., Any] = manifests.read_rows

        def read_rows(*arguments: Any) -> Any:
            replaced()
            return really(*arguments)

        monkeypatch.setattr(manifests, "read_rows", read_rows)
        assert run(*command) == 1
        assert {name: data for name, data in files_of(tmp_path / "out").items() if name in before} == before
        assert run(*command) == 0
        assert run("verify", tmp_path / "out") == 0
        assert [letter["payload"] for letter in failures_in(tmp_path / "out")] == rows_in(tmp_path / "rows")
        assert len(rows_in(tmp_path / "out")) == 1


def test_a_manifest_that_changes_while_it_is_read_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "a.jsonl", [json.dumps(speech(4)).encode()])
    really: Callable[..., Any] = manifests.read_rows

    def read_rows(*arguments: Any) -> Any:
        items = list(really(*arguments))
        with source.open("ab") as stream:
            stream.write(b"{\n")
        return iter(items)

    with monkeypatch.context() as patch:
        patch.setattr(manifests, "read_rows", read_rows)
        assert run("windows", source, "--output", tmp_path / "out") == 1
    assert "a.jsonl changed while it was read" in capsys.readouterr().err
    assert run("windows", source, "--output", tmp_path / "out", "--overwrite") == 3
    assert [letter["code"] for letter in failures_in(tmp_path / "out")] == ["bad_json"]
