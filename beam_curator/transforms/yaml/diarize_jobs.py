"""Diarization for Beam YAML: plain keyword arguments in, rows with a schema out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.typehints.schemas import named_fields_from_element_type

from beam_curator.diarization.diarize_rules import (
    DiarizeRules,
    InferenceOptions,
    ModelOptions,
    StreamingOptions,
    TurnOptions,
)
from beam_curator.diarization.turn_rows import TURNS_TABLE
from beam_curator.entries.json_lines import encode
from beam_curator.files import storage
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.row_files import RowForm, RowFormat
from beam_curator.models.model_choice import files_beside
from beam_curator.sets.blocks import MAX_LINE_BYTES, LineBlock
from beam_curator.transforms.diarization import diarize_recordings as diarize
from beam_curator.transforms.diarization.diarize_rows import DiarizeRows
from beam_curator.transforms.jobs.without_files import RecordingResult, block_of_line
from beam_curator.transforms.yaml.steps import (
    ErrorHandling,
    Outputs,
    checked_line_bytes,
    error_output,
    paths_of,
    with_errors,
)
from beam_curator.transforms.yaml.window_jobs import target_beside
from beam_curator.transforms.yaml.yaml_rows import (
    CountRow,
    DiarizedRow,
    ManifestRow,
    OptionalNumber,
    OptionalWhole,
    count_rows,
)

_MODEL, _WALK, _TURNS, _RULES, _INFERENCE = (
    ModelOptions(), StreamingOptions(), TurnOptions(), DiarizeRules(), InferenceOptions()
)  # fmt: skip
_FORM, _TARGET = RowForm(), OutputTarget(directory="")
_NO_INPUT = False  # Beam YAML asks the class whether it has to follow another step
_Options = TypeVar("_Options", ModelOptions, StreamingOptions, TurnOptions, DiarizeRules, InferenceOptions)


class Diarize(beam.PTransform[PBegin, PCollection[CountRow]]):
    """From recordings to a complete output set of entries and RTTM; recordings that fail are files of the set.

    Args:
      inputs: recordings, or manifests that name them: files, globs, directory trees, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.
      model_name: demo, a small model for trying things out, or a model on the hub, with @revision behind it if one is
        wanted
      model_path: model here: a .nemo file, or a folder of an exported model or of transformers; wins over the name
      cache_dir: directory that models are kept in (default: that of the hub's own client)
      model_sha256: expected SHA-256 of the model file; any other file is refused
      backend: onnx needs no torch; nemo takes any .nemo; auto: what the model is made for
      device: cpu or cuda; auto: a GPU where there is one
      autocast: numbers that a GPU computes with (nemo)
      latency: published preset of the six values below
      chunk_len: frames decided in a step (default: the preset's, 340)
      chunk_left_context: frames before them (default: the preset's)
      chunk_right_context: frames ahead of them (default: the preset's)
      fifo_len: frames kept before they go into the speaker cache (default: the preset's)
      spkcache_update_period: frames that go into the cache at once (default: the preset's)
      spkcache_len: frames of the speaker cache (default: the preset's)
      async_streaming: use NeMo's other update rule (async_streaming)
      turn_preset: published preset of the values below
      onset: a turn begins above this probability
      offset: a turn ends below this probability
      pad_onset: seconds added before a turn
      pad_offset: seconds added behind a turn
      min_duration_on: shorter turns are left out, seconds
      min_duration_off: shorter pauses are filled, seconds
      filepath_key: key that names the recording in rows of a manifest
      diar_segments_key: key that the turns go under
      diar_format: turns as objects with start, end and speaker, or as pairs of start and end
      rttm_out_dir: folder below the output for a .rttm file of each recording; empty: none
      uem: write a .uem file beside: what was heard
      overlap_view: write a .ctm file beside: who talks at once, and when
      bandwidth: estimate metrics.bandwidth of each turn, as windows needs it
      embeddings: write an embedding of each speaker and of each turn as Parquet, from the encoder of the model
      embedding_model: model that makes the embeddings instead: a name on the hub, or a .nemo file of a TitaNet (nemo)
      mono: what is heard of several channels: their mean, or the first
      audio_root: directory that relative names of recordings begin at (default: that of their manifest)
      allowed_root: recordings must lie below one of these directories (default: anywhere)
      inference_batch_size: recordings heard at once; with 1 the rows are the same bytes on every engine
      batch_seconds: and at most so many seconds of audio together
      threads: threads of the model in each worker process; 0: the cores, shared by --jobs
      timeout: seconds after which a recording is given up; 0: never
      max_offline_seconds: longest recording for a model that hears all at once; 0: from the memory that is free
      max_line_bytes: longest line that is read, bytes; longer ones become failures
      keep_duplicates: read a file each time it is listed
      row_format: format of the rows
      shards: merge the rows into at most so many files; 0: one per block of manifest

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, an output that the job itself would read, or no model.
    """

    _yaml_requires_inputs = _NO_INPUT

    # fmt: off
    def __init__(
        self, inputs: Sequence[str], output: str, *,
        model_name: str = _MODEL.model_name, model_path: str = _MODEL.model_path, cache_dir: str = _MODEL.cache_dir,
        model_sha256: str = _MODEL.sha256, backend: str = _MODEL.backend, device: str = _MODEL.device,
        autocast: str = _MODEL.autocast,
        latency: str = _WALK.latency, chunk_len: OptionalWhole = None, chunk_left_context: OptionalWhole = None,
        chunk_right_context: OptionalWhole = None, fifo_len: OptionalWhole = None,
        spkcache_update_period: OptionalWhole = None, spkcache_len: OptionalWhole = None,
        async_streaming: bool = _WALK.asynchronous,
        turn_preset: str = _TURNS.turns, onset: OptionalNumber = None, offset: OptionalNumber = None,
        pad_onset: OptionalNumber = None, pad_offset: OptionalNumber = None,
        min_duration_on: OptionalNumber = None, min_duration_off: OptionalNumber = None,
        filepath_key: str = _RULES.filepath_key, diar_segments_key: str = _RULES.diar_segments_key,
        diar_format: str = _RULES.diar_format, rttm_out_dir: str = _RULES.rttm_out_dir, uem: bool = _RULES.uem,
        overlap_view: bool = _RULES.overlaps, bandwidth: bool = _RULES.bandwidth,
        embeddings: bool = _RULES.embeddings, embedding_model: str = _RULES.embedding_model, mono: str = _RULES.mono,
        audio_root: str = _RULES.audio_root, allowed_root: tuple[str, ...] = _RULES.allowed_root,
        inference_batch_size: int = _INFERENCE.inference_batch_size,
        batch_seconds: float = _INFERENCE.batch_seconds, threads: int = _INFERENCE.threads,
        timeout: float = _INFERENCE.timeout, max_offline_seconds: float = _INFERENCE.max_offline_seconds,
        max_line_bytes: int = MAX_LINE_BYTES, keep_duplicates: bool = False,
        row_format: str = _FORM.row_format, shards: int = _TARGET.n_shards,
    ) -> None:
        # fmt: on
        super().__init__()
        self._diarize = _job_of(locals())

    def expand(self, begin: PBegin) -> PCollection[CountRow]:
        diarized = begin | "Diarize" >> self._diarize
        return diarized.committed | "Take counts" >> beam.FlatMap(count_rows)


class DiarizeRecordings(beam.PTransform[PCollection[Any], Any]):
    """Tell who speaks when in the recording that each row names; nothing is written.

    Rows that name one recording meet, so that it is heard once: a step for batches.

    Args:
      model_name: demo, a small model for trying things out, or a model on the hub, with @revision behind it if one is
        wanted
      model_path: model here: a .nemo file, or a folder of an exported model or of transformers; wins over the name
      cache_dir: directory that models are kept in (default: that of the hub's own client)
      model_sha256: expected SHA-256 of the model file; any other file is refused
      backend: onnx needs no torch; nemo takes any .nemo; auto: what the model is made for
      device: cpu or cuda; auto: a GPU where there is one
      autocast: numbers that a GPU computes with (nemo)
      latency: published preset of the six values below
      chunk_len: frames decided in a step (default: the preset's, 340)
      chunk_left_context: frames before them (default: the preset's)
      chunk_right_context: frames ahead of them (default: the preset's)
      fifo_len: frames kept before they go into the speaker cache (default: the preset's)
      spkcache_update_period: frames that go into the cache at once (default: the preset's)
      spkcache_len: frames of the speaker cache (default: the preset's)
      async_streaming: use NeMo's other update rule (async_streaming)
      turn_preset: published preset of the values below
      onset: a turn begins above this probability
      offset: a turn ends below this probability
      pad_onset: seconds added before a turn
      pad_offset: seconds added behind a turn
      min_duration_on: shorter turns are left out, seconds
      min_duration_off: shorter pauses are filled, seconds
      filepath_key: key that names the recording in rows of a manifest
      diar_segments_key: key that the turns go under
      diar_format: turns as objects with start, end and speaker, or as pairs of start and end
      bandwidth: estimate metrics.bandwidth of each turn, as windows needs it
      mono: what is heard of several channels: their mean, or the first
      audio_root: directory that relative names of recordings begin at (default: that of their manifest)
      allowed_root: recordings must lie below one of these directories (default: anywhere)
      inference_batch_size: recordings heard at once; with 1 the rows are the same bytes on every engine
      batch_seconds: and at most so many seconds of audio together
      threads: threads of the model in each worker process; 0: the cores, shared by --jobs
      timeout: seconds after which a recording is given up; 0: never
      max_offline_seconds: longest recording for a model that hears all at once; 0: from the memory that is free
      error_handling: where rows go that fail; without it, the first of them ends the job.

    Returns:
      Rows of `source`, `offset`, columns to query, `rttm`, the lines of the recording, and `row`, the entry.

    Raises:
      ValueError: options that cannot hold, no model, or rows with neither `source`, `offset` and `row` nor a path.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    # fmt: off
    def __init__(
        self, *,
        model_name: str = _MODEL.model_name, model_path: str = _MODEL.model_path, cache_dir: str = _MODEL.cache_dir,
        model_sha256: str = _MODEL.sha256, backend: str = _MODEL.backend, device: str = _MODEL.device,
        autocast: str = _MODEL.autocast,
        latency: str = _WALK.latency, chunk_len: OptionalWhole = None, chunk_left_context: OptionalWhole = None,
        chunk_right_context: OptionalWhole = None, fifo_len: OptionalWhole = None,
        spkcache_update_period: OptionalWhole = None, spkcache_len: OptionalWhole = None,
        async_streaming: bool = _WALK.asynchronous,
        turn_preset: str = _TURNS.turns, onset: OptionalNumber = None, offset: OptionalNumber = None,
        pad_onset: OptionalNumber = None, pad_offset: OptionalNumber = None,
        min_duration_on: OptionalNumber = None, min_duration_off: OptionalNumber = None,
        filepath_key: str = _RULES.filepath_key, diar_segments_key: str = _RULES.diar_segments_key,
        diar_format: str = _RULES.diar_format, bandwidth: bool = _RULES.bandwidth, mono: str = _RULES.mono,
        audio_root: str = _RULES.audio_root, allowed_root: tuple[str, ...] = _RULES.allowed_root,
        inference_batch_size: int = _INFERENCE.inference_batch_size,
        batch_seconds: float = _INFERENCE.batch_seconds, threads: int = _INFERENCE.threads,
        timeout: float = _INFERENCE.timeout, max_offline_seconds: float = _INFERENCE.max_offline_seconds,
        error_handling: ErrorHandling = None,
    ) -> None:
        # fmt: on
        super().__init__()
        self._errors = error_output(error_handling)
        arguments = {**locals(), "rttm_out_dir": ""}
        self._rules = _options_of(DiarizeRules, arguments)
        self._diarize = _rows_job_of(arguments)

    def expand(self, rows: PCollection[Any]) -> "Outputs":
        check_recordings(rows, self._rules.filepath_key)
        asking = rows | "As lines" >> beam.Map(row_asking, self._rules)
        blocks = asking | "As blocks" >> beam.Map(_as_block).with_output_types(LineBlock)
        diarized = blocks | "Diarize" >> self._diarize
        entries = diarized.results | "Take entries" >> beam.Map(diarized_row)
        return with_errors(entries, (diarized.failures,), self._errors)


def diarized_row(result: RecordingResult) -> DiarizedRow:
    """Return an entry as a row with a schema, and the lines of its recording."""
    columns = TURNS_TABLE.values(result.row)
    del columns["rttm_filepath"]
    return DiarizedRow(**columns, rttm=result.files[0][1].decode())


def row_asking(row: Any, rules: DiarizeRules) -> ManifestRow:
    """Return a row as a line of a manifest; a row that is none asks for what it names, as a recording by itself does.

    Example:
      >>> row_asking(beam.Row(audio_filepath="gs://a/b.wav", lang="de"), DiarizeRules())
      ManifestRow(source='gs://a/b.wav', offset=0, row='{"audio_filepath":"gs://a/b.wav"}')
    """
    if hasattr(row, "row"):
        return ManifestRow(source=row.source, offset=row.offset, row=row.row)
    path = getattr(row, rules.filepath_key)
    full = path if not path or storage.is_remote(path) or rules.audio_root else os.path.abspath(path)
    return ManifestRow(source=path or "", offset=0, row=encode({rules.filepath_key: full}).decode())


def _as_block(line: ManifestRow) -> LineBlock:
    return block_of_line(line.source, line.offset, line.row.encode())


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


def _job_of(arguments: Mapping[str, Any]) -> diarize.Diarize:
    """Return the job that the arguments of the step stand for, by their names."""
    inputs = paths_of(arguments["inputs"])
    model = _options_of(ModelOptions, arguments)
    rules = _options_of(DiarizeRules, arguments)
    return diarize.Diarize(
        inputs,
        target_beside(inputs, arguments["output"], arguments["shards"]),
        model=model,
        streaming=_options_of(StreamingOptions, arguments),
        turns=_options_of(TurnOptions, arguments).rules(),
        rules=rules,
        inference=_options_of(InferenceOptions, arguments),
        row_format=RowForm(row_format=cast(RowFormat, arguments["row_format"])).row_format,
        max_line_bytes=checked_line_bytes(arguments["max_line_bytes"]),
        keep_duplicates=arguments["keep_duplicates"],
        beside=files_beside(model, rules),
    )


def _rows_job_of(arguments: Mapping[str, Any]) -> DiarizeRows:
    return DiarizeRows(
        _options_of(ModelOptions, arguments),
        streaming=_options_of(StreamingOptions, arguments),
        turns=_options_of(TurnOptions, arguments).rules(),
        rules=_options_of(DiarizeRules, arguments),
        inference=_options_of(InferenceOptions, arguments),
    )


def _options_of(kind: type[_Options], arguments: Mapping[str, Any]) -> _Options:
    """Make options of arguments, which have the names of flags; what is no argument stays at its default."""
    names = {field.name: (field.metadata["flag"] or field.name).replace("-", "_") for field in fields(kind)}
    return kind(**{field: arguments[name] for field, name in names.items() if name in arguments})
