"""Separating speakers for other people's pipelines: rows with turns in, tracks and failures out, no files."""

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.audio_formats import AudioFormat
from beam_curator.files.jobs.track_job import TrackJob
from beam_curator.separation.separate_rules import SeparateRules, TrackOutputOptions
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.transforms.jobs.without_files import MakeResults, Results, Row


class SeparateRows(beam.PTransform[PCollection[Row], Results]):
    """Give each speaker of the recordings that rows name a track of their own; nothing is written.

    Elements are rows as dicts, or blocks of `ReadManifests`. The tracks of one recording are held in memory.

    Args:
      separation: which speech goes on a track.
      rules: where recordings and turns are in a row.
      output_format: "wav", which is the default, "flac" or "ogg".

    Returns:
      Results with the row of a track and the bytes of its file; and a failure for each row that has none.

    Example:
      >>> turns = [{"start": 0, "end": 0.5, "speaker": "ana"}, {"start": 0.5, "end": 1, "speaker": "ben"}]
      >>> rows = [{"audio_filepath": "examples/kettle.wav", "segments": turns}]
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     separated = pipeline | beam.Create(rows) | SeparateRows(SeparationRules(buffer_time=0, min_duration=0))
      ...     lengths = separated.results | beam.Map(lambda track: track.row["duration"])
      ...     _ = lengths | beam.CombineGlobally(sum) | beam.Map(print)
      1.0
    """

    def __init__(
        self,
        separation: SeparationRules = SeparationRules(),
        rules: SeparateRules = SeparateRules(),
        *,
        output_format: AudioFormat | None = None,
    ) -> None:
        super().__init__()
        output = TrackOutputOptions() if output_format is None else TrackOutputOptions(output_format=output_format)
        self._job = TrackJob(separation, rules, output.output_format)

    def expand(self, rows: PCollection[Row]) -> "Results":
        return rows | "Separate" >> MakeResults(self._job)
