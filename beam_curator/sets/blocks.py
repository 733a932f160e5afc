"""Blocks: consecutive rows of one manifest, the unit of work, of retry and of output files.

A block is a byte range of about four megabytes; a line belongs to the block in which it begins. Compressed files and
pretty-printed documents cannot be entered in the middle and are one block each, as is a file of turns, whose lines come
in any order; what they hold is passed on in parts of a block's usual size, so that memory stays flat.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal

from beam_curator.entries.json_lines import BYTE_ORDER_MARK, is_object
from beam_curator.failures import Failure, FailureCode

BLOCK_BYTES = 4 << 20
CHUNK_BYTES = 1 << 20
MAX_LINE_BYTES = 32 << 20
"""The default of how long a line may be."""
PAYLOAD_BYTES = 64 << 10
"""How much of a line that is too long is kept for the dead letter."""
MAX_LINES_A_PART = 1 << 18
"""Lines as short as this makes them take far more room as records than as bytes."""
MAX_DOCUMENT_BYTES = 256 << 20

Form = Literal["lines", "document", "supervisions", "annotated_lines", "annotated_file"]
ANNOTATED: tuple[Form, ...] = ("annotated_lines", "annotated_file")
"""Files of turns: with a turn a line, such as RTTM, or read as a whole, such as TextGrids."""
ONE_BLOCK: tuple[Form, ...] = ("supervisions", *ANNOTATED)

Position = tuple[int, int, int]
"""Where a row stands among all: ordinal and part of its block, and its byte offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One file to read.

    Attributes:
      name: as the user gave or listed it.
      size: in bytes.
      occurrence: 0, or how many times the file was listed before.
      form: lines, or one JSON document.
      changed: fingerprint of its size and time of change; empty where it was not listed.
      place: absolute, links followed; empty where it was not listed.
      folder: of a recording, below the directory that was searched; empty where it lies there itself.
    """

    name: str
    size: int
    occurrence: int = 0
    form: Form = "lines"
    changed: str = ""
    place: str = ""
    folder: str = ""

    @property
    def compressed(self) -> bool:
        """Whether the name says gzip or Zstandard."""
        return self.name.lower().endswith((".gz", ".zst"))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRef:
    """Where a block lies: small, so that it may cross a shuffle.

    Attributes:
      source: the file.
      occurrence: 0, or how many times the file was listed before.
      ordinal: position among all blocks of the job, from 0.
      n_blocks: number of blocks of the job.
      start: first byte of the range.
      stop: byte after the range; lines that begin before it belong to the block.
      form: lines, one JSON document (an object or an array of objects), supervisions of Lhotse, or a file of turns.
    """

    source: str
    occurrence: int
    ordinal: int
    n_blocks: int
    start: int
    stop: int
    form: Form = "lines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A raw row and the byte offset at which it begins (in the decompressed text)."""

    offset: int
    raw: bytes


