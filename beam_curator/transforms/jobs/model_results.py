"""Jobs in whose middle a model hears recordings, without files: what comes before the model, and what behind it."""

from collections.abc import Iterator
from typing import Any, Generic

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.failures import EntryError
from beam_curator.sets.recording_jobs import AskedT, ModelJob, ReadyT, TaskT
from beam_curator.transforms.jobs.model_steps import look_into
from beam_curator.transforms.jobs.without_files import Failed, JobFn, PlannedTasks, RecordingResult, Results


class LookIntoRecordings(beam.PTransform[PCollection[Any], PlannedTasks], Generic[AskedT, TaskT, ReadyT]):
    """Look into the recording of each task before a model hears it; the result's tasks are recordings for the model.

    Args:
      job: tells what of it the model takes.
    """

    def __init__(self, job: ModelJob[AskedT, TaskT, ReadyT]) -> None:
        super().__init__()
        self._work = _LookFn(job)

    def expand(self, tasks: PCollection[Any]) -> "PlannedTasks":
        looked = tasks | "Look" >> beam.ParDo(self._work).with_outputs("failures", main="ready")
        return PlannedTasks(tasks=looked["ready"], failures=looked["failures"])


class _LookFn(JobFn):
    def process(self, task: Any) -> Iterator[Any]:
        try:
            yield look_into(self._job, task)
        except EntryError as err:
            yield from self.results(task, self.failed(task, err))


class ResultsOfModel(beam.PTransform[PCollection[Any], Results], Generic[AskedT, TaskT, ReadyT]):
    """Turn a model's results for recordings into results of the job, and failures.

    Args:
      job: makes them.
    """

    def __init__(self, job: ModelJob[AskedT, TaskT, ReadyT]) -> None:
        super().__init__()
        self._work = _ModelFn(job)

    def expand(self, heard: PCollection[Any]) -> "Results":
        made = heard | "Make" >> beam.ParDo(self._work).with_outputs("failures", main="results")
        return Results(results=made["results"], failures=made["failures"])


class _ModelFn(JobFn):
    def process(self, result: Any) -> Iterator[RecordingResult | Failed]:
        job = self._job
        yield from self.results(job.task_of(result.example), job.made(result.example, result.inference))
