"""From manifests to a complete tree of clips, their documents, previews and embeddings."""

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin

from beam_curator.clips.cut_rules import CutRules
from beam_curator.export.export_rules import ExportRules
from beam_curator.files.jobs.export_job import ExportJob, embeddings_beside, export_config
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import EXPORT
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.transforms.jobs.job_sets import JobSet, Reading
from beam_curator.transforms.jobs.recording_sets import WriteRecordingSet


class ExportClips(beam.PTransform[PBegin, JobSet]):
    """Save clips with their metadata, previews and embeddings as a tree: the layout of the reference's video writer.

    The id of a clip follows from the name of its recording, as its manifest's folder makes it whole, and from its
    samples. Documents name clips by their place in the tree, so that two runs into two directories write the same
    bytes. A clip that two rows ask for is written once, as the first of them has it.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      target: root of the tree; a plain path will do.
      rules: which parts of the tree are written, and from which keys; names are the reference's.
      cut_rules: which pieces to cut, and how to make clips of them.
      output: the format of rows, and shards.
      reading: how the inputs are read.
      logs_recordings: log each recording.

    Raises:
      ValueError: the target is no place for the set: empty, a file, or inside an input.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        *,
        rules: ExportRules = ExportRules(),
        cut_rules: CutRules = CutRules(),
        output: RowOutputOptions = RowOutputOptions(),
        reading: InputOptions = InputOptions(),
        logs_recordings: bool = False,
    ) -> None:
        super().__init__()
        self._reading = Reading(inputs=paths_of(inputs), options=reading)
        self._target = target_beside(self._reading.inputs, target, EXPORT, output.shards)
        self._rules = rules
        self._cut_rules = cut_rules
        self._output = output
        self._logs_recordings = logs_recordings

    def config(self) -> Config:
        """Return the settings that determine the rows, as the manifest records them."""
        return export_config(self._rules, self._cut_rules, self._reading.options, self._output, self._target.n_shards)

    def expand(self, begin: PBegin) -> "JobSet":
        job = ExportJob(self._rules, self._cut_rules, logs_recordings=self._logs_recordings)
        return begin | "Export" >> WriteRecordingSet(
            job,
            self._reading,
            self._target,
            self.config(),
            row_format=self._output.row_format,
            beside=embeddings_beside(self._rules),
        )
