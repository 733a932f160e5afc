"""Rows of recordings as hidden files, merged into shards: rows never cross a shuffle."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.block_files import merged_before, shard_of
from beam_curator.files.fetching import fetched
from beam_curator.files.kept_parts import read_parts, write_archive
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, Shard, lines_of_part, rows_of_part
from beam_curator.files.row_tables import write_table
from beam_curator.sets.columns import ColumnKinds
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import FAILURES, ROW_EXTENSIONS, FileRecord, RowFormat, shard_file_name
from beam_curator.sets.recording_jobs import RowKind
from beam_curator.transforms.metrics import timed

WriteTable = Callable[[AtomicFile, Iterable[dict[str, Any]]], None]
"""Writes the rows of a table into a Parquet file."""


class MergedParts(NamedTuple):
    """The merged parts of a job: files of rows with their columns, records of all merged files, and counts."""

    rows: PCollection[Shard]
    files: tuple[PCollection[FileRecord], ...]
    counts: PCollection[Count]


class MergeParts(beam.PTransform[PCollection[Part], MergedParts]):
    """Merge the hidden files of recordings into shards, in the order of their first rows.

    Args:
      target: where the files lie; as many shards as it says, or as there are blocks of manifest.
      row_format: the rows' format.
      kind: the kind of rows.
      write_tables: writer of the kind's tables that are Parquet whatever the format of the rows.
    """

    def __init__(
        self, target: OutputTarget, row_format: RowFormat, kind: RowKind, write_tables: WriteTable | None = None
    ) -> None:
        super().__init__()
        self._target = target
        self._work = _MergeFn(target, row_format, kind, write_tables)

    def expand(self, parts: PCollection[Part]) -> "MergedParts":
        keyed = parts | "Key by shard" >> beam.FlatMap(key_part, self._target.n_shards).with_output_types(
            tuple[tuple[str, int, int], Shard]
        )
        grouped = keyed | "Group parts" >> beam.GroupByKey()
        merged = grouped | "Merge" >> beam.ParDo(self._work).with_outputs("others", main="rows")
        counts = parts | "Counts" >> beam.FlatMap(_counts_of).with_output_types(tuple[str, int])
        files = tuple(merged[tag] | f"Files of {tag}" >> beam.Map(_record_of) for tag in ("rows", "others"))
        return MergedParts(rows=merged["rows"], files=files, counts=counts)


def key_part(part: Part, n_shards: int) -> Iterator[tuple[tuple[str, int, int], Shard]]:
    """Give each file of a recording the kind, number and count of the shards that it goes into."""
    for record in part.files:
        # without a number of shards there is one to a block, as in a set that is not merged
        n = n_shards or record.n_blocks
        columns = () if _are_letters(record.kind) else part.columns
        yield (record.kind, shard_of(record, n), n), Shard(record=record, columns=columns)


def _are_letters(kind: str) -> bool:
    return kind.startswith(FAILURES)


def _counts_of(part: Part) -> tuple[Count, ...]:
    return part.counts


class _MergeFn(beam.DoFn):
    def __init__(
        self, target: OutputTarget, row_format: RowFormat, kind: RowKind, write_tables: WriteTable | None
    ) -> None:
        self._target = target
        self._row_format: RowFormat = row_format
        self._kind = kind
        self._write_tables = write_tables

    def process(self, group: tuple[tuple[str, int, int], Iterable[Shard]]) -> Iterator[Any]:
        (kind, number, n), grouped = group
        # groups come in any order, and the rows of a set must not depend on it
        parts = sorted(grouped, key=lambda part: part.record.position)
        n_rows = sum(part.record.n_rows for part in parts)
        columns = ColumnKinds()
        for part in parts:
            columns.merge(part.columns)
        with fetched(self._target.directory, (part.record.name for part in parts)) as folder:
            self._keep(folder, kind, number, n, parts)
            if not n_rows:
                return
            with timed("merge"):
                record = self._merged(folder, kind, number, n, parts)
        shard = Shard(record=replace(record, n_rows=n_rows, position=(number,)), columns=columns.columns())
        yield shard if kind == self._kind.rows else beam.pvalue.TaggedOutput("others", shard)

    def _keep(self, folder: str, kind: str, number: int, n: int, parts: Sequence[Shard]) -> None:
        """Keep the parts for a run that updates the set."""
        texts = read_parts(folder, [part.record.name for part in parts])
        write_archive(self._target, shard_file_name(kind, number, n, ""), texts)

    def _merged(self, folder: str, kind: str, number: int, n: int, parts: Sequence[Shard]) -> FileRecord:
        directory = self._target.directory
        is_table = kind in self._kind.tables and kind not in self._kind.tables_of_rows
        row_format = "jsonl" if _are_letters(kind) else "parquet" if is_table else self._row_format
        name = shard_file_name(kind, number, n, ROW_EXTENSIONS[row_format])
        template = FileRecord(name=name, n_bytes=0, sha256="", n_rows=0, kind=kind)
        kept = merged_before(directory, template, [part.record for part in parts])
        if kept is not None:
            return kept
        paths = [storage.join(folder, part.record.name) for part in parts]
        with AtomicFile(directory, name, self._target.check) as file:
            self._write(file, kind, paths, row_format)
        return replace(template, n_bytes=file.n_bytes, sha256=file.sha256)

    def _write(self, file: AtomicFile, kind: str, paths: Sequence[str], row_format: str) -> None:
        has_head = kind == self._kind.rows
        if row_format == "jsonl":
            for path in paths:
                for piece in lines_of_part(path, has_head=has_head):
                    file.write_pieces([piece])
            return
        rows = (row for path in paths for row in rows_of_part(path, has_head=has_head))
        table = self._kind.tables_of_rows.get(kind)
        if self._write_tables is not None and not has_head and table is None:
            self._write_tables(file, rows)
        else:
            write_table(table or self._kind.table, file, rows, row_format)


def _record_of(shard: Shard) -> FileRecord:
    return shard.record
