import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest

from beam_curator.files import atomic_files
from beam_curator.files.atomic_files import AtomicFile, ForeignRunError


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

    def test_of_pieces_that_repeat_the_same_bytes_is_written_in_flat_memory(self, tmp_path: Path) -> None:
        text = memoryview(b"x" * (256 << 10))
        tracemalloc.start()
        with AtomicFile(str(tmp_path), "a") as file:
            file.write_pieces([text] * 512)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (tmp_path / "a").stat().st_size == file.n_bytes == 128 << 20
        assert peak < 64 << 20  # two buffers of 64 pieces, 16 MiB each, while a buffer is copied to grow

    def test_leaves_nothing_after_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(KeyError), AtomicFile(str(tmp_path), "a") as file:
            file.write_pieces([b"x" * (20 << 20)])
            raise KeyError
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("n_bytes", [1, 20 << 20])
    def test_tells_which_file_a_full_disk_has_no_room_for(self, tmp_path: Path, n_bytes: int) -> None:
        said = r"No space left on device: '.*/a\.flac'"
        with pytest.raises(OSError, match=said), AtomicFile(str(tmp_path), "a.flac", sync=False) as file:
            file._stream.close()
            file._stream = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
            file.write_pieces([bytes(n_bytes)])
        assert os.listdir(tmp_path) == []

    def test_keeps_the_old_file_where_the_check_refuses(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        taken_over = False

        def check() -> None:
            if taken_over:
                raise ForeignRunError("taken over")

        with pytest.raises(ForeignRunError), AtomicFile(str(tmp_path), "a", check) as file:
            file.write_pieces([b"new"])
            taken_over = True
        assert os.listdir(tmp_path) == ["a"]
        assert (tmp_path / "a").read_bytes() == b"old"
        with pytest.raises(ForeignRunError), AtomicFile(str(tmp_path), "b", check):
            pytest.fail("a temporary file was begun where another run writes")

    def test_replaces_an_old_file(self, tmp_path: Path) -> None:
        atomic_files.write_bytes(str(tmp_path), "a", b"old")
        atomic_files.write_bytes(str(tmp_path), "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"new"
        assert os.listdir(tmp_path) == ["a"]

    def test_needs_its_directory(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError), AtomicFile(str(tmp_path / "none"), "a"):
            pass
