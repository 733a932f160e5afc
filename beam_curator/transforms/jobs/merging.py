"""Rows of recordings as hidden files, merged into shards: rows never cross a shuffle."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.block_files import merged_before, shard_of
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import _NO_TABLES, Part, Shard, WriteRows
from beam_curator.files.row_files import merge_files
from beam_curator.files.row_tables import read_row_file
from beam_curator.sets.columns import ColumnKinds
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import FAILURES, ROW_EXTENSIONS, FileRecord, RowFormat, shard_file_name
from beam_curator.transforms.metrics import timed


class MergedParts(NamedTuple):
    """The result of `MergeParts`: files of rows with their columns, files of letters and tables, and counts."""

    rows: PCollection[Shard]
    others: PCollection[Shard]
    counts: PCollection[Count]


class MergeParts(beam.PTransform[PCollection[Part], Any]):
    """Merge the hidden files of recordings into shards, in the order of their first rows.

    Args:
      target: where the files lie; as many shards as it says, or as there are blocks of manifest.
      row_format: of the rows.
      write: writes rows into a file in a format that is not JSON lines.
      tables: kinds of rows that are written as Parquet, whatever the format of the others, and what writes them.
    """

    def __init__(
        self,
        target: OutputTarget,
        row_format: RowFormat,
        write: WriteRows,
        tables: Mapping[str, WriteRows] = _NO_TABLES,
    ) -> None:
        super().__init__()
        self._target = target
        self._row_format: RowFormat = row_format
        self._write = write
        self._tables = tables

    def expand(self, parts: PCollection[Part]) -> "MergedParts":
        keyed = parts | "Key by shard" >> beam.FlatMap(key_part, self._target.n_shards).with_output_types(
            tuple[tuple[str, int, int], Shard]
        )
        work = _MergeFn(self._target, self._row_format, self._write, self._tables)
        merged = (
            keyed | "Group parts" >> beam.GroupByKey() | "Merge" >> beam.ParDo(work).with_outputs("others", main="rows")
        )
        counts = parts | "Counts" >> beam.FlatMap(_counts_of).with_output_types(tuple[str, int])
        return MergedParts(rows=merged["rows"], others=merged["others"], counts=counts)


def key_part(part: Part, n_shards: int) -> Iterator[tuple[tuple[str, int, int], Shard]]:
    """Give each file of a recording the kind, number and count of the shards that it goes into."""
    for record in part.files:
        n = n_shards or record.n_blocks
        columns = () if _are_letters(record.kind) else part.columns
        yield (record.kind, shard_of(record, n), n), Shard(record=record, columns=columns)


def _are_letters(kind: str) -> bool:
    return kind.startswith(FAILURES)


def _counts_of(part: Part) -> tuple[Count, ...]:
    return part.counts


class _MergeFn(beam.DoFn):
    def __init__(
        self, target: OutputTarget, row_format: RowFormat, write: WriteRows, tables: Mapping[str, WriteRows]
    ) -> None:
        self._target = target
        self._row_format: RowFormat = row_format
        self._write = write
        self._tables = tables

    def process(self, group: tuple[tuple[str, int, int], Iterable[Shard]]) -> Iterator[Any]:
        (kind, number, n), grouped = group
        parts = sorted(grouped, key=_position)
        n_rows = sum(part.record.n_rows for part in parts)
        if not n_rows:
            return
        columns = ColumnKinds()
        for part in parts:
            columns.merge(part.columns)
        with timed("merge"):
            record = self._merged(kind, number, n, parts)
        shard = Shard(record=replace(record, n_rows=n_rows, position=(number,)), columns=columns.columns())
        other = _are_letters(kind) or kind in self._tables
        yield beam.pvalue.TaggedOutput("others", shard) if other else shard

    def _merged(self, kind: str, number: int, n: int, parts: Sequence[Shard]) -> FileRecord:
        directory = self._target.directory
        row_format = "jsonl" if _are_letters(kind) else "parquet" if kind in self._tables else self._row_format
        extension = ROW_EXTENSIONS[row_format]
        name = shard_file_name(kind, number, n, extension)
        paths = [storage.join(directory, part.record.name) for part in parts]
        template = FileRecord(name=name, n_bytes=0, sha256="", n_rows=0, kind=kind)
        kept = merged_before(directory, template, [part.record for part in parts])
        if kept is not None:
            return kept
        with AtomicFile(directory, name, self._target.check) as file:
            if extension == ".jsonl":
                merge_files(file, paths)
            else:
                rows = (row for path in paths for row in read_row_file(path))
                self._tables.get(kind, self._write)(file, rows, row_format)
        return replace(template, n_bytes=file.n_bytes, sha256=file.sha256)


def _position(part: Shard) -> tuple[int, ...]:
    return part.record.position


class Merged(NamedTuple):
    """The merged parts of a job: files of rows with their columns, records of all merged files, and counts."""

    rows: PCollection[Shard]
    files: tuple[PCollection[FileRecord], ...]
    counts: PCollection[Count]


def merged_parts(
    parts: PCollection[Part],
    target: OutputTarget,
    row_format: RowFormat,
    write: WriteRows,
    tables: Mapping[str, WriteRows] = _NO_TABLES,
) -> Merged:
    """Merge the hidden files of recordings into files of the set; see `MergeParts`."""
    merged = parts | "Merge rows" >> MergeParts(target, row_format, write, tables)
    files = (
        merged.rows | "Row files" >> beam.Map(_record_of),
        merged.others | "Other files" >> beam.Map(_record_of),
    )
    return Merged(rows=merged.rows, files=files, counts=merged.counts)


def _record_of(shard: Shard) -> FileRecord:
    return shard.record
