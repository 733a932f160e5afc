from __future__ import annotations

import json
import os
import tarfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from beam_curator.audio import encode_audio
from beam_curator.failures import EntryError
from beam_curator.files.object_stores import BLOCK_BYTES
from beam_curator.files.opened_recordings import base_of, open_recording, recording_of
from beam_curator.recordings.channel_files import joined_name
from beam_curator.recordings.recording_options import DecodedLimits
from beam_curator.sets.output_set import InputRecord, Manifest, render_manifest
from tests import fakes_filesystem
from tests.manifests import run, speech
from tests.transforms.clips.clip_sets import samples_in, write_recording, write_rows


def wav_of(n_samples: int) -> bytes:
    return encode_audio(np.zeros((n_samples, 1), np.float32), 8000, "wav")


def code_of(name: object, *allowed_root: str) -> str:
    """Return the code of the error that opening a recording raises."""
    with pytest.raises(EntryError) as caught, open_recording(str(name), allowed_root):
        pass
    assert caught.value.cure
    return caught.value.code.value


class TestOpenRecording:
    def test_files_and_members_are_read_in_place(self, tmp_path: Path) -> None:
        samples = write_recording(tmp_path / "a.wav")
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            tar.add(tmp_path / "a.wav", "in/b.wav")
        for name in ("a.wav", "a.tar::in/b.wav"):
            with open_recording(f"{tmp_path}/{name}") as reader:
                assert (reader.read(10, 20) == samples[10:20]).all()

    def test_objects_of_a_store_too(self, tmp_path: Path) -> None:
        samples = write_recording(tmp_path / "a.wav")
        fakes_filesystem.put("gs://store/x/a.wav", (tmp_path / "a.wav").read_bytes())
        with open_recording("gs://store/x/a.wav", ["gs://store"]) as reader:
            assert (reader.read() == samples).all()
        assert code_of("gs://store/x/a.wav", "gs://sto") == "path_outside_root"
        assert code_of("gs://store/x/a.wav", str(tmp_path)) == "path_outside_root"
        assert code_of("gs://store/x/../../other/a.wav", "gs://store") == "path_outside_root"

    def test_a_tar_that_has_changed_is_read_again(self, tmp_path: Path) -> None:
        for name, seconds in (("one.wav", 1.0), ("two.wav", 2.0)):
            write_recording(tmp_path / name, seconds)
            with tarfile.open(tmp_path / "a.tar", "w") as tar:
                tar.add(tmp_path / name, "x.wav")
            with open_recording(f"{tmp_path}/a.tar::x.wav") as reader:
                assert reader.info.n_samples == seconds * 8000

    def test_what_is_no_file_is_not_readable(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo.wav")
        (tmp_path / "loop.wav").symlink_to("loop.wav")
        for name in ("fifo.wav", "loop.wav", "x" * 300):
            assert code_of(tmp_path / name) == "not_readable"
        assert code_of(tmp_path) == code_of("/dev/zero") == "not_readable"

    def test_what_is_not_there_is_not_found(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "a.wav")
        for name in ("b.wav", "a.wav/b.wav", "a\0.wav", "b.tar::a.wav", "~/a.wav"):
            assert code_of(tmp_path / name) == "not_found"
        assert code_of(tmp_path / "a\0.wav", str(tmp_path)) == "not_found"
        assert code_of("a\0.wav", str(tmp_path)) == "path_outside_root"

    @pytest.mark.parametrize("name", ["file:///a.wav", "http://169.254.169.254/a.wav", "ftp://h/a", "x://y.tar::z"])
    def test_other_schemes_are_not_allowed(self, name: str) -> None:
        assert code_of(name) == code_of(name, "/") == "scheme_not_allowed"

    def test_links_are_followed_before_the_root_is_compared(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        write_recording(root / "a.wav")
        write_recording(tmp_path / "rooted" / "a.wav")
        (root / "out.wav").symlink_to(tmp_path / "rooted" / "a.wav")
        (tmp_path / "link").symlink_to(root)
        for name in ("out.wav", "../rooted/a.wav"):
            assert code_of(root / name, str(root)) == "path_outside_root"
        for allowed in (str(root), f"{root}/", str(tmp_path / "link"), "/"):
            with open_recording(str(root / "a.wav"), [allowed]) as reader:
                assert reader.info.n_samples == 24000
        with open_recording(str(tmp_path / "link" / "a.wav"), ["/nowhere", str(root)]):
            pass

    @pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
    def test_the_form_of_unicode_is_that_of_the_disk(self, tmp_path: Path, on_disk: str) -> None:
        names = {form: unicodedata.normalize(form, "é/Kapitän.wav") for form in ("NFC", "NFD")}
        samples = write_recording(tmp_path / names[on_disk])
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            tar.add(tmp_path / names[on_disk], names[on_disk])
        for name in names.values():
            for place in (f"{tmp_path}/{name}", f"{tmp_path}/a.tar::{name}"):
                with open_recording(place, [str(tmp_path)]) as reader:
                    assert (reader.read() == samples).all()

    def test_another_form_leads_out_of_no_root(self, tmp_path: Path) -> None:
        root, outside = tmp_path / "root", tmp_path / "outside"
        write_recording(outside / "a.wav")
        root.mkdir()
        (root / unicodedata.normalize("NFD", "é")).symlink_to(outside)
        assert code_of(root / unicodedata.normalize("NFC", "é") / "a.wav", str(root)) == "path_outside_root"

    def test_a_file_with_the_name_of_a_member_is_a_file(self, tmp_path: Path) -> None:
        samples = write_recording(tmp_path / "a.tar::b.wav")
        write_recording(tmp_path / "b.wav", 1.0)
        with open_recording(f"{tmp_path}/a.tar::b.wav", [str(tmp_path)]) as reader:
            assert (reader.read() == samples).all()

    @pytest.mark.parametrize(
        ("name", "cure"),
        [
            ("~/a.wav", "~ stands for no folder in a row, as workers have other homes: write the whole path"),
            ("/data/~/a.wav", "~ stands for no folder in a row, as workers have other homes: write the whole path"),
            ("file:///data/a.wav", "write the path alone: /data/a.wav"),
            ("/none/a.wav", "relative names begin at the folder of their manifest, or at --audio-root; check the path"),
        ],
    )
    def test_the_cure_fits(self, name: str, cure: str) -> None:
        with pytest.raises(EntryError) as caught, open_recording(name):
            pass
        assert caught.value.cure == cure


class TestChannelFiles:
    @pytest.fixture
    def call(self, tmp_path: Path) -> tuple[str, list[Path]]:
        paths = [tmp_path / "in" / f"ch{n}.wav" for n in (0, 1)]
        for seed, path in enumerate(paths):
            write_recording(path, seed=seed)
        return joined_name(list(map(str, paths))), paths

    def test_are_read_side_by_side_from_disk_tars_and_stores(
        self, call: tuple[str, list[Path]], tmp_path: Path
    ) -> None:
        name, paths = call
        expected = np.concatenate([samples_in(path) for path in paths], axis=1)
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            tar.add(paths[0], "x.wav")
        fakes_filesystem.put("gs://store/ch1.wav", paths[1].read_bytes())
        for other in (name, joined_name([f"{tmp_path}/a.tar::x.wav", "gs://store/ch1.wav"])):
            with open_recording(other) as reader:
                assert (reader.read(10, 20_000) == expected[10:20_000]).all()

    def test_rules_hold_for_each(self, call: tuple[str, list[Path]], tmp_path: Path) -> None:
        name, (first, second) = call
        (outside := tmp_path / "out.wav").write_bytes(second.read_bytes())
        with open_recording(name, [f"{tmp_path}/in"]):
            pass
        assert code_of(joined_name([str(first), str(outside)]), f"{tmp_path}/in") == "path_outside_root"
        assert code_of(joined_name([str(first), "http://h/b.wav"])) == "scheme_not_allowed"
        (second).write_bytes(b"<html>")
        with pytest.raises(EntryError, match=rf"^not_audio: {second}: a file of 6 bytes"), open_recording(name):
            pass
        second.unlink()
        with pytest.raises(EntryError, match=f"^not_found: there is no file {second}: "), open_recording(name):
            pass

    def test_limits_are_those_of_the_whole(self, call: tuple[str, list[Path]]) -> None:
        name, _ = call  # 24000 samples of 2 channels, 4 bytes each
        with open_recording(name, limits=DecodedLimits(max_bytes=192_000)):
            pass
        with (
            pytest.raises(EntryError, match="the recording decodes to 192000 bytes"),
            open_recording(name, limits=DecodedLimits(max_bytes=191_999)),
        ):
            pass

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_change_of_any_is_told(self, call: tuple[str, list[Path]], number: int) -> None:
        name, paths = call
        with open_recording(name) as reader:
            version = reader.version
        with pytest.raises(EntryError) as caught, open_recording(name, version=version) as reader:
            reader.read(0, 10)
            os.utime(paths[number], ns=(1, 1))
        assert caught.value.code == "changed_while_read"
        assert str(paths[number]) in caught.value.message
        with pytest.raises(EntryError, match=f"changed_while_read: {paths[number]}"), open_recording(name, (), version):
            pass

    def test_names_begin_at_the_folder_of_their_manifest(self) -> None:
        name = joined_name(["x/a.wav", "/b.wav", "gs://c/c.wav"])
        assert recording_of(name, "/data/m.jsonl") == joined_name(["/data/x/a.wav", "/b.wav", "gs://c/c.wav"])
        assert recording_of(name, "/m.jsonl", "gs://r") == joined_name(["gs://r/x/a.wav", "/b.wav", "gs://c/c.wav"])
        with pytest.raises(EntryError, match=r"^scheme_not_allowed: "):
            recording_of(joined_name(["a.wav", "ftp://h/b.wav"]), "/data/m.jsonl")


class TestStores:
    @pytest.fixture(params=fakes_filesystem.SCHEMES)
    def path(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
        write_recording(tmp_path / "a.wav")
        path = f"{request.param}://refused/talk [dQw4].wav"
        fakes_filesystem.put(path, (tmp_path / "a.wav").read_bytes())
        with open_recording(path) as reader:
            assert reader.info.n_samples == 24000
        yield path
        fakes_filesystem.clear()

    @pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (403, "not_readable")])
    def test_a_refusal_is_an_error_of_the_row(self, path: str, status: int, code: str) -> None:
        fakes_filesystem.fail(path, status)
        assert code_of(path) == code

    def test_what_passes_is_none(self, path: str) -> None:
        fakes_filesystem.fail(path, 503, 0, 429)
        with open_recording(path) as reader:
            assert reader.info.n_samples == 24000

    def test_an_error_in_the_middle_is_one_too(self, path: str) -> None:
        long = path.replace("talk", "long")
        fakes_filesystem.put(long, wav_of(BLOCK_BYTES))
        with open_recording(long) as reader:
            fakes_filesystem.fail(long, 403)
            with pytest.raises(EntryError, match=r"not_readable: .* cannot be had: the store answers 403"):
                reader.read(reader.info.n_samples - 9)


class TestPaths:
    def test_begin_at_the_folder_of_their_manifest(self) -> None:
        assert recording_of("x/a.wav", "/data/m.jsonl") == "/data/x/a.wav"
        assert recording_of("../a.wav", "gs://b/lists/m.jsonl") == "gs://b/a.wav"
        assert recording_of("/a.wav", "gs://b/m.jsonl") == "/a.wav"
        assert recording_of("gs://c/a.wav", "/data/m.jsonl") == "gs://c/a.wav"

    @pytest.mark.parametrize("name", ["file:///a.wav", "http://h/a.wav", "x://y.tar::z"])
    def test_of_other_schemes_are_refused_before_they_take_a_name(self, name: str) -> None:
        with pytest.raises(EntryError, match=r"^scheme_not_allowed: "):
            recording_of(name, "/data/m.jsonl")

    def test_of_a_set_begin_where_its_inputs_lie(self, tmp_path: Path) -> None:
        manifest = write_rows(tmp_path / "in" / "m.jsonl", [speech(4)])
        run("windows", manifest, "--output", tmp_path / "one")
        run("windows", tmp_path / "one", "--output", tmp_path / "two")
        assert base_of(str(tmp_path / "two" / "windows-00000-of-00001.jsonl")) == str(manifest)
        assert recording_of("a.wav", str(tmp_path / "two" / "x.jsonl")) == str(tmp_path / "in" / "a.wav")

    def test_of_a_set_of_several_folders_begin_at_the_set(self, tmp_path: Path) -> None:
        for folder in ("in", "in/deeper"):
            write_rows(tmp_path / folder / "m.jsonl", [speech(4)])
        run("windows", tmp_path / "in", "--output", tmp_path / "out")
        source = str(tmp_path / "out" / "windows-00000-of-00002.jsonl")
        assert base_of(source) == source

    @pytest.mark.parametrize("text", ["{", "[]", json.dumps({"format": 99})])
    def test_a_damaged_manifest_is_no_lineage(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "_MANIFEST.json").write_text(text)
        assert base_of(f"{tmp_path}/m.jsonl") == f"{tmp_path}/m.jsonl"

    def test_what_lies_beside_the_manifests_has_no_part_in_it(self, tmp_path: Path) -> None:
        inputs = (
            InputRecord(name="/in/m.jsonl", n_bytes=1, sha256="00"),
            InputRecord(name="/models/m.nemo", n_bytes=1, sha256="00", beside=True),
        )
        text = render_manifest(command="diarize", config={}, inputs=inputs, counts={}, files=())
        assert Manifest.from_json(text).inputs == inputs
        (tmp_path / "_MANIFEST.json").write_bytes(text)
        assert base_of(f"{tmp_path}/turns-00000-of-00001.jsonl") == "/in/m.jsonl"

    def test_a_set_that_names_itself_comes_to_an_end(self, tmp_path: Path) -> None:
        run("windows", write_rows(tmp_path / "in" / "m.jsonl", [speech(4)]), "--output", tmp_path / "out")
        text = (tmp_path / "out" / "_MANIFEST.json").read_text().replace(f"{tmp_path}/in/", f"{tmp_path}/out/")
        (tmp_path / "out" / "_MANIFEST.json").write_text(text)
        assert base_of(f"{tmp_path}/out/x.jsonl") == f"{tmp_path}/out/m.jsonl"
