"""Jobs for Beam YAML that write a whole set: plain keyword arguments in, one row for each of its counts out."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.cut_rules import CutRules
from beam_curator.entries.filter_rules import FilterRules
from beam_curator.export.export_rules import ExportRules
from beam_curator.option_names import FlatOptions
from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.separation.separate_rules import SeparateRules, TrackOutputOptions
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.transforms.clips import extract_clips as extract
from beam_curator.transforms.export import export_clips as export
from beam_curator.transforms.quality import measure_recordings as measuring
from beam_curator.transforms.rows import filter_manifests as filtering
from beam_curator.transforms.separation import separate_speakers as separate
from beam_curator.transforms.yaml.steps import paths_of
from beam_curator.transforms.yaml.yaml_rows import CountRow, count_rows

_EXTRACT = FlatOptions(CutRules, ClipOutputOptions, InputOptions)
_EXPORT = FlatOptions(ExportRules, CutRules, RowOutputOptions, InputOptions)
_FILTER = FlatOptions(FilterRules, RowOutputOptions, InputOptions)
_MEASURE = FlatOptions(MeasureRules, RowOutputOptions, InputOptions)
_SEPARATE = FlatOptions(SeparationRules, SeparateRules, TrackOutputOptions, InputOptions)


class SetStep:
    """The part that steps share which do a whole job: they write an output set, and give its counts at the end.

    Args:
      name: of the job in the pipeline.
      job: the composite that does it.
    """

    _yaml_requires_inputs = False  # Beam YAML asks the class whether it has to follow another step

    def __init__(self, name: str, job: beam.PTransform[PBegin, Any]) -> None:
        super().__init__()
        self._name = name
        self._job = job

    def expand(self, begin: PBegin) -> PCollection[CountRow]:
        done = begin | self._name >> self._job
        return done.committed | "Take counts" >> beam.FlatMap(count_rows)


@_EXTRACT.in_signature
class ExtractClips(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete output set of clips; rows and pieces that fail are files of the set.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, or an output that the job itself would read.
    """

    def __init__(self, inputs: Sequence[str], output: str, **options: Any) -> None:
        chosen = _EXTRACT.chosen(options)
        job = extract.ExtractClips(
            paths_of(inputs),
            output,
            rules=chosen[CutRules],
            output=chosen[ClipOutputOptions],
            reading=chosen[InputOptions],
        )
        super().__init__("Extract clips", job)


@_EXPORT.in_signature
class ExportClips(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete tree of clips with documents, previews and embeddings.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      output: root of the tree, outside the inputs, local or in an object store.

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, or an output that the job itself would read.
    """

    def __init__(self, inputs: Sequence[str], output: str, **options: Any) -> None:
        chosen = _EXPORT.chosen(options)
        job = export.ExportClips(
            paths_of(inputs),
            output,
            rules=chosen[ExportRules],
            cut_rules=chosen[CutRules],
            output=chosen[RowOutputOptions],
            reading=chosen[InputOptions],
        )
        super().__init__("Export clips", job)


@_SEPARATE.in_signature
class SeparateSpeakers(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests with turns to a complete output set: a track for each speaker; rows that fail are files of it.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, or an output that the job itself would read.
    """

    def __init__(self, inputs: Sequence[str], output: str, **options: Any) -> None:
        chosen = _SEPARATE.chosen(options)
        job = separate.SeparateSpeakers(
            paths_of(inputs),
            output,
            separation=chosen[SeparationRules],
            rules=chosen[SeparateRules],
            output=chosen[TrackOutputOptions],
            reading=chosen[InputOptions],
        )
        super().__init__("Separate speakers", job)


@_FILTER.in_signature
class FilterManifests(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete output set of rows and segments that fulfil conditions; failed rows are files of it.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, or an output that the job itself would read.
    """

    def __init__(self, inputs: Sequence[str], output: str, **options: Any) -> None:
        chosen = _FILTER.chosen(options)
        job = filtering.FilterManifests(
            paths_of(inputs),
            output,
            chosen[FilterRules],
            output=chosen[RowOutputOptions],
            reading=chosen[InputOptions],
        )
        super().__init__("Filter manifests", job)


@_MEASURE.in_signature
class MeasureRecordings(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From recordings to a complete output set of rows with measures of their sound; rows that fail are files of it.

    Args:
      inputs: recordings, or manifests that name them: files, globs, directory trees, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, or an output that the job itself would read.
    """

    def __init__(self, inputs: Sequence[str], output: str, **options: Any) -> None:
        chosen = _MEASURE.chosen(options)
        job = measuring.MeasureRecordings(
            paths_of(inputs),
            output,
            rules=chosen[MeasureRules],
            output=chosen[RowOutputOptions],
            reading=chosen[InputOptions],
        )
        super().__init__("Measure recordings", job)
