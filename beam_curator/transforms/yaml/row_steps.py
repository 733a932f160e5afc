"""Jobs without files, for Beam YAML: rows in, rows with the bytes of their files out."""

from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.cut_rules import CutRules
from beam_curator.entries.json_lines import encode
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.export.export_rules import ExportRules
from beam_curator.option_names import FlatOptions
from beam_curator.quality.measure_rules import MeasureRules
from beam_curator.separation.separate_rules import SeparateRules, TrackOutputOptions
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.transforms.clips import cut_clips
from beam_curator.transforms.export import export_rows
from beam_curator.transforms.jobs.without_files import RecordingResult, Results, Row
from beam_curator.transforms.quality import measure_recordings as measuring
from beam_curator.transforms.separation import separate_rows
from beam_curator.transforms.yaml.steps import (
    ErrorHandling,
    Outputs,
    block_of_row,
    check_columns,
    error_output,
    with_errors,
)
from beam_curator.transforms.yaml.yaml_rows import MadeRow, ManifestRow

_OF_SETS = ("row_format", "shards", "index", "pack")
"""Options of the files of a set, which these steps do not write."""
_CUT = FlatOptions(CutRules, ClipOutputOptions, left_out=_OF_SETS)
_SEPARATE = FlatOptions(SeparationRules, SeparateRules, TrackOutputOptions, left_out=_OF_SETS)
_MEASURE = FlatOptions(MeasureRules)
_EXPORT = FlatOptions(ExportRules, CutRules)


class RowsStep:
    """The part that steps without files share.

    Args:
      job: the transform that does the work.
      error_handling: where failed rows go; without it, the first failure ends the job.
    """

    def __init__(self, job: beam.PTransform[PCollection[Row], Results], error_handling: ErrorHandling) -> None:
        super().__init__()
        self._job = job
        self._errors = error_output(error_handling)

    def expand(self, rows: PCollection[Any]) -> "Outputs":
        check_columns(rows, type(self).__name__, ManifestRow._fields, "read with ReadManifests")
        blocks = rows | "As blocks" >> beam.Map(block_of_row)
        made = blocks | "Work" >> self._job
        return with_errors(made.results | "Take rows" >> beam.Map(made_row), (made.failures,), self._errors)


def made_row(result: RecordingResult) -> MadeRow:
    """Return a result as a row with a schema; a file that stands alone has no place that it comes from."""
    origin = result.row.get(ORIGIN_KEY, {"source": "", "offset": 0})
    names, contents = [name for name, _ in result.files], [data for _, data in result.files]
    row = encode(result.row).decode()
    return MadeRow(origin["source"], origin["offset"], result.kind, row, file_names=names, files=contents)


@_CUT.in_signature
class CutClips(RowsStep, beam.PTransform[PCollection[beam.Row], Outputs]):
    """Cut the clips that rows ask for; nothing is written.

    Rows of one recording meet, so that it is opened once: a step for batches.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset`, `kind`, `row`, the row of the clip, and its file in `file_names` and `files`.

    Raises:
      ValueError: options that cannot hold, or rows without `source`, `offset` and `row`.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        chosen = _CUT.chosen(options)
        output = chosen[ClipOutputOptions].output_format
        super().__init__(cut_clips.CutClips(chosen[CutRules], output_format=output), error_handling)


@_SEPARATE.in_signature
class SeparateRows(RowsStep, beam.PTransform[PCollection[beam.Row], Outputs]):
    """Give each speaker of the recordings that rows name a track of their own; nothing is written.

    Rows of one recording meet, so that it is opened once: a step for batches.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset`, `kind`, `row`, the row of the track, and its file in `file_names` and `files`.

    Raises:
      ValueError: options that cannot hold, or rows without `source`, `offset` and `row`.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        chosen = _SEPARATE.chosen(options)
        output = chosen[TrackOutputOptions].output_format
        job = separate_rows.SeparateRows(chosen[SeparationRules], chosen[SeparateRules], output_format=output)
        super().__init__(job, error_handling)


@_EXPORT.in_signature
class ExportRows(RowsStep, beam.PTransform[PCollection[beam.Row], Outputs]):
    """Make the clips that rows ask for, with their documents, previews and embeddings; nothing is written.

    Rows of one recording meet, so that it is opened once: a step for batches.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset`, `kind`, `row`, and the files of the tree in `file_names` and `files`; documents of
      recordings and chunks are rows of their own.

    Raises:
      ValueError: options that cannot hold, or rows without `source`, `offset` and `row`.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        chosen = _EXPORT.chosen(options)
        super().__init__(export_rows.ExportRows(chosen[ExportRules], chosen[CutRules]), error_handling)


@_MEASURE.in_signature
class MeasureRows(RowsStep, beam.PTransform[PCollection[beam.Row], Outputs]):
    """Measure the sound of the recordings that rows name; nothing is written.

    Rows of one recording meet, so that it is opened once: a step for batches.

    Args:
      error_handling: where failed rows go; without it, the first failure ends the job.

    Returns:
      Rows of `source`, `offset`, `kind` and `row`, the row with its measures; `file_names` and `files` are empty.

    Raises:
      ValueError: options that cannot hold, or rows without `source`, `offset` and `row`.
      RowRefusedError: a row fails while the job runs, and there is no `error_handling`.
    """

    def __init__(self, *, error_handling: ErrorHandling = None, **options: Any) -> None:
        chosen = _MEASURE.chosen(options)
        super().__init__(measuring.MeasureRows(chosen[MeasureRules]), error_handling)
