"""Jobs that cut clips, for Beam YAML: plain keyword arguments in, rows with a schema out."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.cut_rules import CutRules
from beam_curator.export.export_rules import ExportRules
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.row_files import RowForm, RowFormat
from beam_curator.sets.blocks import MAX_LINE_BYTES
from beam_curator.transforms.clips import extract_clips as extract
from beam_curator.transforms.export import export_clips as export
from beam_curator.transforms.yaml.steps import checked_line_bytes, paths_of
from beam_curator.transforms.yaml.window_jobs import target_beside
from beam_curator.transforms.yaml.yaml_rows import CountRow, OptionalText, OptionalWhole, count_rows

_CUT, _EXPORT, _FORM, _TARGET = CutRules(), ExportRules(), RowForm(), OutputTarget(directory="")
_NO_INPUT = False  # Beam YAML asks the class whether it has to follow another step


class ExtractClips(beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete output set of clips; rows and pieces that fail are files of the set.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      output: directory of the set, outside the inputs, local or in an object store.
      what: what is cut: rows with original_file, or the segments, diar_segments or filtered_windows of entries;
        auto takes the first of rows, filtered_windows, segments, diar_segments that a row has
      audio_key: key that names the recording (default: original_file in rows, audio_filepath in entries)
      audio_root: directory that relative names of recordings begin at (default: that of their manifest)
      on_overrun: a piece that begins before its recording or ends after it: cut what is there, or fail
      mono: channels of a clip: keep all, mix them, or the first
      sample_rate: sample rate of the clips, Hz (default: that of the recording)
      allowed_root: recordings must lie below one of these directories (default: anywhere)
      output_format: format of the clips
      row_format: format of the rows
      shards: merge the rows (and packed clips) into at most so many files; 0: one per block of manifest
      index: csv: metadata.csv; parquet: metadata.parquet besides
      pack: plain files, or tar shards for WebDataset or NeMo
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
        what: str = _CUT.what,
        audio_key: str = _CUT.audio_key,
        audio_root: str = _CUT.audio_root,
        on_overrun: str = _CUT.on_overrun,
        mono: str = _CUT.mono,
        sample_rate: OptionalWhole = _CUT.sample_rate,
        allowed_root: tuple[str, ...] = _CUT.allowed_root,
        output_format: str = "wav",
        row_format: str = _FORM.row_format,
        shards: int = _TARGET.n_shards,
        index: str = "csv",
        pack: str = "none",
        max_line_bytes: int = MAX_LINE_BYTES,
        keep_duplicates: bool = False,
    ) -> None:
        super().__init__()
        rules = CutRules(
            what=what, audio_key=audio_key, audio_root=audio_root, on_overrun=on_overrun, mono=mono,
            sample_rate=sample_rate, allowed_root=allowed_root,
        )  # fmt: skip
        paths = paths_of(inputs)
        self._extract = extract.ExtractClips(
            paths,
            target_beside(paths, output, shards),
            rules=rules,
            output_format=cast(AudioFormat, output_format),
            row_format=RowForm(row_format=cast(RowFormat, row_format)).row_format,
            index=index,
            pack=pack,
            max_line_bytes=checked_line_bytes(max_line_bytes),
            keep_duplicates=keep_duplicates,
        )

    def expand(self, begin: PBegin) -> PCollection[CountRow]:
        extracted = begin | "Extract clips" >> self._extract
        return extracted.committed | "Take counts" >> beam.FlatMap(count_rows)


class ExportClips(beam.PTransform[PBegin, PCollection[CountRow]]):
    """From manifests to a complete tree of clips with documents, previews and embeddings.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      output: root of the tree, outside the inputs, local or in an object store.
      input_path: folder or URI that every recording lies in; the rest of its path names its documents
      upload_clips: write the clips themselves
      dry_run: write the documents of recordings and chunks only: no clips, previews, embeddings, metas
      generate_embeddings: write embeddings
      generate_previews: write a picture and a low-rate sound file of each clip that passed
      generate_captions: write transcripts into the documents of clips and chunks
      embedding_algorithm: name of the embeddings' folders
      caption_models: models whose transcripts are taken, in order: keys NAME_transcript; 'text' is the key text
      embedding_key: key of a row that holds its embedding
      embeddings: Parquet file of id and embedding, by span uuid, used where a row has none
      rejected_key: key of a row that names the rules that rejected it
      score_keys: keys of a row that are written as scores
      clips_per_chunk: how many consecutive clips of a recording are handled and described together
      max_workers: files that a worker uploads at a time (object stores)
      what: what is cut: rows with original_file, or the segments, diar_segments or filtered_windows of entries;
        auto takes the first of rows, filtered_windows, segments, diar_segments that a row has
      audio_key: key that names the recording (default: original_file in rows, audio_filepath in entries)
      audio_root: directory that relative names of recordings begin at (default: that of their manifest)
      on_overrun: a piece that begins before its recording or ends after it: cut what is there, or fail
      mono: channels of a clip: keep all, mix them, or the first
      sample_rate: sample rate of the clips, Hz (default: that of the recording)
      allowed_root: recordings must lie below one of these directories (default: anywhere)
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
        input_path: str = _EXPORT.input_path,
        upload_clips: bool = _EXPORT.upload_clips,
        dry_run: bool = _EXPORT.dry_run,
        generate_embeddings: bool = _EXPORT.generate_embeddings,
        generate_previews: bool = _EXPORT.generate_previews,
        generate_captions: bool = _EXPORT.generate_captions,
        embedding_algorithm: str = _EXPORT.embedding_algorithm,
        caption_models: tuple[str, ...] = _EXPORT.caption_models,
        embedding_key: str = _EXPORT.embedding_key,
        embeddings: OptionalText = _EXPORT.embeddings,
        rejected_key: str = _EXPORT.rejected_key,
        score_keys: tuple[str, ...] = _EXPORT.score_keys,
        clips_per_chunk: int = _EXPORT.clips_per_chunk,
        max_workers: int = _EXPORT.max_workers,
        what: str = _CUT.what,
        audio_key: str = _CUT.audio_key,
        audio_root: str = _CUT.audio_root,
        on_overrun: str = _CUT.on_overrun,
        mono: str = _CUT.mono,
        sample_rate: OptionalWhole = _CUT.sample_rate,
        allowed_root: tuple[str, ...] = _CUT.allowed_root,
        row_format: str = _FORM.row_format,
        shards: int = _TARGET.n_shards,
        max_line_bytes: int = MAX_LINE_BYTES,
        keep_duplicates: bool = False,
    ) -> None:
        super().__init__()
        self._export = _export_of(locals())

    def expand(self, begin: PBegin) -> PCollection[CountRow]:
        exported = begin | "Export clips" >> self._export
        return exported.committed | "Take counts" >> beam.FlatMap(count_rows)


def _export_of(arguments: Mapping[str, Any]) -> export.ExportClips:
    """Return the job that the arguments of the step stand for, by their names."""
    inputs = paths_of(arguments["inputs"])
    return export.ExportClips(
        target_beside(inputs, arguments["output"], arguments["shards"]),
        inputs=inputs,
        rules=CutRules(**_fields_of(CutRules, arguments)),
        row_format=RowForm(row_format=arguments["row_format"]).row_format,
        max_line_bytes=checked_line_bytes(arguments["max_line_bytes"]),
        keep_duplicates=arguments["keep_duplicates"],
        **_fields_of(ExportRules, arguments),
    )


def _fields_of(rules: type[CutRules] | type[ExportRules], arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: arguments[field.name] for field in fields(rules)}
