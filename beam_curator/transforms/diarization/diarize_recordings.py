"""From recordings to a complete set of turns."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.pvalue import PBegin

from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, ModelOptions, StreamingOptions
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.files.embedding_tables import WriteEmbeddings
from beam_curator.files.listing import list_either
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.models.model_checks import (
    check_embeddings,
    check_walk,
    chosen_model,
    turns_or_own,
    warn_of_models,
    with_embedding_model,
    with_own_links,
    with_own_vad,
)
from beam_curator.models.turn_job import TurnJob, turn_config
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import DIARIZE
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.transforms.diarization.hear_recordings import EmbedVoices, HearRecordings
from beam_curator.transforms.diarization.model_handlers import embedding_handler_of, handler_of
from beam_curator.transforms.diarization.speech_handler import with_speech
from beam_curator.transforms.jobs.job_sets import CommitJob, JobSet, Reading
from beam_curator.transforms.jobs.merging import MergeParts
from beam_curator.transforms.jobs.model_steps import PrepareRecordings, WriteResults
from beam_curator.transforms.jobs.recording_sets import ReadAsked
from beam_curator.transforms.jobs.recording_steps import GroupRecordings, shown_of


class Diarize(beam.PTransform[PBegin, JobSet]):
    """Tell who speaks when in recordings, and write entries and RTTM as a complete output set.

    Args:
      inputs: recordings (files, globs, directory trees), or manifests that name them; local or in an object store.
      target: where the set goes; a plain path will do.
      model: which model listens, and on what; where it names none, the cascade if it is installed here, else demo.
      streaming: how a streaming model walks through a recording.
      speakers: how many people talk, for the cascade.
      turns: how probabilities become turns; None for the model's own thresholds.
      rules: which recordings and channels to hear, and which results to write.
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
        speakers: SpeakerCounts = SpeakerCounts(),
        turns: TurnRules | None = None,
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
        self._model = chosen_model(model) if handler is None else model
        self._streaming = streaming
        self._speakers = with_own_links(speakers, self._model) if handler is None else speakers
        self._turns = turns_or_own(turns, self._model)
        self._rules = with_own_vad(with_embedding_model(rules, self._model), self._model) if handler is None else rules
        self._inference = inference
        self._output = output
        self._beside = paths_of(beside) if beside else ()
        self._handler = handler
        self._given_embedding_handler = embedding_handler
        self._warns = warns

    def config(self) -> Config:
        """Return the settings that decide the rows, as the manifest holds them."""
        return turn_config(
            self._rules,
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
        if self._warns and self._handler is None:
            warn_of_models(self._model)
        job, target = TurnJob(self._rules, self._turns), self._target
        read = begin | "Read" >> ReadAsked(job, self._reading, target, takes_recordings=True)
        tasks = read.asked | "Group" >> GroupRecordings(job)
        prepared = tasks | "Prepare" >> PrepareRecordings(job, target)
        splits = self._rules.splits
        handler = with_speech(self._listening_handler(), self._rules, self._model, self._inference)
        heard = prepared.ready | "Hear" >> HearRecordings(handler, self._inference, splits=splits)
        parts = {"prepared": prepared.parts}
        embedding_handler = self._embedding_handler()
        if embedding_handler is not None:
            heard, parts["found"] = heard | "Embed voices" >> EmbedVoices(job, target, embedding_handler, splits=splits)
        parts["heard"] = heard | "Write turns" >> WriteResults(job, target)
        progress = [
            some | f"Progress of {name}" >> beam.FlatMap(shown_of, job.shown).with_output_types(tuple[str, int])
            for name, some in parts.items()
        ]
        method = POOLED if self._rules.pools_embeddings else EMBEDDED
        merged = (
            tuple(parts.values())
            | "All parts" >> beam.Flatten()
            | "Merge" >> MergeParts(target, self._output.row_format, job.rows, WriteEmbeddings(method))
        )
        return begin | "Commit" >> CommitJob(
            target,
            DIARIZE,
            self.config(),
            files=(*read.letters, *merged.files),
            counts=(*read.counts, merged.counts),
            progress=progress,
            reading=self._reading,
            beside=self._beside,
            list_files=list_either,
        )

    def _listening_handler(self) -> ModelHandler[Any, Any, Any]:
        if self._handler is not None:
            return self._handler
        return listening_handler_of(self._model, self._streaming, self._speakers, self._inference, self._rules)

    def _embedding_handler(self) -> ModelHandler[Any, Any, Any] | None:
        if not self._rules.embedding_model:
            return None
        if self._given_embedding_handler is not None:
            return self._given_embedding_handler
        return embedding_handler_of(self._rules, self._model, self._inference)


POOLED = "mean of the encoder's frames in which one speaker talks alone"
EMBEDDED = "mean of the embeddings of speech in which one speaker talks alone"
"""How embeddings are made, in the metadata of their tables."""


def listening_handler_of(
    model: ModelOptions,
    streaming: StreamingOptions,
    speakers: SpeakerCounts,
    inference: InferenceOptions,
    rules: DiarizeRules,
) -> ModelHandler[Any, Any, Any]:
    """Return the handler of the model that listens.

    Raises:
      ModelFileError: embeddings are asked for that this model cannot make.
      ValueError: options are for models of another family.
    """
    check_embeddings(model, rules)
    check_walk(model, streaming.parameters(), speakers)
    return handler_of(model, streaming.parameters(), inference, counts=speakers, keeps_frames=rules.pools_embeddings)
