"""The steps of every job over recordings: plan rows, group their requests by recording, work, and write."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.collector import collector_paused
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.files.recording_files import RecordingFiles, events_of
from beam_curator.sets.blocks import FailureBlock, LineBlock
from beam_curator.sets.counting import Count, count_failures
from beam_curator.sets.output_set import FileRecord
from beam_curator.sets.recording_jobs import AskedT, BlockPlan, OpenedJob, RecordingJob, TaskT
from beam_curator.transforms.metrics import CountBlocks, Noted, noted, timed


class PlannedRows(NamedTuple, Generic[AskedT]):
    """The result of `PlanRows`: requests, blocks of failures, and counts as they arise."""

    asked: PCollection[AskedT]
    failures: PCollection[FailureBlock]
    counts: tuple[PCollection[Count], ...]


class PlanRows(beam.PTransform[PCollection[LineBlock], PlannedRows[AskedT]], Generic[AskedT, TaskT]):
    """Tell which recordings the rows of blocks ask for, and which rows ask for none.

    Args:
      job: tells it of a block.
    """

    def __init__(self, job: RecordingJob[AskedT, TaskT]) -> None:
        super().__init__()
        self._job = job

    def expand(self, blocks: PCollection[LineBlock]) -> "PlannedRows[AskedT]":
        planned = blocks | "Plan" >> beam.FlatMap(_plan, self._job.plan).with_outputs("failed", "counts", main="asked")
        failed: PCollection[FailureBlock] = planned["failed"]
        counts = (failed | "Count failed" >> CountBlocks(count_failures), planned["counts"])
        return PlannedRows(asked=planned["asked"], failures=failed, counts=counts)


_Counted = TaggedOutput[Literal["counts"], tuple[str, int]]
_Failed = TaggedOutput[Literal["failed"], FailureBlock]


def _plan(block: LineBlock, plan_of: Callable[[LineBlock], Any]) -> Iterator[Any | _Failed | _Counted]:
    with timed("plan"), collector_paused():
        plan: BlockPlan[Any] = plan_of(block)
    yield from plan.asked
    for stage, failures in plan.failures.items():
        failed = FailureBlock(ref=block.ref, part=block.part, stage=stage, failures=tuple(failures))
        yield TaggedOutput("failed", failed)
    yield from (TaggedOutput("counts", count) for count in sorted(plan.counts.items()) if count[1])


class GroupRecordings(beam.PTransform[PCollection[AskedT], PCollection[TaskT]], Generic[AskedT, TaskT]):
    """Group requests by recording, and make tasks of them.

    Args:
      job: has the keys, and makes the tasks.
    """

    def __init__(self, job: RecordingJob[AskedT, TaskT]) -> None:
        super().__init__()
        self._job = job

    def expand(self, asked: PCollection[Any]) -> PCollection[Any]:
        job = self._job
        keyed = asked | "Key" >> beam.Map(_with_key, job.key).with_output_types(tuple[str, Any])
        if job.have_marks:
            marks = asked | "Mark collisions" >> _MarkCollisions(job)
            grouped = {"asked": keyed, "marks": marks} | "Group by recording" >> beam.CoGroupByKey()
            return grouped | "Make tasks" >> beam.FlatMap(_marked_tasks, job.tasks)
        tasks: PCollection[Any] = (
            keyed
            | "Group" >> beam.GroupByKey()
            | "Make tasks" >> beam.FlatMap(_tasks, job.tasks).with_output_types(tuple[str, Any])
            # a group is one work item however large; behind a shuffle its tasks can go to other workers
            | "Spread recordings" >> beam.transforms.util.ReshufflePerKey()
            | "Drop key" >> beam.Values()
        )
        return tasks


def _with_key(asked: Any, key: Callable[[Any], str]) -> tuple[str, Any]:
    return key(asked), asked


def _tasks(group: tuple[str, Iterable[Any]], tasks: Callable[..., Iterable[Any]]) -> Iterator[tuple[str, Any]]:
    for task in tasks(group[0], group[1], marked=False):
        yield task.name, task


def _marked_tasks(group: tuple[str, dict[str, Any]], tasks: Callable[..., Iterable[Any]]) -> Iterable[Any]:
    key, joined = group
    return tasks(key, joined["asked"], marked=any(joined["marks"]))


class _MarkCollisions(beam.PTransform[PCollection[Any], PCollection[tuple[str, bool]]]):
    """Find the keys whose names would be another's: all claims of one name meet, which are small."""

    def __init__(self, job: RecordingJob[Any, Any]) -> None:
        super().__init__()
        self._job = job

    def expand(self, asked: PCollection[Any]) -> PCollection[tuple[str, bool]]:
        return (
            asked
            | "Claim names" >> beam.FlatMap(self._job.claim).with_output_types(tuple[str, Any])
            | "Group by claim" >> beam.GroupByKey()
            | "Find collisions" >> beam.FlatMap(_marks, self._job.collisions).with_output_types(tuple[str, bool])
        )


