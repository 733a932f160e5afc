import gzip
import hashlib
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam as beam
import pytest
import zstandard
from apache_beam.pvalue import TaggedOutput
from apache_beam.testing.util import assert_that, equal_to

from beam_curator.failures import Failure, FailureCode
from beam_curator.files.known_files import hash_input
from beam_curator.files.manifest_files import read_rows
from beam_curator.sets import blocks as blocks_module
from beam_curator.sets.blocks import MAX_LINE_BYTES, FailureBlock, InputFile, LineBlock, plan_blocks
from beam_curator.sets.output_set import InputRecord
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs import manifests as manifests_module
from beam_curator.transforms.jobs.manifests import HashInputs, ReadManifests, first_of_file, read_block
from beam_curator.transforms.windows.window_set import ChooseWindows
from tests.manifests import whole_file, write_lines, zstd_bomb

LINES = [b'{"line":%d}' % number for number in range(20_000)]
Rows = list[tuple[int, bytes]]


def read(path: Path, max_line_bytes: int = MAX_LINE_BYTES) -> tuple[Rows, list[Failure]]:
    """Return the rows of a file with their offsets, and its failures."""
    items = list(read_rows(whole_file(path), max_line_bytes))
    rows = [(line.offset, line.raw) for item in items if isinstance(item, LineBlock) for line in item.lines]
    return rows, [item for item in items if isinstance(item, Failure)]


def offsets_of(lines: list[bytes]) -> Rows:
    offset, rows = 0, []
    for line in lines:
        rows.append((offset, line))
        offset += len(line) + 1
    return rows


def test_rows_come_with_their_offsets(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"b":2}')
    assert read(path) == ([(0, b'{"a":1}'), (16, b'{"b":2}')], [])


def test_a_file_of_no_bytes_has_no_rows(tmp_path: Path) -> None:
    assert read(write_lines(tmp_path / "a.jsonl", [])) == ([], [])


def test_a_file_that_vanished_is_a_failure(tmp_path: Path) -> None:
    rows, (failure,) = read(tmp_path / "gone.jsonl")
    assert rows == []
    assert failure == Failure(
        code=FailureCode.NOT_FOUND,
        stage="file",
        source=str(tmp_path / "gone.jsonl"),
        offset=0,
        message="the file is no longer there",
        cure="run again, or restore it",
    )


def test_a_file_that_cannot_be_read_fails_once_for_all_its_blocks(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        refs = plan_blocks([InputFile(name=str(tmp_path / "gone.jsonl"), size=10, occurrence=n) for n in (0, 1)], 4)
        read = pipeline | beam.Create(refs) | beam.FlatMap(read_block, MAX_LINE_BYTES).with_outputs()
        broken = read.broken_files | beam.GroupByKey() | beam.Map(first_of_file)
        assert_that(broken | beam.Map(lambda block: block.ref.ordinal), equal_to([0, 3]))


def test_a_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    rows, (failure,) = read(tmp_path)  # a directory: opening it fails for everyone, root too
    assert (rows, failure.code, failure.source) == ([], FailureCode.NOT_READABLE, str(tmp_path))
    assert failure.cure == "check that it is a file and that you may read it"


@pytest.mark.parametrize("extension", [".gz", ".zst"])
def test_a_compressed_file_is_read_whole(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.jsonl{extension}"
    path.write_bytes(pack(extension, b"\n".join(LINES)))
    assert read(path) == (offsets_of(LINES), [])


@pytest.mark.parametrize("extension", [".gz", ".zst"])
def test_rows_before_the_damage_come_out_and_the_damage_is_one_failure(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.jsonl{extension}"
    whole = pack(extension, b"\n".join(LINES))
    path.write_bytes(whole[: len(whole) * 9 // 10])
    rows, (failure,) = read(path)
    assert 5_000 < len(rows) < 20_000
    assert rows == offsets_of(LINES)[: len(rows)]
    assert (failure.code, failure.source) == (FailureCode.TRUNCATED_FILE, str(path))
    assert failure.offset == rows[-1][0] + len(rows[-1][1])


def pack(extension: str, text: bytes) -> bytes:
    return gzip.compress(text) if extension == ".gz" else zstandard.ZstdCompressor().compress(text)


def test_a_line_that_is_too_long_is_a_failure_and_the_next_is_read(tmp_path: Path) -> None:
    long = b'{"a":"' + b"x" * 300_000 + b'"}'
    path = write_lines(tmp_path / "a.jsonl", [b"{}", long, b'{"b":2}'])
    rows, (failure,) = read(path, max_line_bytes=100_000)
    assert rows == [(0, b"{}"), (3 + len(long) + 1, b'{"b":2}')]
    assert (failure.code, failure.offset, failure.payload_truncated) == (FailureCode.LINE_TOO_LONG, 3, True)
    assert failure.payload == long[: 64 << 10]


def test_a_line_as_long_as_allowed_is_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [b"12345", b"123456"])
    rows, (failure,) = read(path, max_line_bytes=5)
    assert rows == [(0, b"12345")]
    assert (failure.offset, failure.payload) == (6, b"123456")


def test_a_bomb_is_one_line_too_long_and_the_rest_of_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(pack(".zst", b'{"a":1}\n') + zstd_bomb(2048) + pack(".zst", b'\n{"b":2}\n'))
    assert path.stat().st_size < 9000
    tracemalloc.start()
    rows, (failure,) = read(path, max_line_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == [(0, b'{"a":1}'), (8 + (256 << 20) + 1, b'{"b":2}')]
    assert (failure.code, failure.offset, len(failure.payload)) == (FailureCode.LINE_TOO_LONG, 8, 64 << 10)
    assert peak < 48 << 20


def test_very_many_lines_that_are_too_long_fail_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests_module, "BLOCK_BYTES", 1000)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"123456\n" * 10))
    blocks = [item.value for item in read_block(whole_file(path), 5) if isinstance(item, TaggedOutput)]
    # a failure counts 6 + 256 bytes: four reach 1000
    found = [(block.part, [failure.offset for failure in block.failures]) for block in blocks]
    assert found == [(0, [0, 7, 14, 21]), (1, [28, 35, 42, 49]), (2, [56, 63])]


def test_large_compressed_files_come_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1000)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(LINES[:400])))
    parts = [item for item in read_rows(whole_file(path), MAX_LINE_BYTES) if isinstance(item, LineBlock)]
    assert [part.part for part in parts] == list(range(len(parts)))
    assert len(parts) == 5  # 400 lines of at most 12 bytes: four parts of just over 1000 bytes, and the rest
    assert [(line.offset, line.raw) for part in parts for line in part.lines] == offsets_of(LINES[:400])