Rows = Iterator[Line | Failure]
"""Rows as they are read, and failures in the places of those that cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineBlock:
    """Raw rows of one block, or of one part of it."""

    ref: BlockRef
    part: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureBlock:
    """The dead letters of one stage for one block, or one part of it."""

    ref: BlockRef
    part: int
    stage: str
    failures: tuple[Failure, ...]


def plan_blocks(files: Sequence[InputFile], block_bytes: int = BLOCK_BYTES) -> list[BlockRef]:
    """Cut files into blocks and number them. An empty file has none.

    Example:
      >>> [(b.ordinal, b.n_blocks, b.start, b.stop) for b in plan_blocks([InputFile(name="a.jsonl", size=10)], 4)]
      [(0, 3, 0, 4), (1, 3, 4, 8), (2, 3, 8, 10)]
    """
    ranges = [
        (file, start, min(start + step, file.size))
        for file in files
        for step in [max(file.size, 1) if file.compressed or file.form != "lines" else block_bytes]
        for start in range(0, file.size, step)
    ]
    return [
        BlockRef(
            source=file.name,
            occurrence=file.occurrence,
            ordinal=ordinal,
            n_blocks=len(ranges),
            start=start,
            stop=stop,
            form=file.form,
        )
        for ordinal, (file, start, stop) in enumerate(ranges)
    ]


def sniff_form(name: str, head: bytes) -> Form:
    """Tell from its beginning whether a `.json` file holds JSON lines or one document.

    Args:
      name: of the file; only `.json` files (compressed or not) can be documents.
      head: the first CHUNK_BYTES of the decompressed text, or all of it.

    Example:
      >>> sniff_form("a.json", b'[{"a": 1}]'), sniff_form("a.json", b'{"a": 1}'), sniff_form("a.json", b'{')
      ('document', 'lines', 'document')
    """
    plain = name.lower().removesuffix(".gz").removesuffix(".zst")
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not plain.endswith(".json") or not text:
        return "lines"
    if text.startswith(b"["):
        return "document"
    first, newline, _ = text.partition(b"\n")
    if not newline and len(head) >= CHUNK_BYTES:
        return "lines"
    return "lines" if is_object(first) else "document"


def read_parts(
    stream: BinaryIO,
    ref: BlockRef,
    *,
    compressed: bool,
    max_line_bytes: int,
    entries_of: Callable[[Rows], Rows] = iter,
) -> Iterator[LineBlock | Failure]:
    """Read the rows of a block from its open file.

    Args:
      stream: the file's decompressed bytes; seekable unless `compressed`.
      ref: which part of it.
      compressed: read from the beginning to the end instead of a byte range.
      max_line_bytes: longer lines become failures, and are never held whole.
      entries_of: makes rows of the lines, of an RTTM for example.

    Yields:
      Parts with all their lines, in order, and a failure for each too long line; also before the stream raises.
    """
    rows = _rows(stream, ref, max_line_bytes, compressed=compressed)
    lines: list[Line] = []
    n_bytes = part = 0
    try:
        for row in entries_of(rows):
            if isinstance(row, Failure):
                yield row
                continue
            lines.append(row)
            n_bytes += len(row.raw)
            large = n_bytes >= BLOCK_BYTES and (compressed or ref.form != "lines")
            if large or len(lines) >= MAX_LINES_A_PART:
                yield LineBlock(ref=ref, part=part, lines=tuple(lines))
                lines, n_bytes, part = [], 0, part + 1
    except Exception:
        if lines:
            yield LineBlock(ref=ref, part=part, lines=tuple(lines))
        raise
    if lines:
        yield LineBlock(ref=ref, part=part, lines=tuple(lines))


def _rows(stream: BinaryIO, ref: BlockRef, max_line_bytes: int, *, compressed: bool) -> Rows:
    if ref.form == "document" or (ref.form == "supervisions" and ".jsonl" not in ref.source.lower()):
        return _document_rows(stream, ref, max_line_bytes)
    if ref.form == "annotated_file":
        return _whole_file(stream, ref)
    whole = compressed or ref.form in ONE_BLOCK
    return _lines(stream, ref, 0, None, max_line_bytes) if whole else _range_lines(stream, ref, max_line_bytes)


def _range_lines(stream: BinaryIO, ref: BlockRef, max_line_bytes: int) -> Iterator[Line | Failure]:
    """Read the lines that begin in the range: a line that is open at its start belongs to an earlier block."""
    offset = ref.start
    if offset:
        # one byte earlier: a newline there means that a line begins exactly at the start
        stream.seek(offset - 1)
        offset -= 1
        while offset < ref.stop:
            chunk = stream.read(min(CHUNK_BYTES, ref.stop - offset))
            newline = chunk.find(b"\n")
            if newline >= 0 or not chunk:
                offset += newline + 1
                break
            offset += len(chunk)
        if offset >= ref.stop or not chunk:
            return
        stream.seek(offset)
    yield from _lines(stream, ref, offset, ref.stop, max_line_bytes)


def _lines(
    stream: BinaryIO, ref: BlockRef, offset: int, stop: int | None, max_line_bytes: int
) -> Iterator[Line | Failure]:
    """Split a stream that stands at a line's beginning into lines, up to the last one that begins before `stop`."""
    # a whole range at once; what follows it is only the rest of its last line
    size = CHUNK_BYTES if stop is None else stop - offset
    # the line that is still open, in pieces: joined once, or long lines would take quadratic time
    held: list[bytes] = []
    n_held, ahead = 0, b""
    while stop is None or offset < stop:
        chunk = ahead or stream.read(size)
        size, ahead = CHUNK_BYTES, b""
        *pieces, rest = chunk.split(b"\n")
        if pieces:
            pieces[0] = b"".join([*held, pieces[0]])
            held, n_held = [], 0
        for piece in pieces:
            if stop is not None and offset >= stop:
                return
            yield from _checked(piece, ref, offset, max_line_bytes)
            offset += len(piece) + 1
        held.append(rest)
        n_held += len(rest)
        if not chunk:
            if n_held and (stop is None or offset < stop):
                yield from _checked(b"".join(held), ref, offset, max_line_bytes)
            return
        if n_held > max_line_bytes and (stop is None or offset < stop):
            yield _too_long(b"".join(held), ref, offset, max_line_bytes, whole=False)
            offset, ahead = _skip_line(stream, offset + n_held)
            held, n_held = [], 0


def _skip_line(stream: BinaryIO, offset: int) -> tuple[int, bytes]:
    """Read on to the end of the line; return the offset after it and the bytes read beyond it."""
    while chunk := stream.read(CHUNK_BYTES):
        newline = chunk.find(b"\n")
        if newline >= 0:
            return offset + newline + 1, chunk[newline + 1 :]
        offset += len(chunk)
    return offset, b""


