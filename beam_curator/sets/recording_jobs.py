"""Jobs over recordings, as data and functions: the requests of rows, their keys, the work on one open recording.

Reading, grouping, files, resume, merging and the commit are the same for all of them: `transforms.jobs` has them once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from beam_curator.failures import EntryError, Failure
from beam_curator.recordings.recording_options import DecodedLimits
from beam_curator.sets.blocks import LineBlock, Position
from beam_curator.sets.columns import RowColumns, Table
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import FAILURES, WrittenFile
from beam_curator.sets.packed_rows import PackedRow
from beam_curator.sets.recording_events import Event, Missed
from beam_curator.sets.set_kinds import SetKind

if TYPE_CHECKING:
    from beam_curator.audio import AudioReader

ROW_STAGE = "plan"
"""The stage in which requests are read from rows."""


def _nothing(row: dict[str, Any]) -> tuple[()]:
    del row
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowKind:
    """The kind of rows that a job makes of each recording.

    Attributes:
      rows: kind of their files.
      stage: that makes them; its name begins the counts and ends the kind of the dead letters.
      table: the columns that people query, for Parquet and Avro.
      count: returns the counts of a row, besides the row itself.
      files_of: tells which files belong to a row.
      columns_of: tells which columns of an index a row fills; None where there is no index.
      tables: kinds of other rows of a recording, which have files of their own: Parquet, unless named below.
      tables_of_rows: those that have the format of the rows, and the columns of each.
    """

    rows: str
    stage: str
    table: Table
    count: Callable[[dict[str, Any]], Iterable[Count]] = _nothing
    files_of: Callable[[dict[str, Any]], Iterable[WrittenFile]] = _nothing
    columns_of: Callable[[dict[str, Any]], RowColumns] | None = None
    tables: tuple[str, ...] = ()
    tables_of_rows: Mapping[str, Table] = field(default_factory=dict)

    @property
    def letters(self) -> str:
        """Kind of the files of dead letters."""
        return f"{FAILURES}-{self.stage}"


class Request(NamedTuple):
    """One request for a recording: all that it says besides the recording's name, and the line that it comes from."""

    text: bytes
    source: str
    offset: int


class Task(Protocol):
    """All requests for one recording; they cross a shuffle."""

    @property
    def name(self) -> str:
        """A text that no other task of the job has."""

    @property
    def recording(self) -> str:
        """Full name of the recording."""

    @property
    def position(self) -> Position:
        """Where its first row stands."""

    @property
    def n_blocks(self) -> int:
        """Number of blocks of the job."""

    def requests(self) -> Iterable[Request]:
        """Return the requests in the order of their rows."""


AskedT = TypeVar("AskedT")
TaskT = TypeVar("TaskT", bound=Task)
RowT = TypeVar("RowT", bound=PackedRow)
ReadyT = TypeVar("ReadyT")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsTask(Generic[RowT]):
    """A recording, or a piece of it, and the rows that ask for it.

    Attributes:
      recording_id: names its files.
      identity: tells the recording, or the piece, from all others.
      rows: in the order of their positions.
    """

    recording_id: str
    identity: str
    rows: tuple[RowT, ...]

    @property
    def name(self) -> str:
        """A text that no other task has: a recording may be part of several."""
        return f"{self.recording_id}\n{self.identity}"

    @property
    def recording(self) -> str:
        """Full name of the recording."""
        return self.rows[0].recording

    @property
    def position(self) -> Position:
        """Where its first row stands."""
        return self.rows[0].position

    @property
    def n_blocks(self) -> int:
        """Number of blocks of the job."""
        return self.rows[0].n_blocks

    def requests(self) -> Iterator[Request]:
        """Yield the requests in the order of their rows."""
        for row in self.rows:
            yield Request(row.text(), row.source, row.offset)

    def missed(self, error: EntryError, stage: str, names: tuple[str, ...] = ()) -> Iterator[Missed]:
        """Yield a dead letter for each row that asks for the recording."""
        for number in range(len(self.rows)):
            yield self.missed_row(number, error, stage, names)

    def missed_row(self, number: int, error: EntryError, stage: str, names: tuple[str, ...] = ()) -> Missed:
        """Return a dead letter for one row, by its place."""
        row = self.rows[number]
        failure = Failure.from_error(error, stage=stage, source=row.source, offset=row.offset, payload=row.text())
        return Missed(failure=failure, order=(number,), names=names)


