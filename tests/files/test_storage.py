import gzip
import hashlib
import os
import random
import time
import tracemalloc
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from beam_curator.files import storage
from beam_curator.files.storage import UnknownSchemeError
from tests import fakes_filesystem as store
from tests.manifests import zstd_bomb

TEXT = b"".join(b'{"line": %d}\n' % number for number in range(40))


def read_all(path: Path, size: int = 64) -> bytes:
    text = b""
    with storage.open_text(str(path)) as stream:
        while chunk := stream.read(size):
            assert len(chunk) <= size
            text += chunk
    return text


def read_until_damage(path: Path) -> tuple[bytes, bool]:
    """Return what could be read, and whether reading it raised."""
    text = b""
    with storage.open_text(str(path)) as stream:
        try:
            while chunk := stream.read(64):
                text += chunk
        except storage.DAMAGED:
            return text, True
    return text, False


def packed(extension: str, *texts: bytes) -> bytes:
    compress = gzip.compress if extension == ".gz" else zstandard.ZstdCompressor().compress
    return b"".join(compress(text) for text in texts)


@pytest.mark.parametrize(
    ("path", "remote"), [("a/b.jsonl", False), ("/a:b//c", False), ("gs://b/c", True), ("s3://b/c", True)]
)
def test_object_stores_are_known_by_their_scheme(path: str, remote: bool) -> None:
    assert storage.is_remote(path) is remote


@pytest.mark.parametrize("path", ["http://host/a.jsonl", "hdfs://a", "file://a", "://a"])
def test_other_schemes_are_refused_with_those_that_are_allowed(path: str) -> None:
    with pytest.raises(UnknownSchemeError, match="is not allowed: use a local path, gs:// or s3://"):
        storage.is_remote(path)


def test_a_plain_path_has_no_scheme_and_no_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    given = ("file:///a b.wav", "~/a.wav", "file://~/a", "gs://b/~/a", "a/~", "a.wav")
    assert [storage.plain_path(path) for path in given] == [
        "/a b.wav",
        "/home/me/a.wav",
        "/home/me/a",
        "gs://b/~/a",
        "a/~",
        "a.wav",
    ]
    (tmp_path / "~").mkdir()
    assert storage.plain_path("~") == "~"


def test_a_path_is_spelled_as_on_the_disk(tmp_path: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "é/ü") for form in ("NFC", "NFD"))
    mixed = f"{nfc.split('/')[0]}/{nfd.split('/')[1]}"
    assert storage.as_on_disk(f"{tmp_path}/{nfc}") == f"{tmp_path}/{nfc}"  # nothing is there
    (tmp_path / mixed).mkdir(parents=True)
    for path in (nfc, nfd, mixed):
        assert storage.as_on_disk(f"{tmp_path}/{path}") == f"{tmp_path}/{mixed}"
    assert storage.as_on_disk(f"{tmp_path}/{nfd}/none é") == f"{tmp_path}/{nfd}/none é"


def test_files_of_a_directory_are_listed_without_directories_and_links(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / ".a").touch()
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("b")
    assert storage.list_directory(str(tmp_path)) == [".a", "b"]
    assert storage.list_directory(str(tmp_path / "none")) == []


