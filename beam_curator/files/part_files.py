"""Rows of one recording as hidden files, and those that an earlier attempt left.

The first line of a file of rows says what the rows do not: how many there are, the counts, the columns of an index, and
the files that describe the recording. Readers of the rows skip it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from beam_curator.entries.json_lines import encode
from beam_curator.failures import Failure, readable_name, render_failure
from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.known_files import NOT_SEEN, Seen
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.columns import ColumnKinds, Kind, kind_of_value
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import FileRecord, part_name
from beam_curator.sets.recording_jobs import Request, RowKind

Columns = tuple[tuple[str, Kind | None], ...]
Order = tuple[int, ...]

_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The outcome of one recording.

    Attributes:
      files: hidden files of rows, of tables, and of dead letters where there are any.
      columns: of the index that its rows fill, with their kinds.
      counts: for the books.
      documents: files that describe the recording; the manifest lists each of them.
    """

    files: tuple[FileRecord, ...]
    columns: Columns
    counts: tuple[Count, ...]
    documents: tuple[FileRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHead:
    """The first line of a file of rows.

    Attributes:
      key: tells the requests for the recording from all others.
      places: source and offset of the line of each request.
      recording: full name of the recording.
      seen: the recording as it was opened.
    """

    n_rows: int
    columns: Columns
    counts: tuple[Count, ...]
    documents: tuple[FileRecord, ...]
    tables: dict[str, int]
    key: str = ""
    places: tuple[tuple[str, int], ...] = ()
    recording: str = ""
    seen: Seen = NOT_SEEN


def key_of_requests(requests: Sequence[Request]) -> str:
    """Return the key of the requests for a recording."""
    digest = hashlib.blake2b(digest_size=16)
    for request in requests:
        digest.update(b"%d\n" % len(request.text))
        digest.update(request.text)
    return digest.hexdigest()


def part_file_name(kind: str, task: str) -> str:
    """Return the name of the hidden file of a kind for the task of a name."""
    # names of files that are not UTF-8 hold surrogates
    key = hashlib.blake2b(task.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return part_name(f"{kind}-{key}.jsonl")


class PartWriter:
    """Collects rows and dead letters of one recording, and writes them into hidden files.

    The file of rows is put in place last, and also where it has no row: once it is there, all files that it names were
    put in place before it. Those of tables are synced to the disk, since no row holds their hashes.

    Args:
      kind: kind of the rows.
      target: where the job writes.
      recording: a text that identifies the recording among the job's tasks.
      position: of its first row.
      n_blocks: number of blocks of the job.
    """

    def __init__(
        self, kind: RowKind, target: OutputTarget, recording: str, position: tuple[int, ...], n_blocks: int
    ) -> None:
        self._kind = kind
        self._target = target
        self._name = recording
        self._template = FileRecord(
            name="", n_bytes=0, sha256="", n_rows=0, kind="", position=position, n_blocks=n_blocks
        )
        self._recording = self.version = ""
        self._seen = NOT_SEEN
        self._requests: tuple[Request, ...] = ()
        self.clear()

    @property
    def kind(self) -> RowKind:
        """Kind of the rows."""
        return self._kind

    @property
    def target(self) -> OutputTarget:
        """Where the job writes."""
        return self._target

    def ask(self, recording: str, requests: Iterable[Request], seen: Seen) -> None:
        """Note the recording and the requests for it, by which a later run knows that its rows would be the same."""
        self._recording, self._requests, self._seen = recording, tuple(requests), seen

    def clear(self) -> None:
        """Forget everything that was added."""
        self._counts: Counter[str] = Counter()
        self._rows: list[tuple[Order, bytes, Columns]] = []
        self._letters: list[tuple[Order, bytes]] = []
        self._documents: list[FileRecord] = []
        self._tables: dict[str, list[bytes]] = {table: [] for table in self._kind.tables}
        self._columns: dict[Columns, Columns] = {}  # rows have the same few, which are held once

    def add_row(self, row: dict[str, Any], order: Order = ()) -> None:
        """Add a row; rows of one order stay as they came."""
        columns: Columns = ()
        if self._kind.columns_of is not None:
            found = tuple((name, kind_of_value(value)) for name, value in self._kind.columns_of(row).items())
            columns = self._columns.setdefault(found, found)
        self._rows.append((order, encode(row), columns))
        self.count(self._kind.rows)
        for name, n in self._kind.count(row):
            self.count(name, n)

    def add_to_table(self, table: str, row: dict[str, Any] | None) -> None:
        """Add a row to a table; None counts as missing."""
        if row is None:
            self.count(f"{table}.missing")
        else:
            self._tables[table].append(encode(row))

    def add_failure(self, failure: Failure, order: Order = ()) -> None:
        """Add a dead letter."""
        self._letters.append((order, render_failure(failure)))
        self.count("failures")
        self.count(f"failures.{failure.code}")

    def add_document(self, record: FileRecord) -> None:
        """Add a file that describes the recording."""
        self._documents.append(record)

    def count(self, name: str, n: int = 1) -> None:
        """Count something in the stage of the rows."""
        self._counts[f"{self._kind.stage}.{name}"] += n

    def write(self) -> Part:
        """Put the files in place."""
        kind = self._kind
        # a stable sort: rows of one order stay as they came
        rows = sorted(self._rows, key=itemgetter(0))
        columns = ColumnKinds()
        for _, _, names in rows:
            columns.merge(names)
        letters = [line for _, line in sorted(self._letters, key=itemgetter(0))]
        files = [self._write(kind.letters, letters)] if letters else []
        files += [self._write(table, lines, sync=True) for table, lines in self._tables.items() if rows or lines]
        head = PartHead(
            n_rows=len(rows),
            columns=columns.columns(),
            counts=tuple(sorted(self._counts.items())),
            documents=tuple(self._documents),
            tables={table: len(lines) for table, lines in self._tables.items() if rows or lines},
        )
        if self._recording:
            head = replace(
                head,
                key=key_of_requests(self._requests),
                places=tuple((request.source, request.offset) for request in self._requests),
                recording=readable_name(self._recording),
                seen=self._seen,
            )
        # last: its presence proves that all the others are in place
        files.append(self._write(kind.rows, [line for _, line, _ in rows], head=encode(head) + b"\n"))
        return _part(head, files)

    def write_again(self, head: PartHead, rows: Sequence[bytes], others: Mapping[str, Sequence[bytes]]) -> Part:
        """Put the lines of an earlier outcome in place, those of tables and dead letters by their kind.

        The files that they name are in place already.
        """
        files = [self._write(other, lines, sync=True) for other, lines in others.items()]
        files.append(self._write(self._kind.rows, rows, head=encode(head) + b"\n"))
        return _part(head, files)

    def _write(self, kind: str, lines: Sequence[bytes], *, head: bytes = b"", sync: bool = False) -> FileRecord:
        # a run with a token has made the directory already; plain transforms have nobody who did
        if self._target.token is None:
            storage.make_directory(self._target.directory)
        with AtomicFile(self._target.directory, self.name(kind), self._target.check_lately, sync=sync) as file:
            file.write_pieces([head])
            file.write_pieces(line + b"\n" for line in lines)
        return self._record(kind, file.n_bytes, file.sha256, len(lines))

    def name(self, kind: str) -> str:
        """Return the name of the hidden file of a kind."""
        return part_file_name(kind, self._name)

    def _record(self, kind: str, n_bytes: int, sha256: str, n_rows: int) -> FileRecord:
        return replace(self._template, name=self.name(kind), kind=kind, n_bytes=n_bytes, sha256=sha256, n_rows=n_rows)

    def kept(self, *, synced: bool = False) -> Part | None:
        """Return the outcome of an earlier attempt if all its files are there, each as its row says.

        They are not trusted by their names alone: without an fsync, a crash of the machine may leave any bytes
        behind. A recording with dead letters is tried again, also where a sweep has taken their file already.

        Args:
          synced: the rows' files lie in one file that was synced to the disk, so they need no check one by one.
        """
        directory, kind = self._target.directory, self._kind
        if not self._target.resume or storage.size_of(storage.join(directory, self.name(kind.letters))) is not None:
            return None
        left = self._left(kind.rows, has_head=True)
        if left is None or left.head is None or f"{kind.stage}.failures" in dict(left.head.counts):
            return None
        if not synced and not all(map(self._is_whole, left.rows)):
            return None
        if not all(storage.is_whole(directory, document) for document in left.head.documents):
            return None
        tables = [self._left(table) for table in left.head.tables]
        # -1, which no head says, stands for a missing table
        if [len(table.rows) if table is not None else -1 for table in tables] != list(left.head.tables.values()):
            return None
        return _part(left.head, [*(table.record for table in tables if table is not None), left.record])

    def _left(self, kind: str, *, has_head: bool = False) -> "_Left | None":
        """Return the contents of a hidden file that an earlier attempt left; None if it is missing or damaged."""
        text = storage.read_bytes(storage.join(self._target.directory, self.name(kind)))
        # a file that a crash cut short ends within a line
        if text is None or (text and not text.endswith(b"\n")):
            return None
        try:
            head, body = None, text
            if has_head:
                first, _, body = text.partition(b"\n")
                head = msgspec.json.decode(first, type=PartHead)
            rows = [msgspec.json.decode(line) for line in body.splitlines()]
        except msgspec.MsgspecError:
            return None
        if head is not None and head.n_rows != len(rows):
            return None
        record = self._record(kind, len(text), hashlib.sha256(text).hexdigest(), len(rows))
        return _Left(head, rows, record)

    def _is_whole(self, row: dict[str, Any]) -> bool:
        return all(storage.is_whole(self._target.directory, file) for file in self._kind.files_of(row))


class _Left(NamedTuple):
    """The rows of a hidden file, and its record."""

    head: PartHead | None
    rows: list[dict[str, Any]]
    record: FileRecord


def _part(head: PartHead, files: Iterable[FileRecord]) -> Part:
    return Part(files=tuple(files), columns=head.columns, counts=head.counts, documents=head.documents)


def lines_of_part(path: str, *, has_head: bool) -> Iterator[bytes]:
    """Yield the lines of a hidden file as pieces of bytes, without the first one where that is no row."""
    with storage.open_raw(path) as stream:
        if has_head:
            stream.readline()
        while chunk := stream.read(_COPY_BYTES):
            yield chunk


def rows_of_part(path: str, *, has_head: bool) -> Iterator[dict[str, Any]]:
    """Yield the rows of a hidden file."""
    with storage.open_raw(path) as stream:
        if has_head:
            stream.readline()
        for line in stream:
            yield msgspec.json.decode(line)


class Shard(NamedTuple):
    """One merged file of rows, and the columns of the index that its rows fill."""

    record: FileRecord
    columns: Columns
