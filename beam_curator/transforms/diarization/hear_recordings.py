"""Putting recordings before models: batches of similar length, RunInference, and the turns between two models."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.diarization.diarize_rules import InferenceOptions
from beam_curator.failures import EntryError
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.models.turn_finding import Diarized
from beam_curator.models.turn_job import TurnJob
from beam_curator.transforms.diarization.around_handler import LateHandler
from beam_curator.transforms.diarization.stream_handler import StreamsHandler
from beam_curator.transforms.jobs.model_steps import Done, ModelFn
from beam_curator.transforms.metrics import timed

_Recording = TypeVar("_Recording")


class Audible(Protocol):
    """A recording that a model can hear: its length in seconds, and the streams that are heard by themselves."""

    @property
    def seconds(self) -> float: ...

    @property
    def streams(self) -> Sequence[object]: ...


class HearRecordings(beam.PTransform[PCollection[object], PCollection[PredictionResult]]):
    """Put recordings before a model.

    They are `Audible`, a protocol, with which Beam cannot compare types.

    Args:
      handler: the model's handler.
      inference: how many recordings at once.
      splits: each channel is heard by itself; a result is a tuple, then.
    """

    def __init__(
        self, handler: ModelHandler[Any, Any, Any], inference: InferenceOptions, *, splits: bool = False
    ) -> None:
        super().__init__()
        self._handler = StreamsHandler(handler, inference.inference_batch_size) if splits else handler
        self._inference = inference

    def expand(self, recordings: PCollection[object]) -> PCollection[PredictionResult]:
        batches = recordings | "Batch" >> _Batch(self._inference)
        handler = LateHandler(self._handler).with_no_batching()
        heard: PCollection[PredictionResult] = batches | "Listen" >> RunInference(handler)
        return heard


class _Batch(beam.PTransform[PCollection[Any], PCollection[list[Any]]]):
    """Batch recordings of similar length, within a budget of seconds. Elements are small, and the step stays fused."""

    def __init__(self, inference: InferenceOptions) -> None:
        super().__init__()
        self._size = inference.inference_batch_size
        self._budget = math.ceil(inference.batch_seconds)

    def expand(self, recordings: PCollection[Any]) -> PCollection[list[Any]]:
        if self._size == 1:
            return recordings | "One by one" >> beam.Map(_alone).with_output_types(list[Any])
        return recordings | "By length" >> beam.transforms.util.SortAndBatchElements(
            1, self._size, self._budget, _whole_seconds
        )


def _alone(recording: _Recording) -> list[_Recording]:
    return [recording]


def _whole_seconds(ready: Audible) -> int:
    return max(1, math.ceil(ready.seconds * len(ready.streams)))


class EmbeddedVoices(NamedTuple):
    """The result of `EmbedVoices`: results of the model that embeds, and outcomes of recordings that failed before."""

    results: PCollection[PredictionResult]
    parts: PCollection[Part]


class EmbedVoices(beam.PTransform[PCollection[PredictionResult], EmbeddedVoices]):
    """Find the turns in a model's results for recordings, and put those before a model that embeds voices.

    Args:
      job: finds the turns.
      target: where the job writes.
      handler: the embedding model's handler.
      splits: each channel is heard by itself; a result is a tuple, then.
    """

    def __init__(
        self, job: TurnJob, target: OutputTarget, handler: ModelHandler[Any, Any, Any], *, splits: bool = False
    ) -> None:
        super().__init__()
        self._find = _FindFn(job, target)
        self._handler = StreamsHandler(handler, 1) if splits else handler

    def expand(self, results: PCollection[PredictionResult]) -> "EmbeddedVoices":
        found = results | "Find turns" >> beam.ParDo(self._find).with_outputs("parts", main="found")
        alone = found["found"] | "One by one" >> beam.Map(_alone).with_output_types(list[Diarized])
        handler = LateHandler(self._handler).with_no_batching()
        embedded: PCollection[PredictionResult] = alone | "Embed" >> RunInference(handler)
        return EmbeddedVoices(results=embedded, parts=found["parts"])


class _FindFn(ModelFn):
    def process(self, result: PredictionResult) -> Iterator[Diarized | Done]:
        ready: Any = result.example
        try:
            with timed("turns"):
                yield self._job.found(ready, result.inference)
        except EntryError as err:
            yield TaggedOutput("parts", self.failed(ready.task, err))
