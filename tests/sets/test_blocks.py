from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beam_curator.failures import Failure, FailureCode
from beam_curator.sets import blocks
from beam_curator.sets.blocks import (
    CHUNK_BYTES,
    PAYLOAD_BYTES,
    BlockRef,
    InputFile,
    Line,
    LineBlock,
    plan_blocks,
    read_parts,
    sniff_form,
    split_document,
)

BOM = b"\xef\xbb\xbf"
BYTES = [b"\n", b"\n", b"\r\n", b" ", b"a", b"{}", b"\xff", b"xxxxxxxx", BOM, b"\t"]
TEXTS = st.lists(st.sampled_from(BYTES), max_size=20).map(b"".join)
ENDLESS = 1 << 60


class ShortReads(io.BytesIO):
    """A file of which one read gives a few bytes at most, as a network may."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


class LongLine:
    """A file of one line that was never made, and a short one behind it."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._tail = b"\n{}\n"

    def read(self, size: int) -> bytes:
        if self._left:
            n_bytes = min(size, self._left)
            self._left -= n_bytes
            return b"x" * n_bytes
        tail, self._tail = self._tail, b""
        return tail


class Breaks(io.BytesIO):
    """A file that cannot be read beyond its data."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise OSError("the stream is damaged")
        return data


def read_all(
    data: bytes, *, block_bytes: int = ENDLESS, max_line_bytes: int = ENDLESS, most: int | None = None, name: str = "a"
) -> list[Line | Failure]:
    """Cut data into blocks, read each on its own, and return lines and failures by offset."""
    rows: list[Line | Failure] = []
    file = InputFile(name=name, size=len(data))
    for ref in plan_blocks([file], block_bytes):
        stream = cast(BinaryIO, io.BytesIO(data) if most is None else ShortReads(data, most))
        parts = list(read_parts(stream, ref, compressed=file.compressed, max_line_bytes=max_line_bytes))
        own = [row for part in parts for row in (part.lines if isinstance(part, LineBlock) else [part])]
        assert all(ref.start <= row.offset < ref.stop for row in own), "a line belongs where it begins"
        rows += sorted(own, key=lambda row: row.offset)
    return rows


def plain_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield offset and text of each line that is not blank, in the plainest way."""
    offset = 0
    for piece in data.split(b"\n"):
        text = piece.removeprefix(BOM) if offset == 0 else piece
        if text.strip(b" \t\r\n\x0b\x0c"):
            yield offset, text.removesuffix(b"\r")
        offset += len(piece) + 1


def pairs(rows: Sequence[Line | Failure]) -> list[tuple[int, bytes]]:
    return [(row.offset, row.raw) for row in rows if isinstance(row, Line)]


def document(data: bytes, max_line_bytes: int = ENDLESS) -> list[Line | Failure]:
    (ref,) = plan_blocks([InputFile(name="a.json", size=len(data), form="document")])
    parts = read_parts(io.BytesIO(data), ref, compressed=False, max_line_bytes=max_line_bytes)
    return [row for part in parts for row in (part.lines if isinstance(part, LineBlock) else [part])]


def test_files_are_cut_into_blocks_and_numbered() -> None:
    files = [
        InputFile(name="a.jsonl", size=10),
        InputFile(name="empty.jsonl", size=0),
        InputFile(name="b.jsonl.gz", size=10),
        InputFile(name="c.json", size=9, form="document"),
        InputFile(name="a.jsonl", size=4, occurrence=1),
    ]
    expected = [
        ("a.jsonl", 0, 0, 0, 4, "lines"),
        ("a.jsonl", 0, 1, 4, 8, "lines"),
        ("a.jsonl", 0, 2, 8, 10, "lines"),
        ("b.jsonl.gz", 0, 3, 0, 10, "lines"),
        ("c.json", 0, 4, 0, 9, "document"),
        ("a.jsonl", 1, 5, 0, 4, "lines"),
    ]
    found = plan_blocks(files, 4)
    assert [(ref.source, ref.occurrence, ref.ordinal, ref.start, ref.stop, ref.form) for ref in found] == expected
    assert {ref.n_blocks for ref in found} == {6}
    assert plan_blocks([]) == []


