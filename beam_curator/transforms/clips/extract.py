"""From manifests to a complete set of clips."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.audio_formats import AUDIO_FORMATS, AudioFormat
from beam_curator.blocks import MAX_LINE_BYTES
from beam_curator.clips.cut_rules import INDEXES, CutRules
from beam_curator.clips.packing import PACKS
from beam_curator.counting import count_failures, count_lines
from beam_curator.output_set import Config, FileRecord
from beam_curator.rules import config_of
from beam_curator.set_kinds import EXTRACT
from beam_curator.transforms.clips.cutting import CutClips
from beam_curator.transforms.clips.index import IndexOptions, WriteIndex
from beam_curator.transforms.clips.naming import MarkCollisions
from beam_curator.transforms.clips.packing import PackClips
from beam_curator.transforms.clips.parts import MergeParts, Part, Shard
from beam_curator.transforms.clips.planning import PlanClips
from beam_curator.transforms.manifests import HashInputs, ReadManifests, paths_of
from beam_curator.transforms.metrics import Count, CountBlocks
from beam_curator.transforms.output_set import CommitOutputSet, OutputTarget, WriteFailures, target_of
from beam_curator.transforms.row_files import RowFormat


class ExtractedClips(NamedTuple):
    """What `ExtractClips` returns: records of the files, counts as they arise, and their sums once committed."""

    files: PCollection[FileRecord]
    counts: tuple[PCollection[Count], ...]
    committed: PCollection[dict[str, int]]


class ExtractClips(beam.PTransform[PBegin, Any]):
    """Cut clips out of recordings, and write them with their rows and an index as a complete output set.

    Rows of one recording meet, so that it is opened once and read in order of time; what meets is small, and no audio
    crosses a shuffle.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      target: where the set goes; a plain path will do.
      rules: what is cut, and how.
      output_format: "wav", "flac" or "ogg".
      row_format: "jsonl", "parquet" or "avro".
      index: "csv", or "parquet" for metadata.parquet besides.
      pack: "none", or "webdataset" or "nemo-tar" for tar shards.
      max_line_bytes: longer lines become failures.
      keep_duplicates: read a file that is listed twice twice.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        *,
        rules: CutRules | None = None,
        output_format: AudioFormat = "wav",
        row_format: RowFormat = "jsonl",
        index: str = "csv",
        pack: str = "none",
        max_line_bytes: int = MAX_LINE_BYTES,
        keep_duplicates: bool = False,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("output_format", output_format, AUDIO_FORMATS),
            ("index", index, INDEXES),
            ("pack", pack, PACKS),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r} is not known: use one of {', '.join(known)}")
        self._inputs = paths_of(inputs)
        self._target = target_of(target)
        self._rules = rules if rules is not None else CutRules()
        self._output_format: AudioFormat = output_format
        self._row_format: RowFormat = row_format
        self._index = index
        self._pack = pack
        self._max_line_bytes = max_line_bytes
        self._keep_duplicates = keep_duplicates

    def config(self) -> Config:
        """Return what decides the rows, as the manifest holds it."""
        return {
            "clips": config_of(self._rules),
            "input": {"max_line_bytes": self._max_line_bytes, "keep_duplicates": self._keep_duplicates},
            "output": {
                "output_format": self._output_format,
                "row_format": self._row_format,
                "shards": self._target.n_shards,
                "index": self._index,
                "pack": self._pack,
            },
        }

    def expand(self, begin: PBegin) -> "ExtractedClips":
        blocks, unreadable = begin | "Read manifests" >> ReadManifests(
            self._inputs, max_line_bytes=self._max_line_bytes, keep_duplicates=self._keep_duplicates
        )
        planned = blocks | "Plan clips" >> PlanClips(self._rules)
        marks = planned.packs | "Mark collisions" >> MarkCollisions()
        groups = {"packs": planned.packs, "marks": marks} | "Group by recording" >> beam.CoGroupByKey()
        parts, shards = self._cut(groups)
        merged = parts | "Merge rows" >> MergeParts(self._target, self._row_format)
        options = IndexOptions(inputs=self._inputs, output_format=self._output_format, parquet=self._index == "parquet")
        rows_failed, intervals_failed = planned.failures
        files = (
            merged.rows | "Row files" >> beam.Map(_record_of),
            merged.letters | "Letters of clips" >> beam.Map(_record_of),
            merged.rows | "Index" >> WriteIndex(self._target, options),
            unreadable | "Write unreadable" >> WriteFailures(self._target),
            rows_failed | "Write failed rows" >> WriteFailures(self._target),
            intervals_failed | "Write failed intervals" >> WriteFailures(self._target),
            *shards,
        ) | "All files" >> beam.Flatten()
        counts = (
            blocks | "Count rows read" >> CountBlocks(count_lines),
            unreadable | "Count unreadable" >> CountBlocks(count_failures),
            planned.counts,
            merged.counts,
        )
        committed = files | "Commit output set" >> CommitOutputSet(
            self._target,
            kind=EXTRACT,
            config=self.config(),
            counts=counts | "All counts" >> beam.Flatten(),
            inputs=begin | "Hash inputs" >> HashInputs(self._inputs),
        )
        return ExtractedClips(files=files, counts=counts, committed=committed)

    def _cut(self, groups: PCollection[Any]) -> tuple[PCollection[Part], tuple[PCollection[FileRecord], ...]]:
        """Cut into files of their own, or into tar shards, which are files of the set themselves."""
        if self._pack == "none":
            return groups | "Cut clips" >> CutClips(self._target, self._rules, self._output_format), ()
        packed = groups | "Pack clips" >> PackClips(
            self._target,
            self._inputs,
            self._rules,
            self._output_format,
            self._pack,
            keep_duplicates=self._keep_duplicates,
        )
        return packed.parts, (packed.shards,)


def _record_of(shard: Shard) -> FileRecord:
    return shard.record
