"""Diarization for other people's pipelines: rows in, entries with turns and failures out, no files."""

from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.pvalue import PCollection

from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, ModelOptions, StreamingOptions
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.models.model_checks import chosen_model, turns_or_own, warn_of_models, with_own_links, with_own_vad
from beam_curator.models.turn_job import TurnJob
from beam_curator.transforms.diarization.diarize_recordings import listening_handler_of
from beam_curator.transforms.diarization.hear_recordings import HearRecordings
from beam_curator.transforms.diarization.speech_handler import with_speech
from beam_curator.transforms.jobs.model_results import LookIntoRecordings, ResultsOfModel
from beam_curator.transforms.jobs.without_files import PlanTasks, Results, Row


class DiarizeRows(beam.PTransform[PCollection[Row], Results]):
    """Tell who speaks when in the recordings that rows name; nothing is written.

    Elements are rows as dicts, or blocks of `ReadManifests`. Rows of one recording meet, so that it is heard once.

    Args:
      model: which model listens, and on what; where it names none, the cascade if it is installed here, else demo.
      streaming: how a streaming model walks through a recording.
      speakers: how many people talk, for the cascade.
      turns: how probabilities become turns; None for the model's own thresholds.
      rules: what is heard, and what is made of it; embeddings by a model of their own are for `Diarize` alone.
      inference: how many recordings at once, threads, timeout.
      handler: another model of RunInference in place of ours: `RecordingSource` to `Probabilities` or an EntryError.

    Returns:
      Results with an entry, and the bytes of its .rttm file; and a failure for each row that has none.

    Raises:
      ValueError: embeddings by a model of their own are asked for.

    Example:
      >>> rows = [{"audio_filepath": "examples/round_table.opus"}]
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     diarized = pipeline | beam.Create(rows) | DiarizeRows(ModelOptions(model_name="demo"))
      ...     _ = diarized.results | beam.Map(lambda entry: print(entry.row["num_speakers"], "speakers"))
      3 speakers
    """

    def __init__(
        self,
        model: ModelOptions = ModelOptions(),
        *,
        streaming: StreamingOptions = StreamingOptions(),
        speakers: SpeakerCounts = SpeakerCounts(),
        turns: TurnRules | None = None,
        rules: DiarizeRules = DiarizeRules(),
        inference: InferenceOptions = InferenceOptions(),
        handler: ModelHandler[Any, Any, Any] | None = None,
    ) -> None:
        super().__init__()
        if rules.embedding_model:
            raise ValueError(f"embedding_model {rules.embedding_model!r} is for Diarize alone: leave it out")
        self._inference = inference
        self._model = model = chosen_model(model) if handler is None else model
        rules = with_own_vad(rules, model) if handler is None else rules
        speakers = with_own_links(speakers, model) if handler is None else speakers
        self._job = TurnJob(rules, turns_or_own(turns, model), always_rttm=True)
        self._splits = rules.splits
        self._is_ours = handler is None
        ours = listening_handler_of(model, streaming, speakers, inference, rules) if handler is None else handler
        self._handler = with_speech(ours, rules, model, inference)

    def expand(self, rows: PCollection[Row]) -> "Results":
        if self._is_ours:
            warn_of_models(self._model)
        planned = rows | "Plan tasks" >> PlanTasks(self._job)
        looked = planned.tasks | "Look" >> LookIntoRecordings(self._job)
        heard = looked.ready | "Hear" >> HearRecordings(self._handler, self._inference, splits=self._splits)
        made = heard | "Make entries" >> ResultsOfModel(self._job)
        failures = (planned.failures, looked.failures, made.failures) | "All failures" >> beam.Flatten()
        return Results(results=made.results, failures=failures)