def _marks(
    group: tuple[str, Iterable[Any]], collisions: Callable[[Iterable[Any]], Iterable[str]]
) -> Iterator[tuple[str, bool]]:
    for key in sorted(collisions(list(group[1]))):
        yield key, True


class WrittenRecordings(NamedTuple):
    """The result of `WriteRecordings`: the outcome of each recording, files about them, and counts for people."""

    parts: PCollection[Part]
    documents: PCollection[FileRecord]
    progress: PCollection[Count]


class WriteRecordings(beam.PTransform[PCollection[TaskT], WrittenRecordings], Generic[AskedT, TaskT]):
    """Open the recording of each task, and write its events, unless an earlier attempt has.

    Args:
      job: does the work.
      target: where to write.
    """

    def __init__(self, job: OpenedJob[AskedT, TaskT], target: OutputTarget) -> None:
        super().__init__()
        self._work = _WorkFn(job, target)

    def expand(self, tasks: PCollection[Any]) -> "WrittenRecordings":
        done = tasks | "Work" >> beam.ParDo(self._work).with_outputs("progress", main="parts")
        parts: PCollection[Part] = done["parts"]
        documents = parts | "Documents" >> beam.FlatMap(_documents).with_output_types(FileRecord)
        return WrittenRecordings(parts=parts, documents=documents, progress=done["progress"])


def _documents(part: Part) -> tuple[FileRecord, ...]:
    return part.documents


class JobFn(beam.DoFn):
    """A step of a job; the job is open for as long as the step lives."""

    def __init__(self, job: RecordingJob[Any, Any]) -> None:
        self._job: Any = job

    def setup(self) -> None:
        self._job.open()

    def teardown(self) -> None:
        self._job.close()


class WritingFn(JobFn):
    """A step of a job that writes files about recordings."""

    def __init__(self, job: RecordingJob[Any, Any], target: OutputTarget) -> None:
        super().__init__(job)
        self._target = target

    def setup(self) -> None:
        self._files: RecordingFiles[Any, Any] = RecordingFiles(self._job, self._target)
        super().setup()

    def teardown(self) -> None:
        super().teardown()
        self._files.close()


class _WorkFn(WritingFn):
    def process(self, task: Any) -> Iterator[Part | Noted]:
        with timed(self._job.rows.stage), collector_paused():
            part = self._files.kept(task)
            if part is None:
                # the counts pass by while the recording is worked on; its outcome is the generator's value
                part = yield from noted(self._files.write(task, events_of(self._job, task)))
        yield part
        for count in shown_of(part, self._job.shown):
            yield TaggedOutput("progress", count)


def shown_of(part: Part, shown: frozenset[str]) -> Iterator[Count]:
    """Yield the counts of a finished recording that show progress. The books wait until all recordings are done."""
    for name, n in part.counts:
        if name in shown:
            yield f"progress.{name}", n
