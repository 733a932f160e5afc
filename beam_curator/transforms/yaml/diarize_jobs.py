"""Diarization for Beam YAML: plain keyword arguments in, rows with a schema out."""

import os
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.diarization.diarize_rules import (
    DiarizeRules,
    InferenceOptions,
    ModelOptions,
    StreamingOptions,
    TurnOptions,
)
from beam_curator.diarization.speaker_counts import SpeakerCounts
from beam_curator.diarization.turn_rows import TURNS_TABLE
from beam_curator.entries.channel_key import CHANNEL_KEY
from beam_curator.entries.json_lines import encode
from beam_curator.files import storage
from beam_curator.models.model_checks import chosen_model, files_beside, turn_preset_of, with_embedding_model
from beam_curator.option_names import FlatOptions
from beam_curator.recordings.channel_files import channel_files, path_text
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.transforms.diarization import diarize_recordings as diarize
from beam_curator.transforms.diarization.diarize_rows import DiarizeRows
from beam_curator.transforms.jobs.without_files import RecordingResult
from beam_curator.transforms.yaml.set_jobs import SetStep
from beam_curator.transforms.yaml.steps import (
    ErrorHandling,
    Outputs,
    block_of_row,
    column_names,
    error_output,
    paths_of,
    with_errors,
    wrong_columns,
)
from beam_curator.transforms.yaml.yaml_rows import CountRow, DiarizedRow, ManifestRow

_KINDS = (ModelOptions, StreamingOptions, SpeakerCounts, TurnOptions, DiarizeRules, InferenceOptions)
_DIARIZE = FlatOptions(*_KINDS, RowOutputOptions, InputOptions)
_RECORDINGS = FlatOptions(
    *_KINDS, left_out=("uem", "overlap_view", "embeddings", "embedding_model"), fixed={"rttm_out_dir": ""}
)
"""A step that gives rows writes no files beside them."""


@_DIARIZE.in_signature
class Diarize(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From recordings to a complete output set of entries and RTTM; recordings that fail are files of the set.

    Args:
      inputs: recordings, or manifests that name them: files, globs, directory trees, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, an output that the job itself would read, or no model.
    """

    def __init__(self, inputs: Sequence[str], output: str, **options: Any) -> None:
        chosen = _DIARIZE.chosen(options)
        model = chosen_model(chosen[ModelOptions])
        rules = with_embedding_model(chosen[DiarizeRules], model)
        job = diarize.Diarize(
            paths_of(inputs),
            output,
            model=model,
            streaming=chosen[StreamingOptions],
            speakers=chosen[SpeakerCounts],
            turns=chosen[TurnOptions].rules(turn_preset_of(model)),
            rules=rules,
            inference=chosen[InferenceOptions],
            output=chosen[RowOutputOptions],
            reading=chosen[InputOptions],
            beside=files_beside(model, rules),
        )
        super().__init__("Diarize", job)


@_RECORDINGS.in_signature
class DiarizeRecordings(beam.PTransform[PCollection[beam.Row], Outputs]):
    """Tell who speaks when in the recording that each row names; nothing is written.

    Rows that name one recording meet, so that it is heard once: a step for batches.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset`, columns to query, `rttm`, the lines of the recording, and `row`, the entry.

    Raises:
      ValueError: options that cannot hold, no model, or rows with neither `source`, `offset` and `row` nor a path.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        super().__init__()
        self._errors = error_output(error_handling)
        chosen = _RECORDINGS.chosen(options)
        self._rules = chosen[DiarizeRules]
        model = chosen_model(chosen[ModelOptions])
        self._diarize = DiarizeRows(
            model,
            streaming=chosen[StreamingOptions],
            speakers=chosen[SpeakerCounts],
            turns=chosen[TurnOptions].rules(turn_preset_of(model)),
            rules=self._rules,
            inference=chosen[InferenceOptions],
        )

    def expand(self, rows: PCollection[Any]) -> "Outputs":
        check_recordings(rows, self._rules.audio_filepath_key)
        asking = rows | "As lines" >> beam.Map(row_asking, self._rules)
        blocks = asking | "As blocks" >> beam.Map(block_of_row)
        diarized = blocks | "Diarize" >> self._diarize
        entries = diarized.results | "Take entries" >> beam.Map(diarized_row)
        return with_errors(entries, (diarized.failures,), self._errors)


def diarized_row(result: RecordingResult) -> DiarizedRow:
    """Return an entry as a row with a schema, and the lines of its recording."""
    columns = TURNS_TABLE.values(result.row)
    del columns["rttm_filepath"]
    return DiarizedRow(**columns, rttm=result.files[0][1].decode())


def row_asking(row: Any, rules: DiarizeRules) -> ManifestRow:
    """Return a row as a line of a manifest; any other row asks for the recording, or the channel, that it names.

    Example:
      >>> row_asking(beam.Row(audio_filepath="gs://a/b.wav", lang="de"), DiarizeRules())
      ManifestRow(source='gs://a/b.wav', offset=0, row='{"audio_filepath":"gs://a/b.wav"}')
    """
    if hasattr(row, "row"):
        return ManifestRow(source=row.source, offset=row.offset, row=row.row)
    path = getattr(row, rules.audio_filepath_key)
    name = path_text(path) or ""
    full = path if not name or rules.audio_root else [_full_path(each) for each in channel_files(name)]
    channel = getattr(row, CHANNEL_KEY, None)
    asked = {rules.audio_filepath_key: full[0] if full is not path and len(full) == 1 else full}
    fields = asked | ({} if channel is None else {CHANNEL_KEY: channel})
    return ManifestRow(source=name, offset=0, row=encode(fields).decode())


def _full_path(path: str) -> str:
    return path if storage.is_remote(path) else os.path.abspath(path)


def check_recordings(rows: PCollection[Any], filepath_key: str) -> None:
    """Check that rows are lines of a manifest, or have a column that names a recording.

    Raises:
      ValueError: they are neither.
    """
    names = column_names(rows)
    if not (set(ManifestRow._fields) <= set(names) or ("row" not in names and filepath_key in names)):
        needed, cure = ", ".join(ManifestRow._fields), "read with ReadManifests, or name a column so with MapToFields"
        raise wrong_columns("DiarizeRecordings", f"{needed}, or with {filepath_key}", names, cure)
