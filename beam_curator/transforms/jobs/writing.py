"""Writing the output set: one file a block and kind, shards of them, and the commit that makes the set complete."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import apache_beam as beam
from apache_beam.pvalue import AsIter, PCollection

from beam_curator.collector import collector_paused
from beam_curator.failures import render_failure
from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.block_files import BlockWriter, extension_of, key_by_shard, merged_before
from beam_curator.files.committing import commit
from beam_curator.files.output_target import OutputTarget, target_of
from beam_curator.files.row_files import merge_files, table_of_rows, write_lines, write_rows
from beam_curator.sets.blocks import FailureBlock
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import (
    FAILURES,
    ROW_EXTENSIONS,
    Config,
    FileRecord,
    InputRecord,
    shard_file_name,
)
from beam_curator.sets.set_kinds import WINDOWS, SetKind
from beam_curator.transforms.metrics import timed
from beam_curator.windows.entry_blocks import EntryBlock
from beam_curator.windows.window_options import WindowOutputOptions


class WriteTrainingWindows(beam.PTransform[PCollection[EntryBlock], PCollection[FileRecord]]):
    """Write the rows of each block into a file of its own, whole or not at all, and shards of them if asked.

    Args:
      target: where to write; a plain path will do.
      output: format and layout of the rows, and how many files they are merged into.

    Returns:
      A record of each file as its writer saw it.
    """

    def __init__(self, target: OutputTarget | str, output: WindowOutputOptions = WindowOutputOptions()) -> None:
        super().__init__()
        self._target = target_of(target, output.shards)
        self._output = output

    def expand(self, blocks: PCollection[EntryBlock]) -> PCollection[FileRecord]:
        files = blocks | "Write block" >> beam.Map(write_block, self._target, self._output)
        return files | "Merge shards" >> MergeShards(self._target)


def write_block(block: EntryBlock, target: OutputTarget, output: WindowOutputOptions) -> FileRecord:
    """Write the rows of a block, unless an earlier attempt has."""
    writer = BlockWriter(target, WINDOWS.rows, block.ref, block.part, ROW_EXTENSIONS[output.row_format])
    with timed("write"), collector_paused():
        record = writer.kept()
        if record is None:
            with writer.file() as file:
                write_rows(file, block.rows, block.ref.source, block.rules, output)
            record = writer.record(file, len(block.rows))
    return record


class WriteFailures(beam.PTransform[PCollection[FailureBlock], PCollection[FileRecord]]):
    """Write dead letters as JSON lines, one file for each block and stage that has any.

    Args:
      target: where to write; a plain path will do.

    Returns:
      A record of each file as its writer saw it.
    """

    def __init__(self, target: OutputTarget | str) -> None:
        super().__init__()
        self._target = target_of(target)

    def expand(self, blocks: PCollection[FailureBlock]) -> PCollection[FileRecord]:
        files = blocks | "Write block" >> beam.Map(write_letters, self._target)
        return files | "Merge shards" >> MergeShards(self._target)


def write_letters(block: FailureBlock, target: OutputTarget) -> FileRecord:
    """Write the dead letters of a block, unless an earlier attempt has."""
    writer = BlockWriter(target, f"{FAILURES}-{block.stage}", block.ref, block.part, ".jsonl")
    record = writer.kept()
    if record is None:
        with writer.file() as file:
            write_lines(file, ([render_failure(failure)] for failure in block.failures))
        record = writer.record(file, len(block.failures))
    return record


class MergeShards(beam.PTransform[PCollection[FileRecord], PCollection[FileRecord]]):
    """Concatenate the blocks' files into shards, in order of the blocks; only their records are grouped."""

    def __init__(self, target: OutputTarget) -> None:
        super().__init__()
        self._target = target

    def expand(self, files: PCollection[FileRecord]) -> PCollection[FileRecord]:
        if not self._target.n_shards:
            return files
        return (
            files
            | "Key by shard"
            >> beam.Map(key_by_shard, self._target.n_shards).with_output_types(tuple[tuple[str, int], FileRecord])
            | "Group parts" >> beam.GroupByKey()
            | "Merge parts" >> beam.Map(_merge_shard, self._target)
        )


def _merge_shard(group: tuple[tuple[str, int], Iterable[FileRecord]], target: OutputTarget) -> FileRecord:
    (kind, shard), records = group
    parts = sorted(records, key=lambda record: record.position)
    name = shard_file_name(kind, shard, target.n_shards, extension_of(parts[0].name))
    template = FileRecord(name=name, n_bytes=0, sha256="", n_rows=0, kind=kind)
    record = merged_before(target.directory, template, parts)
    if record is None:
        with timed("merge"), AtomicFile(target.directory, name, target.check) as file:
            merge_files(file, [storage.join(target.directory, part.name) for part in parts], table_of_rows(kind))
        record = replace(template, n_bytes=file.n_bytes, sha256=file.sha256)
    return replace(record, n_rows=sum(part.n_rows for part in parts))


class CommitOutputSet(beam.PTransform[PCollection[FileRecord], PCollection[Mapping[str, int]]]):
    """Check the books, delete leftover files, and put `_MANIFEST.json` in place.

    The step runs at least once and does the same each time.

    Args:
      target: where the files lie.
      kind: kind of the set, with the equations of its books.
      config: the settings that affect the rows, by section.
      counts: the counts of all stages.
      inputs: the input files as they were read.

    Returns:
      One element: the summed counts.
    """

    def __init__(
        self,
        target: OutputTarget,
        *,
        kind: SetKind,
        config: Config,
        counts: PCollection[Count],
        inputs: PCollection[InputRecord],
    ) -> None:
        super().__init__()
        self._target = target
        self._kind = kind
        self._config = config
        self._counts = counts
        self._inputs = inputs

    def expand(self, files: PCollection[FileRecord]) -> PCollection[Mapping[str, int]]:
        # as side inputs: the commit runs once all files, counts and hashes are there
        totals = self._counts | "Add up counts" >> beam.CombinePerKey(sum)
        return (
            files.pipeline
            | "Start commit" >> beam.Create([None])
            | "Commit"
            >> beam.Map(
                _commit,
                self._target,
                self._kind,
                self._config,
                files=AsIter(files),
                counts=AsIter(totals),
                inputs=AsIter(self._inputs),
            )
        )


def _commit(
    _: None,
    target: OutputTarget,
    kind: SetKind,
    config: Config,
    *,
    files: Iterable[FileRecord],
    counts: Iterable[Count],
    inputs: Iterable[InputRecord],
) -> Mapping[str, int]:
    totals = dict(counts)
    with timed("commit"):
        commit(target, kind, config, list(files), totals, list(inputs))
    return totals
