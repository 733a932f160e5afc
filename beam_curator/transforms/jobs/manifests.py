"""Reading manifests: inputs to blocks of raw rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput

from beam_curator.failures import Failure
from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.known_files import hash_input, known_inputs
from beam_curator.files.listing import Lister, list_inputs, with_forms
from beam_curator.files.manifest_files import FILE_STAGE, paths_of, read_rows
from beam_curator.sets.blocks import (
    BLOCK_BYTES,
    BlockRef,
    FailureBlock,
    LineBlock,
    plan_blocks,
)
from beam_curator.sets.output_set import InputRecord
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms import coders as _coders  # noqa: F401  registers how blocks travel
from beam_curator.transforms.metrics import timed

BLOCKS, FAILURES, BROKEN_FILES = "blocks", "failures", "broken_files"
_FAILURE_BYTES = 256
"""About what a dead letter takes besides its payload."""

_Failed = TaggedOutput[Literal["failures"], FailureBlock]
_Broken = TaggedOutput[Literal["broken_files"], tuple[tuple[str, int], FailureBlock]]


class ReadManifests(beam.PTransform[PBegin, tuple[PCollection[LineBlock], PCollection[FailureBlock]]]):
    """Read manifests in blocks of raw rows.

    Files are listed and cut into byte ranges inside the pipeline; only ranges cross the shuffle that spreads them.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      reading: how they are read; lines that are too long are never held whole.
      block_bytes: about how much one block holds.
      list_files: tells which files the inputs mean.
      annotations: how recordings that files of turns name become rows.

    Returns:
      Blocks of rows, and blocks of failures: files that cannot be read, lines that are too long.

    Example:
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     blocks, failures = pipeline | ReadManifests(["examples/talks.jsonl"])
      ...     _ = blocks | beam.Map(lambda block: print(len(block.lines), "rows"))
      7 rows
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        reading: InputOptions = InputOptions(),
        block_bytes: int = BLOCK_BYTES,
        list_files: Lister = list_inputs,
        annotations: AnnotationReading = AnnotationReading(),
    ) -> None:
        super().__init__()
        self._inputs = paths_of(inputs)
        self._reading = reading
        self._annotations = annotations
        self._block_bytes = block_bytes
        self._list_files = list_files

    def expand(self, begin: PBegin) -> "tuple[PCollection[LineBlock], PCollection[FailureBlock]]":
        refs: PCollection[BlockRef] = (
            begin
            | "Start" >> beam.Create([None])
            | "Plan blocks"
            >> beam.FlatMap(_blocks, self._inputs, self._reading.keep_duplicates, self._block_bytes, self._list_files)
            | "Spread blocks" >> _Spread()
        )
        read = refs | "Read rows" >> beam.FlatMap(
            read_block, self._reading.max_line_bytes, self._annotations
        ).with_outputs(FAILURES, BROKEN_FILES, main=BLOCKS)
        broken: PCollection[FailureBlock] = (
            read[BROKEN_FILES] | "Group by file" >> beam.GroupByKey() | "First of file" >> beam.Map(first_of_file)
        )
        return read[BLOCKS], (read[FAILURES], broken) | "All unreadable" >> beam.Flatten()


class _Spread(beam.PTransform[PCollection[BlockRef], PCollection[BlockRef]]):
    """Break fusion; the ordinal is the key, so that two workers get every other block."""

    def expand(self, refs: PCollection[BlockRef]) -> PCollection[BlockRef]:
        keyed = refs | "Key by ordinal" >> beam.Map(_with_ordinal).with_output_types(tuple[int, BlockRef])
        return keyed | "Spread" >> beam.transforms.util.ReshufflePerKey() | "Drop key" >> beam.Values()


def _with_ordinal(ref: BlockRef) -> tuple[int, BlockRef]:
    return ref.ordinal, ref


def _blocks(
    _: None, inputs: tuple[str, ...], keep_duplicates: bool, block_bytes: int, list_files: Lister
) -> Iterable[BlockRef]:
    files, _repeated = list_files(inputs, keep_duplicates=keep_duplicates)
    return plan_blocks(with_forms(files), block_bytes)


def read_block(
    ref: BlockRef, max_line_bytes: int, annotations: AnnotationReading = AnnotationReading()
) -> Iterator[LineBlock | _Failed | _Broken]:
    """Yield the rows that one range holds; lines that fail as blocks, and a file that does by itself."""
    failures: list[Failure] = []
    part = n_bytes = 0
    items = read_rows(ref, max_line_bytes, annotations)
    while True:
        # around next() alone: the time of the steps behind this one must not count as reading
        with timed("read"):
            item = next(items, None)
        # a compressed file may hold any number of lines that fail
        if failures and (item is None or n_bytes >= BLOCK_BYTES):
            block = FailureBlock(ref=ref, part=part, stage="read", failures=tuple(failures))
            failed: _Failed = TaggedOutput("failures", block)
            yield failed
            failures, n_bytes, part = [], 0, part + 1
        if item is None:
            break
        if isinstance(item, LineBlock):
            yield item
        elif item.stage == FILE_STAGE:
            block = FailureBlock(ref=ref, part=0, stage=FILE_STAGE, failures=(item,))
            broken: _Broken = TaggedOutput("broken_files", ((ref.source, ref.occurrence), block))
            yield broken
        else:
            failures.append(item)
            n_bytes += len(item.payload) + _FAILURE_BYTES


def first_of_file(group: tuple[tuple[str, int], Iterable[FailureBlock]]) -> FailureBlock:
    """Of the blocks of one file that could not be read, return the first: a file fails once."""
    # every block of a file that cannot be opened reports it
    return min(group[1], key=lambda block: block.ref.ordinal)


class HashInputs(beam.PTransform[PBegin, PCollection[InputRecord]]):
    """Hash the input files, for the manifest of the output set. Arguments as those of `ReadManifests`.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      beside: files other than the inputs that affect the rows.
      list_files: tells which files the inputs mean.
      known_to: directory of a set that holds the hashes of inputs which have not changed since.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        beside: Sequence[str] = (),
        list_files: Lister = list_inputs,
        known_to: str | None = None,
    ) -> None:
        super().__init__()
        self._known_to = known_to
        self._inputs = paths_of(inputs)
        self._beside = paths_of(beside) if beside else ()
        self._list_files = list_files

    def expand(self, begin: PBegin) -> PCollection[InputRecord]:
        return (
            begin
            | "Start" >> beam.Create([None])
            | "List files" >> beam.FlatMap(_file_names, self._inputs, self._beside, self._list_files)
            # breaks fusion, or one worker would hash every file
            | "Spread files" >> beam.Reshuffle()
            | "Hash file" >> beam.Map(_hash, self._known_to)
            | "Mark what is beside" >> beam.Map(_marked, frozenset(self._beside))
        )


def _hash(name: str, known_to: str | None) -> InputRecord:
    return hash_input(name, known_inputs(known_to) if known_to is not None else {})


def _marked(record: InputRecord, beside: frozenset[str]) -> InputRecord:
    return replace(record, beside=record.name in beside)


def _file_names(_: None, inputs: tuple[str, ...], beside: tuple[str, ...], list_files: Lister) -> Iterable[str]:
    return [*(file.name for file in list_files(inputs)[0]), *beside]
