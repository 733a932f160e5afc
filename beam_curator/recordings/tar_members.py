"""Recordings inside an uncompressed tar: how they are named, where they lie, and how they are read in place."""

from __future__ import annotations

import io
import re
import tarfile
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from beam_curator.failures import EntryError, FailureCode

MAX_HEADER_BYTES = 1 << 20
"""Longest extended header of a member that is read; a path needs a few hundred bytes."""

MAX_MEMBERS = 2_000_000
"""Most members an archive may hold: an index of so many takes about 0.5 GB."""

_SEPARATOR = re.compile(r"\.tar::(?=.)", re.IGNORECASE | re.DOTALL)
_NEMO_MANIFEST = re.compile(r"(?:.*/)?sharded_manifests/manifest_(?P<shard>\d+)\.jsonl?", re.DOTALL)
_NEMO_PIECE = re.compile(r"(?P<stem>.+)-sub\d+(?P<extension>\.\w+)?", re.DOTALL)

_PAX_TYPES = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_ANNOUNCING_TYPES = (*_PAX_TYPES, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_PAX_RECORD = re.compile(rb"(\d{1,19}) ([^=]+)=")
_PAX_KEYS = (b"path", b"size", b"GNU.sparse.name")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSpan:
    """Where the bytes of one member lie in its archive.

    Attributes:
      offset: position of the first byte of its data in the archive.
      size: length of its data in bytes.
    """

    offset: int
    size: int


def split_locator(path: str) -> tuple[str, str | None]:
    """Split `PATH.tar::MEMBER` into the archive and the member; any other path has no member.

    The first `::` behind a name that ends in `.tar` (in any case) counts, so a tar inside a tar cannot be named.
    The member is a key to look up in the archive's index, never a path on a disk.

    Example:
      >>> split_locator("gs://b/a.tar::x/y.wav"), split_locator("odd::name.wav"), split_locator("a.tar")
      (('gs://b/a.tar', 'x/y.wav'), ('odd::name.wav', None), ('a.tar', None))
    """
    found = _SEPARATOR.search(path)
    if found is None:
        return path, None
    return path[: found.end() - 2], path[found.end() :]


def member_locator(archive: str, member: str) -> str:
    """Name a member of an archive, the inverse of `split_locator`.

    Raises:
      ValueError: the name would not be split into these two again.

    Example:
      >>> member_locator("shard-000000.tar", "talk_segment_000.flac")
      'shard-000000.tar::talk_segment_000.flac'
    """
    locator = f"{archive}::{member}"
    if split_locator(locator) != (archive, member):
        raise ValueError(f"{locator!r} does not name a member: an archive's name ends in .tar and holds no '.tar::'")
    return locator


def nemo_member(manifest_source: str, row: Mapping[str, object]) -> str | None:
    """Name the recording of a row of a NeMo tarred dataset, None where the row or its manifest is not of that form.

    Of that form is a row of `FOLDER/sharded_manifests/manifest_3.json` (or `.jsonl`) with `"shard_id": 3` and a
    relative `audio_filepath`, which may lie in a folder of the tar; its audio is in `FOLDER/audio_3.tar`, which is
    named from the manifest's folder as any relative path of a row is. A name that ends in `-sub1`, `-sub2`, … before
    its extension stands for the same member without that ending, cut by the row's `offset` and `duration`.

    The form is that of NeMo's scripts/speech_recognition/convert_to_tarred_audio_dataset.py and of the readers
    beside it (`is_tarred_dataset`, `LazyNeMoTarredIterator`).

    Example:
      >>> nemo_member("d/sharded_manifests/manifest_3.json", {"audio_filepath": "a-sub2.wav", "shard_id": 3})
      '../audio_3.tar::a.wav'
      >>> nemo_member("d/manifest_3.json", {"audio_filepath": "a.wav", "shard_id": 3}) is None
      True
    """
    source = _NEMO_MANIFEST.fullmatch(manifest_source)
    name, shard = row.get("audio_filepath"), row.get("shard_id")
    if source is None or type(name) is not str or type(shard) is not int or str(shard) != source["shard"]:
        return None
    if not name or name.startswith("/") or "://" in name or split_locator(name)[1] is not None:
        return None
    piece = _NEMO_PIECE.fullmatch(name)
    member = name if piece is None else piece["stem"] + (piece["extension"] or "")
    return f"../audio_{shard}.tar::{member}"


def read_index(file: BinaryIO) -> dict[str, MemberSpan]:
    """Read where each plain file of an uncompressed tar lies, in one pass over its headers.

    Nothing is extracted: names, `../../x` among them, are keys and nothing else; a leading `./` is left out. Long
    names of PAX and GNU tar are followed. Directories, links, devices and sparse files have no entry. Of members
    of one name the last counts, as on extraction, also where it is no plain file. As for tar, the archive ends at
    its first block of zeros, or without one where the file ends behind a member.

    Blocks are decoded by the standard library's `TarInfo.frombuf`; the walk is ours, because tarfile ends in
    silence at a damaged header, holds whatever an extended header claims, and goes round for ever on a negative
    size (CVE-2025-8194) or for hours on digits (CVE-2024-6232) before the versions that mend them.

    Args:
      file: an open archive that can seek; it is read from its start and stays open.

    Returns:
      Spans by member name, in the order of the archive; about 300 bytes of memory a member.

    Raises:
      EntryError: `truncated_file` where the file ends inside a header or a member, `not_readable` where it is not
        an uncompressed tar, is damaged, or passes `MAX_MEMBERS` or `MAX_HEADER_BYTES`.
    """
    file.seek(0, io.SEEK_END)
    n_bytes = file.tell()
    if n_bytes == 0:
        raise _truncated("the archive holds 0 bytes, expected at least one block")
    index: dict[str, MemberSpan] = {}
    for name, span in _walk(file, n_bytes):
        # popped first, so that the last of equal names also takes the last place
        index.pop(name, None)
        if span is None:
            continue
        if len(index) == MAX_MEMBERS:
            raise EntryError(
                FailureCode.NOT_READABLE, f"the archive holds more than {MAX_MEMBERS} members", "split the archive"
            )
        index[name] = span
    return index


def find_member(index: Mapping[str, MemberSpan], member: str) -> MemberSpan:
    """Look up a member by its name, with or without a leading `./`, in whichever form of Unicode it is written.

    Raises:
      EntryError: `not_found` where the archive holds no plain file of this name.
    """
    name = _plain_name(member)
    forms = (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    span = next((index[form] for form in forms if form in index), None)
    if span is None:
        raise EntryError(
            FailureCode.NOT_FOUND,
            f"the archive holds no file {member[:200]!r} among its {len(index)}",
            "write the member as tar -tf lists it; links and sparse files cannot be read",
        )
    return span


def _walk(file: BinaryIO, n_bytes: int) -> Iterator[tuple[str, MemberSpan | None]]:
    """Yield the name of each member of an archive of so many bytes, with its span where it is a plain file."""
    position, extended = 0, dict[str, str]()
    announced = False
    while position < n_bytes:  # the padding of the last member may be missing
        block = _read(file, position, tarfile.BLOCKSIZE, n_bytes)
        if block.count(0) == len(block):
            break
        header = _decode(block, position)
        data = position + tarfile.BLOCKSIZE
        announced = header.type in _ANNOUNCING_TYPES
        if announced or header.type == tarfile.XGLTYPE:
            extended |= _extended_fields(file, header, data, n_bytes)
            position = data + _padded(header.size)
            continue
        is_sparse = header.type == tarfile.GNUTYPE_SPARSE or "GNU.sparse" in extended
        if header.type == tarfile.GNUTYPE_SPARSE:
            data = _behind_sparse_map(file, block, data, n_bytes)
        size = _data_size(header, extended, position)
        position = data + _padded(size)
        name = _plain_name(extended.get("GNU.sparse.name") or extended.get("path") or header.name)
        if data + size > n_bytes:
            raise _truncated(f"the archive ends at byte {n_bytes}, member {name[:200]!r} at byte {data + size}")
        yield name, MemberSpan(offset=data, size=size) if header.isreg() and not is_sparse else None
        extended = {}
    if announced:
        raise _truncated(f"the archive ends at byte {n_bytes}, behind a header that announces a member")


def _read(file: BinaryIO, position: int, size: int, n_bytes: int) -> bytes:
    """Read bytes that belong to a header, all of them."""
    file.seek(position)
    found = file.read(size)
    if len(found) < size:
        raise _truncated(f"the archive ends at byte {n_bytes}, inside the header at byte {position}")
    return found


def _decode(block: bytes, position: int) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as err:
        what = "a damaged header" if position else "no tar header"
        raise _damaged(f"the archive has {what} at byte {position}") from err
    if header.size < 0:
        raise _damaged(f"the header at byte {position} claims {header.size} bytes")
    return header


def _extended_fields(file: BinaryIO, header: tarfile.TarInfo, position: int, n_bytes: int) -> dict[str, str]:
    """Return the fields of an extended header on the name, the size and the holes of the member after it."""
    if header.size > MAX_HEADER_BYTES:
        raise _damaged(
            f"the header before byte {position} claims {header.size} bytes, expected {MAX_HEADER_BYTES} at most"
        )
    text = _read(file, position, header.size, n_bytes)
    if header.type in _PAX_TYPES:
        return _pax_records(text, position)
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": text.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    return {}  # where a link leads, or comments on all members


def _pax_records(text: bytes, position: int) -> dict[str, str]:
    """Return the relevant fields of an extended header: records `LENGTH KEY=VALUE\\n`, their own length included."""
    records, start = dict[str, str](), 0
    while start < len(text) and text[start]:  # for tar, too, a NUL ends the records
        found = _PAX_RECORD.match(text, start)
        end = start + int(found[1]) if found else 0
        if found is None or end <= found.end() or text[end - 1 : end] != b"\n":
            raise _damaged(f"the extended header at byte {position} holds a damaged record")
        key, value = found[2], text[found.end() : end - 1]
        if key in _PAX_KEYS:
            records[key.decode()] = value.decode("utf-8", "surrogateescape")
        if key.startswith(b"GNU.sparse."):
            records["GNU.sparse"] = ""
        start = end
    return records


def _behind_sparse_map(file: BinaryIO, block: bytes, position: int, n_bytes: int) -> int:
    """Return where the data of a sparse file of old GNU tar begin: each block of its map says whether one follows."""
    goes_on = block[482]
    while goes_on:
        goes_on = _read(file, position, tarfile.BLOCKSIZE, n_bytes)[504]
        position += tarfile.BLOCKSIZE
    return position


def _data_size(header: tarfile.TarInfo, extended: Mapping[str, str], position: int) -> int:
    """Return how many bytes follow a header: links, directories and devices only claim some."""
    if not header.isreg() and header.type in tarfile.SUPPORTED_TYPES:
        return 0
    size = extended.get("size", str(header.size))
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        raise _damaged(f"the extended header before byte {position} gives {size[:40]!r} as the size")
    return int(size)


def _padded(size: int) -> int:
    return size + -size % tarfile.BLOCKSIZE


def _plain_name(name: str) -> str:
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _truncated(message: str) -> EntryError:
    return EntryError(FailureCode.TRUNCATED_FILE, message, "copy the archive again, whole")


def _damaged(message: str) -> EntryError:
    return EntryError(
        FailureCode.NOT_READABLE, message, "name an uncompressed tar (gunzip a .tar.gz first), or copy it again"
    )


class MemberFile(io.RawIOBase):
    """One member of an archive as a file of its own, to read and to seek; the archive stays open when it is closed.

    It keeps its own position and seeks before each read, so views of several members may share one open archive,
    as long as they are read from one thread. Reads are not buffered: for many small ones wrap it in
    `io.BufferedReader`.

    Args:
      file: the open archive.
      offset: position of the member's first byte in the archive.
      size: length of the member in bytes.

    Example:
      >>> with MemberFile(io.BytesIO(b"..abcd.."), 2, 4) as member:
      ...     member.seek(-3, io.SEEK_END), member.read(2), member.read(), member.read()
      (1, b'bc', b'd', b'')
    """

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        super().__init__()
        if offset < 0 or size < 0:
            raise ValueError(f"offset {offset} and size {size} must not be negative: take them from read_index")
        self._file = file
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Say that the member can be read."""
        return True

    def seekable(self) -> bool:
        """Say that the member can be sought."""
        return True

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position inside the member; one behind its end is allowed, as in any file.

        Raises:
          ValueError: the position is negative, or `whence` is none of the three.
        """
        self._check_open()
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        if whence not in starts:
            raise ValueError(f"whence {whence} is not known: use 0, 1 or 2")
        if starts[whence] + position < 0:
            raise ValueError(f"position {starts[whence] + position} is negative: seek inside the member")
        self._position = starts[whence] + position
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # Buffer is of Python 3.12
        """Read up to as many bytes as the buffer takes; return how many came, 0 at the member's end.

        Raises:
          EntryError: `truncated_file` where the archive ends before the member does.
        """
        self._check_open()
        view = memoryview(buffer).cast("B")
        n_wanted = max(0, min(len(view), self._size - self._position))
        if n_wanted == 0:
            return 0
        self._file.seek(self._offset + self._position)
        found = self._file.read(n_wanted)
        if not found:
            raise _truncated(f"the archive ends inside a member, {self._size - self._position} bytes before its end")
        view[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the member is closed: open it again")