@pytest.mark.parametrize(
    ("name", "compressed"),
    [("a.jsonl.gz", True), ("a.JSONL.ZST", True), ("a.jsonl", False), ("gz", False), ("a.gz.jsonl", False)],
)
def test_names_say_what_is_compressed(name: str, compressed: bool) -> None:
    assert InputFile(name=name, size=1).compressed is compressed


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(1, 40), st.sampled_from([None, 1, 3, 7]))
@example(b"a\nb\n", 2, None)
@example(b"a\n\nb", 1, 1)
def test_however_a_file_is_cut_each_line_is_read_once_and_in_order(data: bytes, size: int, most: int | None) -> None:
    assert pairs(read_all(data, block_bytes=size, most=most)) == list(plain_lines(data))


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(1, 40), st.sampled_from([None, 1, 3, 7]), st.integers(1, 12))
def test_however_a_file_is_cut_each_line_that_is_too_long_fails_once(
    data: bytes, size: int, most: int | None, max_line_bytes: int
) -> None:
    rows = read_all(data, block_bytes=size, most=most, max_line_bytes=max_line_bytes)
    raw = dict(zip([0, *(k + 1 for k, byte in enumerate(data) if byte == 10)], data.split(b"\n"), strict=True))
    long = [offset for offset, text in raw.items() if len(text) > max_line_bytes]
    assert [row.offset for row in rows if isinstance(row, Failure)] == long
    assert pairs(rows) == [pair for pair in plain_lines(data) if pair[0] not in long]
    for row in rows:
        if isinstance(row, Failure):
            assert raw[row.offset].startswith(row.payload)
            assert len(row.payload) > max_line_bytes


@settings(max_examples=50, deadline=None)
@given(TEXTS, st.sampled_from([None, 1, 5]))
def test_a_compressed_file_is_read_as_a_whole(data: bytes, most: int | None) -> None:
    (ref,) = plan_blocks([InputFile(name="a.gz", size=1)])  # the size is that of the compressed bytes
    stream = cast(BinaryIO, io.BytesIO(data) if most is None else ShortReads(data, most))
    parts = list(read_parts(stream, ref, compressed=True, max_line_bytes=ENDLESS))
    lines = [line for part in parts if isinstance(part, LineBlock) for line in part.lines]
    assert pairs(lines) == list(plain_lines(data))


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"", []),
        (b"{}", [(0, b"{}")]),  # no newline at the end
        (b"{}\n", [(0, b"{}")]),
        (b"{}\n\n \t\n{}\n", [(0, b"{}"), (7, b"{}")]),
        (b"{}\r\n[]\r\n\r\n", [(0, b"{}"), (4, b"[]")]),
        (b"{}\r[]", [(0, b"{}\r[]")]),  # a lone carriage return is no line end
        ("{\u2028}\x0b\n".encode(), [(0, "{\u2028}\x0b".encode())]),  # nor are others
        (BOM + b"{}\n" + BOM + b"[]", [(0, b"{}"), (6, BOM + b"[]")]),
        (BOM + b"\n{}", [(4, b"{}")]),
        (b" {} \n", [(0, b" {} ")]),
    ],
)
def test_lines_are_split_at_newlines_only(data: bytes, rows: list[tuple[int, bytes]]) -> None:
    assert pairs(read_all(data)) == rows
    assert pairs(read_all(data, name="a.gz")) == rows


