"""What searches find, what they leave out and say, and what they ask of the disk."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from beam_curator.audio.formats import DEMUXERS, SOUND_FILES
from beam_curator.audio_formats import AUDIO_EXTENSIONS
from beam_curator.files.listing import list_inputs, list_recordings, said_left_out
from beam_curator.files.searching import NoInputError, is_glob
from tests import fakes_filesystem as store
from tests.files.test_listing import touch


def found(*inputs: object) -> tuple[list[str], dict[str, int]]:
    """Return the names of the recordings that are found, without their folder, and what is left out."""
    left_out: Counter[str] = Counter()
    files, _, _ = list_recordings([str(given) for given in inputs], left_out=left_out)
    return [os.path.basename(file.name) for file in files], dict(left_out)


def test_names_that_begin_with_an_underscore_are_found_and_our_own_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "_dQw4w9WgXc.wav", "_more/_b.wav", "_MANIFEST.txt", "_RUN.json", "sub/_RUN.json")
    assert found(tmp_path) == (["_dQw4w9WgXc.wav", "_b.wav"], {".txt": 1})


def test_every_container_that_is_decoded_is_found_by_an_ending() -> None:
    assert {f".{container}" for container in SOUND_FILES | set(DEMUXERS)} - {".nist"} <= {
        *AUDIO_EXTENSIONS,
    }
    for ending in (".sph", ".nist", ".mp2", ".mpga", ".m4b", ".aifc", ".3g2", ".opus", ".adts", ".awb"):
        assert ending in AUDIO_EXTENSIONS


def test_what_is_left_out_is_counted_by_its_ending(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.TXT", "c/d.txt", "README", ".DS_Store", ".git/x.wav", "m.jsonl", "e.mp3.part")
    left_out = {".txt": 2, "without an ending": 1, "hidden": 2, ".jsonl": 1, ".part": 1}
    assert found(tmp_path) == (["a.wav"], left_out)
    assert found(tmp_path / "a.wav") == (["a.wav"], {})
    assert said_left_out(left_out) == "left out: 2 .txt, 2 hidden, 1 .jsonl, 1 .part, 1 without an ending"


def test_many_kinds_are_summed_up() -> None:
    assert said_left_out({f".{letter}": 9 for letter in "abcdefghij"} | {".z": 2000}).endswith(
        ".f, 9 .g, 27 of other endings"
    )


def test_a_stray_entry_is_a_failure_or_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "sub/b.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "self.wav").symlink_to("self.wav")
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "here").symlink_to(".")
    with open(os.fsencode(tmp_path) + b"/\xff.wav", "wb"):
        pass
    os.mkdir(os.fsencode(tmp_path) + b"/\xfe")
    assert found(tmp_path) == (
        ["a.wav", "gone.wav", "self.wav", "b.wav"],  # reading the links fails, each alone
        {"no regular file": 1, "link that leads back": 2, "not UTF-8 in the name": 2},
    )


def test_of_a_glob_too(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    with open(os.fsencode(tmp_path) + b"/\xff.wav", "wb"):
        pass
    assert found(tmp_path / "*.wav") == (["a.wav", "b.wav"], {"no regular file": 1, "not UTF-8 in the name": 1})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "closed/b.wav")
    (tmp_path / "closed").chmod(0)
    try:
        assert found(tmp_path) == (["a.wav"], {"folder that cannot be read": 1})
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_folder_without_recordings_says_what_it_holds(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt", ".b.wav")
    with pytest.raises(NoInputError, match=r"holds no recording, .* \(left out: 1 \.txt, 1 hidden\)"):
        found(tmp_path)


def test_a_folder_by_two_names_is_listed_twice(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.wav")
    (tmp_path / "b").symlink_to("a")
    files, repeated, _ = list_recordings([str(tmp_path)])
    assert [file.name for file in files] == [f"{tmp_path}/a/x.wav"]
    assert repeated == [f"{os.path.realpath(tmp_path)}/a/x.wav"]


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_the_form_of_unicode_is_that_of_the_disk(tmp_path: Path, on_disk: str) -> None:
    names = {form: unicodedata.normalize(form, "Gespräch é/Kapitän.jsonl") for form in ("NFC", "NFD")}
    assert names["NFC"] != names["NFD"]
    touch(tmp_path, names[on_disk])
    for given in names.values():
        assert [file.name for file in list_inputs([f"{tmp_path}/{given}"])[0]] == [f"{tmp_path}/{names[on_disk]}"]


def test_the_disk_is_asked_once_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"{folder}/{number}.wav" for folder in "abc" for number in range(100)))
    asked: Counter[str] = Counter()
    stat, realpath = os.stat, os.path.realpath

    def counted_stat(*arguments: object, **more: object) -> os.stat_result:
        asked["stat"] += 1
        return stat(*arguments, **more)  # type: ignore[arg-type]

    def counted_realpath(path: str) -> str:
        asked["realpath"] += 1
        return realpath(path)

    monkeypatch.setattr(os, "stat", counted_stat)
    monkeypatch.setattr(os.path, "realpath", counted_realpath)
    assert len(found(tmp_path)[0]) == 300
    assert 300 <= asked["stat"] < 330
    assert asked["realpath"] < 5


class TestStores:
    @pytest.fixture(params=store.SCHEMES)
    def at(self, request: pytest.FixtureRequest) -> str:
        store.clear()
        return store.start(f"{request.param}://talks")

    def test_brackets_are_part_of_a_name(self, at: str) -> None:
        for name in ("run [12]/talk [dQw4].wav", "run [12]/talk d.wav", "run 1/talk d.wav", "run 1/x.wav"):
            store.put(f"{at}/{name}", b"12")
        assert found(f"{at}/run [12]") == (["talk [dQw4].wav", "talk d.wav"], {})
        assert found(f"{at}/run [12]/talk [dQw4].wav") == (["talk [dQw4].wav"], {})
        assert found(f"{at}/run [1]/*.wav") == (["talk d.wav", "x.wav"], {})
        assert found(f"{at}/run ?/x.wav") == (["x.wav"], {})
        assert [is_glob(f"{at}/run {end}") for end in ("[12]", "[12]/", "[1]", "1")] == [False, False, True, False]
        with pytest.raises(NoInputError, match="names no bucket: write"):
            found(f"{at}*/a.wav")

    def test_what_is_left_out_is_counted(self, at: str) -> None:
        for name in ("a.wav", "_b.wav", "x/c.txt", ".d/e.wav", "_RUN.json", "m.jsonl"):
            store.put(f"{at}/in/{name}", b"")
        assert found(f"{at}/in") == (["_b.wav", "a.wav"], {".txt": 1, "hidden": 1, ".jsonl": 1})

    def test_sizes_come_with_the_list(self, at: str) -> None:
        for number in range(5):
            store.put(f"{at}/in/{number}.wav", b"1" * number)
        found(f"{at}/in")
        store.requests_of(at).clear()
        files, _, _ = list_recordings([f"{at}/in"])
        assert [file.size for file in files] == [0, 1, 2, 3, 4]
        assert len(store.requests_of(at)) == 3  # is it an object? a set in layers? what lies below it?
