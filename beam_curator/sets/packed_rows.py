"""Rows of manifests that cross a shuffle, compressed."""

import threading
from dataclasses import dataclass
from typing import Any

import zstandard

from beam_curator.entries.json_lines import parse_object


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRow:
    """One row that names a recording.

    Attributes:
      recording: full name of the recording.
      source: the manifest, or the recording itself.
      position: ordinal and part of its block, and its byte offset.
      n_blocks: number of blocks of the job.
      packed: the row, compressed.
    """

    recording: str
    source: str
    position: tuple[int, int, int]
    n_blocks: int
    packed: bytes

    @property
    def offset(self) -> int:
        """Byte offset of the row in its source."""
        return self.position[2]

    def text(self) -> bytes:
        """Return the row as JSON."""
        return decompressed(self.packed)

    def fields(self) -> dict[str, Any]:
        """Return the row."""
        return parse_object(self.text())


def compressed(raw: bytes) -> bytes:
    """Compress bytes that cross a shuffle, with zstd at level 1."""
    return _of_thread.packer.compress(raw)


def decompressed(packed: bytes) -> bytes:
    """Return the bytes that were given to `compressed`."""
    return _of_thread.unpacker.decompress(packed)


class _OfThread(threading.local):
    """The compressor and decompressor of one thread: making them takes longer than a row does."""

    def __init__(self) -> None:
        self.packer = zstandard.ZstdCompressor(level=1)
        self.unpacker = zstandard.ZstdDecompressor()


_of_thread = _OfThread()
