"""The steps from rows to clean clips, one by one: where anybody speaks, which of it is good enough, and in which order.

`HearSpeakers` comes next. What goes from step to step is small: spans and times, never samples.
"""

from typing import NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.pvalue import PCollection

from beam_curator.audio import AudioReader
from beam_curator.curate.curate_rules import CurateOptions, CurateOutputOptions
from beam_curator.curate.filters import SEGMENT, filters_of
from beam_curator.diarization.diarize_rules import ModelOptions
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.failures import Failure
from beam_curator.models.curate_checks import check_weights, models_of
from beam_curator.models.curate_job import CurateJob
from beam_curator.models.curated_speech import CurateTask, HeardSpeech, concatenated_speech, filtered_speech
from beam_curator.models.model_checks import chosen_model, turns_or_own
from beam_curator.transforms.jobs.model_results import LookIntoRecordings, ResultsOfModel
from beam_curator.transforms.jobs.without_files import PlanTasks, Results, Row


class FoundSpeech(NamedTuple):
    """The result of `FindSpeech`: recordings with their speech, and a failure for each row that has none."""

    recordings: PCollection[HeardSpeech]
    failures: PCollection[Failure]


class FindSpeech(beam.PTransform[PCollection[Row], FoundSpeech]):
    """Find the pieces of speech of the recordings that rows name.

    Elements are rows as dicts, or blocks of `ReadManifests`. Rows of one recording meet.

    Args:
      options: what is speech, and which recordings are heard.
      measures: measure each piece, for `FilterSpeech`; it costs another pass over the recording.

    Example:
      >>> from beam_curator.curate.curate_rules import CurateVad
      >>> rows = [{"audio_filepath": "examples/round_table.opus"}]
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     found = pipeline | beam.Create(rows) | FindSpeech(CurateOptions(vad=CurateVad(engine="energy")))
      ...     _ = found.recordings | beam.Map(lambda heard: print(heard.sample_rate, len(heard.heard[0].pieces) > 0))
      16000 True
    """

    def __init__(self, options: CurateOptions = CurateOptions(), *, measures: bool = True) -> None:
        super().__init__()
        check_weights(options)
        self._job = _SpeechAlone(options, measures=measures)

    def expand(self, rows: PCollection[Row]) -> "FoundSpeech":
        planned = rows | "Plan tasks" >> PlanTasks(self._job)
        looked = planned.tasks | "Find speech" >> LookIntoRecordings(self._job)
        failures = (planned.failures, looked.failures) | "All failures" >> beam.Flatten()
        return FoundSpeech(recordings=looked.ready, failures=failures)


class _SpeechAlone(CurateJob):
    def __init__(self, options: CurateOptions, *, measures: bool) -> None:
        super().__init__(options, TurnRules())
        self._measures = measures

    def ready(self, task: CurateTask, reader: AudioReader) -> HeardSpeech:
        return self.found(task, reader, measures=self._measures)


class FilterSpeech(beam.PTransform[PCollection[HeardSpeech], PCollection[HeardSpeech]]):
    """Judge pieces of speech by their measures; dropped ones stay in their recording, with the verdict.

    Args:
      options: the limits.
    """

    def __init__(self, options: CurateOptions = CurateOptions()) -> None:
        super().__init__()
        self._filters = filters_of(options, SEGMENT)

    def expand(self, recordings: PCollection[HeardSpeech]) -> PCollection[HeardSpeech]:
        return recordings | "Judge speech" >> beam.Map(filtered_speech, self._filters)


class ConcatenateSpeech(beam.PTransform[PCollection[HeardSpeech], PCollection[HeardSpeech]]):
    """Put the pieces of speech that stay end to end, as `HearSpeakers` hears them.

    Args:
      options: how much silence is between.
    """

    def __init__(self, options: CurateOptions = CurateOptions()) -> None:
        super().__init__()
        self._silence = options.concatenation.silence_duration_sec

    def expand(self, recordings: PCollection[HeardSpeech]) -> PCollection[HeardSpeech]:
        return recordings | "Put end to end" >> beam.Map(concatenated_speech, self._silence)


class MapClips(beam.PTransform[PCollection[PredictionResult], Results]):
    """Map the turns of speakers to the recordings they came from, and cut their clips; nothing is written.

    Speech is found again on each speaker's track, and clips are judged. The clips of one recording are held in memory.

    Args:
      options: whose speech goes into clips, and which clips are good enough.
      turns: how probabilities become turns; None for the model's own thresholds.
      model: that was heard, for the rows.
      output: the format of clips.
    """

    def __init__(
        self,
        options: CurateOptions = CurateOptions(),
        *,
        turns: TurnRules | None = None,
        model: ModelOptions = ModelOptions(),
        output: CurateOutputOptions = CurateOutputOptions(),
    ) -> None:
        super().__init__()
        model = chosen_model(model)
        self._job = CurateJob(options, turns_or_own(turns, model), output.output_format, models_of(options, model))

    def expand(self, results: PCollection[PredictionResult]) -> "Results":
        return results | "Make clips" >> ResultsOfModel(self._job)
