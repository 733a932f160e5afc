from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest

from beam_curator.audio import encode_audio, open_audio
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import Cut
from beam_curator.files.atomic_files import ForeignRunError
from beam_curator.files.clip_files import ClipFiles, EncodedClip, encode_clip
from beam_curator.files.output_target import OutputTarget
from tests import fakes_filesystem
from tests.audio.corpus import in_16_bits, speech_like
from tests.manifests import names_in, state_of
from tests.transforms.clips.clip_sets import mark_run

SAMPLES = in_16_bits(speech_like(16000, 8000))


def clip_of(text: bytes) -> EncodedClip:
    """Encode a clip that depends on the length of a text."""
    with open_audio(encode_audio(SAMPLES, 8000, "wav")) as reader:
        return encode_clip(reader, Cut(first=len(text), stop=8000), CutRules(), "wav")


class TestEncodeClip:
    @pytest.mark.parametrize("output_format", ["wav", "flac", "ogg"])
    def test_a_long_clip_has_the_bytes_of_a_short_one(
        self, output_format: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rules = CutRules(sample_rate=16000)
        with open_audio(encode_audio(SAMPLES, 8000, "wav")) as reader:
            short = encode_clip(reader, Cut(first=100, stop=15000), rules, output_format)  # type: ignore[arg-type]  # of the list above
            monkeypatch.setattr("beam_curator.clips.cutting.LONG_CLIP", 1)
            long = encode_clip(reader, Cut(first=100, stop=15000), rules, output_format)  # type: ignore[arg-type]  # likewise
        assert isinstance(short.body, bytes)
        assert not isinstance(long.body, bytes)
        assert (short.n_bytes, short.sha256, short.n_samples) == (long.n_bytes, long.sha256, long.n_samples)
        assert b"".join(short.chunks()) == b"".join(long.chunks()) == b"".join(long.chunks())
        long.close()
        assert long.body.closed

    def test_chunks_of_a_file_come_from_its_start(self) -> None:
        clip = EncodedClip(body=io.BytesIO(b"x" * (3 << 20)), n_bytes=3 << 20, sha256="", n_samples=1)
        assert [len(chunk) for chunk in clip.chunks()] == [1 << 20] * 3
        assert sum(map(len, clip.chunks())) == 3 << 20


class TestLocal:
    def test_a_clip_is_there_whole_and_nothing_else(self, tmp_path: Path) -> None:
        files, clip = ClipFiles(OutputTarget(directory=str(tmp_path))), clip_of(b"")
        files.put("a.wav", clip)
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
        ClipFiles(OutputTarget(directory=str(tmp_path))).put("a.wav", clip)
        assert body.closed
        assert (tmp_path / "a.wav").read_bytes() == b"RIFF"

    @pytest.mark.parametrize("resume", [True, False])
    def test_a_whole_clip_stays_where_a_job_goes_on(self, tmp_path: Path, resume: bool) -> None:
        mark_run(tmp_path, "t")
        files = ClipFiles(OutputTarget(directory=str(tmp_path), token="t", resume=resume))
        files.put("a.wav", clip_of(b""))
        before = state_of(tmp_path)["a.wav"]
        files.put("a.wav", clip_of(b""))
        assert (state_of(tmp_path)["a.wav"] == before) is resume

    def test_one_that_is_not_whole_is_written_again(self, tmp_path: Path) -> None:
        files, clip = ClipFiles(OutputTarget(directory=str(tmp_path))), clip_of(b"")
        whole = b"".join(clip.chunks())
        for left in (whole[:-1], whole[:-1] + b"!", b""):
            (tmp_path / "a.wav").write_bytes(left)
            files.put("a.wav", clip)
            assert (tmp_path / "a.wav").read_bytes() == whole

    def test_another_run_ends_this_one(self, tmp_path: Path) -> None:
        mark_run(tmp_path, "mine")
        files = ClipFiles(OutputTarget(directory=str(tmp_path), token="mine"))
        files.put("a.wav", clip_of(b""))
        mark_run(tmp_path, "theirs")
        with pytest.raises(ForeignRunError):
            files.put("b.wav", clip_of(b""))
        assert names_in(tmp_path) == ["_RUN.json", "a.wav"]

    def test_an_error_leaves_no_temporary_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").mkdir()
        with pytest.raises(IsADirectoryError):
            ClipFiles(OutputTarget(directory=str(tmp_path))).put("a.wav", clip_of(b""))
        assert names_in(tmp_path) == ["a.wav"]

    def test_a_link_under_the_name_is_replaced_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("mine")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.wav").symlink_to("../mine.txt")
        ClipFiles(OutputTarget(directory=f"{tmp_path}/out")).put("a.wav", clip_of(b""))
        assert (tmp_path / "mine.txt").read_text() == "mine"
        assert not (tmp_path / "out" / "a.wav").is_symlink()


class TestRemote:
    def test_clips_are_objects_once_flushed(self) -> None:
        files = ClipFiles(OutputTarget(directory="gs://sinks/out"), n_uploads=3)
        clips = {f"{number:02d}.wav": clip_of(b"x" * number) for number in range(20)}
        for name, clip in clips.items():
            files.put(name, clip)
        files.flush()
        assert fakes_filesystem.names_under("gs://sinks/out") == sorted(clips)
        for name, clip in clips.items():
            assert fakes_filesystem.get(f"gs://sinks/out/{name}") == b"".join(clip.chunks())
        files.remove("03.wav")
        files.remove("never.wav")
        files.close()
        assert len(fakes_filesystem.names_under("gs://sinks/out")) == 19

    def test_a_whole_object_stays(self) -> None:
        files, clip = ClipFiles(OutputTarget(directory="gs://sinks/kept")), clip_of(b"")
        for text, stays in ((b"".join(clip.chunks()), True), (b"torn", False)):
            fakes_filesystem.put("gs://sinks/kept/a.wav", text)
            before = fakes_filesystem.OBJECTS["gs://sinks/kept/a.wav"]
            files.put("a.wav", clip)
            files.flush()
            assert (fakes_filesystem.OBJECTS["gs://sinks/kept/a.wav"] is before) is stays
        files.close()

    def test_an_upload_that_fails_is_told(self) -> None:
        body = io.BytesIO(b"closed")
        body.close()
        sink = ClipFiles(OutputTarget(directory="gs://sinks/failed"))
        sink.put("a.wav", EncodedClip(body=body, n_bytes=6, sha256="", n_samples=1))
        with pytest.raises(ValueError, match="closed file"):
            sink.flush()
        sink.close()
        assert fakes_filesystem.names_under("gs://sinks/failed") == []