@pytest.mark.parametrize("block_bytes", [CHUNK_BYTES // 3, CHUNK_BYTES, CHUNK_BYTES + 1, ENDLESS])
def test_a_line_across_many_chunks_is_whole(block_bytes: int) -> None:
    long = b'"' + b"x" * (2 * CHUNK_BYTES + 5) + b'"'
    found = pairs(read_all(b"{}\n" + long + b"\n[]", block_bytes=block_bytes))
    assert found == [(0, b"{}"), (3, long), (4 + len(long), b"[]")]


def ref(start: int, stop: int) -> BlockRef:
    return BlockRef(source="a", occurrence=0, ordinal=0, n_blocks=1, start=start, stop=stop)


def test_a_line_that_is_too_long_becomes_a_failure_with_its_beginning() -> None:
    data = b"{}\n" + b"y" * (CHUNK_BYTES * 2) + b"\n[]\n"
    first, failure, last = read_all(data, max_line_bytes=CHUNK_BYTES + 7)
    assert pairs([first, last]) == [(0, b"{}"), (4 + CHUNK_BYTES * 2, b"[]")]
    assert failure == Failure(
        code=FailureCode.LINE_TOO_LONG,
        stage="read",
        source="a",
        offset=3,
        message=f"the line is longer than {CHUNK_BYTES + 7} bytes",
        cure="split the entry, or raise --max-line-bytes",
        payload=b"y" * PAYLOAD_BYTES,
        payload_truncated=True,
    )


def test_a_line_of_exactly_the_limit_is_read() -> None:
    rows = read_all(b"12345\n123456\n", max_line_bytes=5)
    assert [type(row) for row in rows] == [Line, Failure]


def test_a_line_that_is_too_long_is_never_held() -> None:
    (block,) = plan_blocks([InputFile(name="a.gz", size=1)])
    stream = cast(BinaryIO, LongLine(100 << 20))
    tracemalloc.start()
    parts = list(read_parts(stream, block, compressed=True, max_line_bytes=2 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(part) for part in parts] == [Failure, LineBlock]
    assert isinstance(parts[1], LineBlock)
    assert pairs(parts[1].lines) == [((100 << 20) + 1, b"{}")]
    assert peak < 16 << 20


def test_a_long_compressed_block_is_passed_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 10)
    lines = [b"1234", b"5678", b"90", b"1" * 25, b"2", b"3"]
    (block,) = plan_blocks([InputFile(name="a.gz", size=9)])
    parts = list(read_parts(io.BytesIO(b"\n".join(lines)), block, compressed=True, max_line_bytes=ENDLESS))
    assert all(isinstance(part, LineBlock) and part.ref is block for part in parts)
    found = [(part.part, [line.raw for line in part.lines]) for part in parts if isinstance(part, LineBlock)]
    assert found == [(0, lines[:3]), (1, lines[3:4]), (2, lines[4:])]


def test_a_long_document_is_passed_on_in_parts_and_a_range_of_lines_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 10)
    data = json.dumps([{"a": k} for k in range(6)]).encode()
    (block,) = plan_blocks([InputFile(name="a.json", size=len(data), form="document")])
    parts = list(read_parts(io.BytesIO(data), block, compressed=False, max_line_bytes=ENDLESS))
    assert [len(part.lines) for part in parts if isinstance(part, LineBlock)] == [2, 2, 2]
    lines = b'{"a": 1}\n' * 6
    (part,) = read_parts(io.BytesIO(lines), ref(0, len(lines)), compressed=False, max_line_bytes=ENDLESS)
    assert isinstance(part, LineBlock)
    assert (part.part, len(part.lines)) == (0, 6)


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_very_short_lines_make_a_part_by_their_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MAX_LINES_A_PART", 4)
    (block,) = plan_blocks([InputFile(name=name, size=20)])
    parts = list(read_parts(io.BytesIO(b"1\n" * 10), block, compressed=name == "a.gz", max_line_bytes=ENDLESS))
    found = [(part.part, [line.offset for line in part.lines]) for part in parts if isinstance(part, LineBlock)]
    assert found == [(0, [0, 2, 4, 6]), (1, [8, 10, 12, 14]), (2, [16, 18])]


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_what_was_read_before_the_stream_broke_comes_first(name: str) -> None:
    (block,) = plan_blocks([InputFile(name=name, size=100)])
    parts = read_parts(Breaks(b"{}\n[]\n{"), block, compressed=name == "a.gz", max_line_bytes=ENDLESS)
    part = next(parts)
    assert isinstance(part, LineBlock)
    assert pairs(part.lines) == [(0, b"{}"), (3, b"[]")]
    with pytest.raises(OSError, match="damaged"):
        next(parts)


@pytest.mark.parametrize(
    ("name", "head", "form"),
    [
        ("a.jsonl", b"[1]", "lines"),  # only .json files can be documents
        ("a.jsonl.gz", b"[1]", "lines"),
        ("a.json", b"", "lines"),
        ("a.json", BOM + b" \n", "lines"),
        ("a.json", b'{"a": 1}', "lines"),
        ("a.json", b'{"a": 1}\n{"a": 2}\n', "lines"),
        ("a.json", BOM + b'\n{"a": 1}\r\n', "lines"),
        ("a.JSON.GZ", b'[{"a": 1}]', "document"),
        ("a.json.zst", b'{\n"a": 1}', "document"),
        ("a.json", BOM + b" [", "document"),
        ("a.json", b"{", "document"),
        ("a.json", b"broken\n{}", "document"),
        ("a.json", b'{"a": "' + b"x" * CHUNK_BYTES, "lines"),  # no newline in all of the head: a long line
        ("a.json", b"[" + b" " * CHUNK_BYTES, "document"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_the_beginning_tells_lines_from_documents(name: str, head: bytes, form: str) -> None:
    assert sniff_form(name, head) == form


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b'{\n  "a": 1\n}\n', [(0, b'{\n  "a": 1\n}')]),
        (BOM + b'\n{"a": 1} ', [(4, b'{"a": 1}')]),
        (b"[]", []),
        (b" [ \n ] \n", []),
        (b'[{"a": [1, 2]},{}]', [(1, b'{"a": [1, 2]}'), (15, b"{}")]),
        (BOM + '[\n {"é": "]"} ,\r\n\t{"b": 1e5}\n]\n'.encode(), [(6, '{"é": "]"}'.encode()), (22, b'{"b": 1e5}')]),
        (b"[1, [2], null]", [(1, b"1"), (4, b"[2]"), (9, b"null")]),  # refused later, one by one
        (b'{"a": NaN}', [(0, b'{"a": NaN}')]),
        # what does not parse is read as lines if any of them holds an object
        (b'broken\n{"a": 1}\n', [(0, b"broken"), (7, b'{"a": 1}'), (16, b"")]),
        (b'[{"a": 1},]\n{"b": 1}', [(0, b'[{"a": 1},]'), (12, b'{"b": 1}')]),
        # and is one broken row otherwise
        (b'{"a":\n1', [(0, b'{"a":\n1')]),
        (b'[{"a": 1}', [(0, b'[{"a": 1}')]),
        (b'[{"a": 1} {"b": 1}]', [(0, b'[{"a": 1} {"b": 1}]')]),
        (b'[{"a": 1}]]', [(0, b'[{"a": 1}]]')]),
        (b"[", [(0, b"[")]),
        (b"[1,", [(0, b"[1,")]),
        (b'[{"a": "\xff"}]', [(0, b'[{"a": "\xff"}]')]),
        (b"[" * 100_000, [(0, b"[" * 100_000)]),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_document_is_split_into_its_objects(data: bytes, rows: list[tuple[int, bytes]]) -> None:
    assert pairs(split_document(data)) == rows


@pytest.mark.parametrize("data", [b"[[]", b"[[1]", b'[{"a": 1}, [2]'])
def test_an_array_that_is_cut_off_behind_a_bracket_is_one_broken_row(data: bytes) -> None:
    assert pairs(split_document(data)) == [(0, data)]


def test_a_broken_document_begins_where_its_text_begins() -> None:
    assert pairs(split_document(b"\n\n[{]")) == [(2, b"[{]")]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from("aé\n"), st.sampled_from([1, "é]", [2, {}], None]), max_size=2), max_size=5
    ),
    st.sampled_from([None, 1, "\t"]),
    st.sampled_from([b"", BOM, b" \n", BOM + b"\r\n"]),
    st.booleans(),
)
def test_items_of_an_array_are_found_at_their_offsets(
    items: list[dict[str, object]], indent: int | str | None, head: bytes, ascii_only: bool
) -> None:
    data = head + json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode() + b"\n"
    lines = split_document(data)
    assert [json.loads(line.raw) for line in lines] == items
    assert all(data[line.offset : line.offset + len(line.raw)] == line.raw for line in lines)


