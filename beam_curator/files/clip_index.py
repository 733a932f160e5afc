"""The index of a set of clips: metadata.csv, metadata.parquet, extraction_summary.json, and the combined manifest."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from beam_curator.clips.tables import (
    ExtractionTotals,
    audiofolder_names,
    csv_text,
    extraction_summary,
    metadata_of_clip_row,
    summary_text,
)
from beam_curator.entries.json_lines import is_object
from beam_curator.files import atomic_files, storage
from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.listing import list_inputs, with_forms
from beam_curator.files.manifest_files import read_rows
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Shard
from beam_curator.files.row_tables import read_row_file, write_parquet
from beam_curator.sets.blocks import MAX_LINE_BYTES, LineBlock, plan_blocks
from beam_curator.sets.columns import ColumnKinds, Kind
from beam_curator.sets.output_set import FileRecord

CSV_NAME, PARQUET_NAME, SUMMARY_NAME, COMBINED_NAME = (
    "metadata.csv",
    "metadata.parquet",
    "extraction_summary.json",
    "manifest.jsonl",
)


INDEX_KIND, COMBINED_KIND = "index", "manifest"


_ARROW = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "text": pa.string(), None: pa.string()}


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """Options of the index that is written for a set of clips.

    Attributes:
      inputs: of the job, as given.
      output_format: of the clips.
      index: one of `INDEXES`.
      audio_root: directory below which recordings of RTTM are found.
    """

    inputs: tuple[str, ...]
    output_format: str
    index: str = "csv"
    audio_root: str = ""


def write_index(target: OutputTarget, given: Iterable[Shard], options: IndexOptions) -> Iterator[FileRecord]:
    """Write the tables and the summary; yield the records of the files that belong to the set.

    A shard may come more than once; rows are in the order of the shards' names.

    The summary names the output directory, as the reference's does, so it is left out of the set: two runs of one job
    into two directories are the same set.
    """
    shards = [shard for _, shard in sorted({shard.record.name: shard for shard in given}.items())]
    kinds = ColumnKinds()
    for shard in shards:
        kinds.merge(shard.columns)
    columns = kinds.columns()
    storage.make_directory(target.directory)
    totals = ExtractionTotals()
    if columns:
        rows = map(metadata_of_clip_row, totals.of(_rows(target, shards)))
        names = {name: name for name, _ in columns}
        if options.index == "huggingface":
            names = audiofolder_names(names)
        named = ({names[key]: value for key, value in row.items()} for row in rows)
        with AtomicFile(target.directory, CSV_NAME, target.check) as file:
            for text in csv_text([*names.values()], named):
                file.write_pieces([text])
        yield _record(CSV_NAME, file, totals.n_clips)
    if columns and options.index == "parquet":
        with AtomicFile(target.directory, PARQUET_NAME, target.check) as file:
            _write_parquet(file, columns, map(metadata_of_clip_row, _rows(target, shards)))
        yield _record(PARQUET_NAME, file, totals.n_clips)
    summary = extraction_summary(
        totals,
        manifest_path=", ".join(options.inputs),
        output_dir=target.place,
        output_format=options.output_format,
    )
    target.check()
    atomic_files.write_bytes(target.directory, SUMMARY_NAME, summary_text(summary))


def _record(name: str, file: AtomicFile, n_rows: int) -> FileRecord:
    return FileRecord(name=name, n_bytes=file.n_bytes, sha256=file.sha256, n_rows=n_rows, kind=INDEX_KIND)


def _rows(target: OutputTarget, shards: Sequence[Shard]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        yield from read_row_file(storage.join(target.directory, shard.record.name))


def _write_parquet(
    file: AtomicFile, columns: Sequence[tuple[str, Kind | None]], rows: Iterator[Mapping[str, Any]]
) -> None:
    """Write the index as Parquet: columns of one kind of numbers as such, all else as text."""
    schema = pa.schema([pa.field(name, _ARROW[kind]) for name, kind in columns])
    kinds = dict(columns)
    write_parquet(file, schema, ({name: _cell(value, kinds[name]) for name, value in row.items()} for row in rows))


def _cell(value: Any, kind: Kind | None) -> Any:
    """Return a value as its column holds it; Arrow takes no integer above 2^53 for a float by itself."""
    if value is None or kind in ("bool", "int"):
        return value
    if kind == "float":
        return float(value)
    return value if isinstance(value, str) else str(value)


def write_combined(target: OutputTarget, directories: Sequence[str], audio_root: str = "") -> FileRecord:
    """Write the rows of directories of manifests into one file, as the reference does; other lines are left out."""
    n_rows = 0
    with AtomicFile(target.directory, COMBINED_NAME, target.check) as file:
        for line in _lines_of(directories, AnnotationReading(audio_root=audio_root)):
            file.write_pieces([line, b"\n"])
            n_rows += 1
    return FileRecord(name=COMBINED_NAME, n_bytes=file.n_bytes, sha256=file.sha256, n_rows=n_rows, kind=COMBINED_KIND)


def _lines_of(directories: Sequence[str], annotations: AnnotationReading) -> Iterator[bytes]:
    files, _ = list_inputs(directories)
    for ref in plan_blocks(with_forms(files)):
        for item in read_rows(ref, MAX_LINE_BYTES, annotations):
            for line in item.lines if isinstance(item, LineBlock) else ():
                if is_object(line.raw):
                    yield line.raw.replace(b"\n", b" ")
