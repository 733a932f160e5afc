from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest

from beam_curator.files import set_files
from beam_curator.files.atomic_files import ForeignRunError
from beam_curator.files.clip_files import EncodedClip, in_memory
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.set_files import LinkedFolderError, SetFiles
from beam_curator.sets.output_set import WrittenFile
from beam_curator.sets.recording_events import MadeFile
from tests import fakes_filesystem as store
from tests.manifests import names_in, state_of
from tests.transforms.clips.clip_sets import mark_run

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


@pytest.mark.parametrize("scheme", store.SCHEMES)
def test_files_go_into_a_store(scheme: str) -> None:
    out = store.start(f"{scheme}://bucket") + "/out"
    files = SetFiles(OutputTarget(directory=out), 2)
    for number in range(9):
        files.put(made(f"a/{number}"))
    files.flush()
    files.remove("a/0")
    files.close()
    assert store.names_under(out) == [f"a/{number}" for number in range(1, 9)]
    store.clear()


@pytest.mark.parametrize("directory", ["", "gs://bucket/out", "s3://bucket/out"])
def test_files_that_were_put_are_taken_back(tmp_path: Path, directory: str) -> None:
    where = directory or str(tmp_path)
    store.start(directory.removesuffix("/out"))
    files = SetFiles(OutputTarget(directory=where), 2)
    for name in ("a/x", "a/y", "z"):
        files.put(made(name))
    files.take_back(["a/x", "z"])
    files.close()
    left = store.names_under(where) if directory else [str(p.relative_to(where)) for p in tmp_path.rglob("?/?")]
    assert left == ["a/y"]
    store.clear()


class TestLocal:
    def test_a_clip_is_there_whole_and_nothing_else(self, tmp_path: Path) -> None:
        files, clip = SetFiles(OutputTarget(directory=str(tmp_path)), 2), in_memory(b"hello")
        files.put(MadeFile(name="a.wav", body=clip))
        files.flush()
        assert names_in(tmp_path) == ["a.wav"]
        assert (tmp_path / "a.wav").read_bytes() == b"".join(clip.chunks())
        files.remove("a.wav")
        files.remove("never.wav")
        files.close()
        assert names_in(tmp_path) == []

    def test_a_clip_from_a_temporary_file_gives_it_back(self, tmp_path: Path) -> None:
        body = tempfile.TemporaryFile()  # noqa: SIM115  the writer closes it
        body.write(b"RIFF")
        clip = EncodedClip(body=body, n_bytes=4, sha256="", n_samples=1)  # type: ignore[arg-type]  # an open file
        SetFiles(OutputTarget(directory=str(tmp_path)), 2).put(MadeFile(name="a.wav", body=clip))
        assert body.closed
        assert (tmp_path / "a.wav").read_bytes() == b"RIFF"

    @pytest.mark.parametrize("resume", [True, False])
    def test_a_whole_clip_stays_where_a_job_goes_on(self, tmp_path: Path, resume: bool) -> None:
        mark_run(tmp_path, "t")
        files = SetFiles(OutputTarget(directory=str(tmp_path), token="t", resume=resume), 2)
        files.put(made("a.wav"))
        before = state_of(tmp_path)["a.wav"]
        files.put(made("a.wav"))
        assert (state_of(tmp_path)["a.wav"] == before) is resume

    def test_one_that_is_not_whole_is_written_again(self, tmp_path: Path) -> None:
        files, clip = SetFiles(OutputTarget(directory=str(tmp_path)), 2), in_memory(b"hello")
        whole = b"".join(clip.chunks())
        for left in (whole[:-1], whole[:-1] + b"!", b""):
            (tmp_path / "a.wav").write_bytes(left)
            files.put(MadeFile(name="a.wav", body=clip))
            assert (tmp_path / "a.wav").read_bytes() == whole

    def test_another_run_ends_this_one(self, tmp_path: Path) -> None:
        mark_run(tmp_path, "mine")
        files = SetFiles(OutputTarget(directory=str(tmp_path), token="mine"), 2)
        files.put(made("a.wav"))
        mark_run(tmp_path, "theirs")
        with pytest.raises(ForeignRunError):
            files.put(made("b.wav"))
        assert names_in(tmp_path) == ["_RUN.json", "a.wav"]

    def test_an_error_leaves_no_temporary_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").mkdir()
        with pytest.raises(IsADirectoryError):
            SetFiles(OutputTarget(directory=str(tmp_path)), 2).put(made("a.wav"))
        assert names_in(tmp_path) == ["a.wav"]

    def test_a_link_under_the_name_is_replaced_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("mine")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.wav").symlink_to("../mine.txt")
        SetFiles(OutputTarget(directory=f"{tmp_path}/out"), 2).put(made("a.wav"))
        assert (tmp_path / "mine.txt").read_text() == "mine"
        assert not (tmp_path / "out" / "a.wav").is_symlink()


class TestRemote:
    @pytest.fixture(params=store.SCHEMES)
    def at(self, request: pytest.FixtureRequest) -> str:
        store.clear()
        return store.start(f"{request.param}://sinks")

    def test_clips_are_objects_once_flushed(self, at: str) -> None:
        files = SetFiles(OutputTarget(directory=f"{at}/out"), 3)
        clips = {f"{number:02d}.wav": in_memory(b"x" * number) for number in range(1, 21)}
        for name, clip in clips.items():
            files.put(MadeFile(name=name, body=clip))
        files.flush()
        assert store.names_under(f"{at}/out") == sorted(clips)
        for name, clip in clips.items():
            assert store.get(f"{at}/out/{name}") == b"".join(clip.chunks())
        files.remove("03.wav")
        files.remove("never.wav")
        files.close()
        assert len(store.names_under(f"{at}/out")) == 19

    def test_a_whole_object_stays(self, at: str) -> None:
        files, clip = SetFiles(OutputTarget(directory=f"{at}/kept"), 2), in_memory(b"hello")
        for text, stays in ((b"".join(clip.chunks()), True), (b"torn", False)):
            store.put(f"{at}/kept/a.wav", text)
            store.requests_of(at).clear()
            files.put(MadeFile(name="a.wav", body=clip))
            files.flush()
            writes = [request for request in store.requests_of(at) if request.startswith(("PUT", "POST"))]
            assert (not writes) is stays
            assert store.get(f"{at}/kept/a.wav") == b"".join(clip.chunks())
        files.close()

    def test_an_upload_that_fails_is_told(self, at: str) -> None:
        body = io.BytesIO(b"closed")
        body.close()
        sink = SetFiles(OutputTarget(directory=f"{at}/failed"), 2)
        sink.put(MadeFile(name="a.wav", body=EncodedClip(body=body, n_bytes=6, sha256="", n_samples=1)))
        with pytest.raises(ValueError, match="closed file"):
            sink.flush()
        sink.close()
        assert store.names_under(f"{at}/failed") == []
