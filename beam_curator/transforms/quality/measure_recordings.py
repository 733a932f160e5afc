"""From recordings, or manifests that name them, to a complete set of rows with measures of their sound."""

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.models.measure_job import MeasureJob, measure_config
from beam_curator.models.sound_scoring import own_files
from beam_curator.models.speech_detectors import with_vad
from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import MEASURE
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.transforms.jobs.job_sets import JobSet, Reading
from beam_curator.transforms.jobs.recording_sets import WriteRecordingSet
from beam_curator.transforms.jobs.without_files import MakeResults, Results, Row


class MeasureRecordings(beam.PTransform[PBegin, JobSet]):
    """Measure the sound of recordings, and write their rows with it as a complete output set.

    Args:
      inputs: recordings (files, globs, directory trees), or manifests that name them; local or in an object store.
      target: where the set goes; a plain path will do.
      rules: what is measured.
      output: the format of rows, and shards.
      reading: how the inputs are read.

    Raises:
      ValueError: the target is no place for the set: empty, a file, or inside an input.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        *,
        rules: MeasureRules = MeasureRules(),
        output: RowOutputOptions = RowOutputOptions(),
        reading: InputOptions = InputOptions(),
    ) -> None:
        super().__init__()
        self._reading = Reading(inputs=paths_of(inputs), options=reading)
        self._target = target_beside(self._reading.inputs, target, MEASURE, output.shards)
        self._rules = with_vad(rules)
        self._output = output

    def config(self) -> Config:
        """Return the settings that determine the rows, as the manifest records them."""
        return measure_config(self._rules, self._reading.options, self._output, self._target.n_shards)

    def expand(self, begin: PBegin) -> "JobSet":
        return begin | "Measure" >> WriteRecordingSet(
            MeasureJob(self._rules),
            self._reading,
            self._target,
            self.config(),
            row_format=self._output.row_format,
            takes_recordings=True,
            beside=own_files(self._rules),
        )


class MeasureRows(beam.PTransform[PCollection[Row], Results]):
    """Measure the sound of the recordings that rows name; nothing is written.

    Elements are rows as dicts, or blocks of `ReadManifests`.

    Args:
      rules: what is measured.

    Returns:
      Results with each row and its measures; and a failure for each row that has none.

    Example:
      >>> rows = [{"audio_filepath": "examples/kettle.wav"}]
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     measured = pipeline | beam.Create(rows) | MeasureRows(MeasureRules(vad="none"))
      ...     keys = ("duration", "rms_dbfs", "clipped_ratio")
      ...     _ = measured.results | beam.Map(lambda result: print([result.row[key] for key in keys]))
      [4.25, -29.54, 0.0]
    """

    def __init__(self, rules: MeasureRules = MeasureRules()) -> None:
        super().__init__()
        self._job = MeasureJob(with_vad(rules))

    def expand(self, rows: PCollection[Row]) -> "Results":
        return rows | "Measure" >> MakeResults(self._job)
