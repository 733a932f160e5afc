from __future__ import annotations

from pathlib import Path

import pytest

from beam_curator.files import set_files
from beam_curator.files.clip_files import in_memory
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.set_files import LinkedFolderError, SetFiles
from beam_curator.sets.output_set import WrittenFile
from beam_curator.sets.recording_events import MadeFile
from tests import fakes_filesystem as store

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def made(name: str, content: bytes = b"hello") -> MadeFile:
    return MadeFile(name=name, body=in_memory(content))


def test_folders_are_made_when_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_files, "_KNOWN_FOLDERS", 2)
    files = SetFiles(OutputTarget(directory=str(tmp_path / "out")), 2)
    for name in ("a/b/x", "a/b/y", "c/x", "d/x", "a/b/z"):
        files.put(made(name))
        assert made(name).written == WrittenFile(name, 5, HELLO)
    files.flush()
    files.close()
    assert sorted(path.name for path in (tmp_path / "out" / "a" / "b").iterdir()) == ["x", "y", "z"]


def test_a_file_that_is_there_already_stays(tmp_path: Path) -> None:
    target = OutputTarget(directory=str(tmp_path))
    for content, stays in ((b"hello", True), (b"other", False)):
        SetFiles(target, 2).put(made("a/x"))
        before = (tmp_path / "a" / "x").stat().st_ino
        SetFiles(target, 2).put(made("a/x", content))
        assert ((tmp_path / "a" / "x").stat().st_ino == before) is stays
        assert (tmp_path / "a" / "x").read_bytes() == content


@pytest.mark.parametrize("link", ["previews", "previews/60c3"])
def test_a_folder_that_is_a_link_is_not_followed(tmp_path: Path, link: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / link).parent.mkdir(parents=True)
    (tmp_path / "out" / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LinkedFolderError, match="is a link to another place"):
        SetFiles(OutputTarget(directory=str(tmp_path / "out")), 2).put(made("previews/60c3/x"))
    assert [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()] == []


def test_an_output_directory_that_is_a_link_is_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    SetFiles(OutputTarget(directory=str(tmp_path / "out")), 2).put(made("a/x"))
    assert (tmp_path / "real" / "a" / "x").read_bytes() == b"hello"


def test_files_go_into_a_store(tmp_path: Path) -> None:
    files = SetFiles(OutputTarget(directory="gs://bucket/out"), 2)
    for number in range(9):
        files.put(made(f"a/{number}"))
    files.flush()
    files.remove("a/0")
    files.close()
    assert store.names_under("gs://bucket/out") == [f"a/{number}" for number in range(1, 9)]
    store.OBJECTS.clear()


@pytest.mark.parametrize("directory", ["", "gs://bucket/out"])
def test_files_that_were_put_are_taken_back(tmp_path: Path, directory: str) -> None:
    where = directory or str(tmp_path)
    files = SetFiles(OutputTarget(directory=where), 2)
    for name in ("a/x", "a/y", "z"):
        files.put(made(name))
    files.take_back(["a/x", "z"])
    files.close()
    left = store.names_under(where) if directory else [str(p.relative_to(where)) for p in tmp_path.rglob("?/?")]
    assert left == ["a/y"]
    store.OBJECTS.clear()
