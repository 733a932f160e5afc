"""Claims of an uncompressed file's header beside its real contents: libsndfile does not report a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from beam_curator.audio.files import SourceFile

# a bound on the walk: chunks of length 0 would otherwise keep it going for the whole file
_MAX_CHUNKS = 10_000
_MAX_HEADER_BYTES = 1 << 20
# SoX claims just below 2 GiB when it writes to a pipe, rounded down to whole frames
_STREAMED = range(0x7FFFE000, 0x80000000)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClaim:
    """The chunk that holds the samples.

    Attributes:
      start: where its content begins, in bytes.
      claimed: the length in bytes that the header claims; None if the header marks it as unknown.
      there: the bytes that the file really holds for it.
      size_field: offset, width in bytes and byte order of the length field.
    """

    start: int
    claimed: int | None
    there: int
    size_field: tuple[int, int, Literal["little", "big"]]

    @property
    def cut(self) -> bool:
        """Say whether the file ends before the claim is met."""
        return self.claimed is not None and self.there < self.claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChunkLayout:
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
    "wav": _ChunkLayout(first=12, id_bytes=4, size_bytes=4, order="little", pad=2, data_id=b"data"),
    "rf64": _ChunkLayout(first=12, id_bytes=4, size_bytes=4, order="little", pad=2, data_id=b"data"),
    "w64": _ChunkLayout(
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
    "aiff": _ChunkLayout(first=12, id_bytes=4, size_bytes=4, order="big", pad=2, data_id=b"SSND", before_samples=8),
    # a caf data chunk begins with an edit count of four bytes; its chunks are not padded
    "caf": _ChunkLayout(first=8, id_bytes=4, size_bytes=8, order="big", pad=1, data_id=b"data", before_samples=4),
}
_RIFX = _ChunkLayout(first=12, id_bytes=4, size_bytes=4, order="big", pad=2, data_id=b"data")


def data_claim(source: SourceFile, container: str) -> DataClaim | None:
    """Find the chunk of samples of a wav, rf64, w64, aiff, caf or au file; None where there is none.

    A length of 0, of all ones, or just below 2 GiB (what SoX writes into a pipe) says "streamed, not known": no claim.
    Sources: Microsoft RIFF 1994; EBU Tech 3306 (ds64); Sony Wave64; AIFF-C draft 1991; Apple CAF; Sun audio(4).
    """
    if container == "au":
        offset, length = (int.from_bytes(source.read_at(at, 4), "big") for at in (4, 8))
        return _claim(source, offset, length, 4, (8, 4, "big"))
    layout = _RIFX if source.read_at(0, 4) == b"RIFX" else _LAYOUTS.get(container)
    return None if layout is None else _walk(source, layout)


def _walk(source: SourceFile, layout: _ChunkLayout) -> DataClaim | None:
    """Go from chunk to chunk up to the one that holds the samples."""
    header_bytes = layout.id_bytes + layout.size_bytes
    here, long_size = layout.first, None
    for _ in range(_MAX_CHUNKS):
        header = source.read_at(here, header_bytes)
        if len(header) < header_bytes:
            return None
        size = int.from_bytes(header[layout.id_bytes :], layout.order)
        body = size - header_bytes if layout.counts_header and size >= header_bytes else size
        start = here + header_bytes
        if header.startswith(b"ds64"):
            # ds64 holds the length of the file first, then that of the samples
            long_size = int.from_bytes(source.read_at(start + 8, 8), "little")
        if header[: layout.id_bytes] == layout.data_id:
            field = (here + layout.id_bytes, layout.size_bytes, layout.order)
            # AIFF has an offset and a block size before the samples, CAF the number of its edit
            extra = layout.before_samples
            if long_size is not None and size == 0xFFFFFFFF:
                return _claim(source, start, long_size, 8, field)
            unknown = size == 0 or size == (1 << 8 * layout.size_bytes) - 1
            # the mark of an unknown length must stay as it is, for _claim to see it
            length = size if unknown else body - extra
            return _claim(source, start + extra, length, layout.size_bytes, field)
        here = start + body + -body % layout.pad
    return None


def _claim(
    source: SourceFile, start: int, length: int, size_bytes: int, field: tuple[int, int, Literal["little", "big"]]
) -> DataClaim:
    unknown = length <= 0 or length == (1 << 8 * size_bytes) - 1 or (size_bytes == 4 and length in _STREAMED)
    there = max(0, source.size - start)
    if unknown:
        return DataClaim(start=start, claimed=None, there=there, size_field=field)
    return DataClaim(start=start, claimed=length, there=min(there, length), size_field=field)


def with_streamed_length(source: SourceFile, container: str, claim: DataClaim | None) -> SourceFile:
    """Return a wav whose header says 0 bytes of samples, though samples follow, as one that says "streamed".

    That is how a recorder that was switched off, or one that writes into a pipe, leaves a file; libsndfile takes the 0
    at its word. Where other chunks follow up to the end of the file, the 0 is meant and the file is returned as it is.
    """
    if container != "wav" or claim is None or not claim.there or claim.start > _MAX_HEADER_BYTES:
        return source
    at, n_bytes, order = claim.size_field
    if int.from_bytes(source.read_at(at, n_bytes), order) != 0 or _chunks_to_the_end(source, claim.start, order):
        return source
    header = source.read_at(0, claim.start)
    return source.behind(claim.start, header[:at] + b"\xff" * n_bytes + header[at + n_bytes :])


def _chunks_to_the_end(source: SourceFile, here: int, order: Literal["little", "big"]) -> bool:
    for _ in range(_MAX_CHUNKS):
        header = source.read_at(here, 8)
        if len(header) < 8 or not all(0x20 <= byte < 0x7F for byte in header[:4]):
            return False
        size = int.from_bytes(header[4:], order)
        here += 8 + size + size % 2
        # some writers leave out the padding byte of the last chunk
        if here - source.size in (0, 1):
            return True
    return False


def flac_without_frames(source: SourceFile) -> bool:
    """Say whether a FLAC file ends with its metadata, or within it (RFC 9639, section 8.1)."""
    # behind the four bytes fLaC
    here = 4
    for _ in range(_MAX_CHUNKS):
        header = source.read_at(here, 4)
        if len(header) < 4:
            return True
        here += 4 + int.from_bytes(header[1:], "big")
        # the highest bit marks the last metadata block
        if header[0] & 0x80:
            return here >= source.size
    return False