@dataclass(slots=True)
class BlockPlan(Generic[AskedT]):
    """The requests of the rows of one block.

    Attributes:
      asked: of recordings.
      failures: by stage.
      counts: for the books, without the failures.
    """

    asked: list[AskedT] = field(default_factory=list)
    failures: dict[str, list[Failure]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def fail(self, error: EntryError, *, source: str, offset: int, payload: bytes, stage: str = ROW_STAGE) -> None:
        """Add a dead letter."""
        failure = Failure.from_error(error, stage=stage, source=source, offset=offset, payload=payload)
        self.failures.setdefault(stage, []).append(failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePlace:
    """Where a line comes from.

    Attributes:
      source: the manifest, or the recording itself.
      position: of the line.
      n_blocks: number of blocks of the job.
    """

    source: str
    position: Position
    n_blocks: int


def plan_lines(block: LineBlock, plan_line: Callable[[BlockPlan[AskedT], bytes, LinePlace], None]) -> BlockPlan[AskedT]:
    """Plan a block line by line; a line that raises an EntryError becomes a dead letter."""
    plan: BlockPlan[AskedT] = BlockPlan()
    for line in block.lines:
        position = block.ref.ordinal, block.part, line.offset
        try:
            plan_line(
                plan, line.raw, LinePlace(source=block.ref.source, position=position, n_blocks=block.ref.n_blocks)
            )
        except EntryError as err:
            plan.fail(err, source=block.ref.source, offset=line.offset, payload=line.raw)
    return plan


class RecordingJob(ABC, Generic[AskedT, TaskT]):
    """A job over recordings: either an `OpenedJob` or a `ModelJob`.

    Objects cross to workers by pickling, so they hold options alone. Whatever a worker shares among recordings, such as
    an open table, is made in `open` and given back in `close`.

    Attributes:
      kind: of its sets, with the equations of their books.
      rows: that it makes.
      audio_root: directory for relative names of recordings; "" for that of their manifest.
      allowed_root: directories below which recordings must lie; none for anywhere.
      limits: the most that a recording may decode to.
      n_uploads: files that a worker puts into an object store at a time.
      key_of_recordings: key of the rows that stand for recordings which are named by themselves.
      have_marks: whether names of recordings are compared by `claim` and `collisions`.
      pieces_fail_alone: nothing that `work` yields has to go because of an error that it raises later.
      shown: counts of a finished recording that show progress to people, as "stage.name".
    """

    kind: ClassVar[SetKind]
    rows: RowKind
    audio_root: str = ""
    allowed_root: tuple[str, ...] = ()
    limits: DecodedLimits = DecodedLimits()
    n_uploads: int = 8
    key_of_recordings: str = "audio_filepath"
    have_marks: ClassVar[bool] = False
    pieces_fail_alone: ClassVar[bool] = False
    shown: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def plan(self, block: LineBlock) -> BlockPlan[AskedT]:
        """Return the requests of the rows of a block; see `plan_lines`."""

    @abstractmethod
    def key(self, asked: AskedT) -> str:
        """Return a key under which everything meets that one recording is asked for."""

    @abstractmethod
    def tasks(self, key: str, asked: Iterable[AskedT], *, marked: bool) -> Iterator[TaskT]:
        """Yield the tasks of a group; `marked` says that `collisions` named its key."""

    def check(self, task: TaskT) -> None:
        """Refuse a task before its recording is opened.

        Raises:
          EntryError: the recording fails as a whole.
        """
        del task

    def folder(self, task: TaskT) -> str:
        """Return the folder of the set for files of this task alone, whose names come of its result; "" for none."""
        del task
        return ""

    @abstractmethod
    def failed(self, task: TaskT, error: EntryError) -> Iterator[Event]:
        """Yield the dead letters of a recording that fails as a whole."""

    def claim(self, asked: AskedT) -> Iterator[tuple[str, Any]]:
        """Yield the names that a recording lays claim to, each with a key under which equal ones meet."""
        del asked
        return iter(())

    def collisions(self, claims: Iterable[Any]) -> Iterable[str]:
        """Return the keys of those among claims of one key that need a mark."""
        del claims
        return ()

    def open(self) -> None:
        """Make the things that a worker shares among recordings."""
        return

    def close(self) -> None:
        """Give them back."""
        return


class OpenedJob(RecordingJob[AskedT, TaskT]):
    """A job that does all its work on an open recording."""

    @abstractmethod
    def work(self, task: TaskT, reader: AudioReader) -> Iterator[Event]:
        """Yield the events of an open recording.

        Raises:
          EntryError: the recording fails as a whole, and all that was made from it is discarded.
        """


Timed = Callable[[str], AbstractContextManager[None]]
"""Times the body of a `with` statement for the summary, under the name of a stage."""


def untimed(stage: str) -> AbstractContextManager[None]:
    """Time nothing."""
    del stage
    return nullcontext()


class ModelJob(RecordingJob[AskedT, TaskT], Generic[AskedT, TaskT, ReadyT]):
    """A job with a model in its middle, which hears recordings by RunInference.

    Attributes:
      timed: of the worker, which sets it; times nothing elsewhere.
    """

    timed: Timed = staticmethod(untimed)

    @abstractmethod
    def ready(self, task: TaskT, reader: AudioReader) -> ReadyT:
        """Look into an open recording, and return it as the model takes it; it is opened again there.

        Raises:
          EntryError: there is nothing to hear.
        """

    @abstractmethod
    def task_of(self, ready: ReadyT) -> TaskT:
        """Return the task that a recording before the model belongs to."""

    @abstractmethod
    def version_of(self, ready: ReadyT) -> str:
        """Return the version of the recording that was looked into."""

    @abstractmethod
    def made(self, ready: ReadyT, result: Any) -> Iterator[Event]:
        """Yield the events of a recording, given the model's result for it.

        Raises:
          EntryError: the recording fails as a whole, as it does where the result is an error.
        """
