"""Diarization for Beam YAML: plain keyword arguments in, rows with a schema out."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import apache_beam as beam
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput
from apache_beam.typehints.schemas import named_fields_from_element_type

from beam_curator.diarization.diarize_rules import (
    DiarizeRules,
    InferenceOptions,
    ModelOptions,
    StreamingOptions,
    TurnOptions,
)
from beam_curator.diarization.rttm import render_rttm
from beam_curator.entries.json_lines import encode
from beam_curator.failures import EntryError, Failure
from beam_curator.files import storage
from beam_curator.files.turn_rows import columns_of
from beam_curator.models.model_checks import warn_of_models
from beam_curator.models.model_choice import files_beside
from beam_curator.option_names import Chosen, FlatOptions
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.transforms.diarization import diarize_recordings as diarize
from beam_curator.transforms.diarization.find_turns import diarized_of
from beam_curator.transforms.diarization.prepare_recordings import Ready, look_into
from beam_curator.transforms.diarization.read_recordings import ROW_STAGE, PlanTasks, Row, Task, row_of_line
from beam_curator.transforms.diarization.write_turns import entry_of, letters_of
from beam_curator.transforms.yaml.set_steps import SetStep
from beam_curator.transforms.yaml.steps import (
    ErrorHandling,
    Failed,
    Outputs,
    error_output,
    paths_of,
    with_errors,
)
from beam_curator.transforms.yaml.yaml_rows import CountRow, DiarizedRow, ManifestRow

_KINDS = (ModelOptions, StreamingOptions, TurnOptions, DiarizeRules, InferenceOptions)
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
        model, rules = chosen[ModelOptions], chosen[DiarizeRules]
        job = diarize.Diarize(
            paths_of(inputs),
            output,
            model=model,
            streaming=chosen[StreamingOptions],
            turns=chosen[TurnOptions].rules(),
            rules=rules,
            inference=chosen[InferenceOptions],
            output=chosen[RowOutputOptions],
            reading=chosen[InputOptions],
            beside=files_beside(model, rules),
        )
        super().__init__("Diarize", job)


@_RECORDINGS.in_signature
class DiarizeRecordings(beam.PTransform[PCollection[Any], Any]):
    """Tell who speaks when in the recording that each row names; nothing is written.

    Rows that name one recording meet, so that it is heard once: a step for batches.

    Args:
      error_handling: where rows go that fail; without it, the first of them ends the job.

    Returns:
      Rows of `source`, `offset`, columns to query, `rttm`, the lines of the recording, and `row`, the entry.

    Raises:
      ValueError: options that cannot hold, no model, or rows with neither `source`, `offset` and `row` nor a path.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        super().__init__()
        self._errors = error_output(error_handling)
        self._steps = _Steps.of(_RECORDINGS.chosen(options))

    def expand(self, rows: PCollection[Any]) -> "Outputs":
        steps = self._steps
        warn_of_models(steps.model)
        check_recordings(rows, steps.rules.audio_filepath_key)
        planned = rows | "Plan" >> beam.ParDo(_PlanFn(steps.rules)).with_outputs("failures", main="rows")
        tasks = planned["rows"] | "Plan tasks" >> PlanTasks()
        looked = tasks | "Look" >> beam.ParDo(_LookFn(steps.rules)).with_outputs("failures", main="ready")
        heard = looked["ready"] | "Hear" >> diarize.HearRecordings(steps.handlers, steps.inference)
        entries = heard | "Make entries" >> beam.ParDo(_MakeEntriesFn(steps)).with_outputs("failures", main="rows")
        failures = (planned["failures"], looked["failures"], entries["failures"])
        return with_errors(entries["rows"], failures, self._errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """The options of `DiarizeRecordings`, and the handlers of its models."""

    model: ModelOptions
    rules: DiarizeRules
    turns: TurnOptions
    inference: InferenceOptions
    handlers: diarize.Handlers

    @classmethod
    def of(cls, chosen: Chosen) -> "_Steps":
        """Make the handlers that options ask for."""
        model, rules, inference = chosen[ModelOptions], chosen[DiarizeRules], chosen[InferenceOptions]
        handlers = diarize.handlers_of(model, chosen[StreamingOptions], inference, rules)
        return cls(model=model, rules=rules, turns=chosen[TurnOptions], inference=inference, handlers=handlers)


class _PlanFn(beam.DoFn):
    def __init__(self, rules: DiarizeRules) -> None:
        self._rules = rules

    def process(self, row: Any) -> Iterator[Row | Failed]:
        asking = row_asking(row, self._rules)
        raw = asking.row.encode()
        try:
            yield row_of_line(raw, asking.source, (0, 0, asking.offset), 1, self._rules)
        except EntryError as err:
            yield _failed(
                Failure.from_error(err, stage=ROW_STAGE, source=asking.source, offset=asking.offset, payload=raw)
            )


class _LookFn(beam.DoFn):
    def __init__(self, rules: DiarizeRules) -> None:
        self._rules = rules

    def process(self, task: Task) -> Iterator[Ready | Failed]:
        try:
            yield look_into(task, self._rules)
        except EntryError as err:
            yield from map(_failed, letters_of(task, err))


class _MakeEntriesFn(beam.DoFn):
    def __init__(self, steps: _Steps) -> None:
        self._rules = steps.rules
        self._turns = steps.turns.rules()

    def process(self, result: PredictionResult) -> Iterator[DiarizedRow | Failed]:
        ready = cast(Ready, result.example)
        try:
            diarized = diarized_of(ready, cast(Any, result.inference), self._rules, self._turns)
        except EntryError as err:
            yield from map(_failed, letters_of(ready.task, err))
            return
        rttm = render_rttm(diarized.recording_id, diarized.turns)
        for row in ready.task.rows:
            columns = columns_of(entry_of(row, diarized, self._rules))
            del columns["rttm_filepath"]
            yield DiarizedRow(**columns, rttm=rttm)


def _failed(failure: Failure) -> Failed:
    return TaggedOutput("failures", failure)


def row_asking(row: Any, rules: DiarizeRules) -> ManifestRow:
    """Return a row as a line of a manifest; a row that is none asks for what it names, as a recording by itself does.

    Example:
      >>> row_asking(beam.Row(audio_filepath="gs://a/b.wav", lang="de"), DiarizeRules())
      ManifestRow(source='gs://a/b.wav', offset=0, row='{"audio_filepath":"gs://a/b.wav"}')
    """
    if hasattr(row, "row"):
        return ManifestRow(source=row.source, offset=row.offset, row=row.row)
    path = getattr(row, rules.audio_filepath_key)
    full = path if not path or storage.is_remote(path) or rules.audio_root else os.path.abspath(path)
    return ManifestRow(source=path or "", offset=0, row=encode({rules.audio_filepath_key: full}).decode())


def check_recordings(rows: PCollection[Any], filepath_key: str) -> None:
    """Check that rows are lines of a manifest, or have a column that names a recording.

    Raises:
      ValueError: they are neither.
    """
    try:
        names = [name for name, _ in named_fields_from_element_type(cast(type, rows.element_type))]
    except TypeError:
        names = []
    if set(ManifestRow._fields) <= set(names) or ("row" not in names and filepath_key in names):
        return
    found = f"columns {', '.join(names)}" if names else "no schema"
    raise ValueError(
        f"DiarizeRecordings needs rows with source, offset, row, or with {filepath_key}, but its input has {found}: "
        "read with ReadManifests, or name a column so with MapToFields"
    )
