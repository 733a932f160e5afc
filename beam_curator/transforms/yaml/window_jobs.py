"""Whole jobs for Beam YAML: plain keyword arguments in, rows with a schema out."""

import os
from collections.abc import Sequence
from typing import Any, cast

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.files import storage
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.row_files import RowForm, RowFormat
from beam_curator.sets.blocks import MAX_LINE_BYTES
from beam_curator.transforms.jobs import manifests
from beam_curator.transforms.windows import window_set as curate
from beam_curator.transforms.windows.overlap import OverlapScope
from beam_curator.transforms.yaml.steps import (
    ErrorHandling,
    Outputs,
    checked_line_bytes,
    error_output,
    paths_of,
    with_errors,
)
from beam_curator.transforms.yaml.yaml_rows import (
    CountRow,
    InputRow,
    OptionalNumber,
    count_rows,
    failures_of,
    input_row,
    windows_rows,
)
from beam_curator.windows.overlap import OVERLAP_SCOPES, OverlapRules
from beam_curator.windows.rendering import Layout
from beam_curator.windows.window_rules import WindowRules

_WINDOWS, _OVERLAP, _FORM, _TARGET = WindowRules(), OverlapRules(), RowForm(), OutputTarget(directory="")
_SCOPE = OVERLAP_SCOPES[0]  # these are where the defaults are stated
_NO_INPUT = False  # Beam YAML asks the class whether it has to follow another step


class ChooseWindows(beam.PTransform[PBegin, Any]):
    """From manifests to result rows: read, build, filter; nothing is written.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      target_window_duration: length a window aims at, seconds
      tolerance: how far a window may be from the target, as a fraction of it
      min_bandwidth: least metrics.bandwidth of a segment, Hz
      min_sample_rate: least audio_sample_rate of an entry, Hz
      min_speakers: fewest different speakers in a window
      max_speakers: most different speakers in a window
      truncation: cut the segment that crosses the upper limit of the duration at its last whole word
      drop_fields: keys left out of the segments of a window
      drop_fields_top_level: keys left out of the entry
      overlap_percentage: of two windows that share at least this much of the shorter one, one goes;
        0 means any overlap, percent
      overlap_target_duration: the window nearer to this duration stays, seconds (default: the window target)
      overlap_scope: row: windows of one entry compete; audio_file: those of all entries of one recording
      layout: full: windows hold their segments; spans: index ranges only
      max_line_bytes: longest line that is read, bytes; longer ones become failures
      keep_duplicates: read a file each time it is listed
      error_handling: where rows go that fail; without it, the first of them ends the job.

    Returns:
      Rows of `source`, `offset`, columns to query, and `row`, the line that `beam-curator windows` writes.

    Raises:
      ValueError: options that cannot hold.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    _yaml_requires_inputs = _NO_INPUT

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        target_window_duration: float = _WINDOWS.target_window_duration,
        tolerance: float = _WINDOWS.tolerance,
        min_bandwidth: float = _WINDOWS.min_bandwidth,
        min_sample_rate: float = _WINDOWS.min_sample_rate,
        min_speakers: int = _WINDOWS.min_speakers,
        max_speakers: int = _WINDOWS.max_speakers,
        truncation: bool = _WINDOWS.truncation,
        drop_fields: tuple[str, ...] = _WINDOWS.drop_fields,
        drop_fields_top_level: tuple[str, ...] = _WINDOWS.drop_fields_top_level,
        overlap_percentage: float = _OVERLAP.overlap_percentage,
        overlap_target_duration: OptionalNumber = None,
        overlap_scope: str = _SCOPE,
        layout: str = _FORM.layout,
        max_line_bytes: int = MAX_LINE_BYTES,
        keep_duplicates: bool = False,
        error_handling: ErrorHandling = None,
    ) -> None:
        super().__init__()
        rules = WindowRules(
            target_window_duration=target_window_duration,
            tolerance=tolerance,
            min_bandwidth=min_bandwidth,
            min_sample_rate=min_sample_rate,
            min_speakers=min_speakers,
            max_speakers=max_speakers,
            truncation=truncation,
            drop_fields=drop_fields,
            drop_fields_top_level=drop_fields_top_level,
        )
        overlap = _overlap_rules(overlap_percentage, overlap_target_duration, rules)
        self._choose = _choice(inputs, rules, overlap, overlap_scope, max_line_bytes, keep_duplicates)
        self._layout: Layout = RowForm(layout=cast(Layout, layout)).layout
        self._errors = error_output(error_handling)

    def expand(self, begin: PBegin) -> "Outputs":
        chosen = begin | "Choose windows" >> self._choose
        rows = chosen.blocks | "Take rows" >> beam.FlatMap(windows_rows, self._layout)
        unreadable, failed = chosen.failures
        failures = (
            unreadable | "Take unreadable" >> beam.FlatMap(failures_of),
            failed | "Take failed" >> beam.FlatMap(failures_of),
        )
        return with_errors(rows, failures, self._errors)


class BuildWindowSet(beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete output set of training windows; rows that fail are files of the set.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.
      target_window_duration: length a window aims at, seconds
      tolerance: how far a window may be from the target, as a fraction of it
      min_bandwidth: least metrics.bandwidth of a segment, Hz
      min_sample_rate: least audio_sample_rate of an entry, Hz
      min_speakers: fewest different speakers in a window
      max_speakers: most different speakers in a window
      truncation: cut the segment that crosses the upper limit of the duration at its last whole word
      drop_fields: keys left out of the segments of a window
      drop_fields_top_level: keys left out of the entry
      overlap_percentage: of two windows that share at least this much of the shorter one, one goes;
        0 means any overlap, percent
      overlap_target_duration: the window nearer to this duration stays, seconds (default: the window target)
      overlap_scope: row: windows of one entry compete; audio_file: those of all entries of one recording
      layout: full: windows hold their segments; spans: index ranges only
      row_format: format of the rows
      shards: merge the rows into at most so many files; 0 leaves one file per block
      max_line_bytes: longest line that is read, bytes; longer ones become failures
      keep_duplicates: read a file each time it is listed

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, or an output that the job itself would read.
    """

    _yaml_requires_inputs = _NO_INPUT

    def __init__(
        self,
        inputs: Sequence[str],
        output: str,
        *,
        target_window_duration: float = _WINDOWS.target_window_duration,
        tolerance: float = _WINDOWS.tolerance,
        min_bandwidth: float = _WINDOWS.min_bandwidth,
        min_sample_rate: float = _WINDOWS.min_sample_rate,
        min_speakers: int = _WINDOWS.min_speakers,
        max_speakers: int = _WINDOWS.max_speakers,
        truncation: bool = _WINDOWS.truncation,
        drop_fields: tuple[str, ...] = _WINDOWS.drop_fields,
        drop_fields_top_level: tuple[str, ...] = _WINDOWS.drop_fields_top_level,
        overlap_percentage: float = _OVERLAP.overlap_percentage,
        overlap_target_duration: OptionalNumber = None,
        overlap_scope: str = _SCOPE,
        layout: str = _FORM.layout,
        row_format: str = _FORM.row_format,
        shards: int = _TARGET.n_shards,
        max_line_bytes: int = MAX_LINE_BYTES,
        keep_duplicates: bool = False,
    ) -> None:
        super().__init__()
        rules = WindowRules(
            target_window_duration=target_window_duration,
            tolerance=tolerance,
            min_bandwidth=min_bandwidth,
            min_sample_rate=min_sample_rate,
            min_speakers=min_speakers,
            max_speakers=max_speakers,
            truncation=truncation,
            drop_fields=drop_fields,
            drop_fields_top_level=drop_fields_top_level,
        )
        overlap = _overlap_rules(overlap_percentage, overlap_target_duration, rules)
        choose = _choice(inputs, rules, overlap, overlap_scope, max_line_bytes, keep_duplicates)
        self._curate = _curation(choose, output, shards, layout, row_format)

    def expand(self, begin: PBegin) -> PCollection[CountRow]:
        curated = begin | "Curate windows" >> self._curate
        return curated.committed | "Take counts" >> beam.FlatMap(count_rows)


