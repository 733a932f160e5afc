"""What every job that cuts clips begins and ends with: rows to requests, and files to a complete set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.clips.cut_rules import CutRules
from beam_curator.counting import count_failures, count_lines
from beam_curator.output_set import Config, FileRecord
from beam_curator.set_kinds import SetKind
from beam_curator.transforms.clips.planning import Pack, PlanClips
from beam_curator.transforms.clips.rows import write_clip_rows
from beam_curator.transforms.manifests import HashInputs, ReadManifests
from beam_curator.transforms.metrics import Count, CountBlocks
from beam_curator.transforms.output_set import CommitOutputSet, OutputTarget, WriteFailures
from beam_curator.transforms.parts import MergeParts, Part, Shard
from beam_curator.transforms.row_files import RowFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a job reads.

    Attributes:
      inputs: files, globs, directory trees or output sets.
      max_line_bytes: longer lines become failures.
      keep_duplicates: read a file that is listed twice twice.
    """

    inputs: tuple[str, ...]
    max_line_bytes: int
    keep_duplicates: bool

    def config(self) -> dict[str, Any]:
        """Return what of it decides the rows."""
        return {"max_line_bytes": self.max_line_bytes, "keep_duplicates": self.keep_duplicates}


class ClipSet(NamedTuple):
    """What a job leaves: records of its files, counts as they arise, and their sums once the set is committed.

    Attributes:
      files: of the set.
      counts: for the books, stage by stage.
      committed: one element, the sums of the counts.
      progress: counts for people while a recording is worked on; no books are kept with them.
    """

    files: PCollection[FileRecord]
    counts: tuple[PCollection[Count], ...]
    committed: PCollection[dict[str, int]]
    progress: PCollection[Count]


class Requested(NamedTuple):
    """What `ReadRequests` returns: requests by recording, files of dead letters that are written, and counts."""

    packs: PCollection[tuple[str, Pack]]
    letters: tuple[PCollection[FileRecord], ...]
    counts: tuple[PCollection[Count], ...]


class ReadRequests(beam.PTransform[PBegin, Any]):
    """Read manifests, and tell which pieces of which recordings their rows ask for; write what cannot be read.

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
            max_line_bytes=self._reading.max_line_bytes,
            keep_duplicates=self._reading.keep_duplicates,
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


class Merged(NamedTuple):
    """What came of the recordings of a job, as files of its set: rows, dead letters, and counts."""

    rows: PCollection[Shard]
    files: tuple[PCollection[FileRecord], ...]
    counts: PCollection[Count]


def merged_parts(parts: PCollection[Part], target: OutputTarget, row_format: RowFormat) -> Merged:
    """Merge what recordings left into the files of the set."""
    merged = parts | "Merge rows" >> MergeParts(target, row_format, write_clip_rows)
    files = (
        merged.rows | "Row files" >> beam.Map(_record_of),
        merged.letters | "Letters of clips" >> beam.Map(_record_of),
    )
    return Merged(rows=merged.rows, files=files, counts=merged.counts)


def _record_of(shard: Shard) -> FileRecord:
    return shard.record


class CommitClips(beam.PTransform[PBegin, Any]):
    """Commit a set of clips once all its files are there.

    Args:
      target: where the files lie.
      kind: of the set.
      config: what decides the rows.
      files: of the set, stage by stage.
      counts: stage by stage.
      reading: what was read.
      progress: counts for people.
      beside: other files that decide the rows.
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
        progress: PCollection[Count],
        beside: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._target = target
        self._kind = kind
        self._config = config
        self._files = tuple(files)
        self._counts = tuple(counts)
        self._reading = reading
        self._progress = progress
        self._beside = tuple(beside)

    def expand(self, begin: PBegin) -> "ClipSet":
        files = self._files | "All files" >> beam.Flatten()
        committed = files | "Commit output set" >> CommitOutputSet(
            self._target,
            kind=self._kind,
            config=self._config,
            counts=self._counts | "All counts" >> beam.Flatten(),
            inputs=begin | "Hash inputs" >> HashInputs(self._reading.inputs, beside=self._beside),
        )
        return ClipSet(files=files, counts=self._counts, committed=committed, progress=self._progress)
