"""Exporting clips: the requests for one recording to the files of the tree, rows and dead letters."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.audio import AudioReader
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packs import Position, Recording, recording_from
from beam_curator.clips.records import ClipRequest
from beam_curator.export import tree
from beam_curator.export.document_paths import relative_path
from beam_curator.export.documents import (
    ChunkMeta,
    ExportedClip,
    RecordingMeta,
    render_chunk_meta,
    render_recording_meta,
)
from beam_curator.export.embeddings import parquet_bytes
from beam_curator.export.export_plan import PlannedClip, place_of, plan_export
from beam_curator.export.export_rules import ExportRules
from beam_curator.export.row_keys import chunks_of, n_chunks
from beam_curator.export.values import values_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.clip_cutting import failure_of
from beam_curator.files.clip_files import in_memory
from beam_curator.files.export.clip_export import ClipExport
from beam_curator.files.export.embedding_file import EmbeddingFile
from beam_curator.files.export.journal import DOCUMENT, EMBEDDINGS, ExportWriter
from beam_curator.files.export.tree_files import TreeFiles
from beam_curator.files.opened_recordings import open_recording
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.sets.counting import Count
from beam_curator.sets.embedding_columns import Embedding
from beam_curator.sets.output_set import FileRecord
from beam_curator.transforms.metrics import Noted, collector_paused, noted, timed

_LOG = logging.getLogger(__name__)


class ExportedRecordings(NamedTuple):
    """The result of `ExportRecordings`: rows of each recording, the files that describe it, and counts for people."""

    parts: PCollection[Part]
    documents: PCollection[FileRecord]
    progress: PCollection[Count]


class ExportRecordings(beam.PTransform[PCollection[tuple[str, dict[str, Any]]], Any]):
    """Open each recording once, and write everything that is asked of it, chunk by chunk.

    Args:
      target: where to.
      rules: what is written.
      cut_rules: how clips are cut.
      logs_recordings: log each recording.
    """

    def __init__(
        self, target: OutputTarget, rules: ExportRules, cut_rules: CutRules, *, logs_recordings: bool = False
    ) -> None:
        super().__init__()
        self._target = target
        self._rules = rules
        self._cut_rules = cut_rules
        self._logs_recordings = logs_recordings

    def expand(self, groups: PCollection[tuple[str, dict[str, Any]]]) -> "ExportedRecordings":
        exported = groups | "Export" >> beam.ParDo(
            _ExportFn(self._target, self._rules, self._cut_rules, self._logs_recordings)
        ).with_outputs("documents", "progress", main="parts")
        return ExportedRecordings(
            parts=exported["parts"], documents=exported["documents"], progress=exported["progress"]
        )


_Document = TaggedOutput[Literal["documents"], FileRecord]


class _ExportFn(beam.DoFn):
    def __init__(self, target: OutputTarget, rules: ExportRules, cut_rules: CutRules, logs_recordings: bool) -> None:
        self._target = target
        self._rules = rules
        self._cut_rules = cut_rules
        self._logs_recordings = logs_recordings

    def setup(self) -> None:
        self._tools = ExportTools(
            rules=self._rules,
            cut_rules=self._cut_rules,
            files=TreeFiles(self._target, self._rules.max_workers),
            embeddings=EmbeddingFile(self._rules.embeddings),
        )

    def teardown(self) -> None:
        self._tools.files.close()
        self._tools.embeddings.close()

    def process(self, group: tuple[str, dict[str, Any]]) -> Iterator[Part | _Document | Noted]:
        name, joined = group
        recording = recording_from(name, joined["packs"], marked=False)
        writer = ExportWriter(self._target, recording)
        with timed("cut"), collector_paused():
            exported = writer.kept()
            if exported is None:
                yield from noted(export_recording(recording, self._tools, writer, distinct=any(joined["marks"])))
                self._tools.files.flush()
                exported = writer.write()
        if self._logs_recordings:
            n_clips = sum(n for counted, n in exported.part.counts if counted == "cut.clips")
            _LOG.info("%s: %d of %d clips", name, n_clips, len(recording.requests))
        yield exported.part
        yield from map(_document, exported.documents)


def _document(record: FileRecord) -> _Document:
    return TaggedOutput("documents", record)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTools:
    """The rules and tools that all recordings of a worker share.

    Attributes:
      rules: what is written.
      cut_rules: how clips are cut.
      files: puts files in place.
      embeddings: looks up those that rows do not have.
    """

    rules: ExportRules
    cut_rules: CutRules
    files: TreeFiles
    embeddings: EmbeddingFile


def export_recording(
    recording: Recording, tools: ExportTools, writer: ExportWriter, *, distinct: bool
) -> Iterator[Count]:
    """Write all clips of a recording and the files that describe them; if it cannot be opened, each request fails.

    Args:
      recording: the recording and its requests.
      tools: the rules, and the tools to write with.
      writer: takes rows, dead letters and records of documents.
      distinct: mark the names of its documents.

    Yields:
      Counts of clips as they are made.
    """
    with ExitStack() as stack:
        try:
            relative = relative_path(recording.name, tools.rules.input_path, distinct=distinct)
            reader = stack.enter_context(open_recording(recording.name, tools.cut_rules.allowed_root))
        except EntryError as err:
            for position, request in sorted(recording.requests, key=place_of):
                writer.add_failure(_failure(err, recording, position, request))
            return
        yield from _RecordingExport(recording, relative, reader, tools, writer).write()


def _failure(err: EntryError, recording: Recording, position: Position, request: ClipRequest) -> Any:
    return failure_of(err, request, recording.sources[position[0]], position[2])


class _RecordingExport:
    """Writes the clips of one open recording chunk by chunk, and its documents."""

    def __init__(
        self, recording: Recording, relative: str, reader: AudioReader, tools: ExportTools, writer: ExportWriter
    ) -> None:
        self._recording = recording
        self._relative = relative
        self._reader = reader
        self._rules = tools.rules
        self._tools = tools
        self._writer = writer
        self._n_dimensions: int | None = None
        self._clips = ClipExport(
            reader=reader, relative=relative, rules=tools.rules, cut_rules=tools.cut_rules, files=tools.files
        )
        _, first = min(recording.requests, key=place_of)
        self._audio = first.fields["original_file"]

    def write(self) -> Iterator[Count]:
        """Write everything; yield counts of clips as they are made."""
        plan = plan_export(self._recording, self._reader.info, self._tools.cut_rules, self._rules)
        for position, request, err in plan.failed:
            self._writer.add_failure(_failure(err, self._recording, position, request))
        if plan.n_repeated:
            self._writer.count("cut.dropped", plan.n_repeated)
            self._writer.count("cut.dropped.duplicate", plan.n_repeated)
        n_clips = 0
        for number, chunk in chunks_of(plan.clips, self._rules.clips_per_chunk):
            done = self._write_chunk(number, chunk)
            n_clips += len(done)
            yield "progress.clips", len(done)
            yield "progress.audio_us", round(sum(clip.duration for clip in done) * 1e6)
        self._write_recording(n_clips, n_chunks(len(plan.clips), self._rules.clips_per_chunk))

    def _write_chunk(self, number: int, chunk: Sequence[PlannedClip]) -> list[ExportedClip]:
        """Write one chunk; return its clips."""
        done: list[ExportedClip] = []
        vectors: dict[str, Embedding] = {}
        for plan, vector in zip(chunk, self._vectors(chunk), strict=True):
            source = self._recording.sources[plan.position[0]]
            try:
                usable = self._checked(vector, plan)
                clip = self._clips.write(plan, usable, source)
            except EntryError as err:
                for name in self._clips.names(plan):
                    self._tools.files.remove(name)
                self._writer.add_failure(_failure(err, self._recording, plan.position, plan.request))
                continue
            self._writer.add_row(clip.row)
            for name, n in clip.counts.items():
                if n:
                    self._writer.count(name, n)
            done.append(clip.document)
            if usable is not None:
                vectors[plan.span_uuid] = usable
        self._write_chunk_files(number, done, vectors)
        return done

    def _vectors(self, chunk: Sequence[PlannedClip]) -> list[Embedding | EntryError | None]:
        """Return the embeddings of a chunk's clips: out of their rows, else out of the file; none of rejected ones."""
        vectors: list[Embedding | EntryError | None] = [None] * len(chunk)
        if not self._rules.generate_embeddings:
            return vectors
        wanted = []
        for index, plan in enumerate(chunk):
            values = values_of(plan.request.fields, self._rules)
            vectors[index] = values.embedding
            if values.embedding is None and not values.filtered_by:
                wanted.append(index)
        found = self._tools.embeddings.find([chunk[index].span_uuid for index in wanted])
        for index, vector in zip(wanted, found, strict=True):
            vectors[index] = vector
        return vectors

    def _checked(self, vector: Embedding | EntryError | None, plan: PlannedClip) -> Embedding | None:
        """Return an embedding that can stand beside those of the recording's other clips.

        Raises:
          EntryError: it cannot be used, or is of another length than the first.
        """
        if isinstance(vector, EntryError):
            raise vector
        if vector is None:
            return None
        if self._n_dimensions is None:
            self._n_dimensions = len(vector)
        if len(vector) != self._n_dimensions:
            raise EntryError(
                FailureCode.BAD_TYPE,
                f"the embedding of {plan.span_uuid} has {len(vector)} dimensions, "
                f"those before it in the recording {self._n_dimensions}",
                "give embeddings of one model",
            )
        return vector

    def _write_chunk_files(self, number: int, done: Sequence[ExportedClip], vectors: dict[str, Embedding]) -> None:
        meta = ChunkMeta(
            audio=self._audio,
            clip_chunk_index=number,
            clips=tuple(done),
            transcript_models=self._rules.caption_models if self._rules.generate_captions else (),
        )
        name = tree.processed_clip_chunk_name(self._relative, number)
        self._put_document(f"{tree.PROCESSED_CLIP_CHUNKS}/{name}", render_chunk_meta(meta), DOCUMENT)
        folder = f"{tree.embeddings_folder(self._rules.embedding_algorithm)}_parquet"
        name = f"{folder}/{tree.chunk_embeddings_name(self._recording.name, number)}"
        if vectors and not self._rules.dry_run:
            data = parquet_bytes(list(vectors), list(vectors.values()))
            self._put_document(name, data, EMBEDDINGS, len(vectors))
        elif self._rules.generate_embeddings:
            self._tools.files.remove(name)

    def _write_recording(self, n_clips: int, n_clip_chunks: int) -> None:
        info = self._reader.info
        meta = RecordingMeta(
            audio=self._audio,
            sample_rate=info.sample_rate,
            channels=info.n_channels,
            num_samples=info.n_samples,
            duration=info.n_samples / info.sample_rate,
            audio_codec=info.codec,
            container=info.container,
            num_total_clips=n_clips,
            num_clip_chunks=n_clip_chunks,
        )
        name = tree.processed_audio_name(self._relative)
        self._put_document(f"{tree.PROCESSED_AUDIOS}/{name}", render_recording_meta(meta), DOCUMENT)

    def _put_document(self, name: str, data: bytes, kind: str, n_rows: int = 0) -> None:
        self._writer.add_document(self._tools.files.put(name, in_memory(data)), kind, n_rows)
