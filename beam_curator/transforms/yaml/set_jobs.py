"""Jobs for Beam YAML that write a whole set: plain keyword arguments in, one row for each of its counts out."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

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

_DOCS = """
Args:
  inputs: files, globs, directory trees or output sets, local or in an object store.
  output: directory of the set, outside the inputs, local or in an object store.

Returns:
  Rows of `name` and `value`: the counts of the job, once the set is complete.

Raises:
  ValueError: options that cannot hold, or an output that the job itself would read.
"""

_Step = TypeVar("_Step", bound="SetStep")


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


def doing(
    job: Callable[..., beam.PTransform[PBegin, Any]], name: str, **kinds: type[Any]
) -> Callable[[type[_Step]], type[_Step]]:
    """Return a decorator that makes a step of a composite that writes a set.

    Args:
      job: the composite: it takes inputs and an output, and options as objects.
      name: of the job in the pipeline.
      kinds: the classes of its options, by the keyword that takes the object.
    """
    flat = FlatOptions(*kinds.values())

    def decorated(step: type[_Step]) -> type[_Step]:
        def made(self: _Step, inputs: Sequence[str], output: str, **options: Any) -> None:
            chosen = flat.chosen(options)
            given = {keyword: chosen[kind] for keyword, kind in kinds.items()}
            SetStep.__init__(self, name, job(paths_of(inputs), output, **given))

        step.__init__ = made  # type: ignore[assignment]
        step.__doc__ = f"{step.__doc__}\n{_DOCS}"
        return flat.in_signature(step)

    return decorated


@doing(extract.ExtractClips, "Extract clips", rules=CutRules, output=ClipOutputOptions, reading=InputOptions)
class ExtractClips(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete output set of clips; rows and pieces that fail are files of the set."""


@doing(
    export.ExportClips,
    "Export clips",
    rules=ExportRules,
    cut_rules=CutRules,
    output=RowOutputOptions,
    reading=InputOptions,
)
class ExportClips(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete tree of clips with documents, previews and embeddings."""


@doing(
    separate.SeparateSpeakers,
    "Separate speakers",
    separation=SeparationRules,
    rules=SeparateRules,
    output=TrackOutputOptions,
    reading=InputOptions,
)
class SeparateSpeakers(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests with turns to a complete output set: a track for each speaker; rows that fail are files of it."""


@doing(filtering.FilterManifests, "Filter manifests", rules=FilterRules, output=RowOutputOptions, reading=InputOptions)
class FilterManifests(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete output set of rows and segments that fulfil conditions; failures are files of it."""


@doing(
    measuring.MeasureRecordings,
    "Measure recordings",
    rules=MeasureRules,
    output=RowOutputOptions,
    reading=InputOptions,
)
class MeasureRecordings(SetStep, beam.PTransform[PBegin, PCollection[CountRow]]):
    """From recordings to a complete output set of rows with measures of their sound; rows that fail are files of it."""
