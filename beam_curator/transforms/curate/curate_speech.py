"""From recordings to a complete set of clean clips of one speaker."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.curate.curate_rules import CurateOptions, CurateOutputOptions
from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions, StreamingOptions
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files.listing import list_either
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.models.curate_checks import check_weights, curate_set_config, models_of
from beam_curator.models.curate_job import CurateJob
from beam_curator.models.curated_speech import HeardSpeech
from beam_curator.models.model_checks import check_walk, chosen_model, turns_or_own, warn_of_models
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import CURATE
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.diarization.hear_recordings import HearRecordings
from beam_curator.transforms.diarization.model_handlers import handler_of
from beam_curator.transforms.jobs.job_sets import CommitJob, JobSet, Reading
from beam_curator.transforms.jobs.merging import MergeParts
from beam_curator.transforms.jobs.model_results import LookIntoRecordings, ResultsOfModel
from beam_curator.transforms.jobs.model_steps import PrepareRecordings, WriteResults
from beam_curator.transforms.jobs.recording_sets import ReadAsked
from beam_curator.transforms.jobs.recording_steps import GroupRecordings, shown_of
from beam_curator.transforms.jobs.without_files import PlanTasks, Results, Row


class HearSpeakers(beam.PTransform[PCollection[HeardSpeech], PCollection[PredictionResult]]):
    """Put the speech of recordings before the model that tells speakers apart, unless nobody asks for speakers.

    Args:
      options: whether speakers are told apart.
      model: which model listens, and on what.
      streaming: how a streaming model walks through a recording.
      speakers: how many people talk, for the cascade.
      inference: how many recordings at once, threads, timeout.
      handler: another model of RunInference in place of ours: `TrackSource` to `Probabilities` or an EntryError.
    """

    def __init__(
        self,
        options: CurateOptions = CurateOptions(),
        *,
        model: ModelOptions = ModelOptions(),
        streaming: StreamingOptions = StreamingOptions(),
        speakers: SpeakerCounts = SpeakerCounts(),
        inference: InferenceOptions = InferenceOptions(),
        handler: ModelHandler[Any, Any, Any] | None = None,
    ) -> None:
        super().__init__()
        self._inference = inference
        self._handler = handler
        self._asks = options.speaker_separation.enable
        if self._asks and handler is None:
            model = chosen_model(model)
            check_walk(model, streaming.parameters(), speakers)
            self._handler = handler_of(model, streaming.parameters(), inference, counts=speakers)

    def expand(self, recordings: PCollection[Any]) -> PCollection[PredictionResult]:
        if not self._asks or self._handler is None:
            return recordings | "Ask nobody" >> beam.Map(_unheard)
        return recordings | "Hear" >> HearRecordings(self._handler, self._inference, splits=True)


def _unheard(ready: Any) -> PredictionResult:
    return PredictionResult(example=ready, inference=None)


class CurateSpeech(beam.PTransform[PBegin, JobSet]):
    """Make clean clips of one speaker of recordings, and write them with their rows as a complete output set.

    Args:
      inputs: recordings (files, globs, directory trees), or manifests that name them; local or in an object store.
      target: where the set goes; a plain path will do.
      options: what is speech, whose it is, and which clips are good enough.
      model: which model tells speakers apart, and on what; where it names none, the cascade if it is there, else demo.
      streaming: how a streaming model walks through a recording.
      speakers: how many people talk, for the cascade.
      turns: how probabilities become turns; None for the model's own thresholds.
      inference: how many recordings at once, threads, timeout.
      output: the formats of clips and rows, and shards.
      reading: how the inputs are read.
      beside: local files of the model, which are hashed into the manifest of the set.
      handler: another model of RunInference in place of ours: `TrackSource` to `Probabilities` or an EntryError.
      warns: warn (`ModelUseWarning`) of a model that must not be used for everything; commands say it themselves.

    Raises:
      ValueError: the target is no place for the set, or a model or its weights are not there.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        options: CurateOptions = CurateOptions(),
        *,
        model: ModelOptions = ModelOptions(),
        streaming: StreamingOptions = StreamingOptions(),
        speakers: SpeakerCounts = SpeakerCounts(),
        turns: TurnRules | None = None,
        inference: InferenceOptions = InferenceOptions(),
        output: CurateOutputOptions = CurateOutputOptions(),
        reading: InputOptions = InputOptions(),
        beside: Sequence[str] = (),
        handler: ModelHandler[Any, Any, Any] | None = None,
        warns: bool = True,
    ) -> None:
        super().__init__()
        check_weights(options)
        self._reading = Reading(inputs=paths_of(inputs), options=reading)
        self._target = target_beside(self._reading.inputs, target, CURATE, output.shards)
        self._options = options
        self._model = chosen_model(model) if handler is None else model
        self._streaming = streaming
        self._speakers = speakers
        self._turns = turns_or_own(turns, self._model)
        self._inference = inference
        self._output = output
        self._beside = paths_of(beside) if beside else ()
        self._handler = handler
        self._warns = warns

    def config(self) -> Config:
        """Return the settings that decide the rows, as the manifest holds them."""
        return curate_set_config(
            self._options,
            self._model,
            self._streaming.parameters(),
            self._turns,
            self._speakers,
            self._inference,
            reading=self._reading.options,
            output=self._output,
            n_shards=self._target.n_shards,
        )

    def expand(self, begin: PBegin) -> "JobSet":
        options, target = self._options, self._target
        if self._warns and self._handler is None and options.speaker_separation.enable:
            warn_of_models(self._model)
        job = CurateJob(options, self._turns, self._output.output_format, models_of(options, self._model))
        read = begin | "Read" >> ReadAsked(job, self._reading, target, takes_recordings=True)
        tasks = read.asked | "Group" >> GroupRecordings(job)
        prepared = tasks | "Find speech" >> PrepareRecordings(job, target)
        heard = prepared.ready | "Hear speakers" >> HearSpeakers(
            options,
            model=self._model,
            streaming=self._streaming,
            speakers=self._speakers,
            inference=self._inference,
            handler=self._handler,
        )
        parts = {"prepared": prepared.parts, "heard": heard | "Write clips" >> WriteResults(job, target)}
        progress = [
            some | f"Progress of {name}" >> beam.FlatMap(shown_of, job.shown).with_output_types(tuple[str, int])
            for name, some in parts.items()
        ]
        merged = (
            tuple(parts.values())
            | "All parts" >> beam.Flatten()
            | "Merge" >> MergeParts(target, self._output.row_format, job.rows)
        )
        return begin | "Commit" >> CommitJob(
            target,
            CURATE,
            self.config(),
            files=(*read.letters, *merged.files),
            counts=(*read.counts, merged.counts),
            progress=progress,
            reading=self._reading,
            beside=self._beside,
            list_files=list_either,
        )