def _checked(raw: bytes, ref: BlockRef, offset: int, max_line_bytes: int) -> Iterator[Line | Failure]:
    if len(raw) > max_line_bytes:
        yield _too_long(raw, ref, offset, max_line_bytes)
        return
    # the mark is no JSON, and only the beginning of a file may hold it
    if offset == 0:
        raw = raw.removeprefix(BYTE_ORDER_MARK)
    raw = raw.removesuffix(b"\r")
    if raw and not raw.isspace():
        yield Line(offset=offset, raw=raw)


def _too_long(raw: bytes, ref: BlockRef, offset: int, max_line_bytes: int, *, whole: bool = True) -> Failure:
    return Failure(
        code=FailureCode.LINE_TOO_LONG,
        stage="read",
        source=ref.source,
        offset=offset,
        message=f"the line is longer than {max_line_bytes} bytes",
        cure="split the entry, or raise --max-line-bytes",
        payload=beginning_of(raw),
        payload_truncated=not whole or len(raw) > PAYLOAD_BYTES,
    )


def beginning_of(raw: bytes) -> bytes:
    """Cut the text of a dead letter down, between two characters if it is UTF-8."""
    end = min(len(raw), PAYLOAD_BYTES)
    # a character of UTF-8 has at most three continuation bytes
    while PAYLOAD_BYTES - 4 < end < len(raw) and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end]


def _document_rows(stream: BinaryIO, ref: BlockRef, max_line_bytes: int) -> Iterator[Line | Failure]:
    """Read a whole JSON document: one object, an array of objects, or lines after all."""
    for item in _whole_file(stream, ref):
        if isinstance(item, Failure):
            yield replace(item, cure="write one object a line (.jsonl): a document has to be held whole")
            continue
        for line in split_document(item.raw):
            yield from _checked(line.raw, ref, line.offset, max_line_bytes)


def _whole_file(stream: BinaryIO, ref: BlockRef) -> Iterator[Line | Failure]:
    """Read a whole file as one line, or as the failure of one that is too large to be held."""
    data = stream.read(MAX_DOCUMENT_BYTES + 1)
    stream.read(1)  # a damaged file gives what precedes the damage first, and raises now
    if len(data) <= MAX_DOCUMENT_BYTES:
        yield Line(offset=0, raw=data)
        return
    message = f"the document is larger than {MAX_DOCUMENT_BYTES} bytes"
    cure = "split the file: it has to be held whole"
    yield replace(_too_long(data, ref, 0, MAX_DOCUMENT_BYTES, whole=False), message=message, cure=cure)


def split_document(data: bytes) -> list[Line]:
    """Split a document into its objects with their byte offsets.

    An array gives its items; anything else that parses is one row. What does not parse is read as lines if any of
    them holds an object, and is one broken row otherwise.

    Example:
      >>> [(line.offset, line.raw) for line in split_document(b'[{"a": 1},\\n {"a": 2}]')]
      [(1, b'{"a": 1}'), (12, b'{"a": 2}')]
    """
    try:
        text = data.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
        # counted from the end, which leaves the byte order mark in the offset
        begin = len(data) - len(text.lstrip().encode())
        if text.lstrip().startswith("["):
            return _array_items(text, len(data) - len(text.encode()))
        json.loads(text)
        return [Line(offset=begin, raw=data[begin:].rstrip())]
    except (ValueError, IndexError, RecursionError):
        lines = _offsets(data)
        if any(is_object(line.raw.removeprefix(BYTE_ORDER_MARK)) for line in lines):
            return lines
        return [Line(offset=len(data) - len(data.lstrip()), raw=data.strip())]


def _array_items(text: str, offset: int) -> list[Line]:
    decoder = json.JSONDecoder()
    items: list[Line] = []
    position = _skip_space(text, text.index("[") + 1)
    offset += len(text[:position].encode())
    closed = text[position] == "]"
    while not closed:
        _, end = decoder.raw_decode(text, position)
        raw = text[position:end].encode()
        items.append(Line(offset=offset, raw=raw))
        after = _skip_space(text, end)
        closed = text[after] == "]"
        if not closed and text[after] != ",":
            raise ValueError(f"expected ',' or ']' at character {after}")
        following = _skip_space(text, after + 1)
        offset += len(raw) + len(text[end:following].encode())
        position = following
    # in an empty array `position` is that of the closing bracket
    if text[after + 1 if items else position + 1 :].strip():
        raise ValueError("text after the array")
    return items


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    if position >= len(text) and not text.rstrip().endswith("]"):
        raise ValueError("the array is not closed")
    return position


def _offsets(data: bytes) -> list[Line]:
    lines, offset = [], 0
    for raw in data.split(b"\n"):
        lines.append(Line(offset=offset, raw=raw))
        offset += len(raw) + 1
    return lines
