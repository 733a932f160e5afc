import gzip
import hashlib
import os
import random
import zlib
from pathlib import Path

import pytest
import zstandard

from beam_curator.transforms import storage
from beam_curator.transforms.storage import AtomicFile, ForeignRunError, UnknownSchemeError

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


def test_files_of_a_directory_are_listed_without_directories_and_links(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / ".a").touch()
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("b")
    assert storage.list_directory(str(tmp_path)) == [".a", "b"]
    assert storage.list_directory(str(tmp_path / "none")) == []


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


class TestAtomicFile:
    def test_appears_whole_at_the_end(self, tmp_path: Path) -> None:
        with AtomicFile(str(tmp_path), "a.jsonl") as file:
            file.write_pieces([b"ab", memoryview(b"cde")[1:]])
            assert not (tmp_path / "a.jsonl").exists()
        assert (tmp_path / "a.jsonl").read_bytes() == b"abde"
        assert (file.n_bytes, file.sha256) == (4, hashlib.sha256(b"abde").hexdigest())
        assert os.listdir(tmp_path) == ["a.jsonl"]

    def test_hashes_and_writes_large_files_in_order(self, tmp_path: Path) -> None:
        pieces = [bytes([number]) * 1_000_003 for number in range(40)]
        with AtomicFile(str(tmp_path), "a") as file:
            for piece in pieces:
                file.write_pieces([piece])
        whole = b"".join(pieces)
        assert (tmp_path / "a").read_bytes() == whole
        assert (file.n_bytes, file.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())

    def test_leaves_nothing_after_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(KeyError), AtomicFile(str(tmp_path), "a") as file:
            file.write_pieces([b"x" * (20 << 20)])
            raise KeyError
        assert os.listdir(tmp_path) == []

    def test_keeps_the_old_file_where_the_check_refuses(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")

        def refuse() -> None:
            raise ForeignRunError("taken over")

        with pytest.raises(ForeignRunError), AtomicFile(str(tmp_path), "a", refuse) as file:
            file.write_pieces([b"new"])
        assert os.listdir(tmp_path) == ["a"]
        assert (tmp_path / "a").read_bytes() == b"old"

    def test_replaces_an_old_file(self, tmp_path: Path) -> None:
        storage.write_bytes(str(tmp_path), "a", b"old")
        storage.write_bytes(str(tmp_path), "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"new"
        assert os.listdir(tmp_path) == ["a"]

    def test_needs_its_directory(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError), AtomicFile(str(tmp_path / "none"), "a"):
            pass


def test_files_that_are_gone_already_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    storage.delete(str(tmp_path), ["a", "b"])
    assert os.listdir(tmp_path) == []
