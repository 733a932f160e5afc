"""Claims of an uncompressed file's header beside its real contents: libsndfile does not report a difference."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from beam_curator.audio.files import SourceFile
from beam_curator.audio.formats import HEAD_BYTES

# a bound on the walk: chunks of length 0 would otherwise keep it going for the whole file
MAX_CHUNKS = 10_000
# SoX claims just below 2 GiB when it writes to a pipe, rounded down to whole frames
_STREAMED = range(0x7FFFE000, 0x80000000)


SizeField = tuple[int, int, Literal["little", "big"]]
"""Offset, width in bytes and byte order of a length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClaim:
    """The chunk that holds the samples.

    Attributes:
      start: where its content begins, in bytes.
      declared: the number in the header, less what it counts besides samples.
      claimed: the length in bytes that the header claims; None if the header marks it as unknown.
      there: the bytes that the file really holds for it.
      size_field: offset, width in bytes and byte order of the length field; None where it is text.
      extra: bytes that the length field counts besides the samples.
    """

    start: int
    declared: int
    claimed: int | None
    there: int
    size_field: SizeField | None
    extra: int = 0

    @property
    def cut(self) -> bool:
        """Say whether the file ends before the claim is met."""
        return self.claimed is not None and self.there < self.claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLayout:
    """How chunks follow each other: start, widths of id and length, byte order, padding, bytes that a length counts."""

    first: int
    id_bytes: int
    size_bytes: int
    order: Literal["little", "big"]
    pad: int
    data_id: bytes
    counts_header: bool = False
    before_samples: int = 0


_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_LAYOUTS = {
    "wav": ChunkLayout(first=12, id_bytes=4, size_bytes=4, order="little", pad=2, data_id=b"data"),
    "rf64": ChunkLayout(first=12, id_bytes=4, size_bytes=4, order="little", pad=2, data_id=b"data"),
    "w64": ChunkLayout(
        # Wave64 lengths count the header of 24 bytes, and chunks begin at multiples of 8
        first=40,
        id_bytes=16,
        size_bytes=8,
        order="little",
        pad=8,
        data_id=_W64_DATA,
        counts_header=True,
    ),
    # SSND begins with offset and block size, four bytes each, before the samples
    "aiff": ChunkLayout(first=12, id_bytes=4, size_bytes=4, order="big", pad=2, data_id=b"SSND", before_samples=8),
    # a caf data chunk begins with an edit count of four bytes; its chunks are not padded
    "caf": ChunkLayout(first=8, id_bytes=4, size_bytes=8, order="big", pad=1, data_id=b"data", before_samples=4),
}
_RIFX = ChunkLayout(first=12, id_bytes=4, size_bytes=4, order="big", pad=2, data_id=b"data")


def layout_of(source: SourceFile, container: str) -> ChunkLayout | None:
    """Return how chunks follow each other in a file; None where it has none."""
    return _RIFX if source.read_at(0, 4) == b"RIFX" else _LAYOUTS.get(container)


def data_claim(source: SourceFile, container: str) -> DataClaim | None:
    """Find the chunk of samples of a wav, rf64, w64, aiff, caf, au or nist file; None where there is none.

    A length of 0, of all ones, or just below 2 GiB (what SoX writes into a pipe) says "streamed, not known": no claim.
    Sources: Microsoft RIFF 1994; EBU Tech 3306 (ds64); Sony Wave64; AIFF-C draft 1991; Apple CAF; Sun audio(4); NIST
    SPHERE.
    """
    if container == "nist":
        return _sphere_claim(source)
    if container == "au":
        offset, length = (int.from_bytes(source.read_at(at, 4), "big") for at in (4, 8))
        return _claim(source, offset, length, (8, 4, "big"))
    layout = layout_of(source, container)
    return None if layout is None else _walk(source, layout)


def _sphere_claim(source: SourceFile) -> DataClaim | None:
    """Read the text header of a SPHERE file, whose second line is the length of the header itself."""
    found = dict(re.findall(rb"^(\w+) -\w+ (\S+)", source.read_at(0, HEAD_BYTES), re.MULTILINE))
    words = [found.get(key, b"1") for key in (b"channel_count", b"sample_n_bytes")]
    numbers = [source.read_at(8, 8).strip(), found.get(b"sample_count", b""), *words]
    if not all(number.isdigit() for number in numbers):
        return None
    start, n_samples, n_channels, sample_bytes = map(int, numbers)
    return _claim(source, start, n_samples * n_channels * sample_bytes, None)


def _walk(source: SourceFile, layout: ChunkLayout) -> DataClaim | None:
    """Go from chunk to chunk up to the one that holds the samples."""
    header_bytes = layout.id_bytes + layout.size_bytes
    here = layout.first
    long_size: tuple[int, SizeField] | None = None
    for _ in range(MAX_CHUNKS):
        chunk = chunk_at(source, here, layout)
        if chunk is None:
            return None
        start = here + header_bytes
        if chunk.name.startswith(b"ds64"):
            # ds64 holds the length of the file first, then that of the samples
            long_size = int.from_bytes(source.read_at(start + 8, 8), "little"), (start + 8, 8, "little")
        if chunk.name == layout.data_id:
            if long_size is not None and chunk.size == 0xFFFFFFFF:
                return _claim(source, start, *long_size)
            field = (here + layout.id_bytes, layout.size_bytes, layout.order)
            # AIFF has an offset and a block size before the samples, CAF the number of its edit
            extra = layout.before_samples
            counted = extra + (header_bytes if layout.counts_header else 0)
            return _claim(source, start + extra, chunk.size, field, counted)
        here = chunk.end
    return None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: its id, the number in its length field, where the next one begins."""

    name: bytes
    size: int
    end: int


def chunk_at(source: SourceFile, here: int, layout: ChunkLayout) -> Chunk | None:
    """Read the header of a chunk; None behind the end of the file."""
    header_bytes = layout.id_bytes + layout.size_bytes
    header = source.read_at(here, header_bytes)
    if len(header) < header_bytes:
        return None
    size = int.from_bytes(header[layout.id_bytes :], layout.order)
    body = size - header_bytes if layout.counts_header and size >= header_bytes else size
    return Chunk(header[: layout.id_bytes], size, here + header_bytes + body + -body % layout.pad)


def _claim(source: SourceFile, start: int, size: int, field: SizeField | None, extra: int = 0) -> DataClaim:
    all_ones = field is not None and size == (1 << 8 * field[1]) - 1
    # the mark of an unknown length counts nothing besides
    length = size if all_ones else max(0, size - extra)
    unknown = length == 0 or all_ones or (field is not None and field[1] == 4 and length in _STREAMED)
    there = max(0, source.size - start)
    claim = DataClaim(start=start, declared=length, claimed=None, there=there, size_field=field, extra=extra)
    return claim if unknown else replace(claim, claimed=length, there=min(there, length))
