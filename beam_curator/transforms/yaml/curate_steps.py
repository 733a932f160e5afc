"""The steps from rows to clean clips for Beam YAML, one by one; recordings travel between them with spans, not samples.

Each takes all options of curation, so that one mapping of them is given to all steps, and uses those that it needs.
"""

from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.pvalue import PCollection

from beam_curator.curate.curate_rules import CurateOutputOptions
from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions, StreamingOptions, TurnOptions
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.models.curated_speech import HeardSpeech
from beam_curator.models.model_checks import chosen_model, turn_preset_of
from beam_curator.option_names import FlatOptions
from beam_curator.transforms.curate import speech_steps as speech
from beam_curator.transforms.curate.curate_speech import HearSpeakers as Hear
from beam_curator.transforms.yaml.curate_jobs import CURATION, curation_of
from beam_curator.transforms.yaml.row_steps import made_row
from beam_curator.transforms.yaml.steps import (
    ErrorHandling,
    Outputs,
    block_of_row,
    check_columns,
    error_output,
    with_errors,
)
from beam_curator.transforms.yaml.yaml_rows import ManifestRow

_SPEECH = FlatOptions(*CURATION)
_MAP = FlatOptions(*CURATION, CurateOutputOptions, left_out=("row_format", "shards"))


@_SPEECH.in_signature
class FindSpeech(beam.PTransform[PCollection[beam.Row], Outputs]):
    """Find the pieces of speech of the recordings that rows name, and measure them.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Recordings for `FilterSpeech` or `ConcatenateSpeech`.

    Raises:
      ValueError: options that cannot hold, or rows without `source`, `offset` and `row`.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        super().__init__()
        self._find = speech.FindSpeech(curation_of(_SPEECH.chosen(options)))
        self._errors = error_output(error_handling)

    def expand(self, rows: PCollection[Any]) -> "Outputs":
        check_columns(rows, "FindSpeech", ManifestRow._fields, "read with ReadManifests")
        found = rows | "As blocks" >> beam.Map(block_of_row) | "Find" >> self._find
        return with_errors(found.recordings, (found.failures,), self._errors)


@_SPEECH.in_signature
class FilterSpeech(beam.PTransform[PCollection[HeardSpeech], PCollection[HeardSpeech]]):
    """Judge pieces of speech by their measures; dropped ones stay in their recording, with the verdict."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._step = speech.FilterSpeech(curation_of(_SPEECH.chosen(options)))

    def expand(self, recordings: PCollection[HeardSpeech]) -> PCollection[HeardSpeech]:
        return recordings | self._step


@_SPEECH.in_signature
class ConcatenateSpeech(beam.PTransform[PCollection[HeardSpeech], PCollection[HeardSpeech]]):
    """Put the pieces of speech that stay end to end, as `HearSpeakers` hears them."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._step = speech.ConcatenateSpeech(curation_of(_SPEECH.chosen(options)))

    def expand(self, recordings: PCollection[HeardSpeech]) -> PCollection[HeardSpeech]:
        return recordings | self._step


@_SPEECH.in_signature
class HearSpeakers(beam.PTransform[PCollection[HeardSpeech], PCollection[PredictionResult]]):
    """Put the speech of recordings before the model that tells speakers apart.

    Raises:
      ValueError: options that cannot hold, or no model.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        chosen = _SPEECH.chosen(options)
        self._step = Hear(
            curation_of(chosen),
            model=chosen_model(chosen[ModelOptions]),
            streaming=chosen[StreamingOptions],
            speakers=chosen[SpeakerCounts],
            inference=chosen[InferenceOptions],
        )

    def expand(self, recordings: PCollection[HeardSpeech]) -> PCollection[PredictionResult]:
        return recordings | self._step


@_MAP.in_signature
class MapClips(beam.PTransform[PCollection[PredictionResult], Outputs]):
    """Map the turns of speakers to the recordings they came from, and cut their clips; nothing is written.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows as those of `CurateRows`.

    Raises:
      ValueError: options that cannot hold.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        super().__init__()
        chosen = _MAP.chosen(options)
        model = chosen_model(chosen[ModelOptions])
        turns, output = chosen[TurnOptions].rules(turn_preset_of(model)), chosen[CurateOutputOptions]
        self._step = speech.MapClips(curation_of(chosen), turns=turns, model=model, output=output)
        self._errors = error_output(error_handling)

    def expand(self, results: PCollection[PredictionResult]) -> "Outputs":
        made = results | self._step
        return with_errors(made.results | "Take rows" >> beam.Map(made_row), (made.failures,), self._errors)