class HashInputs(beam.PTransform[PBegin, PCollection[InputRow]]):
    """Hash the input files, each once.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.

    Returns:
      Rows of `name`, `n_bytes` and `sha256`; the latter two are null where a file cannot be read.
    """

    _yaml_requires_inputs = _NO_INPUT

    def __init__(self, inputs: Sequence[str]) -> None:
        super().__init__()
        self._hash = manifests.HashInputs(paths_of(inputs))

    def expand(self, begin: PBegin) -> PCollection[InputRow]:
        return begin | "Hash inputs" >> self._hash | "Take records" >> beam.Map(input_row)


def _overlap_rules(percentage: float, target: float | None, windows: WindowRules) -> OverlapRules:
    nearest = target if target is not None else windows.target_window_duration
    return OverlapRules(overlap_percentage=percentage, target_duration=nearest)


def _choice(
    inputs: Sequence[str],
    windows: WindowRules,
    overlap: OverlapRules,
    scope: str,
    max_line_bytes: int,
    keep_duplicates: bool,
) -> curate.ChooseWindows:
    return curate.ChooseWindows(
        paths_of(inputs),
        window_rules=windows,
        overlap_rules=overlap,
        overlap_scope=cast(OverlapScope, scope),
        max_line_bytes=checked_line_bytes(max_line_bytes),
        keep_duplicates=keep_duplicates,
    )


def _curation(
    choose: curate.ChooseWindows, output: str, shards: int, layout: str, row_format: str
) -> curate.BuildWindowSet:
    return curate.BuildWindowSet(
        choose,
        target_beside(choose.inputs, output, shards),
        layout=cast(Layout, layout),
        row_format=cast(RowFormat, row_format),
    )


def target_beside(inputs: Sequence[str], output: str, shards: int) -> OutputTarget:
    """Return where a job writes that reads these inputs.

    Raises:
      ValueError: there can be no such number of shards, or the job would read its own output.
    """
    if shards < 0:
        raise ValueError(f"shards {shards} is below 0: raise it")
    directory = output.removeprefix("file://")
    refuse_same_place(inputs, directory)
    return OutputTarget(directory=directory, n_shards=shards)


def refuse_same_place(inputs: Sequence[str], output: str) -> None:
    """Refuse an output that the job itself would read, or whose files it would sweep; by names alone.

    Raises:
      ValueError: the output is empty, or it and an input lie within each other.
    """
    if not output:
        raise ValueError("output is empty: name a directory")
    target = _folder(output)
    for given in inputs:
        source = _folder(given)
        if target.startswith(source) or source.startswith(target):
            raise ValueError(f"output {output} and input {given} lie within each other: choose another output")


def _folder(path: str) -> str:
    return (path if storage.is_remote(path) else os.path.abspath(path)).rstrip("/") + "/"
