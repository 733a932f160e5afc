"""The steps of jobs with a model in their middle: prepare recordings for it, and write its results."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Generic, Literal, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.failures import EntryError
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.files.recording_files import look_into
from beam_curator.sets.recording_events import Event, Opened
from beam_curator.sets.recording_jobs import AskedT, ModelJob, ReadyT, TaskT
from beam_curator.transforms.jobs.recording_steps import WritingFn
from beam_curator.transforms.metrics import timed

Done = TaggedOutput[Literal["parts"], Part]

"""The outcome of a recording that does not go on to a model."""


class PreparedRecordings(NamedTuple, Generic[ReadyT]):
    """The result of `PrepareRecordings`: recordings for the model, and the outcomes of all others."""

    ready: PCollection[ReadyT]
    parts: PCollection[Part]


class PrepareRecordings(
    beam.PTransform[PCollection[TaskT], PreparedRecordings[ReadyT]], Generic[AskedT, TaskT, ReadyT]
):
    """Look into the recording of each task, unless an earlier attempt has done with it.

    Args:
      job: prepares each recording for the model.
      target: where the job writes.
    """

    def __init__(self, job: ModelJob[AskedT, TaskT, ReadyT], target: OutputTarget) -> None:
        super().__init__()
        self._work = _PrepareFn(job, target)

    def expand(self, tasks: PCollection[Any]) -> "PreparedRecordings[ReadyT]":
        prepared = tasks | "Prepare" >> beam.ParDo(self._work).with_outputs("parts", main="ready")
        return PreparedRecordings(ready=prepared["ready"], parts=prepared["parts"])


class ModelFn(WritingFn):
    """A step that may write the outcome of a recording."""

    def setup(self) -> None:
        self._job.timed = timed
        super().setup()

    def written(self, task: Any, events: Iterator[Event]) -> Part:
        """Write the events of a recording, and return its outcome."""
        writing = self._files.write(task, events)
        while True:
            try:
                next(writing)
            except StopIteration as end:
                part: Part = end.value
                return part

    def failed(self, task: Any, error: EntryError) -> Part:
        """Write the dead letters of a recording that fails as a whole, and return its outcome."""
        return self.written(task, _raising(error))


def _raising(error: EntryError) -> Iterator[Event]:
    # makes this a generator, which raises when it is read, as a job's events do
    yield from ()
    raise error


class _PrepareFn(ModelFn):
    def process(self, task: Any) -> Iterator[Any | Done]:
        part = self._files.kept(task)
        if part is not None:
            yield TaggedOutput("parts", part)
            return
        try:
            with timed("look"):
                ready = look_into(self._job, task)
        except EntryError as err:
            yield TaggedOutput("parts", self.failed(task, err))
        else:
            yield ready


class WriteResults(beam.PTransform[PCollection[PredictionResult], PCollection[Part]], Generic[AskedT, TaskT, ReadyT]):
    """Write the events of recordings, given a model's results for them.

    Args:
      job: makes rows and files of a result.
      target: where the job writes.
    """

    def __init__(self, job: ModelJob[AskedT, TaskT, ReadyT], target: OutputTarget) -> None:
        super().__init__()
        self._work = _ResultFn(job, target)

    def expand(self, results: PCollection[PredictionResult]) -> PCollection[Part]:
        return results | "Write" >> beam.ParDo(self._work)


class _ResultFn(ModelFn):
    def process(self, result: PredictionResult) -> Iterator[Part]:
        with timed("turns"):
            task = self._job.task_of(result.example)
            opened = Opened(version=self._job.version_of(result.example))
            part = self.written(task, chain([opened], self._job.made(result.example, result.inference)))
        yield part
