"""Writing the output set: one file a block and kind, shards of them, and the commit that makes the set complete."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter, PCollection

from beam_curator.blocks import EntryBlock, FailureBlock
from beam_curator.failures import render_failure
from beam_curator.output_set import (
    FAILURES,
    MANIFEST_NAME,
    PART_SUFFIX,
    ROW_EXTENSIONS,
    RUN_NAME,
    Config,
    FileRecord,
    InputRecord,
    RunRecord,
    block_file_name,
    part_name,
    render_manifest,
    shard_file_name,
)
from beam_curator.rendering import Layout
from beam_curator.set_kinds import WINDOWS, SetKind
from beam_curator.transforms import atomic_files, storage
from beam_curator.transforms.atomic_files import AtomicFile, ForeignRunError
from beam_curator.transforms.metrics import Count, collector_paused, timed
from beam_curator.transforms.row_files import RowForm, RowFormat, count_rows, merge_files, write_lines, write_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTarget:
    """Where a job writes, and on whose behalf.

    Attributes:
      directory: local or in an object store.
      token: of the run, as `_RUN.json` has it; None where no launcher prepared the directory.
      resume: keep files that an earlier attempt of the same job put in place.
      n_shards: merge the blocks' files into at most so many; 0 leaves them as they are.
    """

    directory: str
    token: str | None = None
    resume: bool = False
    n_shards: int = 0

    def check(self) -> None:
        """Refuse to go on where another run has taken over.

        Raises:
          ForeignRunError: `_RUN.json` names another run, or is gone.
        """
        if self.token is None:
            return
        text = storage.read_bytes(storage.join(self.directory, RUN_NAME))
        record = RunRecord.from_json(text) if text is not None else None
        if record is None or record.token != self.token:
            raise ForeignRunError(f"{self.directory} now belongs to another run: this one stops writing")


def target_of(target: OutputTarget | str) -> OutputTarget:
    """Return a target; a path stands for one that no launcher prepared."""
    return OutputTarget(directory=target) if isinstance(target, str) else target


class WriteTrainingWindows(beam.PTransform[PCollection[EntryBlock], PCollection[FileRecord]]):
    """Write the rows of each block into a file of its own, whole or not at all, and shards of them if asked.

    Args:
      target: where to; a plain path will do.
      layout: "full", or "spans" for index ranges.
      row_format: "jsonl", "parquet" or "avro".

    Returns:
      A record of each file as its writer saw it.
    """

    def __init__(self, target: OutputTarget | str, *, layout: Layout = "full", row_format: RowFormat = "jsonl") -> None:
        super().__init__()
        self._target = target_of(target)
        self._form = RowForm(row_format=row_format, layout=layout)

    def expand(self, blocks: PCollection[EntryBlock]) -> PCollection[FileRecord]:
        files = blocks | "Write block" >> beam.ParDo(_WriteRowsFn(self._target, self._form))
        return files | "Merge shards" >> _MergeShards(self._target)


class _WriteRowsFn(beam.DoFn):
    def __init__(self, target: OutputTarget, form: RowForm) -> None:
        self._target = target
        self._form = form

    def process(self, block: EntryBlock) -> Iterator[FileRecord]:
        writer = _BlockWriter(self._target, WINDOWS.rows, block.ref, block.part, ROW_EXTENSIONS[self._form.row_format])
        with timed("write"), collector_paused():
            record = writer.kept()
            if record is None:
                with writer.file() as file:
                    write_rows(file, block.rows, block.ref.source, block.rules, self._form)
                record = writer.record(file, len(block.rows))
        yield record


class WriteFailures(beam.PTransform[PCollection[FailureBlock], PCollection[FileRecord]]):
    """Write dead letters as JSON lines, one file for each block and stage that has any.

    Args:
      target: where to; a plain path will do.

    Returns:
      A record of each file as its writer saw it.
    """

    def __init__(self, target: OutputTarget | str) -> None:
        super().__init__()
        self._target = target_of(target)

    def expand(self, blocks: PCollection[FailureBlock]) -> PCollection[FileRecord]:
        files = blocks | "Write block" >> beam.ParDo(_WriteFailuresFn(self._target))
        return files | "Merge shards" >> _MergeShards(self._target)


class _WriteFailuresFn(beam.DoFn):
    def __init__(self, target: OutputTarget) -> None:
        self._target = target

    def process(self, block: FailureBlock) -> Iterator[FileRecord]:
        writer = _BlockWriter(self._target, f"{FAILURES}-{block.stage}", block.ref, block.part, ".jsonl")
        record = writer.kept()
        if record is None:
            with writer.file() as file:
                write_lines(file, ([render_failure(failure)] for failure in block.failures))
            record = writer.record(file, len(block.failures))
        yield record


class _BlockWriter:
    """Names, opens and records the file of one block."""

    def __init__(self, target: OutputTarget, kind: str, ref: Any, part: int, extension: str) -> None:
        self._target = target
        name = block_file_name(kind, ref, part, extension)
        self._template = FileRecord(
            name=part_name(name) if target.n_shards else name,
            n_bytes=0,
            sha256="",
            n_rows=0,
            kind=kind,
            position=(ref.ordinal, part),
            n_blocks=ref.n_blocks,
        )

    def kept(self) -> FileRecord | None:
        """Return the record of a file that an earlier attempt put in place, if there is one to keep."""
        if not self._target.resume:
            return None
        return existing_record(self._target.directory, self._template)

    def file(self) -> AtomicFile:
        if self._target.token is None:
            storage.make_directory(self._target.directory)
        return AtomicFile(self._target.directory, self._template.name, self._target.check)

    def record(self, file: AtomicFile, n_rows: int) -> FileRecord:
        return replace(self._template, n_bytes=file.n_bytes, sha256=file.sha256, n_rows=n_rows)


def existing_record(directory: str, template: FileRecord) -> FileRecord | None:
    """Read a finished file back and return its record; None where there is none."""
    path = storage.join(directory, template.name)
    if storage.size_of(path) is None:
        return None
    n_bytes, sha256, n_lines = storage.hash_file(path)
    plain = template.name.removesuffix(PART_SUFFIX).endswith(".jsonl")
    n_rows = n_lines if plain else count_rows(path)
    return replace(template, n_bytes=n_bytes, sha256=sha256, n_rows=n_rows)


class _MergeShards(beam.PTransform[PCollection[FileRecord], PCollection[FileRecord]]):
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
            | "Merge parts" >> beam.ParDo(_MergeFn(self._target))
        )


def key_by_shard(record: FileRecord, n_shards: int) -> tuple[tuple[str, int], FileRecord]:
    """Give each block's file the shard it goes into."""
    return (record.kind, shard_of(record, n_shards)), record


