"""From recordings to a complete set of turns."""

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, ModelOptions, StreamingOptions
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files.embedding_tables import WriteEmbeddings
from beam_curator.files.listing import list_either
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.files.part_files import Part, WriteRows
from beam_curator.files.turn_rows import write_turn_rows
from beam_curator.models.listening import free_memory, longest_offline
from beam_curator.models.model_checks import warn_of_models
from beam_curator.models.model_choice import check_embeddings, chosen_models, config_of_model, embedding_path
from beam_curator.rules import config_of
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import DIARIZE, EMBEDDING_TABLES
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.transforms.diarization.find_turns import Diarized, FindTurns
from beam_curator.transforms.diarization.model_handlers import embedding_handler_of, handler_of
from beam_curator.transforms.diarization.prepare_recordings import PrepareRecordings, Ready
from beam_curator.transforms.diarization.read_recordings import ReadRecordings, Task
from beam_curator.transforms.diarization.write_turns import WriteTurns, WriteUnheard
from beam_curator.transforms.jobs.job_sets import CommitJob, JobSet, Reading
from beam_curator.transforms.jobs.merging import merged_parts
from beam_curator.transforms.jobs.writing import WriteFailures

_Recording = TypeVar("_Recording")


class Diarize(beam.PTransform[PBegin, Any]):
    """Tell who speaks when in recordings, and write entries and RTTM as a complete output set.

    Args:
      inputs: recordings (files, globs, directory trees), or manifests that name them; local or in an object store.
      target: where the set goes; a plain path will do.
      model: which model listens, and on what.
      streaming: how a streaming model walks through a recording.
      turns: how probabilities become turns.
      rules: what is heard, and what is written.
      inference: how many recordings at once, threads, timeout.
      output: the format of rows, and shards.
      reading: how the inputs are read.
      beside: local files of the model, which are hashed into the manifest of the set.
      handler: another model of RunInference in place of ours: `RecordingSource` to `Probabilities` or an EntryError.
      embedding_handler: another one in place of ours for `rules.embedding_model`: `Diarized` to `SpeakerEmbeddings` or
        an EntryError.
      warns: warn (`ModelUseWarning`) of a model that must not be used for everything; commands say it themselves.

    Raises:
      ValueError: the target is no place for the set: empty, a file, or inside an input.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        *,
        model: ModelOptions = ModelOptions(),
        streaming: StreamingOptions = StreamingOptions(),
        turns: TurnRules = TurnRules(),
        rules: DiarizeRules = DiarizeRules(),
        inference: InferenceOptions = InferenceOptions(),
        output: RowOutputOptions = RowOutputOptions(),
        reading: InputOptions = InputOptions(),
        beside: Sequence[str] = (),
        handler: ModelHandler[Any, Any, Any] | None = None,
        embedding_handler: ModelHandler[Any, Any, Any] | None = None,
        warns: bool = True,
    ) -> None:
        super().__init__()
        self._reading = Reading(inputs=paths_of(inputs), options=reading)
        self._target = target_beside(self._reading.inputs, target, DIARIZE, output.shards)
        self._model = model
        self._streaming = streaming
        self._turns = turns
        self._rules = rules
        self._inference = inference
        self._output = output
        self._beside = paths_of(beside)
        self._handler = handler
        self._given_embedding_handler = embedding_handler
        self._warns = warns

    def config(self) -> Config:
        """Return the settings that decide the rows, as the manifest holds them."""
        return {
            "diarization": config_of(self._rules) | self._config_of_embeddings(),
            "model": self._config_of_models(),
            "streaming": config_of(self._streaming.parameters()),
            "turns": config_of(self._turns),
            "inference": {"inference_batch_size": self._inference.inference_batch_size},
            "input": self._reading.config(),
            "output": {"row_format": self._output.row_format, "shards": self._target.n_shards},
        }

    def expand(self, begin: PBegin) -> "JobSet":
        if self._warns and self._handler is None:
            warn_of_models(self._model)
        read = begin | "Read" >> ReadRecordings(self._reading, self._rules)
        letters = [
            failed | f"Write failures {number}" >> WriteFailures(self._target)
            for number, failed in enumerate(read.failures)
        ]
        listened = read.tasks | "Listen" >> _ListenToTasks(
            self._target, self._rules, self._turns, self._handlers(), self._inference, self._embedding_handler()
        )
        merged = merged_parts(listened.parts, self._target, self._output.row_format, write_turn_rows, self._tables())
        return begin | "Commit" >> CommitJob(
            self._target,
            DIARIZE,
            self.config(),
            files=(*letters, *merged.files),
            counts=(*read.counts, merged.counts),
            progress=listened.progress,
            reading=self._reading,
            beside=self._beside,
            list_files=list_either,
        )

    def _config_of_embeddings(self) -> dict[str, Any]:
        """Return the config of an embedding model given by its path: the file name alone, since the file is hashed."""
        path = embedding_path(self._rules)
        return {"embedding_model": os.path.basename(path.rstrip("/"))} if path else {}

    def _config_of_models(self) -> dict[str, Any]:
        chosen = chosen_models(self._model)
        config = config_of_model(chosen.any_length)
        return config if chosen.short is None else config | {"short": config_of_model(chosen.short)}

    def _handlers(self) -> "Handlers":
        if self._handler is not None:
            return Handlers(self._handler, None)
        return handlers_of(self._model, self._streaming, self._inference, self._rules)

    def _embedding_handler(self) -> ModelHandler[Any, Any, Any] | None:
        if not self._rules.embedding_model:
            return None
        if self._given_embedding_handler is not None:
            return self._given_embedding_handler
        return embedding_handler_of(self._rules, self._model, self._inference)

    def _tables(self) -> dict[str, WriteRows]:
        if not self._rules.embeddings:
            return {}
        write = WriteEmbeddings(POOLED if self._rules.pools_embeddings else EMBEDDED)
        return dict.fromkeys(EMBEDDING_TABLES, write)


POOLED = "mean of the encoder's frames in which one speaker talks alone"
EMBEDDED = "mean of the embeddings of speech in which one speaker talks alone"
"""How embeddings are made, in the metadata of their tables."""


class Handlers(NamedTuple):
    """The handler for recordings of any length, and the one for short recordings if another model hears those."""

    any_length: ModelHandler[Any, Any, Any]
    short: ModelHandler[Any, Any, Any] | None


def handlers_of(
    model: ModelOptions, streaming: StreamingOptions, inference: InferenceOptions, rules: DiarizeRules
) -> Handlers:
    """Return the handlers of the models that options stand for.

    Raises:
      ModelNotFoundError: "auto", and nothing is installed.
      ModelFileError: embeddings are asked for that these models cannot make.
    """
    chosen, walk = chosen_models(model), streaming.parameters()
    check_embeddings(chosen, rules)

    def handler(options: ModelOptions) -> ModelHandler[Any, Any, Any]:
        return handler_of(options, walk, inference, keeps_frames=rules.pools_embeddings)

    return Handlers(handler(chosen.any_length), handler(chosen.short) if chosen.short is not None else None)


class _Listened(NamedTuple):
    """The parts that were written for recordings, and counts that show the progress after each of them."""

    parts: PCollection[Part]
    progress: tuple[PCollection[Count], ...]


class _ListenToTasks(beam.PTransform[PCollection[Task], Any]):
    """Listen to the recordings of tasks, and write the results of each one."""

    def __init__(
        self,
        target: OutputTarget,
        rules: DiarizeRules,
        turns: TurnRules,
        handlers: Handlers,
        inference: InferenceOptions,
        embedding_handler: ModelHandler[Any, Any, Any] | None,
    ) -> None:
        super().__init__()
        self._writing = (target, rules, turns)
        self._find = FindTurns(rules, turns)
        self._embedding_handler = embedding_handler
        self._prepare = PrepareRecordings(target, rules)
        self._handlers = handlers
        self._inference = inference

    def expand(self, tasks: PCollection[Task]) -> "_Listened":
        prepared = tasks | "Prepare" >> self._prepare
        heard = prepared["ready"] | "Hear" >> HearRecordings(self._handlers, self._inference)
        parts: Any = {
            "unheard": prepared["unheard"] | "Write unheard" >> WriteUnheard(*self._writing),
            "kept": prepared["kept"],
        }
        if self._embedding_handler is not None:
            found = heard | "Find turns" >> self._find
            parts["failed"] = found["unheard"] | "Write failed" >> WriteUnheard(*self._writing)
            alone = found["found"] | "One by one" >> beam.Map(_alone).with_output_types(list[Diarized])
            heard = alone | "Embed" >> RunInference(self._embedding_handler.with_no_batching())
        parts["heard"] = heard | "Write turns" >> WriteTurns(*self._writing)
        progress = [
            some | f"Progress of {name}" >> beam.FlatMap(progress_of).with_output_types(tuple[str, int])
            for name, some in parts.items()
        ]
        return _Listened(parts=tuple(parts.values()) | "All parts" >> beam.Flatten(), progress=tuple(progress))


def progress_of(part: Part) -> Iterator[Count]:
    """Yield the counts of a recording that show progress. The books wait until all recordings are done."""
    for name, n in part.counts:
        if name in _SHOWN:
            yield f"progress.{name}", n


_SHOWN = frozenset({"diarize.turns", "diarize.failures", "diarize.audio_us"})


class HearRecordings(beam.PTransform[PCollection[Ready], PCollection[PredictionResult]]):
    """Put recordings before the model, or before that of the two models that their length asks for."""

    def __init__(self, handlers: Handlers, inference: InferenceOptions) -> None:
        super().__init__()
        self._handlers = handlers
        self._inference = inference

    def expand(self, recordings: PCollection[Ready]) -> PCollection[PredictionResult]:
        handlers, inference = self._handlers, self._inference
        if handlers.short is None:
            return recordings | "Model" >> _Model(handlers.any_length, inference)
        long, short = recordings | "By length" >> beam.Partition(_ByLength(inference.max_offline_seconds), 2)
        heard: PCollection[PredictionResult] = (
            long | "Model for long ones" >> _Model(handlers.any_length, inference),
            short | "Model for short ones" >> _Model(handlers.short, inference),
        ) | "All heard" >> beam.Flatten()
        return heard


class _ByLength(beam.PartitionFn):
    """Partition into long and short recordings. Where no limit is given, short ones fit into memory with a margin."""

    def __init__(self, max_seconds: float) -> None:
        self._max_seconds = max_seconds

    def partition_for(self, element: Any, num_partitions: int, *args: Any, **kwargs: Any) -> int:
        return int(element.seconds <= (self._max_seconds or longest_offline(free_memory()) * _MARGIN))


_MARGIN = 0.7


class _Model(beam.PTransform[PCollection[Ready], PCollection[PredictionResult]]):
    """Put recordings before one model."""

    def __init__(self, handler: ModelHandler[Any, Any, Any], inference: InferenceOptions) -> None:
        super().__init__()
        self._handler = handler
        self._inference = inference

    def expand(self, recordings: PCollection[Ready]) -> PCollection[PredictionResult]:
        batches = recordings | "Batch" >> _Batch(self._inference)
        heard: PCollection[PredictionResult] = batches | "Listen" >> RunInference(self._handler.with_no_batching())
        return heard


class _Batch(beam.PTransform[PCollection[Ready], PCollection[list[Ready]]]):
    """Batch recordings of similar length, within a budget of seconds. Elements are small, and the step stays fused."""

    def __init__(self, inference: InferenceOptions) -> None:
        super().__init__()
        self._size = inference.inference_batch_size
        self._budget = math.ceil(inference.batch_seconds)

    def expand(self, recordings: PCollection[Ready]) -> PCollection[list[Ready]]:
        if self._size == 1:
            return recordings | "One by one" >> beam.Map(_alone).with_output_types(list[Ready])
        return recordings | "By length" >> beam.transforms.util.SortAndBatchElements(
            1, self._size, self._budget, _whole_seconds
        )


def _alone(recording: _Recording) -> list[_Recording]:
    return [recording]


def _whole_seconds(ready: Ready) -> int:
    return max(1, math.ceil(ready.seconds))
