"""Exporting clips for other people's pipelines: rows in, the files of the tree and failures out, nothing written."""

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.clips.cut_rules import CutRules
from beam_curator.export.export_rules import ExportRules
from beam_curator.files.jobs.export_job import ExportJob
from beam_curator.transforms.jobs.without_files import MakeResults, Results, Row


class ExportRows(beam.PTransform[PCollection[Row], Results]):
    """Make the clips that rows ask for, with their documents, previews and embeddings; nothing is written.

    Elements are rows as dicts, or blocks of `ReadManifests`.

    Args:
      rules: what is made.
      cut_rules: which pieces to cut, and how to make clips of them.

    Returns:
      Results with the row of a clip and the files of the tree that go with it, or with a document alone; and a failure
      for each row or piece without a clip.

    Example:
      >>> rows = [{"original_file": "examples/kettle.wav", "original_start_ms": 0, "original_end_ms": 500}]
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     exported = pipeline | beam.Create(rows) | ExportRows()
      ...     clips = exported.results | beam.Filter(lambda made: made.kind == "clips")
      ...     _ = clips | beam.Map(lambda made: print(*(name.partition("/")[0] for name, _ in made.files)))
      clips metas
    """

    def __init__(self, rules: ExportRules = ExportRules(), cut_rules: CutRules = CutRules()) -> None:
        super().__init__()
        self._job = ExportJob(rules, cut_rules)

    def expand(self, rows: PCollection[Row]) -> "Results":
        return rows | "Export" >> MakeResults(self._job)
