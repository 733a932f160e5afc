"""What a set keeps of blocks of rows, and what of that another run takes over."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from beam_curator.files.kept_blocks import BlockFact, archive_of, keep_blocks, keys_of_block, take_block
from beam_curator.files.kept_parts import KeptParts
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.blocks import BlockRef, Line, LineBlock
from beam_curator.sets.output_set import FileRecord
from tests.files.parts import target_of

ROWS, LETTERS = b'{"row":1}\n{"row":2}\n', b'{"code":"bad_json"}\n'


def block_at(ordinal: int, *lines: bytes, n_blocks: int = 2, source: str = "m.jsonl", offset: int = 0) -> LineBlock:
    ref = BlockRef(source=source, occurrence=0, ordinal=ordinal, n_blocks=n_blocks, start=0, stop=100)
    return LineBlock(ref=ref, part=0, lines=tuple(Line(offset=offset + 10 * k, raw=raw) for k, raw in enumerate(lines)))


def target_in(directory: Path, n_shards: int = 0) -> OutputTarget:
    directory.mkdir(exist_ok=True)
    return replace(target_of(directory, resume=False), n_shards=n_shards)


def record_of(kind: str, block: LineBlock, data: bytes, n_shards: int) -> FileRecord:
    name = f"{kind}-{block.ref.ordinal:05d}-of-{block.ref.n_blocks:05d}.jsonl"
    return FileRecord(
        name=f".{name}.part.beam_curator.tmp" if n_shards else name,
        n_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        n_rows=data.count(b"\n"),
        kind=kind,
        position=(block.ref.ordinal, block.part),
        n_blocks=block.ref.n_blocks,
    )


def kept_in(
    directory: Path, blocks: Sequence[LineBlock], *, letters: bool = False, named: bool = False, n_shards: int = 0
) -> KeptParts:
    """Make a set of blocks with the same rows, whose files follow one another in one shard where it has shards."""
    target = target_in(directory, n_shards)
    facts, shards = [], {"windows": b"", "failures-build": b""}
    for block in blocks:
        files = {"windows": ROWS} | ({"failures-build": LETTERS} if letters else {})
        position = (block.ref.ordinal, block.part)
        facts += [
            BlockFact(position, block.ref.n_blocks, keys=keys_of_block(block), counts=(("build.rows", 2),)),
            BlockFact(position, block.ref.n_blocks, counts=(("overlap.rows", 2),)),
        ]
        for kind, data in files.items():
            record = record_of(kind, block, data, n_shards)
            facts.append(BlockFact(position, block.ref.n_blocks, files=(record,)))
            shards[kind] += data
            if not n_shards:
                (directory / record.name).write_bytes(data)
    for kind, data in shards.items():
        if n_shards:
            (directory / f"{kind}-00000-of-00001.jsonl").write_bytes(data)
    keep_blocks(target, (0, 1), reversed(facts), "windows", is_named=named)
    return KeptParts(str(directory))


def taken(kept: KeptParts, target: OutputTarget, block: LineBlock) -> BlockFact | None:
    return take_block(kept, target, block, keys_of_block(block), "windows")


def test_the_keys_are_of_the_lines_and_of_their_places() -> None:
    lines, placed = keys_of_block(block_at(0, b"one", b"two"))
    assert keys_of_block(block_at(1, b"one", b"two", n_blocks=5)) == (lines, placed)
    for elsewhere in (block_at(0, b"one", b"two", source="n.jsonl"), block_at(0, b"one", b"two", offset=5)):
        assert keys_of_block(elsewhere).lines == lines
        assert keys_of_block(elsewhere).placed != placed
    for other in (
        block_at(0, b"one"),
        block_at(0, b"onetwo"),
        block_at(0, b"two", b"one"),
        block_at(0, b"on", b"etwo"),
    ):
        assert {*keys_of_block(other)}.isdisjoint({lines, placed})


def test_a_block_is_linked_under_its_new_number_with_its_counts(tmp_path: Path) -> None:
    kept, target = kept_in(tmp_path / "set", [block_at(0, b"one"), block_at(1, b"two")]), target_in(tmp_path / "next")
    fact = taken(kept, target, block_at(3, b"two", n_blocks=4))
    assert fact is not None
    assert (fact.position, fact.counts) == ((3, 0), (("build.rows", 2), ("overlap.rows", 2)))
    [file] = fact.files
    assert (file.name, file.n_rows, file.position) == ("windows-00003-of-00004.jsonl", 2, (3, 0))
    old, new = tmp_path / "set" / "windows-00001-of-00002.jsonl", tmp_path / "next" / file.name
    assert old.stat().st_ino == new.stat().st_ino


@pytest.mark.parametrize(
    ("letters", "named", "source", "is_kept"),
    [
        (False, False, "n.jsonl", True),
        (False, True, "n.jsonl", False),
        (False, True, "m.jsonl", True),
        (True, False, "n.jsonl", False),
        (True, False, "m.jsonl", True),
    ],
)
def test_a_manifest_may_have_another_name_unless_rows_or_dead_letters_say_it(
    letters: bool, named: bool, source: str, is_kept: bool, tmp_path: Path
) -> None:
    kept = kept_in(tmp_path / "set", [block_at(0, b"one")], letters=letters, named=named)
    fact = taken(kept, target_in(tmp_path / "next"), block_at(0, b"one", source=source))
    assert (fact is not None) == is_kept
    if fact is not None:
        assert [file.kind for file in fact.files] == (["failures-build", "windows"] if letters else ["windows"])


@pytest.mark.parametrize("n_shards", [0, 1])
def test_a_file_whose_bytes_are_others_by_now_is_not_taken(n_shards: int, tmp_path: Path) -> None:
    kept = kept_in(tmp_path / "set", [block_at(0, b"one")], n_shards=n_shards)
    [path] = (tmp_path / "set").glob("windows-*")
    path.write_bytes(ROWS.replace(b"2", b"3"))
    assert taken(kept, target_in(tmp_path / "next", n_shards), block_at(0, b"one")) is None
    path.unlink()
    assert taken(kept, target_in(tmp_path / "next", n_shards), block_at(0, b"one")) is None
    assert os.listdir(tmp_path / "next") == ["_RUN.json"]


@pytest.mark.parametrize("n_shards", [0, 1])
def test_a_link_in_place_of_a_file_is_not_followed(n_shards: int, tmp_path: Path) -> None:
    kept = kept_in(tmp_path / "set", [block_at(0, b"one")], n_shards=n_shards)
    [path] = (tmp_path / "set").glob("windows-*")
    path.rename(tmp_path / "elsewhere.jsonl")
    path.symlink_to(tmp_path / "elsewhere.jsonl")
    assert taken(kept, target_in(tmp_path / "next", n_shards), block_at(0, b"one")) is None


def test_a_block_is_cut_out_of_its_shards(tmp_path: Path) -> None:
    kept = kept_in(tmp_path / "set", [block_at(0, b"one"), block_at(1, b"two")], letters=True, n_shards=1)
    fact = taken(kept, target_in(tmp_path / "next", 1), block_at(1, b"two"))
    assert fact is not None
    assert [(tmp_path / "next" / file.name).read_bytes() for file in fact.files] == [LETTERS, ROWS]
    assert {file.name[-22:] for file in fact.files} == {".part.beam_curator.tmp"}


def test_blocks_are_in_the_archive_of_their_shard_or_of_their_thousand() -> None:
    facts = [BlockFact((ordinal, 0), 2500) for ordinal in (0, 833, 834, 2499)]
    assert [archive_of(fact, 0) for fact in facts] == [(0, 3), (0, 3), (1, 3), (2, 3)]
    assert [archive_of(fact, 5) for fact in facts] == [(0, 5), (1, 5), (1, 5), (4, 5)]
