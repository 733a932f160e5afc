"""From manifests to a complete set of clips."""

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.audio_formats import AUDIO_FORMATS, AudioFormat
from beam_curator.clips.cut_rules import INDEXES, CutRules
from beam_curator.clips.packing import PACKS
from beam_curator.clips.packs import AskedClips
from beam_curator.files.clip_index import IndexOptions
from beam_curator.files.jobs.clip_job import ClipJob
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_of
from beam_curator.files.part_files import Part
from beam_curator.files.row_files import RowFormat
from beam_curator.rules import config_of
from beam_curator.sets.blocks import MAX_LINE_BYTES
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import Config, FileRecord
from beam_curator.sets.set_kinds import EXTRACT
from beam_curator.transforms.clips.packing import PackClips
from beam_curator.transforms.clips.write_index import WriteIndex
from beam_curator.transforms.jobs.job_sets import CommitJob, JobSet, Reading
from beam_curator.transforms.jobs.merging import MergeParts
from beam_curator.transforms.jobs.recording_sets import ReadAsked
from beam_curator.transforms.jobs.recording_steps import GroupRecordings, WriteRecordings


class ExtractClips(beam.PTransform[PBegin, JobSet]):
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
      keep_duplicates: read a file each time it is listed.
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
        self._reading = Reading(inputs=paths_of(inputs), max_line_bytes=max_line_bytes, keep_duplicates=keep_duplicates)
        self._target = target_of(target)
        self._rules = rules if rules is not None else CutRules()
        self._output_format: AudioFormat = output_format
        self._row_format: RowFormat = row_format
        self._index = index
        self._pack = pack

    def config(self) -> Config:
        """Return the settings that determine the rows, as the manifest records them."""
        return {
            "clips": config_of(self._rules),
            "input": self._reading.config(),
            "output": {
                "output_format": self._output_format,
                "row_format": self._row_format,
                "shards": self._target.n_shards,
                "index": self._index,
                "pack": self._pack,
            },
        }

    def expand(self, begin: PBegin) -> "JobSet":
        job = ClipJob(self._rules, self._output_format)
        read = begin | "Read" >> ReadAsked(job, self._reading, self._target)
        asked = read.asked | "Group" >> GroupRecordings(job)
        parts, shards, progress = self._cut(asked, job)
        merged = parts | "Merge" >> MergeParts(self._target, self._row_format, job.rows)
        options = IndexOptions(
            inputs=self._reading.inputs, output_format=self._output_format, parquet=self._index == "parquet"
        )
        index = merged.rows | "Index" >> WriteIndex(self._target, options)
        return begin | "Commit" >> CommitJob(
            self._target,
            EXTRACT,
            self.config(),
            files=(*read.letters, *merged.files, index, *shards),
            counts=(*read.counts, merged.counts),
            reading=self._reading,
            progress=(progress,),
        )

    def _cut(
        self, asked: PCollection[AskedClips], job: ClipJob
    ) -> tuple[PCollection[Part], tuple[PCollection[FileRecord], ...], PCollection[Count]]:
        """Cut into files of their own, or into tar shards, which are files of the set themselves."""
        if self._pack == "none":
            cut = asked | "Cut clips" >> WriteRecordings(job, self._target)
            return cut.parts, (), cut.progress
        packed = asked | "Pack clips" >> PackClips(
            self._target,
            self._reading.inputs,
            self._rules,
            self._output_format,
            self._pack,
            keep_duplicates=self._reading.keep_duplicates,
        )
        return packed.parts, (packed.shards,), packed.progress
