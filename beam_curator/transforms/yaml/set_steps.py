"""Steps for Beam YAML that do a whole job: one row for each of its counts comes out."""

from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.transforms.yaml.yaml_rows import CountRow, count_rows


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
