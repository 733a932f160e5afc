"""Rows as tables: the explicit schema of each job's rows in Parquet and Avro, written with equal bytes each time.

A table holds the columns that people query, and the whole row as JSON.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import IO, Any, cast

import fastavro
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.sets.columns import Column, Table
from beam_curator.sets.output_set import PART_SUFFIX

ROWS_A_GROUP = 256
BYTES_A_GROUP = 256 << 20
"""A group of rows is held whole, so it ends early where rows are large."""

_ARROW_TYPES = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "text": pa.string()}
_AVRO_TYPES = {"string": "string", "int64": "long", "double": "double", "bool": "boolean", "large_string": "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTable:
    """The schema of one job's rows, in both formats.

    Attributes:
      parquet: Arrow schema.
      avro: the same as Avro's JSON.
    """

    parquet: pa.Schema
    avro: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, columns: pa.Schema, **avro_types: Any) -> "RowTable":
        """Make a table from an Arrow schema.

        Args:
          name: of the Avro record.
          columns: with nullability; the last one is the whole row.
          avro_types: Avro types of columns that are not of a simple type.
        """
        fields: list[dict[str, Any]] = []
        for field in columns:
            kind = avro_types.get(field.name) or _AVRO_TYPES[str(field.type)]
            fields.append({"name": field.name, "type": ["null", kind] if field.nullable else kind})
        fields[-1]["doc"] = "the whole row, as JSON lines would hold it"
        avro = {"type": "record", "name": name, "namespace": "beam_curator", "fields": fields}
        return cls(parquet=columns, avro=avro)

    def write(self, file: AtomicFile, rows: Iterable[dict[str, Any]], row_format: str) -> None:
        """Write rows, as columns by name, in "parquet" or "avro"."""
        if row_format == "parquet":
            write_parquet(file, self.parquet, rows)
        else:
            self._write_avro(file, rows)

    def _write_avro(self, file: AtomicFile, rows: Iterable[dict[str, Any]]) -> None:
        """Write Avro; the sync marker is fixed, since a random one would make each file differ."""
        marker = hashlib.sha256(f"beam_curator.{self.avro['name']}".encode()).digest()[:16]
        stream = cast(IO[Any], StreamOf(file))
        fastavro.writer(stream, dict(self.avro), rows, codec="deflate", sync_marker=marker)


def write_parquet(file: AtomicFile, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows, as columns by name, with equal bytes each time."""
    with pq.ParquetWriter(StreamOf(file), schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    n_bytes = 0
    for row in rows:
        size = len(row.get("row", ""))
        if group and (len(group) == ROWS_A_GROUP or n_bytes + size > BYTES_A_GROUP):
            yield group
            group, n_bytes = [], 0
        group.append(row)
        n_bytes += size
    if group:
        yield group


@cache
def table_of(table: Table) -> RowTable:
    """Return the schema of a job's rows in both formats."""
    columns = (Column("source", "text"), Column("offset", "int"), *table.columns)
    fields = [pa.field(name, _ARROW_TYPES[kind], nullable=nullable) for name, kind, nullable in columns]
    return RowTable.of(table.name, pa.schema([*fields, pa.field("row", pa.large_string(), nullable=False)]))


def write_table(table: Table, file: AtomicFile, rows: Iterable[dict[str, Any]], row_format: str) -> None:
    """Write whole rows as a table in "parquet" or "avro"."""
    table_of(table).write(file, map(table.values, rows), row_format)


class StreamOf(io.RawIOBase):
    """The file interface that Parquet and Avro writers need, over an `AtomicFile`."""

    def __init__(self, file: AtomicFile) -> None:
        self._file = file
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._file.write_pieces([bytes(data)])
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position


def row_format_of(path: str) -> str:
    """Return the format of a finished file, or of the hidden part of one, by its name.

    Example:
      >>> row_format_of("out/windows-00000-of-00002.avro"), row_format_of(".windows-0.parquet.part.beam_curator.tmp")
      ('avro', 'parquet')
    """
    return path.removesuffix(PART_SUFFIX).rpartition(".")[2]


def read_table(path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a finished `.parquet` or `.avro` file, as columns by name."""
    with storage.open_raw(path) as stream:
        if row_format_of(path) == "parquet":
            table = pq.ParquetFile(stream)
            for group in range(table.num_row_groups):
                for batch in table.iter_batches(batch_size=ROWS_A_GROUP, row_groups=[group]):
                    yield from batch.to_pylist()
        else:
            yield from cast(Iterator[dict[str, Any]], fastavro.reader(stream))


def count_table(path: str) -> int:
    """Count the rows of a finished `.parquet` or `.avro` file."""
    with storage.open_raw(path) as stream:
        if row_format_of(path) == "parquet":
            return int(pq.ParquetFile(stream).metadata.num_rows)
        return sum(block.num_records for block in fastavro.block_reader(stream))


def read_row_file(path: str, kind: Any = Any) -> Iterator[Any]:
    """Yield the rows of a finished file, whatever its format: whole, or decoded by msgspec to a type."""
    if row_format_of(path) != "jsonl":
        for columns in read_table(path):
            yield msgspec.json.decode(columns["row"], type=kind)
        return
    with storage.open_raw(path) as stream:
        for line in stream:
            yield msgspec.json.decode(line, type=kind)
