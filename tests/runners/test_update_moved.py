"""`--update --moved`: recordings whose directory has another name keep their rows, under the new name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from beam_curator.files import opened_recordings
from beam_curator.runners.options import UsageError
from tests.fakes_models import write_band_model
from tests.manifests import run
from tests.runners.test_update import Corpus, command_of, files_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_band_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    corpus = Corpus(tmp_path / "old")
    for number, name in enumerate(("a", "b", "sub/c")):
        corpus.change(name, number + 1)
    return corpus


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the recordings that are opened from now on."""
    names: list[str] = []
    really_open = opened_recordings._opened

    def noted(path: str) -> Any:
        names.append(os.path.basename(path))
        return really_open(path)

    monkeypatch.setattr(opened_recordings, "_opened", noted)
    return names


def job_of(kind: str, corpus: Corpus, model: Path) -> list[Any]:
    """Return a job on a corpus; its manifests name recordings by relative names, or by whole ones."""
    if kind == "diarize":
        files = ["--rttm-out-dir", "rttm", "--uem"]
        return ["diarize", corpus.folder / "in", "--model-path", model, *files, "--bandwidth"]
    if kind == "curate":
        alone = ["--vad", "energy", "--no-speaker-separation", "--max-clip-duration", "5"]
        return ["curate", corpus.folder / "in", *alone]
    if kind == "measure":
        return ["measure", corpus.folder / "in", "--vad", "energy"]
    if kind == "diarize a manifest":
        manifest = corpus.write_entries()
        manifest.write_bytes(manifest.read_bytes().replace(b'"in/', f'"{corpus.folder}/in/'.encode()))
        return ["diarize", manifest, "--model-path", model]
    if kind == "extract by whole names":
        manifest = corpus.write_pieces()
        manifest.write_bytes(manifest.read_bytes().replace(b'"in/', f'"{corpus.folder}/in/'.encode()))
        return ["extract", manifest]
    return command_of(kind, corpus, model)


@pytest.mark.parametrize(
    "kind",
    ["diarize", "diarize a manifest", "extract", "extract by whole names", "separate", "curate", "measure"],
)
def test_the_set_is_that_of_a_run_from_nothing_in_the_new_place(
    kind: str, corpus: Corpus, model: Path, opened: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    assert run(*job_of(kind, corpus, model), "--output", out) == 0
    corpus.folder.rename(tmp_path / "new")
    corpus.folder = tmp_path / "new"
    corpus.change("b", 7)
    corpus.change("d", 1)
    moved = f"{tmp_path / 'old'}/={tmp_path / 'new'}"
    update = [*job_of(kind, corpus, model), "--output", out, "--update", "--moved", moved]
    capsys.readouterr()
    assert run(*update, "--plan") == 0
    told = "2 kept, 1 new, 1 changed, 0 gone"
    assert capsys.readouterr().out.startswith(f"{told}; to open: 2 recordings")
    opened.clear()
    assert run(*update) == 0
    assert capsys.readouterr().out.splitlines()[0] == told
    assert set(opened) == {"b.wav", "d.wav"}
    assert run(*job_of(kind, corpus, model), "--output", fresh) == 0
    assert files_of(out) == files_of(fresh)
    assert run("verify", out) == 0
    # what it keeps has the new names: the next update needs none
    corpus.change("b", None)
    assert run(*job_of(kind, corpus, model), "--output", out, "--update") == 0
    assert "3 kept, 0 new, 0 changed, 1 gone" in capsys.readouterr().out


def test_another_recording_under_the_old_name_is_done_again(
    corpus: Corpus, model: Path, opened: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(*command_of("extract", corpus, model), "--output", out) == 0
    shutil.copytree(corpus.folder, tmp_path / "new")
    corpus.folder = tmp_path / "new"
    shutil.copyfile(corpus.folder / "in" / "a.wav", corpus.folder / "in" / "b.wav")
    opened.clear()
    moved = f"{tmp_path / 'old'}={tmp_path / 'new'}"
    assert run(*command_of("extract", corpus, model), "--output", out, "--update", "--moved", moved) == 0
    assert opened == ["b.wav"], "copies are known by their bytes"


def test_clips_whose_names_have_marks_are_cut_again(
    corpus: Corpus, model: Path, opened: list[str], tmp_path: Path
) -> None:
    corpus.change("sub/a", 2)  # the mark is a hash of the path
    assert run(*command_of("extract", corpus, model), "--output", tmp_path / "out") == 0
    corpus.folder.rename(tmp_path / "new")
    corpus.folder = tmp_path / "new"
    command = command_of("extract", corpus, model)
    opened.clear()
    moved = f"{tmp_path / 'old'}={tmp_path / 'new'}"
    assert run(*command, "--output", tmp_path / "out", "--update", "--moved", moved) == 0
    assert opened == ["a.wav", "a.wav"]
    assert run(*command, "--output", tmp_path / "fresh") == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")


def test_another_audio_root_is_the_place_that_recordings_went_to(
    corpus: Corpus, opened: list[str], tmp_path: Path
) -> None:
    job = ["extract", shutil.copy(corpus.write_pieces(), tmp_path / "pieces.jsonl"), "--audio-root"]
    out, new = tmp_path / "out", tmp_path / "new"
    assert run(*job, corpus.folder, "--output", out) == 0
    corpus.folder.rename(new)
    said = r"\(clips\.audio_root was '.*old', is '.*new'\): an update keeps the options \(of recordings that were moved"
    with pytest.raises(UsageError, match=said):
        run(*job, new, "--output", out, "--update")
    opened.clear()
    assert run(*job, new, "--output", out, "--update", "--moved", f"{corpus.folder}={new}") == 0
    assert opened == []
    assert run(*job, new, "--output", tmp_path / "fresh") == 0
    assert files_of(out) == files_of(tmp_path / "fresh")
    assert run(*job, new, "--output", out, "--update") == 0


class TestRefused:
    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("export", "documents and clips of an export are named by hashes of the recordings' paths: use --update"),
            ("webdataset", "clips are in tars by hashes of the recordings' paths: use --update without it"),
            ("diarize", "embeddings of turns are named by hashes of the recordings' paths: use --update without it"),
        ],
    )
    def test_names_that_are_hashes_of_paths(self, kind: str, message: str, corpus: Corpus, model: Path) -> None:
        with pytest.raises(UsageError, match=f"--moved: {message}"):
            run(*command_of(kind, corpus, model), "--output", corpus.folder / "out", "--update", "--moved", "/a=/b")

    def test_blocks_of_rows(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="blocks of rows are known by their lines, wherever these lie"):
            run("windows", tmp_path, "--output", tmp_path / "out", "--update", "--moved", "/a=/b")

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--moved", "/a=/b"], "moved says where the inputs of a set went that is updated: add --update"),
            (["--moved", "/a", "--update"], "moved '/a' names no two directories: write OLD=NEW"),
        ],
    )
    def test_what_says_nothing(self, flags: list[str], message: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=message):
            run("extract", tmp_path, "--output", tmp_path / "out", *flags)
