"""The export of recordings: requests to clips with their documents, previews and embeddings, chunk by chunk."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count

from beam_curator.audio import AudioReader
from beam_curator.clips.clip_rows import CLIPS
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.clips.packs import AskedClips, Pack, Recording
from beam_curator.clips.records import ClipRequest
from beam_curator.export import tree
from beam_curator.export.document_paths import claim_key, relative_path
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
from beam_curator.export.exported_rows import files_of_row
from beam_curator.export.row_keys import chunks_of, n_chunks
from beam_curator.export.values import inherited_keys, own_keys, values_of
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files import storage
from beam_curator.files.clip_files import in_memory
from beam_curator.files.export.clip_export import ClipExport
from beam_curator.files.export.embedding_file import EmbeddingFile
from beam_curator.files.jobs.clip_job import RequestJob, failure_of
from beam_curator.rules import config_of
from beam_curator.sets.blocks import Position
from beam_curator.sets.embedding_columns import Embedding
from beam_curator.sets.output_set import Config
from beam_curator.sets.recording_events import Described, Event, Made, MadeFile, Missed, Noticed
from beam_curator.sets.set_kinds import EXPORT
from beam_curator.sets.set_options import InputOptions, RowOutputOptions, output_config

_LOG = logging.getLogger(__name__)

_DOES_NOT_DECIDE = frozenset({"max_workers"})

DOCUMENT, EMBEDDINGS = "document", "embeddings"
"""Kinds of files of the tree that the manifest lists by themselves."""


class ExportJob(RequestJob):
    """Rows to clips in a tree, with their documents, previews and embeddings.

    Args:
      rules: what is written.
      cut_rules: how clips are cut.
      logs_recordings: log each recording.
    """

    kind = EXPORT
    rows = replace(CLIPS, files_of=files_of_row, columns_of=None)

    def __init__(self, rules: ExportRules, cut_rules: CutRules, *, logs_recordings: bool = False) -> None:
        keys = EntryKeys(audio=cut_rules.audio_filepath_key, kept=inherited_keys(rules), own=own_keys(rules))
        super().__init__(cut_rules, keys)
        self._export = replace(rules, input_path=input_prefix(rules.input_path))
        self._logs = logs_recordings
        self.n_uploads = rules.max_workers

    def open(self) -> None:
        self._embeddings = EmbeddingFile(self._export.embeddings)

    def close(self) -> None:
        self._embeddings.close()

    def claim(self, asked: Pack) -> Iterator[tuple[str, str]]:
        recording = asked.recording
        # one that has no path will fail, and claims nothing
        with suppress(EntryError):
            yield claim_key(relative_path(recording, self._export.input_path)), recording

    def collisions(self, claims: Iterable[str]) -> set[str]:
        recordings = set(claims)
        return recordings if len(recordings) > 1 else set()

    def check(self, task: AskedClips) -> None:
        self._relative(task)

    def work(self, task: AskedClips, reader: AudioReader) -> Iterator[Event]:
        recording = task.unpacked()
        n_clips = 0
        work = _RecordingExport(recording, self._relative(task), reader, self._export, self._rules, self._embeddings)
        for event in work.events():
            n_clips += isinstance(event, Made)
            yield event
        if self._logs:
            _LOG.info("%s: %d of %d clips", recording.name, n_clips, len(recording.requests))

    def failed(self, task: AskedClips, error: EntryError) -> Iterator[Event]:
        recording = task.unpacked()
        for number, (position, request) in enumerate(sorted(recording.requests, key=place_of)):
            yield Missed(failure=failure_of(error, recording, position, request), order=(number,))

    def _relative(self, task: AskedClips) -> str:
        return relative_path(task.recording, self._export.input_path, distinct=task.marked)


class _RecordingExport:
    """Makes the clips of one open recording chunk by chunk, and its documents."""

    def __init__(
        self,
        recording: Recording,
        relative: str,
        reader: AudioReader,
        rules: ExportRules,
        cut_rules: CutRules,
        embeddings: EmbeddingFile,
    ) -> None:
        self._recording = recording
        self._relative = relative
        self._reader = reader
        self._rules = rules
        self._cut_rules = cut_rules
        self._embeddings = embeddings
        self._n_dimensions: int | None = None
        self._clips = ClipExport(reader=reader, relative=relative, rules=rules, cut_rules=cut_rules)
        self._numbers = count()
        _, first = min(recording.requests, key=place_of)
        self._audio = first.fields["original_file"]

    def events(self) -> Iterator[Event]:
        """Yield everything that comes of the recording."""
        plan = plan_export(self._recording, self._reader.info, self._cut_rules, self._rules)
        for position, request, err in plan.failed:
            yield self._missed(err, position, request)
        yield Noticed(counts={"dropped": plan.n_repeated, "dropped.duplicate": plan.n_repeated})
        n_clips = 0
        for number, chunk in chunks_of(plan.clips, self._rules.clips_per_chunk):
            done: list[ExportedClip] = []
            yield from self._chunk(number, chunk, done)
            n_clips += len(done)
            seconds = sum(clip.duration for clip in done)
            yield Noticed(progress={"progress.clips": len(done), "progress.audio_us": round(seconds * 1e6)})
        yield self._recording_document(n_clips, n_chunks(len(plan.clips), self._rules.clips_per_chunk))

    def _missed(self, err: EntryError, position: Position, request: ClipRequest, *names: str) -> Missed:
        failure = failure_of(err, self._recording, position, request)
        return Missed(failure=failure, order=(next(self._numbers),), names=names)

    def _chunk(self, number: int, chunk: Sequence[PlannedClip], done: list[ExportedClip]) -> Iterator[Event]:
        """Yield one chunk, and add its clips' entries in its document."""
        vectors: dict[str, Embedding] = {}
        for plan, vector in zip(chunk, self._vectors(chunk), strict=True):
            try:
                usable = self._checked(vector, plan)
                made, document = self._clips.make(plan, usable, self._recording.sources[plan.position[0]])
            except EntryError as err:
                yield self._missed(err, plan.position, plan.request, *self._clips.names(plan))
                continue
            yield replace(made, order=(next(self._numbers),))
            done.append(document)
            if usable is not None:
                vectors[plan.span_uuid] = usable
        yield from self._chunk_files(number, done, vectors)

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
        found = self._embeddings.find([chunk[index].span_uuid for index in wanted])
        for index, vector in zip(wanted, found, strict=True):
            vectors[index] = vector
        return vectors

    def _checked(self, vector: Embedding | EntryError | None, plan: PlannedClip) -> Embedding | None:
        """Return an embedding of the same length as those of the recording's other clips.

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

    def _chunk_files(self, number: int, done: Sequence[ExportedClip], vectors: dict[str, Embedding]) -> Iterator[Event]:
        meta = ChunkMeta(
            audio=self._audio,
            clip_chunk_index=number,
            clips=tuple(done),
            transcript_models=self._rules.caption_models if self._rules.generate_captions else (),
        )
        yield _described(tree.chunk_document(self._relative, number), render_chunk_meta(meta), DOCUMENT)
        name = tree.chunk_embeddings_file(self._recording.name, number, self._rules.embedding_algorithm)
        if vectors and not self._rules.dry_run:
            data = parquet_bytes(list(vectors), list(vectors.values()))
            yield _described(name, data, EMBEDDINGS, len(vectors))
        elif self._rules.generate_embeddings:
            yield Noticed(names=(name,))

    def _recording_document(self, n_clips: int, n_clip_chunks: int) -> Described:
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
        return _described(tree.recording_document(self._relative), render_recording_meta(meta), DOCUMENT)


def _described(name: str, data: bytes, kind: str, n_rows: int = 0) -> Described:
    return Described(file=MadeFile(name=name, body=in_memory(data)), kind=kind, n_rows=n_rows)


def export_config(
    rules: ExportRules, cut_rules: CutRules, reading: InputOptions, output: RowOutputOptions, n_shards: int
) -> Config:
    """Return the settings that decide the rows of an export, as its manifest records them."""
    export = config_of(replace(rules, input_path=input_prefix(rules.input_path)))
    decides = {name: value for name, value in export.items() if name not in _DOES_NOT_DECIDE}
    return {
        "export": decides,
        "clips": config_of(cut_rules),
        "input": config_of(reading),
        "output": output_config(output, n_shards, "row_format", "shards"),
    }


def embeddings_beside(rules: ExportRules) -> tuple[str, ...]:
    """Return the file of embeddings, which decides the rows as the inputs do, if it is used."""
    path = rules.embeddings
    return (path,) if path is not None and rules.generate_embeddings else ()


def input_prefix(path: str) -> str:
    """Return an input path as the names of recordings begin with it: as those, taken from their manifests' folders.

    Example:
      >>> input_prefix("./talks/"), input_prefix("."), input_prefix("gs://bucket/talks/")
      ('talks', '', 'gs://bucket/talks/')
    """
    path = storage.plain_path(path)
    if not path or "://" in path:
        return path
    normal = os.path.normpath(path)
    return "" if normal == "." else normal
