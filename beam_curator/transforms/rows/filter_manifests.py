"""From manifests to a complete set of the rows and segments that are kept by their values."""

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin

from beam_curator.entries.filter_rules import FilterRules
from beam_curator.files.jobs.filter_job import FilterLines, filter_config
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import FILTER
from beam_curator.sets.set_options import InputOptions, RowOutputOptions
from beam_curator.transforms.jobs.job_sets import JobSet, Reading
from beam_curator.transforms.jobs.line_sets import WriteLineSet


class FilterManifests(beam.PTransform[PBegin, JobSet]):
    """Keep rows, and segments of rows, by their values, and write them as a complete output set.

    Args:
      inputs: manifests: files, globs, directory trees or output sets, local or in an object store.
      target: where the set goes; a plain path will do.
      rules: the conditions.
      output: the format of rows, and shards.
      reading: how the inputs are read.

    Raises:
      ValueError: the target is no place for the set: empty, a file, or inside an input.

    Example:
      >>> import tempfile
      >>> rules = FilterRules(where=("metrics.bandwidth >= 7500", "audio_sample_rate >= 16000"))
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     kept = pipeline | FilterManifests(["examples/talks.jsonl"], tempfile.mkdtemp(), rules)
      ...     _ = kept.committed | beam.Map(lambda counts: print(counts["filter.rows"], counts["segments.dropped"]))
      5 8
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        rules: FilterRules,
        *,
        output: RowOutputOptions = RowOutputOptions(),
        reading: InputOptions = InputOptions(),
    ) -> None:
        super().__init__()
        self._reading = Reading(inputs=paths_of(inputs), options=reading)
        self._target = target_beside(self._reading.inputs, target, FILTER, output.shards)
        self._rules = rules
        self._output = output

    def config(self) -> Config:
        """Return the settings that determine the rows, as the manifest records them."""
        return filter_config(self._rules, self._reading.options, self._output, self._target.n_shards)

    def expand(self, begin: PBegin) -> "JobSet":
        return begin | "Filter" >> WriteLineSet(
            FilterLines(self._rules),
            self._reading,
            self._target,
            self.config(),
            row_format=self._output.row_format,
        )
