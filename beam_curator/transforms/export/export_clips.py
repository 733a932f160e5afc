"""From manifests to a complete tree of clips, their documents, previews and embeddings."""

import os
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin

from beam_curator.clips.cut_rules import CutRules
from beam_curator.export.export_rules import ExportRules
from beam_curator.export.row_keys import CLIPS_PER_CHUNK
from beam_curator.files.jobs.export_job import ExportJob
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_of
from beam_curator.files.row_files import RowFormat
from beam_curator.rules import config_of
from beam_curator.sets.blocks import MAX_LINE_BYTES
from beam_curator.sets.output_set import Config
from beam_curator.transforms.jobs.job_sets import JobSet, Reading
from beam_curator.transforms.jobs.recording_sets import WriteRecordingSet

_DOES_NOT_DECIDE = frozenset({"max_workers"})


class ExportClips(beam.PTransform[PBegin, JobSet]):
    """Save clips with their metadata, previews and embeddings as a tree: the layout of the reference's video writer.

    The id of a clip follows from the name of its recording, as its manifest's folder makes it whole, and from its
    samples. Documents name clips by their place in the tree, so that two runs into two directories write the same
    bytes. A clip that two rows ask for is written once, as the first of them has it.

    Args:
      output_path: root of the tree; a plain path will do.
      input_path: what the path of every recording begins with; the rest names its documents.
      upload_clips: write the clips themselves.
      dry_run: cut clips, but write the documents of recordings and chunks, and rows, only.
      generate_embeddings: write embeddings.
      generate_previews: write a picture and a low-rate sound file of each clip that passed.
      generate_captions: write transcripts into documents.
      embedding_algorithm: name of the embeddings' folders.
      caption_models: models whose transcripts are taken, in order; those of "text" are in the key `text`.
      verbose: log each recording.
      max_workers: files that a worker uploads at a time (object stores).
      inputs: files, globs, directory trees or output sets, local or in an object store.
      rules: what is cut, and how.
      row_format: "jsonl", "parquet" or "avro".
      clips_per_chunk: how many consecutive clips of a recording are described together.
      embedding_key: key of a row that holds its embedding.
      embeddings: Parquet file of `id` and `embedding`, by span uuid, used where a row has none.
      rejected_key: key of a row that names the rules that rejected it.
      score_keys: keys of a row that are written as scores.
      max_line_bytes: longer lines become failures.
      keep_duplicates: read a file each time it is listed.
    """

    def __init__(
        self,
        output_path: OutputTarget | str,
        input_path: str = "",
        upload_clips: bool = True,
        dry_run: bool = False,
        generate_embeddings: bool = False,
        generate_previews: bool = False,
        generate_captions: bool = False,
        embedding_algorithm: str = "speaker",
        caption_models: Sequence[str] = ("text",),
        verbose: bool = False,
        max_workers: int = 6,
        *,
        inputs: Sequence[str],
        rules: CutRules | None = None,
        row_format: RowFormat = "jsonl",
        clips_per_chunk: int = CLIPS_PER_CHUNK,
        embedding_key: str = "embedding",
        embeddings: str | None = None,
        rejected_key: str = "rejected_by",
        score_keys: Sequence[str] = (),
        max_line_bytes: int = MAX_LINE_BYTES,
        keep_duplicates: bool = False,
    ) -> None:
        super().__init__()
        self._target = target_of(output_path)
        self._rules = ExportRules(
            input_path=input_prefix(input_path), upload_clips=upload_clips, dry_run=dry_run,
            generate_embeddings=generate_embeddings, generate_previews=generate_previews,
            generate_captions=generate_captions, embedding_algorithm=embedding_algorithm,
            caption_models=tuple(caption_models), embedding_key=embedding_key, embeddings=embeddings,
            rejected_key=rejected_key, score_keys=tuple(score_keys), clips_per_chunk=clips_per_chunk,
            max_workers=max_workers,
        )  # fmt: skip
        self._verbose = verbose
        self._cut_rules = rules if rules is not None else CutRules()
        self._row_format: RowFormat = row_format
        self._reading = Reading(inputs=paths_of(inputs), max_line_bytes=max_line_bytes, keep_duplicates=keep_duplicates)

    @property
    def beside(self) -> tuple[str, ...]:
        """Files that decide the rows besides the inputs."""
        path = self._rules.embeddings
        return (path,) if path is not None and self._rules.generate_embeddings else ()

    def config(self) -> Config:
        """Return the settings that determine the rows, as the manifest records them."""
        export = config_of(self._rules)
        return {
            "export": {name: value for name, value in export.items() if name not in _DOES_NOT_DECIDE},
            "clips": config_of(self._cut_rules),
            "input": self._reading.config(),
            "output": {"row_format": self._row_format, "shards": self._target.n_shards},
        }

    def expand(self, begin: PBegin) -> "JobSet":
        job = ExportJob(self._rules, self._cut_rules, verbose=self._verbose)
        return begin | "Export" >> WriteRecordingSet(
            job, self._reading, self._target, self.config(), row_format=self._row_format, beside=self.beside
        )


def input_prefix(path: str) -> str:
    """Return an input path as the names of recordings begin with it: as those, taken from their manifests' folders.

    Example:
      >>> input_prefix("./talks/"), input_prefix("."), input_prefix("gs://bucket/talks/")
      ('talks', '', 'gs://bucket/talks/')
    """
    path = path.removeprefix("file://")
    if not path or "://" in path:
        return path
    normal = os.path.normpath(path)
    return "" if normal == "." else normal
