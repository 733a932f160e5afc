"""The outcomes of blocks of rows that a set keeps, for a run that updates it.

They are in archives, as those of recordings, each as the head of a hidden file: its `documents` are the files of the
block, and its `places` tell where their bytes lie in the set.
"""

import array
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from beam_curator.entries.json_lines import encode
from beam_curator.files import storage
from beam_curator.files.block_files import BlockWriter, extension_of
from beam_curator.files.kept_parts import KeptParts, is_inside, link, write_archive
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import PartHead
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import FAILURES, FileRecord, part_name, shard_file_name

_BLOCKS_AN_ARCHIVE = 1000


class BlockKeys(NamedTuple):
    """Two hashes that tell a block from others: of its lines, and of these with their source and places."""

    lines: str
    placed: str


class BlockFact(NamedTuple):
    """Something that became known about a block, or about one part of it.

    Attributes:
      position: ordinal and part.
      n_blocks: number of blocks of the job.
      keys: of the block; after a set that kept it, the one that it was found by alone.
      files, counts: of the stages that made windows of it.
    """

    position: tuple[int, int]
    n_blocks: int
    keys: tuple[str, ...] = ()
    files: tuple[FileRecord, ...] = ()
    counts: tuple[Count, ...] = ()


def keys_of_block(block: LineBlock) -> BlockKeys:
    """Return the keys of a block."""
    digest = hashlib.blake2b(digest_size=16)
    for line in block.lines:
        digest.update(b"%d\n" % len(line.raw))
        digest.update(line.raw)
    lines = digest.hexdigest()
    digest.update(array.array("q", [line.offset for line in block.lines]).tobytes())
    digest.update(block.ref.source.encode("utf-8", "surrogatepass"))
    return BlockKeys(lines, digest.hexdigest())


def take_block(kept: KeptParts, target: OutputTarget, block: LineBlock, keys: BlockKeys, rows: str) -> BlockFact | None:
    """Take the outcome of a block over from another set, if that has one of the same lines; None if it has none.

    Its files are linked under their new names. Those of a set that is merged are cut out of its shards again.

    Args:
      kept: of the other set.
      target: where the files go.
      block: the block.
      keys: of the block.
      rows: kind of the rows of both sets.
    """
    for key in keys:
        text = kept.find(name_of_block(rows, key))
        if text is None:
            continue
        try:
            head = msgspec.json.decode(text, type=PartHead)
            placed = list(zip(head.documents, head.places, strict=True))
        except (msgspec.MsgspecError, ValueError):  # somebody edited it
            continue
        files = [_taken(kept.directory, place, record, target, block) for record, place in placed]
        whole = tuple(record for record in files if record is not None)
        if len(whole) == len(files):
            return BlockFact((block.ref.ordinal, block.part), block.ref.n_blocks, (key,), whole, head.counts)
    return None


def _taken(
    directory: str, place: tuple[str, int], record: FileRecord, target: OutputTarget, block: LineBlock
) -> FileRecord | None:
    """Give a file of a block its place in another set; None where its bytes are others by now."""
    writer = BlockWriter(target, record.kind, block.ref, block.part, extension_of(record.name))
    made = writer.again(record)
    name, offset = place
    if not is_inside(directory, name):
        return None
    if not target.n_shards:
        is_there = storage.is_whole(directory, record) and link(directory, target, name, record.n_bytes, made.name)
        return made if is_there else None
    with storage.open_raw(storage.join(directory, name)) as stream:
        stream.seek(offset)
        data = stream.read(record.n_bytes)
    if hashlib.sha256(data).hexdigest() != record.sha256:
        return None
    with writer.file() as file:
        file.write_pieces([data])
    return made


def archive_of(fact: BlockFact, n_shards: int) -> tuple[int, int]:
    """Return the number of the archive that a block goes into, and the number of archives: one for each shard."""
    n = n_shards or -(-fact.n_blocks // _BLOCKS_AN_ARCHIVE)
    return fact.position[0] * n // fact.n_blocks, n


def keep_blocks(
    target: OutputTarget, archive: tuple[int, int], facts: Iterable[BlockFact], rows: str, *, is_named: bool
) -> list[FileRecord]:
    """Keep the outcomes of the blocks of one archive; return the records of their files, before they are merged.

    Args:
      target: where the files lie.
      archive: its number, and the number of archives.
      facts: all that is known about its blocks.
      rows: kind of the rows of the set.
      is_named: whether each row names its source.
    """
    blocks = _joined(facts)
    write_archive(target, shard_file_name(rows, *archive, ""), _heads(target, archive, blocks, rows, is_named=is_named))
    return [record for block in blocks for record in block.files]


def _joined(facts: Iterable[BlockFact]) -> list[BlockFact]:
    """Put all facts about each block into one, in order of the blocks."""
    joined: dict[tuple[int, int], BlockFact] = {}
    for fact in facts:
        known = joined.get(fact.position, fact._replace(keys=(), files=(), counts=()))
        # stages have counts of their own
        joined[fact.position] = fact._replace(
            keys=known.keys or fact.keys, files=known.files + fact.files, counts=known.counts + fact.counts
        )
    return [
        fact._replace(
            files=tuple(sorted(fact.files, key=lambda record: record.kind)), counts=tuple(sorted(fact.counts))
        )
        for _, fact in sorted(joined.items())
    ]


def _heads(
    target: OutputTarget, archive: tuple[int, int], blocks: Iterable[BlockFact], rows: str, *, is_named: bool
) -> Iterator[tuple[str, bytes]]:
    """Yield each block as the archive holds it, under its key, which those of the same lines share."""
    merged: Counter[str] = Counter()  # bytes in the shards of this number
    for block in blocks:
        places = []
        for record in block.files:
            name = shard_file_name(record.kind, *archive, extension_of(record.name)) if target.n_shards else record.name
            places.append((name, merged[name] if target.n_shards else 0))
            merged[name] += record.n_bytes
        # a dead letter names the source of its line
        has_letters = any(record.kind.startswith(FAILURES) for record in block.files)
        key = block.keys[-1 if is_named or has_letters else 0]
        head = PartHead(
            n_rows=sum(record.n_rows for record in block.files),
            columns=(),
            counts=block.counts,
            documents=block.files,
            tables={},
            key=key,
            places=tuple(places),
        )
        yield name_of_block(rows, key), encode(head)


def name_of_block(rows: str, key: str) -> str:
    """Return the name under which an archive holds the block of a key, in a set of rows of a kind."""
    return part_name(f"{rows}-{key}")
