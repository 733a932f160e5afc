"""The parts that all jobs over recordings share: the inputs, the resulting set, and its commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.files.listing import Lister, list_inputs
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import Config, FileRecord
from beam_curator.sets.set_kinds import SetKind
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs.manifests import HashInputs
from beam_curator.transforms.jobs.writing import CommitOutputSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The inputs of a job, and how they are read.

    Attributes:
      inputs: files, globs, directory trees or output sets.
      options: how they are read.
    """

    inputs: tuple[str, ...]
    options: InputOptions


class JobSet(NamedTuple):
    """The result of a job: records of its files, counts as they arise, and their sums once the set is committed.

    Attributes:
      files: records of the set's files.
      counts: stage by stage; those of `progress.*` are for people, and no books are kept with them.
      committed: one element, the sums of the counts that books are kept with.
    """

    files: PCollection[FileRecord]
    counts: tuple[PCollection[Count], ...]
    committed: PCollection[dict[str, int]]


class CommitJob(beam.PTransform[PBegin, JobSet]):
    """Commit the set of a job once all its files are there.

    Args:
      target: where the files lie.
      kind: the kind of set.
      config: the settings that affect the rows.
      files: the set's files, stage by stage.
      counts: stage by stage.
      reading: the inputs, and how they were read.
      progress: counts for people while a recording is worked on.
      beside: files other than the inputs that affect the rows.
      list_files: tells which files the inputs mean.
    """

    def __init__(
        self,
        target: OutputTarget,
        kind: SetKind,
        config: Config,
        *,
        files: Sequence[PCollection[FileRecord]],
        counts: Sequence[PCollection[Count]],
        reading: Reading,
        progress: Sequence[PCollection[Count]] = (),
        beside: Sequence[str] = (),
        list_files: Lister = list_inputs,
    ) -> None:
        super().__init__()
        self._target = target
        self._kind = kind
        self._config = config
        self._files = tuple(files)
        self._counts = tuple(counts)
        self._progress = tuple(progress)
        known = target.replaces if target.replaces and not target.rehash else None
        self._hash = HashInputs(reading.inputs, beside=beside, list_files=list_files, known_to=known)

    def expand(self, begin: PBegin) -> "JobSet":
        files = self._files | "All files" >> beam.Flatten()
        committed = files | "Commit output set" >> CommitOutputSet(
            self._target,
            kind=self._kind,
            config=self._config,
            counts=self._counts | "All counts" >> beam.Flatten(),
            inputs=begin | "Hash inputs" >> self._hash,
        )
        return JobSet(files=files, counts=(*self._counts, *self._progress), committed=committed)
