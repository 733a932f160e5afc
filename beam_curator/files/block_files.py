"""Files of blocks: named, kept and recorded, and merged into shards."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.row_tables import count_table, row_format_of
from beam_curator.sets.output_set import PART_SUFFIX, FileRecord, block_file_name, part_name


class BlockWriter:
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
        """Open the file, which appears once it is whole."""
        if self._target.token is None:
            storage.make_directory(self._target.directory)
        return AtomicFile(self._target.directory, self._template.name, self._target.check)

    def again(self, record: FileRecord) -> FileRecord:
        """Return the record of the same bytes in another set as that of this file."""
        return replace(self._template, n_bytes=record.n_bytes, sha256=record.sha256, n_rows=record.n_rows)

    def record(self, file: AtomicFile, n_rows: int) -> FileRecord:
        """Return the record of the file once it is written."""
        return replace(self._template, n_bytes=file.n_bytes, sha256=file.sha256, n_rows=n_rows)


def existing_record(directory: str, template: FileRecord) -> FileRecord | None:
    """Read a finished file back and return its record; None where there is none."""
    path = storage.join(directory, template.name)
    if storage.size_of(path) is None:
        return None
    n_bytes, sha256, n_lines = storage.hash_file(path)
    n_rows = n_lines if row_format_of(path) == "jsonl" else count_table(path)
    return replace(template, n_bytes=n_bytes, sha256=sha256, n_rows=n_rows)


def extension_of(name: str) -> str:
    """Return the extension of a block's file, with its dot, also where that is hidden to be merged."""
    return "." + name.removesuffix(PART_SUFFIX).rpartition(".")[2]


def key_by_shard(record: FileRecord, n_shards: int) -> tuple[tuple[str, int], FileRecord]:
    """Give each block's file the shard it goes into."""
    return (record.kind, shard_of(record, n_shards)), record


def shard_of(record: FileRecord, n_shards: int) -> int:
    """Return the shard of a block's file: consecutive blocks stay together."""
    return record.position[0] * n_shards // record.n_blocks


def merged_before(directory: str, template: FileRecord, parts: Sequence[FileRecord]) -> FileRecord | None:
    """Return the record of a merged file whose parts were swept by a commit that is being repeated; else None."""
    if all(storage.size_of(storage.join(directory, part.name)) is not None for part in parts):
        return None
    return existing_record(directory, template)
