"""From manifests to a complete set of clips."""

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packs import AskedClips
from beam_curator.files.clip_index import IndexOptions
from beam_curator.files.jobs.clip_job import ClipJob, clip_config
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.files.part_files import Part
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import Config, FileRecord
from beam_curator.sets.set_kinds import EXTRACT
from beam_curator.sets.set_options import InputOptions
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
      rules: which pieces to cut, and how to make clips of them.
      output: the formats of clips and rows, their index, packs and shards.
      reading: how the inputs are read.

    Raises:
      ValueError: the target is no place for the set: empty, a file, or inside an input.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        *,
        rules: CutRules = CutRules(),
        output: ClipOutputOptions = ClipOutputOptions(),
        reading: InputOptions = InputOptions(),
    ) -> None:
        super().__init__()
        self._reading = Reading(inputs=paths_of(inputs), options=reading)
        self._target = target_beside(self._reading.inputs, target, EXTRACT, output.shards)
        self._rules = rules
        self._output = output

    def config(self) -> Config:
        """Return the settings that determine the rows, as the manifest records them."""
        return clip_config(self._rules, self._reading.options, self._output, self._target.n_shards)

    def expand(self, begin: PBegin) -> "JobSet":
        job = ClipJob(self._rules, self._output.output_format)
        read = begin | "Read" >> ReadAsked(job, self._reading, self._target)
        asked = read.asked | "Group" >> GroupRecordings(job)
        parts, shards, progress = self._cut(asked, job)
        merged = parts | "Merge" >> MergeParts(self._target, self._output.row_format, job.rows)
        options = IndexOptions(
            inputs=self._reading.inputs,
            output_format=self._output.output_format,
            index=self._output.index,
            audio_root=self._rules.audio_root,
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
        if self._output.pack == "none":
            cut = asked | "Cut clips" >> WriteRecordings(job, self._target)
            return cut.parts, (), cut.progress
        packed = asked | "Pack clips" >> PackClips(
            self._target,
            self._reading.inputs,
            self._rules,
            self._output.output_format,
            self._output.pack,
            keep_duplicates=self._reading.options.keep_duplicates,
        )
        return packed.parts, (packed.shards,), packed.progress