@pytest.mark.parametrize("transform", [ReadManifests, HashInputs, ChooseWindows])
def test_inputs_are_a_list(transform: Callable[[str], object]) -> None:
    with pytest.raises(TypeError, match=r"is one string, expected a list of paths: write \['a.jsonl'\]"):
        transform("a.jsonl")


@pytest.mark.parametrize("inputs", [[], ["a.jsonl", ""]])
def test_inputs_name_something(inputs: list[str]) -> None:
    for transform in (ReadManifests, HashInputs, ChooseWindows):
        with pytest.raises(ValueError, match="is not a list of paths: name a manifest, a glob or a directory"):
            transform(inputs)


def test_every_row_of_small_blocks_is_read_once(tmp_path: Path) -> None:
    a = write_lines(tmp_path / "a.jsonl", LINES[:100])
    b = write_lines(tmp_path / "b.jsonl", [LINES[0], b"x" * 60, LINES[1]])
    write_lines(tmp_path / "c.jsonl", [])
    offsets = [(path, offset) for path, n in ((str(a), 100), (str(b), 1)) for offset, _ in offsets_of(LINES[:n])]
    offsets.append((str(b), len(LINES[0]) + 1 + 61))
    with beam.Pipeline("FnApiRunner") as pipeline:
        blocks, failures = pipeline | ReadManifests(
            [str(tmp_path)], reading=InputOptions(max_line_bytes=50), block_bytes=64
        )
        rows = blocks | "Rows" >> beam.FlatMap(places)
        assert_that(rows, equal_to(offsets), label="rows")
        assert_that(failures | beam.Map(name_of), equal_to([("read", "b.jsonl", ["line_too_long"])]), label="failures")


def places(block: LineBlock) -> Iterator[tuple[str, int]]:
    for line in block.lines:
        yield block.ref.source, line.offset


def name_of(block: FailureBlock) -> tuple[str, str, list[str]]:
    return block.stage, Path(block.ref.source).name, [failure.code.value for failure in block.failures]


def test_inputs_are_hashed_each_once(tmp_path: Path) -> None:
    a = write_lines(tmp_path / "a.jsonl", [b"{}"])
    b = write_lines(tmp_path / "b.jsonl", [])
    expected = [
        InputRecord(name=str(a), n_bytes=3, sha256=hashlib.sha256(b"{}\n").hexdigest()),
        InputRecord(name=str(b), n_bytes=0, sha256=hashlib.sha256(b"").hexdigest()),
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        assert_that(pipeline | HashInputs([str(tmp_path), str(a)]), equal_to(expected))


def test_an_input_that_cannot_be_read_has_no_hash(tmp_path: Path) -> None:
    for name in (str(tmp_path), str(tmp_path / "none")):
        assert hash_input(name) == InputRecord(name=name, n_bytes=None, sha256=None)
