"""Row files: one format each for JSON lines, Parquet and Avro, whole or not at all, with equal bytes each time."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, Literal, cast

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from beam_curator.blocks import PlannedEntry
from beam_curator.output_set import PART_SUFFIX, ROW_EXTENSIONS
from beam_curator.rendering import LAYOUTS, Layout, render_pieces
from beam_curator.transforms import storage
from beam_curator.transforms.storage import AtomicFile
from beam_curator.window_rules import WindowRules

RowFormat = Literal["jsonl", "parquet", "avro"]

_SPAN = {
    "type": "record",
    "name": "Span",
    "fields": [{"name": "start", "type": "double"}, {"name": "end", "type": "double"}],
}
AVRO_SCHEMA = {
    "type": "record",
    "name": "CuratedRow",
    "namespace": "beam_curator",
    "fields": [
        {"name": "source", "type": "string"},
        {"name": "offset", "type": "long"},
        {"name": "audio_filepath", "type": ["null", "string"]},
        {"name": "audio_sample_rate", "type": "double"},
        {"name": "n_segments", "type": "long"},
        {"name": "n_windows", "type": "long"},
        {"name": "n_filtered_windows", "type": "long"},
        {"name": "truncation_events", "type": "long"},
        {"name": "filtered", "type": {"type": "array", "items": _SPAN}},
        {"name": "row", "type": "string", "doc": "the whole row, as JSON lines would hold it"},
    ],
}
PARQUET_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("audio_filepath", pa.string()),
        pa.field("audio_sample_rate", pa.float64(), nullable=False),
        pa.field("n_segments", pa.int64(), nullable=False),
        pa.field("n_windows", pa.int64(), nullable=False),
        pa.field("n_filtered_windows", pa.int64(), nullable=False),
        pa.field("truncation_events", pa.int64(), nullable=False),
        pa.field("filtered", pa.list_(pa.struct([("start", pa.float64()), ("end", pa.float64())])), nullable=False),
        pa.field("row", pa.large_string(), nullable=False),
    ]
)
"""Columns of a Parquet row: what people query, and the whole row as JSON."""

_ROWS_A_GROUP = 256
_COPY_BYTES = 1 << 20
_AVRO_MARKER = hashlib.sha256(b"beam_curator.CuratedRow").digest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowForm:
    """How rows are written: file format, and windows in full or as index ranges."""

    row_format: RowFormat = "jsonl"
    layout: Layout = "full"

    def __post_init__(self) -> None:
        for value, known, name in (
            (self.row_format, ROW_EXTENSIONS, "row format"),
            (self.layout, LAYOUTS, "layout"),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r} is not known: use one of {', '.join(known)}")


def row_pieces(row: PlannedEntry, source: str, rules: WindowRules, layout: Layout) -> list[bytes | memoryview]:
    """Render a planned row; in layout `spans` it also says, under `_origin`, which line its indices mean.

    Raises:
      ValueError: the overlap filter has not seen the row.
    """
    if row.choice is None:
        raise ValueError(f"the row at byte {row.offset} has no choice of windows: apply FilterOverlaps first")
    origin = {"source": source, "offset": row.offset} if layout == "spans" else None
    return render_pieces(row.entry, row.plan, row.choice, rules, layout, origin)


def columns_of(row: PlannedEntry, source: str, rules: WindowRules, layout: Layout) -> dict[str, Any]:
    """Return a row as columns, for Parquet and Avro."""
    text = b"".join(row_pieces(row, source, rules, layout)).decode()
    path = row.entry.fields["audio_filepath"]
    plan, choice = row.plan, row.choice
    return {
        "source": source,
        "offset": row.offset,
        "audio_filepath": path if isinstance(path, str) else None,
        "audio_sample_rate": float(row.entry.sample_rate),
        "n_segments": len(row.entry.segments),
        "n_windows": len(plan.firsts),
        "n_filtered_windows": len(choice.kept) if choice is not None else 0,
        "truncation_events": plan.truncation_events,
        "filtered": [
            {"start": float(plan.starts[k]), "end": float(plan.ends[k])} for k in (choice.survivors if choice else ())
        ],
        "row": text,
    }


class _Stream(io.RawIOBase):
    """What Parquet and Avro writers want of a file, over an `AtomicFile`."""

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


def write_lines(file: AtomicFile, rows: Iterable[Sequence[bytes | memoryview]]) -> None:
    """Write rows in pieces as lines."""
    for pieces in rows:
        file.write_pieces([*pieces, b"\n"])


def write_parquet(file: AtomicFile, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as Parquet, a row group for every 256."""
    with pq.ParquetWriter(_Stream(file), PARQUET_SCHEMA, compression="zstd") as writer:
        remaining = iter(rows)
        while group := list(islice(remaining, _ROWS_A_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=PARQUET_SCHEMA))


def write_avro(file: AtomicFile, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as Avro; the sync marker is fixed, since a random one would make each file differ."""
    fastavro.writer(cast(IO[Any], _Stream(file)), AVRO_SCHEMA, rows, codec="deflate", sync_marker=_AVRO_MARKER)


def write_rows(file: AtomicFile, rows: Sequence[PlannedEntry], source: str, rules: WindowRules, form: RowForm) -> None:
    """Write the rows of one block in the format and layout asked for."""
    if form.row_format == "jsonl":
        write_lines(file, (row_pieces(row, source, rules, form.layout) for row in rows))
        return
    columns = (columns_of(row, source, rules, form.layout) for row in rows)
    (write_parquet if form.row_format == "parquet" else write_avro)(file, columns)


def count_rows(path: str) -> int:
    """Count the rows of a finished file."""
    if path.endswith(".jsonl"):
        return storage.hash_file(path)[2]
    with storage.open_raw(path) as stream:
        if path.endswith(".parquet"):
            return int(pq.ParquetFile(stream).metadata.num_rows)
        return sum(block.num_records for block in fastavro.block_reader(stream))


def merge_files(file: AtomicFile, paths: Sequence[str]) -> None:
    """Put the rows of several files of one format into one, in order."""
    extension = paths[0].removesuffix(PART_SUFFIX).rpartition(".")[2]
    if extension == "jsonl":
        for path in paths:
            with storage.open_raw(path) as stream:
                while chunk := stream.read(_COPY_BYTES):
                    file.write_pieces([chunk])
        return
    read = _parquet_rows if extension == "parquet" else _avro_rows
    rows = (row for path in paths for row in read(path))
    (write_parquet if extension == "parquet" else write_avro)(file, rows)


def _parquet_rows(path: str) -> Iterator[dict[str, Any]]:
    with storage.open_raw(path) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(batch_size=_ROWS_A_GROUP):
            yield from batch.to_pylist()


def _avro_rows(path: str) -> Iterator[dict[str, Any]]:
    with storage.open_raw(path) as stream:
        yield from cast(Iterator[dict[str, Any]], fastavro.reader(stream))
