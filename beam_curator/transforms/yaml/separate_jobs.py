"""The job of separation, for Beam YAML: plain keyword arguments in, rows with a schema out."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.option_names import FlatOptions
from beam_curator.separation.separate_rules import SeparateRules, TrackOutputOptions
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.separation import separate_speakers as separate
from beam_curator.transforms.yaml.set_steps import SetStep
from beam_curator.transforms.yaml.steps import paths_of
from beam_curator.transforms.yaml.yaml_rows import CountRow

_SEPARATE = FlatOptions(SeparationRules, SeparateRules, TrackOutputOptions, InputOptions)


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
