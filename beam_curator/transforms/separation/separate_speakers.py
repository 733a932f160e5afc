"""From rows with turns to a complete set of tracks."""

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin

from beam_curator.files.jobs.track_job import TrackJob, track_config
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.separation.separate_rules import SeparateRules, TrackOutputOptions
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import SEPARATE
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs.job_sets import JobSet, Reading
from beam_curator.transforms.jobs.recording_sets import WriteRecordingSet


class SeparateSpeakers(beam.PTransform[PBegin, JobSet]):
    """Give each speaker of each recording a track of their own, and write tracks and rows as a complete output set.

    A recording is read once for all of its speakers, in pieces, and no audio crosses a shuffle.

    Args:
      inputs: manifests with turns, such as sets of `diarize`: files, globs, directory trees or output sets, local or
        in an object store.
      target: where the set goes; a plain path will do.
      separation: which speech goes on a track.
      rules: where recordings and turns are in a row.
      output: the formats of tracks and rows, and shards.
      reading: how the inputs are read.

    Raises:
      ValueError: the target is no place for the set: empty, a file, or inside an input.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        *,
        separation: SeparationRules = SeparationRules(),
        rules: SeparateRules = SeparateRules(),
        output: TrackOutputOptions = TrackOutputOptions(),
        reading: InputOptions = InputOptions(),
    ) -> None:
        super().__init__()
        self._reading = Reading(inputs=paths_of(inputs), options=reading)
        self._target = target_beside(self._reading.inputs, target, SEPARATE, output.shards)
        self._separation = separation
        self._rules = rules
        self._output = output

    def config(self) -> Config:
        """Return the settings that determine the rows, as the manifest records them."""
        return track_config(self._separation, self._rules, self._reading.options, self._output, self._target.n_shards)

    def expand(self, begin: PBegin) -> "JobSet":
        job = TrackJob(self._separation, self._rules, self._output.output_format)
        return begin | "Separate" >> WriteRecordingSet(
            job, self._reading, self._target, self.config(), row_format=self._output.row_format
        )
