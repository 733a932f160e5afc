"""Rows for Beam YAML, with a schema each, and the pure functions that make them.

Rows cross workers as Beam's own row coder writes them and come back as generated classes: read them by attribute.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import apache_beam as beam
import msgspec

from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.failures import EntryError, Failure, render_failure
from beam_curator.files.row_files import columns_of
from beam_curator.recordings.channel_files import path_text
from beam_curator.sets.blocks import Line
from beam_curator.sets.output_set import InputRecord
from beam_curator.transforms.windows.training_windows import STAGE as BUILD_STAGE
from beam_curator.windows.entry_blocks import EntryBlock
from beam_curator.windows.overlap import OverlapRules, keep_non_overlapping
from beam_curator.windows.rendering import Layout
from beam_curator.windows.training_windows import build_training_windows
from beam_curator.windows.window_rules import WindowRules

READ_STAGE, OVERLAP_STAGE = "read", "overlap"
_INT64 = range(-(1 << 63), 1 << 63)

# Beam's schemas take `str | None` for an object of any kind; Optional they understand
OptionalText = Optional[str]  # noqa: UP045
OptionalNumber = Optional[float]  # noqa: UP045
OptionalWhole = Optional[int]  # noqa: UP045


class ManifestRow(NamedTuple):
    """A manifest line as it came, and the file and byte offset where it begins."""

    source: str
    offset: int
    row: str


class BuiltRow(NamedTuple):
    """A row with its training windows: `row` is the JSON text that the builder of the reference returns."""

    source: str
    offset: int
    audio_filepath: OptionalText
    audio_sample_rate: OptionalNumber
    n_segments: OptionalWhole
    n_windows: int
    truncation_events: OptionalWhole
    row: str


class SpanRow(NamedTuple):
    """Start and end in seconds."""

    start: float
    end: float


class WindowsRow(NamedTuple):
    """A result row: the columns of the Parquet files, and in `row` the line that the command writes.

    A column is null where `row` does not say: only `audio_filepath`, and others where windows came from elsewhere.
    """

    source: str
    offset: int
    audio_filepath: OptionalText
    audio_sample_rate: OptionalNumber
    n_segments: OptionalWhole
    n_windows: int
    n_filtered_windows: int
    truncation_events: OptionalWhole
    filtered: Sequence[SpanRow]
    row: str


class DiarizedRow(NamedTuple):
    """An entry: the columns of the Parquet files, its RTTM, and in `row` the line that the command writes."""

    source: str
    offset: int
    recording_id: str
    audio_filepath: OptionalText
    duration: float
    num_turns: int
    num_speakers: int
    speakers_saturated: bool
    rttm: str
    row: str


class MadeRow(NamedTuple):
    """A row that a job makes of a recording, and the files that a set would hold beside it."""

    source: str
    offset: int
    kind: str
    row: str
    file_names: Sequence[str]
    files: Sequence[bytes]


class ErrorRow(NamedTuple):
    """A dead letter: keys and values are those of a line of `failures-*.jsonl`."""

    code: str
    stage: str
    source: str
    offset: int
    message: str
    cure: str
    payload: str
    payload_truncated: bool
    payload_encoding: str


class InputRow(NamedTuple):
    """An input file; size and hash are null where it cannot be read."""

    name: str
    n_bytes: OptionalWhole
    sha256: OptionalText


class CountRow(NamedTuple):
    """One of the counts of a job, as `_MANIFEST.json` has them."""

    name: str
    value: int


class LineRow(NamedTuple):
    """One line of text and nothing else, as WriteToText takes it."""

    line: str


_ROW_TYPES = (ManifestRow, BuiltRow, SpanRow, WindowsRow, DiarizedRow, ErrorRow, InputRow, CountRow, LineRow)
for _row_type in _ROW_TYPES:
    beam.coders.registry.register_coder(_row_type, beam.coders.RowCoder)


class RowRefusedError(ValueError):
    """A row failed in a step without error_handling."""


def read_row(source: str, line: Line) -> ManifestRow | Failure:
    """Make a row of a raw line; one that is not UTF-8 is no text, and fails as it would in the builder.

    Example:
      >>> read_row("a.jsonl", Line(offset=7, raw=b"{}"))
      ManifestRow(source='a.jsonl', offset=7, row='{}')
    """
    try:
        return ManifestRow(source=source, offset=line.offset, row=_text_of(line.raw))
    except EntryError as err:
        return Failure.from_error(err, stage=READ_STAGE, source=source, offset=line.offset, payload=line.raw)


def _text_of(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        parse_object(raw)  # says what is wrong in the words of the builder
        raise


def build_row(row: Any, rules: WindowRules) -> BuiltRow | Failure:
    """Build the training windows of one row that has `source`, `offset` and `row`."""
    try:
        built = build_training_windows(parse_object(row.row.encode()), rules)
    except EntryError as err:
        return _failure_of(err, BUILD_STAGE, row)
    return BuiltRow(
        source=row.source,
        offset=row.offset,
        **_described(built),
        n_windows=len(built["windows"]),
        row=encode(built).decode(),
    )


def filter_row(row: Any, rules: OverlapRules) -> WindowsRow | Failure:
    """Filter the windows of one row that has `source`, `offset` and `row`, the latter with `windows`."""
    try:
        kept = keep_non_overlapping(parse_object(row.row.encode()), rules)
    except EntryError as err:
        return _failure_of(err, OVERLAP_STAGE, row)
    has_windows = bool(kept["windows"])
    return WindowsRow(
        source=row.source,
        offset=row.offset,
        **_described(kept),
        n_windows=len(kept["windows"]),
        n_filtered_windows=len(kept["filtered_windows"]) if has_windows else 0,
        filtered=[SpanRow(float(start), float(end)) for end, start in kept["filtered"]] if has_windows else [],
        row=encode(kept).decode(),
    )


def _failure_of(error: EntryError, stage: str, row: Any) -> Failure:
    payload = row.row.encode()
    return Failure.from_error(error, stage=stage, source=row.source, offset=row.offset, payload=payload)


def _described(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a row says itself, in its `stats` above all."""
    stats = fields["stats"] if isinstance(fields.get("stats"), dict) else {}
    return {
        "audio_filepath": path_text(fields.get("audio_filepath")),
        "audio_sample_rate": _number(stats.get("audio_sample_rate")),
        "n_segments": _whole(stats.get("total_segments")),
        "truncation_events": _whole(fields.get("truncation_events")),
    }


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:
        return None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and value in _INT64 else None


