"""Curation of speech for Beam YAML: plain keyword arguments in, counts of a set, or rows with clips, out."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_type_hints

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.curate.curate_rules import CurateOptions, CurateOutputOptions
from beam_curator.diarization.diarize_rules import (
    DiarizeRules,
    InferenceOptions,
    ModelOptions,
    StreamingOptions,
    TurnOptions,
)
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.models.model_checks import chosen_model, files_beside, turn_preset_of
from beam_curator.option_names import Chosen, FlatOptions
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.curate import curate_speech as curate
from beam_curator.transforms.yaml.row_steps import RowsStep
from beam_curator.transforms.yaml.set_jobs import SetStep
from beam_curator.transforms.yaml.steps import ErrorHandling, Outputs, paths_of
from beam_curator.transforms.yaml.yaml_rows import CountRow

_SECTIONS = {field.name: get_type_hints(CurateOptions)[field.name] for field in fields(CurateOptions)}
CURATION = (
    *_SECTIONS.values(), ModelOptions, StreamingOptions, SpeakerCounts, TurnOptions, InferenceOptions
)  # fmt: skip
"""All options of curation, section by section."""
_CURATE = FlatOptions(*CURATION, CurateOutputOptions, InputOptions)
_ROWS = FlatOptions(*CURATION, CurateOutputOptions, left_out=("row_format", "shards"))


def curation_of(chosen: Chosen) -> CurateOptions:
    """Return the options of curation among those that were chosen."""
    return CurateOptions(**{name: chosen[kind] for name, kind in _SECTIONS.items()})


def _listening(chosen: Chosen) -> dict[str, Any]:
    model = chosen_model(chosen[ModelOptions])
    return {
        "model": model,
        "streaming": chosen[StreamingOptions],
        "speakers": chosen[SpeakerCounts],
        "turns": chosen[TurnOptions].rules(turn_preset_of(model)),
        "inference": chosen[InferenceOptions],
        "output": chosen[CurateOutputOptions],
    }


@_CURATE.in_signature
class CurateSpeech(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From recordings to a complete output set of clean clips of one speaker; recordings that fail are files of it.

    Args:
      inputs: recordings, or manifests that name them: files, globs, directory trees, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, an output that the job itself would read, or no model.
    """

    def __init__(self, inputs: Sequence[str], output: str, **options: Any) -> None:
        chosen = _CURATE.chosen(options)
        job = curate.CurateSpeech(
            paths_of(inputs),
            output,
            curation_of(chosen),
            **_listening(chosen),
            reading=chosen[InputOptions],
            beside=files_beside(chosen[ModelOptions], DiarizeRules()),
        )
        super().__init__("Curate speech", job)


@_ROWS.in_signature
class CurateRows(RowsStep, beam.PTransform[PCollection[beam.Row], Outputs]):
    """Cut clean clips of one speaker out of the recordings that rows name; nothing is written.

    Rows of one recording meet, so that it is heard once: a step for batches.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset`, `kind`, `row`, the row of the clip, and its file in `file_names` and `files`; what
      filters rejected has the kind `rejected`.

    Raises:
      ValueError: options that cannot hold, or rows without `source`, `offset` and `row`.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        chosen = _ROWS.chosen(options)
        super().__init__(curate.CurateRows(curation_of(chosen), **_listening(chosen)), error_handling)
