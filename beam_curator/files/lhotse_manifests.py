"""Manifests of Lhotse and tasks of Label Studio: each cut, recording or task becomes a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.entries.lhotse_rows import RECORDING_KEY, entry_of_lhotse, entry_of_supervisions
from beam_curator.failures import EntryError, Failure, FailureCode
from beam_curator.files import storage
from beam_curator.files.annotation_manifests import READ_STAGE, AnnotationReading, find_recording
from beam_curator.files.listing import recordings_beside, with_form
from beam_curator.files.opened_recordings import recording_of, sample_rate_of
from beam_curator.formats.found_recordings import failure_of_lines
from beam_curator.formats.label_studio import entry_of_task
from beam_curator.sets.blocks import BlockRef, InputFile, Line, LineBlock, Rows, read_parts

_MARK_OF_LHOTSE = b'"sampling_rate"'
_MARKS_OF_TASKS = (b'"annotations"', b'"predictions"')
"""In every row that stands for a recording, a cut or a task; other rows need not be parsed for it."""


def foreign_rows(rows: Rows, source: str, reading: AnnotationReading) -> Rows:
    """Turn cuts, recordings and tasks among rows into entries; all other rows are as they are."""
    for row in rows:
        is_task = not isinstance(row, Failure) and any(mark in row.raw for mark in _MARKS_OF_TASKS)
        if isinstance(row, Failure) or not (is_task or _MARK_OF_LHOTSE in row.raw):
            yield row
            continue
        try:
            fields = parse_object(row.raw)
            entry = entry_of_lhotse(fields)
            if entry is None and is_task:
                entry = _entry_of_task(fields, source, reading)
            yield row if entry is None else Line(offset=row.offset, raw=encode(entry))
        except EntryError as err:
            yield failure_of_lines([row], err, stage=READ_STAGE, source=source)


def _entry_of_task(fields: dict[str, Any], source: str, reading: AnnotationReading) -> dict[str, Any] | None:
    entry = entry_of_task(fields)
    if entry is None:
        return None
    if "/" not in entry["audio_filepath"]:  # of an upload only the name is known
        with suppress(EntryError):
            entry["audio_filepath"] = find_recording(entry["audio_filepath"], reading.directory(source))
    if reading.sample_rates:
        entry["audio_sample_rate"] = sample_rate_of(recording_of(entry["audio_filepath"], source, reading.audio_root))
    return entry


def supervision_rows(rows: Rows, source: str, max_line_bytes: int) -> Rows:
    """Turn supervisions into rows, one for each recording, with the offset of its first supervision.

    Supervisions that cannot be read, or whose recording is not in the manifest beside theirs, are failures.
    """
    lines: dict[str, list[Line]] = {}
    for row in rows:
        if isinstance(row, Failure):
            yield row
            continue
        try:
            lines.setdefault(_recording_of(row), []).append(row)
        except EntryError as err:
            yield failure_of_lines([row], err, stage=READ_STAGE, source=source)
    beside = recordings_beside(source) or source
    recordings: dict[str, Line] = {}
    for line in _lines_of(beside, max_line_bytes):
        name = _id_in(line)
        if name in lines:
            recordings.setdefault(name, line)
    for name, own in lines.items():
        try:
            if name not in recordings:
                message = f"no recording {name!r} in {beside}"
                raise EntryError(FailureCode.NOT_FOUND, message, "add the recording, or remove its supervisions")
            supervisions = [parse_object(line.raw) for line in own]
            entry = entry_of_supervisions(parse_object(recordings[name].raw), supervisions)
            yield Line(offset=own[0].offset, raw=encode(entry))
        except EntryError as err:
            yield failure_of_lines(own, err, stage=READ_STAGE, source=source)


def _recording_of(line: Line) -> str:
    name = parse_object(line.raw).get(RECORDING_KEY)
    if not isinstance(name, str):
        raise EntryError(FailureCode.MISSING_KEY, "the supervision names no recording_id", "add it, or remove the line")
    return name


def _id_in(line: Line) -> str:
    """Return the id of a recording; "" for a line that is none."""
    try:
        return str(parse_object(line.raw).get("id", ""))
    except EntryError:
        return ""


def _lines_of(name: str, max_line_bytes: int) -> Iterator[Line]:
    form = with_form(InputFile(name=name, size=0)).form
    ref = BlockRef(source=name, occurrence=0, ordinal=0, n_blocks=1, start=0, stop=0, form=form)
    with storage.open_text(name) as stream:
        for part in read_parts(stream, ref, compressed=True, max_line_bytes=max_line_bytes):
            yield from part.lines if isinstance(part, LineBlock) else ()