class CurateRows(beam.PTransform[PCollection[Row], Results]):
    """Make clean clips of one speaker of the recordings that rows name; nothing is written.

    Elements are rows as dicts, or blocks of `ReadManifests`. The clips of one recording are held in memory.

    Args:
      options: what is speech, whose it is, and which clips are good enough.
      model: which model tells speakers apart, and on what; where it names none, the cascade if it is there, else demo.
      streaming: how a streaming model walks through a recording.
      speakers: how many people talk, for the cascade.
      turns: how probabilities become turns; None for the model's own thresholds.
      inference: how many recordings at once, threads, timeout.
      output_format: of the clips.
      handler: another model of RunInference in place of ours: `TrackSource` to `Probabilities` or an EntryError.

    Returns:
      Results with the row of a clip and its bytes, and rows of what was rejected; and a failure for each row that
      has none.

    Example:
      >>> from beam_curator.curate.curate_rules import SpeakerSeparation, CurateVad
      >>> options = CurateOptions(vad=CurateVad(engine="energy"), speaker_separation=SpeakerSeparation(enable=False))
      >>> rows = [{"audio_filepath": "examples/round_table.opus"}]
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     curated = pipeline | beam.Create(rows) | CurateRows(options)
      ...     _ = curated.results | beam.combiners.Count.Globally() | beam.Map(lambda n: print(n > 0))
      True
    """

    def __init__(
        self,
        options: CurateOptions = CurateOptions(),
        *,
        model: ModelOptions = ModelOptions(),
        streaming: StreamingOptions = StreamingOptions(),
        speakers: SpeakerCounts = SpeakerCounts(),
        turns: TurnRules | None = None,
        inference: InferenceOptions = InferenceOptions(),
        output: CurateOutputOptions = CurateOutputOptions(),
        handler: ModelHandler[Any, Any, Any] | None = None,
    ) -> None:
        super().__init__()
        check_weights(options)
        model = chosen_model(model) if handler is None else model
        models = models_of(options, model)
        self._job = CurateJob(options, turns_or_own(turns, model), output.output_format, models)
        self._hear = HearSpeakers(
            options, model=model, streaming=streaming, speakers=speakers, inference=inference, handler=handler
        )

    def expand(self, rows: PCollection[Row]) -> "Results":
        planned = rows | "Plan tasks" >> PlanTasks(self._job)
        looked = planned.tasks | "Find speech" >> LookIntoRecordings(self._job)
        heard = looked.ready | "Hear speakers" >> self._hear
        made = heard | "Make clips" >> ResultsOfModel(self._job)
        failures = (planned.failures, looked.failures, made.failures) | "All failures" >> beam.Flatten()
        return Results(results=made.results, failures=failures)
