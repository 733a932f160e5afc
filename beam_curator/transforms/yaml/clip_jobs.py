"""Jobs that cut clips, for Beam YAML: plain keyword arguments in, rows with a schema out."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.cut_rules import CutRules
from beam_curator.export.export_rules import ExportRules
from beam_curator.option_names import FlatOptions
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.transforms.clips import extract_clips as extract
from beam_curator.transforms.export import export_clips as export
from beam_curator.transforms.yaml.set_steps import SetStep
from beam_curator.transforms.yaml.steps import paths_of
from beam_curator.transforms.yaml.yaml_rows import CountRow

_EXTRACT = FlatOptions(CutRules, ClipOutputOptions, InputOptions)
_EXPORT = FlatOptions(ExportRules, CutRules, RowOutputOptions, InputOptions)


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