def shard_of(record: FileRecord, n_shards: int) -> int:
    """Return the shard of a block's file: consecutive blocks stay together."""
    return record.position[0] * n_shards // record.n_blocks


class _MergeFn(beam.DoFn):
    def __init__(self, target: OutputTarget) -> None:
        self._target = target

    def process(self, group: tuple[tuple[str, int], Iterable[FileRecord]]) -> Iterator[FileRecord]:
        (kind, shard), records = group
        parts = sorted(records, key=lambda record: record.position)
        extension = "." + parts[0].name.removesuffix(PART_SUFFIX).rpartition(".")[2]
        name = shard_file_name(kind, shard, self._target.n_shards, extension)
        template = FileRecord(name=name, n_bytes=0, sha256="", n_rows=0, kind=kind)
        record = merged_before(self._target.directory, template, parts)
        if record is None:
            with timed("merge"), AtomicFile(self._target.directory, name, self._target.check) as file:
                merge_files(file, [storage.join(self._target.directory, part.name) for part in parts])
            record = replace(template, n_bytes=file.n_bytes, sha256=file.sha256)
        yield replace(record, n_rows=sum(part.n_rows for part in parts))


def merged_before(directory: str, template: FileRecord, parts: Sequence[FileRecord]) -> FileRecord | None:
    """Return the record of a merged file whose parts were swept by a commit that is being repeated; else None."""
    if all(storage.size_of(storage.join(directory, part.name)) is not None for part in parts):
        return None
    return existing_record(directory, template)


class CommitOutputSet(beam.PTransform[PCollection[FileRecord], PCollection[Mapping[str, int]]]):
    """Check the books, delete leftover files, and put `_MANIFEST.json` in place.

    The step runs at least once and does the same each time.

    Args:
      target: where the files lie.
      kind: what they are, and how the books balance.
      config: what decides the rows, by section.
      counts: what every stage counted.
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
        totals = self._counts | "Add up counts" >> beam.CombinePerKey(sum)
        return (
            files.pipeline
            | "Start commit" >> beam.Create([None])
            | "Commit"
            >> beam.ParDo(
                _CommitFn(self._target, self._kind, self._config),
                files=AsIter(files),
                counts=AsIter(totals),
                inputs=AsIter(self._inputs),
            )
        )


class _CommitFn(beam.DoFn):
    def __init__(self, target: OutputTarget, kind: SetKind, config: Config) -> None:
        self._target = target
        self._kind = kind
        self._config = config

    def process(
        self,
        _: None,
        files: Iterable[FileRecord],
        counts: Iterable[Count],
        inputs: Iterable[InputRecord],
    ) -> Iterator[Mapping[str, int]]:
        totals = dict(counts)
        with timed("commit"):
            commit(self._target, self._kind, self._config, list(files), totals, list(inputs))
        yield totals


def commit(
    target: OutputTarget,
    kind: SetKind,
    config: Config,
    files: Sequence[FileRecord],
    counts: Mapping[str, int],
    inputs: Sequence[InputRecord],
) -> None:
    """Make the set complete; safe to repeat.

    Raises:
      UnbalancedBooksError: rows are missing or too many.
      ForeignRunError: another run has taken over the directory.
    """
    once = {record.name: record for record in files}
    kind.check_books(counts, once.values())
    target.check()
    storage.make_directory(target.directory)
    strays = [name for name in storage.names_in(target.directory) if name not in once and kind.has_row_file(name)]
    storage.delete(target.directory, strays)
    for folder in folders_of(target.directory, kind):
        below = storage.join(target.directory, folder)
        storage.delete(below, list(storage.temporary_below(below)))
    manifest = render_manifest(command=kind.command, config=config, inputs=inputs, counts=counts, files=once.values())
    atomic_files.replace_unless_changed(target.directory, MANIFEST_NAME, manifest)


def folders_of(directory: str, kind: SetKind) -> list[str]:
    """Return the names of the sub-directories that belong to a set of this kind."""
    return [name for name in storage.folders_in(directory) if kind.has_folder(name)] if kind.folders is not None else []
