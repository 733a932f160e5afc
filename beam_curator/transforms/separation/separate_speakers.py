"""From rows with turns to a complete set of tracks."""

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin

from beam_curator.audio_formats import AUDIO_FORMATS, AudioFormat
from beam_curator.files.jobs.track_job import TrackJob
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_of
from beam_curator.files.row_files import RowFormat
from beam_curator.rules import config_of
from beam_curator.separation.separate_rules import SeparateRules
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.sets.blocks import MAX_LINE_BYTES
from beam_curator.sets.output_set import Config
from beam_curator.transforms.jobs.job_sets import JobSet, Reading
from beam_curator.transforms.jobs.recording_sets import WriteRecordingSet


class SeparateSpeakers(beam.PTransform[PBegin, JobSet]):
    """Give each speaker of each recording a track of their own, and write tracks and rows as a complete output set.

    A recording is read once for all of its speakers, in pieces, and no audio crosses a shuffle.

    Args:
      inputs: manifests with turns, such as sets of `diarize`: files, globs, directory trees or output sets, local or
        in an object store.
      target: where the set goes; a plain path will do.
      separation: what goes on a track.
      rules: where recordings and turns are in a row.
      output_format: "wav", "flac" or "ogg".
      row_format: "jsonl", "parquet" or "avro".
      max_line_bytes: longer lines become failures.
      keep_duplicates: read a file each time it is listed.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        *,
        separation: SeparationRules | None = None,
        rules: SeparateRules | None = None,
        output_format: AudioFormat = "wav",
        row_format: RowFormat = "jsonl",
        max_line_bytes: int = MAX_LINE_BYTES,
        keep_duplicates: bool = False,
    ) -> None:
        super().__init__()
        if output_format not in AUDIO_FORMATS:
            raise ValueError(f"output_format {output_format!r} is not known: use one of {', '.join(AUDIO_FORMATS)}")
        self._reading = Reading(inputs=paths_of(inputs), max_line_bytes=max_line_bytes, keep_duplicates=keep_duplicates)
        self._target = target_of(target)
        self._separation = separation if separation is not None else SeparationRules()
        self._rules = rules if rules is not None else SeparateRules()
        self._output_format: AudioFormat = output_format
        self._row_format: RowFormat = row_format

    def config(self) -> Config:
        """Return the settings that determine the rows, as the manifest records them."""
        return {
            "separation": config_of(self._separation),
            "rows": config_of(self._rules),
            "input": self._reading.config(),
            "output": {
                "output_format": self._output_format,
                "row_format": self._row_format,
                "shards": self._target.n_shards,
            },
        }

    def expand(self, begin: PBegin) -> "JobSet":
        job = TrackJob(self._separation, self._rules, self._output_format)
        return begin | "Separate" >> WriteRecordingSet(
            job, self._reading, self._target, self.config(), row_format=self._row_format
        )
