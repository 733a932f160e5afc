"""Cutting clips for other people's pipelines: rows in, clips and failures out, no files."""

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.cut_rules import CutRules
from beam_curator.files.jobs.clip_job import ClipJob
from beam_curator.transforms.jobs.without_files import MakeResults, Results, Row


class CutClips(beam.PTransform[PCollection[Row], Results]):
    """Cut the clips that rows ask for; nothing is written.

    Elements are rows as dicts, or blocks of `ReadManifests`. Rows of one recording meet, so that it is opened once.

    Args:
      rules: which pieces to cut, and how to make clips of them.
      output_format: "wav", which is the default, "flac" or "ogg".

    Returns:
      Results with the row of a clip and the bytes of its file; and a failure for each row or piece without a clip.

    Example:
      >>> rows = [{"original_file": "examples/kettle.wav", "original_start_ms": 0, "original_end_ms": 500}]
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     cut = pipeline | beam.Create(rows) | CutClips(output_format="flac")
      ...     _ = cut.results | beam.Map(lambda clip: print(clip.row["extracted_path"], clip.files[0][1][:4]))
      kettle_segment_000.flac b'fLaC'
    """

    def __init__(self, rules: CutRules = CutRules(), *, output_format: AudioFormat | None = None) -> None:
        super().__init__()
        output = ClipOutputOptions() if output_format is None else ClipOutputOptions(output_format=output_format)
        self._job = ClipJob(rules, output.output_format)

    def expand(self, rows: PCollection[Row]) -> "Results":
        return rows | "Cut" >> MakeResults(self._job)
