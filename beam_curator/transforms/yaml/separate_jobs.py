"""The job of separation, for Beam YAML: plain keyword arguments in, rows with a schema out."""

from collections.abc import Sequence
from typing import cast

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.audio_formats import AudioFormat
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.row_files import RowForm, RowFormat
from beam_curator.separation.separate_rules import SeparateRules
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.sets.blocks import MAX_LINE_BYTES
from beam_curator.transforms.separation import separate_speakers as separate
from beam_curator.transforms.yaml.steps import checked_line_bytes, paths_of
from beam_curator.transforms.yaml.window_jobs import target_beside
from beam_curator.transforms.yaml.yaml_rows import CountRow, count_rows

_SEPARATION, _ROWS, _FORM, _TARGET = SeparationRules(), SeparateRules(), RowForm(), OutputTarget(directory="")
_NO_INPUT = False  # Beam YAML asks the class whether it has to follow another step


class SeparateSpeakers(beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests with turns to a complete output set: a track for each speaker; rows that fail are files of it.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.
      exclude_overlaps: leave out where several speakers talk at once
      min_duration: shortest piece of a speaker that is kept, seconds
      gap_threshold: longest silence between two pieces of a speaker that is bridged, seconds
      buffer_time: how far pieces shrink or are padded, seconds
      buffer_mode: pieces shrink where they touch an overlap that is left out, or all are padded with the silence
        around them
      overlap_policy: overlaps that are not left out: on the tracks of all who talk, or of the one who began last
      compact: a track is a speaker's pieces one after the other, not as long as the recording
      filepath_key: key that names the recording in rows
      diar_segments_key: key that holds the turns (default: diar_segments, or segments where that does not say who
        speaks)
      audio_root: directory that relative names of recordings begin at (default: that of their manifest)
      allowed_root: recordings must lie below one of these directories (default: anywhere)
      output_format: format of the tracks; wav and flac keep the bit depth of the recording
      row_format: format of the rows
      shards: merge the rows into at most so many files; 0: one per block of manifest
      max_line_bytes: longest line that is read, bytes; longer ones become failures
      keep_duplicates: read a file each time it is listed

    Returns:
      Rows of `name` and `value`: the counts of the job, once the set is complete.

    Raises:
      ValueError: options that cannot hold, or an output that the job itself would read.
    """

    _yaml_requires_inputs = _NO_INPUT

    def __init__(
        self,
        inputs: Sequence[str],
        output: str,
        *,
        exclude_overlaps: bool = _SEPARATION.exclude_overlaps,
        min_duration: float = _SEPARATION.min_duration,
        gap_threshold: float = _SEPARATION.gap_threshold,
        buffer_time: float = _SEPARATION.buffer_time,
        buffer_mode: str = _SEPARATION.buffer_mode,
        overlap_policy: str = _SEPARATION.overlap_policy,
        compact: bool = _SEPARATION.compact,
        filepath_key: str = _ROWS.filepath_key,
        diar_segments_key: str = _ROWS.diar_segments_key,
        audio_root: str = _ROWS.audio_root,
        allowed_root: tuple[str, ...] = _ROWS.allowed_root,
        output_format: str = "wav",
        row_format: str = _FORM.row_format,
        shards: int = _TARGET.n_shards,
        max_line_bytes: int = MAX_LINE_BYTES,
        keep_duplicates: bool = False,
    ) -> None:
        super().__init__()
        paths = paths_of(inputs)
        self._separate = separate.SeparateSpeakers(
            paths,
            target_beside(paths, output, shards),
            separation=SeparationRules(
                exclude_overlaps=exclude_overlaps, min_duration=min_duration, gap_threshold=gap_threshold,
                buffer_time=buffer_time, buffer_mode=buffer_mode, overlap_policy=overlap_policy, compact=compact,
            ),
            rules=SeparateRules(
                filepath_key=filepath_key, diar_segments_key=diar_segments_key, audio_root=audio_root,
                allowed_root=allowed_root,
            ),
            output_format=cast(AudioFormat, output_format),
            row_format=RowForm(row_format=cast(RowFormat, row_format)).row_format,
            max_line_bytes=checked_line_bytes(max_line_bytes),
            keep_duplicates=keep_duplicates,
        )  # fmt: skip

    def expand(self, begin: PBegin) -> PCollection[CountRow]:
        separated = begin | "Separate speakers" >> self._separate
        return separated.committed | "Take counts" >> beam.FlatMap(count_rows)
