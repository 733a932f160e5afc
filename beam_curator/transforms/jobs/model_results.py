"""Jobs with a model in their middle, without files: the steps before the model, and after it."""

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.pvalue import PCollection

from beam_curator.failures import EntryError, Failure
from beam_curator.files.recording_files import look_into
from beam_curator.sets.recording_jobs import AskedT, ModelJob, ReadyT, TaskT
from beam_curator.transforms.jobs.without_files import Failed, RecordingResult, Results, ResultsFn


class LookedInto(NamedTuple, Generic[ReadyT]):
    """The result of `LookIntoRecordings`: recordings for the model, and failures."""

    ready: PCollection[ReadyT]
    failures: PCollection[Failure]


class LookIntoRecordings(beam.PTransform[PCollection[TaskT], LookedInto[ReadyT]], Generic[AskedT, TaskT, ReadyT]):
    """Look into the recording of each task before a model hears it.

    Args:
      job: prepares each recording for the model.
    """

    def __init__(self, job: ModelJob[AskedT, TaskT, ReadyT]) -> None:
        super().__init__()
        self._work = _LookFn(job)

    def expand(self, tasks: PCollection[Any]) -> "LookedInto[ReadyT]":
        looked = tasks | "Look" >> beam.ParDo(self._work).with_outputs("failures", main="ready")
        return LookedInto(ready=looked["ready"], failures=looked["failures"])


class _LookFn(ResultsFn):
    def process(self, task: Any) -> Iterator[Any]:
        try:
            yield look_into(self._job, task)
        except EntryError as err:
            yield from self.results(task, self._job.failed(task, err))


class ResultsOfModel(beam.PTransform[PCollection[PredictionResult], Results], Generic[AskedT, TaskT, ReadyT]):
    """Turn a model's results for recordings into results of the job, and failures.

    Args:
      job: makes them.
    """

    def __init__(self, job: ModelJob[AskedT, TaskT, ReadyT]) -> None:
        super().__init__()
        self._work = _ModelFn(job)

    def expand(self, heard: PCollection[PredictionResult]) -> "Results":
        made = heard | "Make" >> beam.ParDo(self._work).with_outputs("failures", main="results")
        return Results(results=made["results"], failures=made["failures"])


class _ModelFn(ResultsFn):
    def process(self, result: Any) -> Iterator[RecordingResult | Failed]:
        job = self._job
        yield from self.results(job.task_of(result.example), job.made(result.example, result.inference))