def test_names_come_as_they_are_found_and_are_those_of_the_list(tmp_path: Path) -> None:
    for name in ("b", ".a", "c.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "below").touch()
    (tmp_path / "link").symlink_to("b")
    assert sorted(storage.names_in(str(tmp_path))) == storage.list_directory(str(tmp_path)) == [".a", "b", "c.jsonl"]
    assert list(storage.names_in(str(tmp_path / "none"))) == []


def test_folders_of_a_directory_are_listed_without_files_and_links(tmp_path: Path) -> None:
    for name in ("b/deep", ".a"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("b", target_is_directory=True)
    assert storage.folders_in(str(tmp_path)) == [".a", "b"]
    assert storage.folders_in(str(tmp_path / "b" / "deep")) == []
    assert storage.folders_in(str(tmp_path / "none")) == []


def test_a_folder_is_deleted_with_all_that_is_in_it_and_not_what_links_lead_to(tmp_path: Path) -> None:
    for name in ("clips/a/b.wav", "clips/c.wav", "clips2/d.wav", "elsewhere/e.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "clips" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    storage.delete_folder(str(tmp_path / "clips"))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "clips2",
        "clips2/d.wav",
        "elsewhere",
        "elsewhere/e.wav",
    ]


class TestObjectStore:
    @pytest.fixture(autouse=True, params=store.SCHEMES)
    def at(self, request: pytest.FixtureRequest) -> Iterator[str]:
        at = f"{request.param}://bucket"
        for name in ("b", ".a", "clips/a/b.wav", "clips/c.wav", "clips2/d.wav", ".x/y"):
            store.put(f"{at}/set/{name}", b"1")
        store.put(f"{at}/set2/other/f", b"1")
        yield at
        store.clear()

    @pytest.mark.parametrize("directory", ["set", "set/"])
    def test_has_names_and_folders_as_a_disk_has(self, at: str, directory: str) -> None:
        assert sorted(storage.names_in(f"{at}/{directory}")) == [".a", "b"]
        assert storage.list_directory(f"{at}/{directory}") == [".a", "b"]
        assert storage.folders_in(f"{at}/{directory}") == [".x", "clips", "clips2"]

    def test_has_none_where_nothing_is(self, at: str) -> None:
        assert list(storage.names_in(f"{at}/none")) == []
        assert storage.folders_in(f"{at}/none") == []

    @pytest.mark.parametrize("folder", ["set/clips", "set/clips/"])
    def test_loses_a_folder_with_all_below_it_and_no_more(self, at: str, folder: str) -> None:
        storage.delete_folder(f"{at}/{folder}")
        assert store.names_under(f"{at}/set") == [".a", ".x/y", "b", "clips2/d.wav"]
        assert store.names_under(f"{at}/set2") == ["other/f"]


def test_a_missing_file_has_no_size_and_no_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert (storage.size_of(str(file)), storage.read_bytes(str(file))) == (5, b"12345")
    for missing in (tmp_path / "b", file / "below a file"):
        assert (storage.size_of(str(missing)), storage.read_bytes(str(missing))) == (None, None)


def test_the_hash_of_a_file_comes_with_its_size_and_newlines(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"ab\nc\nd")
    assert storage.hash_file(str(file)) == (6, hashlib.sha256(b"ab\nc\nd").hexdigest(), 2)


def test_identity_changes_with_time_and_with_size(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    seen = [storage.identity_of(str(file))]
    os.utime(file, ns=(0, 5))
    seen.append(storage.identity_of(str(file)))
    file.write_bytes(b"12")
    os.utime(file, ns=(0, 5))
    seen.append(storage.identity_of(str(file)))
    assert len(set(seen)) == 3
    os.utime(file, ns=(7, 5))
    assert storage.identity_of(str(file)) == seen[-1]


def test_plain_text_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(TEXT)
    assert read_all(tmp_path / "a.jsonl") == TEXT


@pytest.mark.parametrize("extension", [".gz", ".zst"])
class TestCompressedText:
    def test_is_read_to_its_end(self, tmp_path: Path, extension: str) -> None:
        file = tmp_path / f"a.JSONL{extension.upper()}"
        file.write_bytes(packed(extension, TEXT))
        assert read_all(file) == TEXT
        assert read_all(file, 1 << 20) == TEXT

    def test_in_several_members_is_read_to_the_last(self, tmp_path: Path, extension: str) -> None:
        file = tmp_path / f"a{extension}"
        file.write_bytes(packed(extension, TEXT, b"", b"more\n"))
        assert read_all(file) == TEXT + b"more\n"

    def test_of_no_bytes_is_empty(self, tmp_path: Path, extension: str) -> None:
        file = tmp_path / f"a{extension}"
        file.write_bytes(b"")
        assert read_all(file) == b""

    def test_cut_anywhere_gives_what_precedes_and_raises(self, tmp_path: Path, extension: str) -> None:
        whole = packed(extension, TEXT)
        file = tmp_path / f"a{extension}"
        for n_bytes in range(1, len(whole)):
            file.write_bytes(whole[:n_bytes])
            text, raised = read_until_damage(file)
            assert raised, n_bytes
            assert TEXT.startswith(text)

    def test_cut_at_three_quarters_gives_most_of_them(self, tmp_path: Path, extension: str) -> None:
        text = random.Random(1).randbytes(800_000)
        whole = packed(extension, text)
        file = tmp_path / f"a{extension}"
        file.write_bytes(whole[: len(whole) * 3 // 4])
        read, raised = read_until_damage(file)
        assert raised
        assert text.startswith(read)
        assert len(read) > 400_000

    def test_that_was_overwritten_is_damaged(self, tmp_path: Path, extension: str) -> None:
        file = tmp_path / f"a{extension}"
        file.write_bytes(packed(extension, TEXT) + b"not compressed")
        assert read_until_damage(file) == (TEXT, True)


@pytest.mark.parametrize("extension", [".gz", ".zst"])
def test_a_small_file_that_holds_very_much_is_read_in_flat_memory(tmp_path: Path, extension: str) -> None:
    file = write_zeros(tmp_path / f"a{extension}", 256)
    assert file.stat().st_size < 300_000
    tracemalloc.start()
    n_bytes = count_bytes(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_bytes == 256 << 20
    assert peak < 48 << 20


@pytest.mark.parametrize("extension", [".gz", ".zst"])
def test_time_to_read_grows_with_the_text_alone(tmp_path: Path, extension: str) -> None:
    seconds = []
    for megabytes in (64, 512):
        file = write_zeros(tmp_path / f"{megabytes}{extension}", megabytes)
        started = time.process_time()
        count_bytes(file)
        seconds.append(time.process_time() - started)
    # 8 times as much; quadratic time would be 64 times
    assert seconds[1] < 24 * seconds[0]


def write_zeros(path: Path, megabytes: int) -> Path:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)  # gzip, without making the whole text
    gzipped = [packer.compress(b"0" * (1 << 20)) for _ in range(megabytes)] if path.suffix == ".gz" else []
    path.write_bytes(b"".join([*gzipped, packer.flush()]) if gzipped else zstd_bomb(8 * megabytes))
    return path


def count_bytes(path: Path) -> int:
    n_bytes = 0
    with storage.open_text(str(path)) as stream:
        while chunk := stream.read(1 << 20):
            n_bytes += len(chunk)
    return n_bytes


def test_zero_bytes_after_gzip_members_are_padding(tmp_path: Path) -> None:
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(TEXT) + b"\0" * 512)
    assert read_all(file) == TEXT


def test_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "a.gz"
    whole = bytearray(gzip.compress(TEXT))
    whole[-5] ^= 1
    file.write_bytes(whole)
    with pytest.raises(zlib.error):
        read_all(file)


def test_files_that_are_gone_already_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    storage.delete(str(tmp_path), ["a", "b"])
    assert os.listdir(tmp_path) == []
