"""Jobs over recordings without files: rows in, results and failures out, for pipelines of other people."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.entries.json_lines import encode
from beam_curator.failures import EntryError, Failure
from beam_curator.files.recording_files import events_of
from beam_curator.sets.blocks import BlockRef, FailureBlock, Line, LineBlock
from beam_curator.sets.recording_events import Described, Event, Made, MadeFile, Missed, TableRow
from beam_curator.sets.recording_jobs import AskedT, OpenedJob, RecordingJob, TaskT
from beam_curator.transforms.jobs.recording_steps import GroupRecordings, JobFn, PlanRows

Row = dict[str, Any] | LineBlock
"""A row as JSON has it, or a block of rows as `ReadManifests` gives them.

Relative names of recordings begin at the manifest of a block, or at `audio_root`; else at the working directory.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingResult:
    """One result of a recording.

    Attributes:
      kind: of the row, such as "clips", or of a file that stands alone.
      row: the row that a set would hold; its `_origin` names the row that requested it.
      files: name and bytes of each file that a set would hold beside the row.
    """

    kind: str
    row: dict[str, Any]
    files: tuple[tuple[str, bytes], ...] = ()


class Results(NamedTuple):
    """The results of rows, and a failure for each row or piece that has none."""

    results: PCollection[RecordingResult]
    failures: PCollection[Failure]


class PlannedTasks(NamedTuple, Generic[TaskT]):
    """The result of `PlanTasks`: tasks, and failures of rows that ask for none."""

    tasks: PCollection[TaskT]
    failures: PCollection[Failure]


class PlanTasks(beam.PTransform[PCollection[Row], PlannedTasks[TaskT]], Generic[AskedT, TaskT]):
    """Find the recordings that rows request, and group the rows by recording.

    Args:
      job: the job that the rows belong to.
    """

    def __init__(self, job: RecordingJob[AskedT, TaskT]) -> None:
        super().__init__()
        self._job = job

    def expand(self, rows: PCollection[Row]) -> "PlannedTasks[TaskT]":
        blocks = rows | "As blocks" >> beam.Map(as_block).with_output_types(LineBlock)
        planned = blocks | "Plan" >> PlanRows(self._job)
        failures = planned.failures | "Failures of rows" >> beam.FlatMap(failures_of)
        return PlannedTasks(tasks=planned.asked | "Group" >> GroupRecordings(self._job), failures=failures)


def as_block(row: Row) -> LineBlock:
    """Return a row as a block of one line; a block stays as it is."""
    return row if isinstance(row, LineBlock) else block_of_line("", 0, encode(row))


def block_of_line(source: str, offset: int, raw: bytes) -> LineBlock:
    """Return a line as a block; blocks of different sources have different ordinals, as those of a job have.

    Args:
      source: the manifest, or the recording itself.
      offset: the line's offset in bytes.
      raw: the line.
    """
    # 7 bytes, so that the number fits into a signed integer of 64 bits
    ordinal = int.from_bytes(hashlib.blake2b(source.encode("utf-8", "surrogatepass"), digest_size=7).digest())
    ref = BlockRef(source=source, occurrence=0, ordinal=ordinal, n_blocks=1, start=0, stop=0)
    return LineBlock(ref=ref, part=0, lines=(Line(offset=offset, raw=raw),))


def failures_of(block: FailureBlock) -> Iterable[Failure]:
    """Return the dead letters of a block."""
    return block.failures


class MakeResults(beam.PTransform[PCollection[Row], Results], Generic[AskedT, TaskT]):
    """Do a job over the recordings that rows name, without files: rows in, results and failures out.

    Rows of one recording meet, so that it is opened once: a step for batches.

    Args:
      job: the work on each recording.
    """

    def __init__(self, job: OpenedJob[AskedT, TaskT]) -> None:
        super().__init__()
        self._job = job

    def expand(self, rows: PCollection[Row]) -> "Results":
        planned = rows | "Plan tasks" >> PlanTasks(self._job)
        made = planned.tasks | "Make" >> beam.ParDo(_MakeFn(self._job)).with_outputs("failures", main="results")
        failures = (planned.failures, made["failures"]) | "All failures" >> beam.Flatten()
        return Results(results=made["results"], failures=failures)


Failed = TaggedOutput[Literal["failures"], Failure]


class ResultsFn(JobFn):
    """A step that gives results of recordings, and failures."""

    def results(self, task: Any, events: Iterator[Event]) -> Iterator[RecordingResult | Failed]:
        """Yield results and failures; of a recording that fails as a whole, failures alone.

        Counts are for books, which nobody keeps here.
        """
        kind, whole = self._job.rows.rows, events if self._job.pieces_fail_alone else self._whole(task, events)
        read: dict[str, bytes] = {}  # the files of the row before: several rows in a row may share them
        for event in whole:
            if isinstance(event, Made):
                read = {file.name: read[file.name] if file.name in read else _bytes_of(file) for file in event.files}
                yield RecordingResult(kind=kind, row=event.row, files=tuple(read.items()))
            elif isinstance(event, Described):
                yield RecordingResult(kind=event.kind, row={}, files=((event.file.name, _bytes_of(event.file)),))
            elif isinstance(event, TableRow) and event.row is not None:
                yield RecordingResult(kind=event.table, row=event.row)
            elif isinstance(event, Missed):
                yield TaggedOutput("failures", event.failure)

    def _whole(self, task: Any, events: Iterator[Event]) -> Iterable[Event]:
        try:
            # held back whole, since a failure at the end takes back what came before
            return list(events)
        except EntryError as err:
            return list(self._job.failed(task, err))


class _MakeFn(ResultsFn):
    def process(self, task: Any) -> Iterator[RecordingResult | Failed]:
        try:
            yield from self.results(task, events_of(self._job, task))
        except EntryError as err:
            yield from self.results(task, self._job.failed(task, err))


def _bytes_of(file: MadeFile) -> bytes:
    try:
        return b"".join(file.body.chunks())
    finally:
        file.body.close()
