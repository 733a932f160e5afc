"""Blocks that an update takes over from the set that it replaces, and their outcomes, which sets keep for that."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.files.kept_blocks import BlockFact, archive_of, keep_blocks, keys_of_block, take_block
from beam_curator.files.kept_parts import kept_parts
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import FileRecord
from beam_curator.transforms.metrics import BlockT, counts_of, timed

_Fact = TaggedOutput[Literal["facts"], BlockFact]


class TakenBlocks(NamedTuple):
    """The result of `TakeBlocks`: blocks that are still to be worked on, and facts about all blocks."""

    blocks: PCollection[LineBlock]
    facts: PCollection[BlockFact]


class TakeBlocks(beam.PTransform[PCollection[LineBlock], TakenBlocks]):
    """Take blocks over whose lines are those of a block of the set that is updated.

    Args:
      target: where the job writes.
      rows: kind of its rows.
    """

    def __init__(self, target: OutputTarget, rows: str) -> None:
        super().__init__()
        self._target = target
        self._rows = rows

    def expand(self, blocks: PCollection[LineBlock]) -> "TakenBlocks":
        taken = blocks | "Take" >> beam.FlatMap(_take, self._target, self._rows).with_outputs("facts", main="blocks")
        return TakenBlocks(blocks=taken["blocks"], facts=taken["facts"])


def _take(block: LineBlock, target: OutputTarget, rows: str) -> Iterator[LineBlock | _Fact]:
    with timed("read"):
        keys = keys_of_block(block)
        fact = None
        if target.updates and target.replaces is not None:
            fact = take_block(kept_parts(target.replaces), target, block, keys, rows)
    yield TaggedOutput("facts", fact or fact_about(block, keys=keys))
    if fact is None:
        yield block


def fact_about(block: Any, **known: Any) -> BlockFact:
    """Return a fact about a block, or about one part of it."""
    return BlockFact((block.ref.ordinal, block.part), block.ref.n_blocks, **known)


class CountFacts(beam.PTransform[PCollection[BlockT], PCollection[BlockFact]], Generic[BlockT]):
    """Count the contents of each block as a fact about it.

    Args:
      count: a pure function from a block to numbers by name.
    """

    def __init__(self, count: Callable[[BlockT], Mapping[str, int]]) -> None:
        super().__init__()
        self._count = count

    def expand(self, blocks: PCollection[Any]) -> PCollection[BlockFact]:
        return blocks | "Count" >> beam.Map(_counted, self._count).with_output_types(BlockFact)


def _counted(block: Any, count: Callable[[Any], Mapping[str, int]]) -> BlockFact:
    return fact_about(block, counts=tuple(counts_of(block, count)))


def fact_of_file(record: FileRecord) -> BlockFact:
    """Return the fact that a file of a block is in place."""
    ordinal, part = record.position
    return BlockFact((ordinal, part), record.n_blocks, files=(record,))


def counts_of_fact(fact: BlockFact) -> tuple[Count, ...]:
    """Return the counts of a fact."""
    return fact.counts


class KeepBlocks(beam.PTransform[PCollection[BlockFact], PCollection[FileRecord]]):
    """Keep the outcome of each block for a run that updates the set; return the records of all their files.

    Args:
      target: where the job writes.
      rows: kind of its rows.
      is_named: whether each row names its source.
    """

    def __init__(self, target: OutputTarget, rows: str, *, is_named: bool) -> None:
        super().__init__()
        self._target = target
        self._rows = rows
        self._is_named = is_named

    def expand(self, facts: PCollection[BlockFact]) -> PCollection[FileRecord]:
        keyed = facts | "Key by archive" >> beam.Map(_with_archive, self._target.n_shards).with_output_types(
            tuple[tuple[int, int], BlockFact]
        )
        grouped = keyed | "Group by archive" >> beam.GroupByKey()
        return grouped | "Keep" >> beam.FlatMap(_keep, self._target, self._rows, self._is_named).with_output_types(
            FileRecord
        )


def _with_archive(fact: BlockFact, n_shards: int) -> tuple[tuple[int, int], BlockFact]:
    return archive_of(fact, n_shards), fact


def _keep(
    group: tuple[tuple[int, int], Iterable[BlockFact]], target: OutputTarget, rows: str, is_named: bool
) -> list[FileRecord]:
    return keep_blocks(target, *group, rows, is_named=is_named)
