"""The first steps of every job that cuts clips: from manifests to requests."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packs import Pack
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.counting import Count, count_failures, count_lines
from beam_curator.sets.output_set import FileRecord
from beam_curator.transforms.clips.planning import PlanClips
from beam_curator.transforms.jobs.job_sets import Reading
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.jobs.writing import WriteFailures
from beam_curator.transforms.metrics import CountBlocks


class Requested(NamedTuple):
    """The result of `ReadRequests`: requests by recording, records of the files of dead letters, and counts."""

    packs: PCollection[tuple[str, Pack]]
    letters: tuple[PCollection[FileRecord], ...]
    counts: tuple[PCollection[Count], ...]


class ReadRequests(beam.PTransform[PBegin, Any]):
    """Read manifests, and find the pieces of recordings that their rows ask for; write failures as dead letters.

    Args:
      reading: what is read.
      target: where dead letters go.
      rules: what is cut.
      kept_keys: see `PlanClips`.
      own_keys: see `PlanClips`.
    """

    def __init__(
        self,
        reading: Reading,
        target: OutputTarget,
        rules: CutRules,
        kept_keys: Sequence[str] = (),
        own_keys: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._reading = reading
        self._target = target
        self._plan = PlanClips(rules, kept_keys, own_keys)

    def expand(self, begin: PBegin) -> "Requested":
        blocks, unreadable = begin | "Read manifests" >> ReadManifests(
            self._reading.inputs,
            reading=self._reading.options,
        )
        planned = blocks | "Plan clips" >> self._plan
        rows_failed, intervals_failed = planned.failures
        letters = (
            unreadable | "Write unreadable" >> WriteFailures(self._target),
            rows_failed | "Write failed rows" >> WriteFailures(self._target),
            intervals_failed | "Write failed intervals" >> WriteFailures(self._target),
        )
        counts = (
            blocks | "Count rows read" >> CountBlocks(count_lines),
            unreadable | "Count unreadable" >> CountBlocks(count_failures),
            planned.counts,
        )
        return Requested(packs=planned.packs, letters=letters, counts=counts)
