"""Row files: one format each for JSON lines, Parquet and Avro, whole or not at all, with equal bytes each time."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from beam_curator.entries.json_lines import parse_object
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.part_files import lines_of_part
from beam_curator.files.row_tables import RowTable, read_table, row_format_of
from beam_curator.recordings.channel_files import path_text
from beam_curator.sets.blocks import Line
from beam_curator.sets.output_set import RowFormat
from beam_curator.sets.set_kinds import WINDOWS
from beam_curator.windows.entry_blocks import PlannedEntry
from beam_curator.windows.rendering import Layout, render_pieces
from beam_curator.windows.window_options import WindowOutputOptions
from beam_curator.windows.window_rules import WindowRules

_SPAN = {
    "type": "record",
    "name": "Span",
    "fields": [{"name": "start", "type": "double"}, {"name": "end", "type": "double"}],
}
WINDOWS_TABLE = RowTable.of(
    "CuratedRow",
    pa.schema(
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
    ),
    filtered={"type": "array", "items": _SPAN},
)
"""Columns of a row of windows: what people query, and the whole row as JSON."""


LINES_TABLE = RowTable.of(
    "Row",
    pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("audio_filepath", pa.string()),
            pa.field("row", pa.large_string(), nullable=False),
        ]
    ),
)
"""Columns of a row that is passed on."""


def table_of_rows(kind: str) -> RowTable:
    """Return the columns of the rows of a set of blocks, by their kind."""
    return WINDOWS_TABLE if kind == WINDOWS.rows else LINES_TABLE


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
    plan, choice = row.plan, row.choice
    return {
        "source": source,
        "offset": row.offset,
        "audio_filepath": path_text(row.entry.fields["audio_filepath"]),
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


def write_lines(file: AtomicFile, rows: Iterable[Sequence[bytes | memoryview]]) -> None:
    """Write rows in pieces as lines."""
    for pieces in rows:
        file.write_pieces([*pieces, b"\n"])


def write_rows(
    file: AtomicFile, rows: Sequence[PlannedEntry], source: str, rules: WindowRules, output: WindowOutputOptions
) -> None:
    """Write the rows of one block in the format and layout asked for."""
    if output.row_format == "jsonl":
        write_lines(file, (row_pieces(row, source, rules, output.layout) for row in rows))
        return
    columns = (columns_of(row, source, rules, output.layout) for row in rows)
    WINDOWS_TABLE.write(file, columns, output.row_format)


def write_passed_on(file: AtomicFile, lines: Sequence[Line], source: str, row_format: RowFormat) -> None:
    """Write the rows of one block that are lines of JSON already."""
    if row_format == "jsonl":
        write_lines(file, ([line.raw] for line in lines))
        return
    LINES_TABLE.write(file, (_passed_on(line, source) for line in lines), row_format)


def _passed_on(line: Line, source: str) -> dict[str, Any]:
    path = path_text(parse_object(line.raw).get("audio_filepath"))
    return {"source": source, "offset": line.offset, "audio_filepath": path, "row": line.raw.decode()}


def merge_files(file: AtomicFile, paths: Sequence[str], table: RowTable) -> None:
    """Put the rows of several files of one format into one, in order; `table` has their columns."""
    row_format = row_format_of(paths[0])
    if row_format == "jsonl":
        for path in paths:
            for piece in lines_of_part(path, has_head=False):
                file.write_pieces([piece])
        return
    table.write(file, (row for path in paths for row in read_table(path)), row_format)