def windows_rows(block: EntryBlock, layout: Layout) -> Iterator[WindowsRow]:
    """Yield the result rows of a block whose windows are chosen."""
    for row in block.rows:
        columns = columns_of(row, block.ref.source, block.rules, layout)
        spans = [SpanRow(**span) for span in columns.pop("filtered")]
        yield WindowsRow(**columns, filtered=spans)


def error_row(failure: Failure) -> ErrorRow:
    """Return a dead letter as a row, its payload shown as in `failures-*.jsonl`.

    Example:
      >>> from beam_curator.failures import FailureCode
      >>> error_row(Failure(code=FailureCode.BAD_UTF8, stage="read", source="a.jsonl", offset=7,
      ...                   message="m", cure="c", payload=b"\\xff"))[6:]
      ('/w==', False, 'base64')
    """
    return ErrorRow(**msgspec.json.decode(render_failure(failure)))


def refusal_of(failure: Failure) -> RowRefusedError:
    """Return the error for a row that nobody wants to collect."""
    return RowRefusedError(
        f"{failure.code}: {failure.source} at byte {failure.offset} ({failure.stage}): "
        f"{failure.message}: {failure.cure}; "
        "or give the step 'error_handling: {output: NAME}' and use that output"
    )


def input_row(record: InputRecord) -> InputRow:
    """Return the record of an input file as a row."""
    return InputRow(name=record.name, n_bytes=record.n_bytes, sha256=record.sha256)


def count_rows(counts: Mapping[str, int]) -> Iterator[CountRow]:
    """Yield one row for each count, by name."""
    for name, value in sorted(counts.items()):
        yield CountRow(name=name, value=value)


def letter_of(row: Any) -> LineRow:
    """Render an error row as its line of `failures-*.jsonl`, in whatever order its columns are.

    Beam YAML shuffles the columns of rows that it flattens.
    """
    return LineRow(line=encode({name: getattr(row, name) for name in ErrorRow._fields}).decode())