def test_rows_of_a_document_are_read_like_lines() -> None:
    assert pairs(document(b' [{"a": 1},\n {"b": 2}]\n')) == [(2, b'{"a": 1}'), (13, b'{"b": 2}')]
    assert pairs(document(b'broken\n\n{"a": 1}\r\n')) == [(0, b"broken"), (8, b'{"a": 1}')]
    assert pairs(document(BOM + b"{")) == [(0, b"{")]


def test_a_row_of_a_document_that_is_too_long_becomes_a_failure() -> None:
    first, failure = sorted(document(b'[{}, {"a": 1}]', max_line_bytes=7), key=lambda row: row.offset)
    assert isinstance(failure, Failure)
    assert pairs([first]) == [(1, b"{}")]
    assert (failure.offset, failure.payload, failure.code) == (5, b'{"a": 1}', FailureCode.LINE_TOO_LONG)


def test_a_document_that_is_too_large_becomes_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MAX_DOCUMENT_BYTES", 10)
    assert pairs(document(b'[{"a": 1}]')) == [(1, b'{"a": 1}')]
    (failure,) = document(b'[{"a": 11}]')
    assert isinstance(failure, Failure)
    assert failure.message == "the document is larger than 10 bytes"
    assert failure.cure == "write one object a line (.jsonl): a document has to be held whole"
    assert (failure.code, failure.offset, failure.payload_truncated) == (FailureCode.LINE_TOO_LONG, 0, True)
