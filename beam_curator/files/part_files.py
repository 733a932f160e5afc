"""Rows of one recording as hidden files, and those that an earlier attempt left."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec

from beam_curator.entries.json_lines import encode
from beam_curator.failures import Failure, render_failure
from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.columns import ColumnKinds, Kind
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import FAILURES, FileRecord, WrittenFile, part_name

Columns = tuple[tuple[str, Kind | None], ...]


WriteRows = Callable[[AtomicFile, Iterable[dict[str, Any]], str], None]
"""Writes rows into a file in "parquet" or "avro"."""


_NO_TABLES: Mapping[str, WriteRows] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class PartKind:
    """The kind of rows that a job writes for each recording.

    Attributes:
      rows: kind of their files.
      stage: that makes them; its name begins the counts and ends the kind of the dead letters.
      count: tells what is counted of a row, besides the row itself.
      files_of: tells which files belong to a row.
      columns_of: tells which columns of an index a row fills; None where there is no index.
      tables: kinds of the other rows of a recording, which have tables of their own, and how many of them the
        recording's first row asks for.
    """

    rows: str
    stage: str
    count: Callable[[dict[str, Any]], Iterable[Count]]
    files_of: Callable[[dict[str, Any]], Iterable[WrittenFile]]
    columns_of: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    tables: Mapping[str, Callable[[dict[str, Any]], int]] = field(default_factory=dict)

    @property
    def letters(self) -> str:
        """Kind of the files of dead letters."""
        return f"{FAILURES}-{self.stage}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The outcome of one recording.

    Attributes:
      files: hidden files of rows, of tables, and of dead letters where there are any.
      columns: of the index that its rows fill, with their kinds.
      counts: for the books.
    """

    files: tuple[FileRecord, ...]
    columns: Columns
    counts: tuple[Count, ...]


class PartWriter:
    """Collects rows and dead letters of one recording, and writes them into hidden files.

    The file of rows is put in place last, and also where it is empty: once it is there, all files that it names were
    put in place before it. Those of tables are synced to the disk, since no row holds their hashes.

    Args:
      kind: what the rows are.
      target: of the job.
      recording: its name.
      position: of its first row.
      n_blocks: number of blocks of the job.

    Attributes:
      key: of the recording, in the names of its hidden files.
    """

    def __init__(
        self, kind: PartKind, target: OutputTarget, recording: str, position: tuple[int, ...], n_blocks: int
    ) -> None:
        self._kind = kind
        self._target = target
        self.key = hashlib.blake2b(recording.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        self._template = FileRecord(
            name="", n_bytes=0, sha256="", n_rows=0, kind="", position=position, n_blocks=n_blocks
        )
        self._columns = ColumnKinds()
        self._counts: Counter[str] = Counter()
        self._rows: list[bytes] = []
        self._letters: list[bytes] = []
        self._tables: dict[str, list[bytes]] = {table: [] for table in kind.tables}

    def add_row(self, row: dict[str, Any]) -> None:
        """Add a row."""
        if not self._rows:
            for table, asked in self._kind.tables.items():
                self._count(table, asked(row))
        self._rows.append(encode(row))
        if self._kind.columns_of is not None:
            self._columns.add(self._kind.columns_of(row))
        self._counts[f"{self._kind.stage}.{self._kind.rows}"] += 1
        for name, n in self._kind.count(row):
            self._counts[f"{self._kind.stage}.{name}"] += n

    def add_to_table(self, table: str, row: dict[str, Any] | None) -> None:
        """Add a row to a table; None counts as missing."""
        if row is None:
            self._count(f"{table}.missing", 1)
        else:
            self._tables[table].append(encode(row))

    def _count(self, what: str, n: int) -> None:
        """Add to a count other than that of rows; zero leaves no trace in the books."""
        if n:
            self._counts[f"{self._kind.stage}.{what}"] += n

    def add_failure(self, failure: Failure) -> None:
        """Add a dead letter."""
        self._letters.append(render_failure(failure))
        self._counts[f"{self._kind.stage}.failures"] += 1
        self._counts[f"{self._kind.stage}.failures.{failure.code}"] += 1

    def count(self, name: str, n: int = 1) -> None:
        """Count something that no row says, in the stage of the rows."""
        self._counts[f"{self._kind.stage}.{name}"] += n

    def write(self) -> Part:
        """Put the files in place."""
        files = [self._write(self._kind.letters, self._letters)] if self._letters else []
        files += [self._write(table, lines, sync=True) for table, lines in self._tables.items() if self._rows]
        return self._part([*files, self._write(self._kind.rows, self._rows)])

    def _write(self, kind: str, lines: Sequence[bytes], *, sync: bool = False) -> FileRecord:
        if self._target.token is None:
            storage.make_directory(self._target.directory)
        with AtomicFile(self._target.directory, self._name(kind), self._target.check, sync=sync) as file:
            file.write_pieces(line + b"\n" for line in lines)
        return self._record(kind, file.n_bytes, file.sha256, len(lines))

    def _name(self, kind: str) -> str:
        return part_name(f"{kind}-{self.key}.jsonl")

    def _record(self, kind: str, n_bytes: int, sha256: str, n_rows: int) -> FileRecord:
        return replace(self._template, name=self._name(kind), kind=kind, n_bytes=n_bytes, sha256=sha256, n_rows=n_rows)

    def _part(self, files: Sequence[FileRecord]) -> Part:
        return Part(files=tuple(files), columns=self._columns.columns(), counts=tuple(sorted(self._counts.items())))

    def kept(self, n_requests: int, *, synced: bool = False) -> Part | None:
        """Return the outcome of an earlier attempt, if it is whole: all files are there, each as its row says.

        They are not trusted by their names alone: without an fsync, a crash of the machine may leave any bytes
        behind.

        Args:
          n_requests: how many rows there have to be.
          synced: what belongs to the rows is in a file that was synced to the disk: no need to look at each.
        """
        directory = self._target.directory
        if (
            not self._target.resume
            or storage.size_of(storage.join(directory, self._name(self._kind.letters))) is not None
        ):
            return None
        rows = self._left(self._kind.rows)
        if rows is None or len(rows.rows) != n_requests:
            return None
        if not synced and not all(map(self._is_whole, rows.rows)):
            return None
        tables = [self._table_left(table, rows.rows) for table in self._kind.tables]
        if None in tables:
            return None
        for row in rows.rows:
            self.add_row(row)
        for table in tables:
            if table is not None:
                self._count(f"{table.record.kind}.missing", table.n_missing)
        return self._part([*(table.record for table in tables if table is not None), rows.record])

    def _table_left(self, table: str, rows: Sequence[dict[str, Any]]) -> "_TableLeft | None":
        """Return a table that an earlier attempt left; None if it is missing or damaged."""
        left = self._left(table)
        n_asked = self._kind.tables[table](rows[0]) if rows else 0
        if left is None or len(left.rows) > n_asked:
            return None
        return _TableLeft(left.record, n_asked - len(left.rows))

    def _left(self, kind: str) -> "_Left | None":
        """Return the contents of a hidden file that an earlier attempt left; None if it is missing or damaged."""
        text = storage.read_bytes(storage.join(self._target.directory, self._name(kind)))
        rows = _rows_in(text) if text is not None else None
        if text is None or rows is None:
            return None
        return _Left(rows, self._record(kind, len(text), hashlib.sha256(text).hexdigest(), len(rows)))

    def _is_whole(self, row: dict[str, Any]) -> bool:
        return all(storage.is_whole(self._target.directory, file) for file in self._kind.files_of(row))


class _Left(NamedTuple):
    """The rows of a hidden file, and its record."""

    rows: list[dict[str, Any]]
    record: FileRecord


class _TableLeft(NamedTuple):
    """A hidden file of a table, and how many of the rows that were asked of it are missing."""

    record: FileRecord
    n_missing: int


def _rows_in(text: bytes) -> list[dict[str, Any]] | None:
    """Return the rows of a hidden file; None where it is damaged."""
    if text and not text.endswith(b"\n"):
        return None
    try:
        return [msgspec.json.decode(line) for line in text.splitlines()]
    except msgspec.DecodeError:
        return None


class Shard(NamedTuple):
    """One merged file of rows, and the columns of the index that its rows fill."""

    record: FileRecord
    columns: Columns
