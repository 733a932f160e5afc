"""The outcome of one recording: its rows, dead letters and documents, and how an earlier attempt is recognized."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from beam_curator.clips.packs import Recording
from beam_curator.entries.json_lines import encode
from beam_curator.export.export_rows import files_of_row
from beam_curator.failures import Failure
from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.clip_rows import CLIPS
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartWriter
from beam_curator.sets.output_set import FileRecord, WrittenFile, part_name

DOCUMENT, EMBEDDINGS = "document", "embeddings"
"""Kinds of files of the tree that the manifest lists by themselves."""

_EXPORTED = replace(CLIPS, files_of=files_of_row, columns_of=None)


class ExportedRecording(NamedTuple):
    """The outcome of one recording: files of its rows, counts, and the files of the tree that describe it."""

    part: Part
    documents: tuple[FileRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The facts about a finished recording that its rows do not hold.

    Attributes:
      n_requests: clips that were asked for.
      n_rows: clips that there are.
      counts: for the books, besides those that follow from the rows.
      documents: files that describe the recording.
    """

    n_requests: int
    n_rows: int
    counts: dict[str, int]
    documents: tuple[FileRecord, ...]


class ExportWriter:
    """Collects the rows, dead letters, counts and documents of one recording.

    The hidden file of rows is put in place last: once it is there, everything else is.

    Args:
      target: of the job.
      recording: the recording and its requests.
    """

    def __init__(self, target: OutputTarget, recording: Recording) -> None:
        self._target = target
        self._n_requests = len(recording.requests)
        self._parts = PartWriter(_EXPORTED, target, recording.name, recording.position, recording.n_blocks)
        self._name = part_name(f"journal-{self._parts.key}.json")
        self._counts: Counter[str] = Counter()
        self._documents: list[FileRecord] = []
        self._n_rows = 0

    def add_row(self, row: dict[str, Any]) -> None:
        """Add the row of a clip."""
        self._parts.add_row(row)
        self._n_rows += 1

    def add_failure(self, failure: Failure) -> None:
        """Add a dead letter."""
        self._parts.add_failure(failure)

    def count(self, name: str, n: int = 1) -> None:
        """Count something else for the books."""
        self._counts[name] += n

    def add_document(self, file: WrittenFile, kind: str, n_rows: int = 0) -> None:
        """Add a file of the tree that describes the recording or a chunk of it."""
        self._documents.append(
            FileRecord(name=file.name, n_bytes=file.n_bytes, sha256=file.sha256, n_rows=n_rows, kind=kind)
        )

    def write(self) -> ExportedRecording:
        """Put the hidden files in place."""
        journal = Journal(
            n_requests=self._n_requests,
            n_rows=self._n_rows,
            counts=dict(self._counts),
            documents=tuple(self._documents),
        )
        if self._target.token is None:
            storage.make_directory(self._target.directory)
        with AtomicFile(self._target.directory, self._name, self._target.check, sync=False) as file:
            file.write_pieces([encode(journal)])
        return _with_journal(self._parts.write(), journal)

    def kept(self) -> ExportedRecording | None:
        """Return the outcome of an earlier attempt, if it is whole: its clips with the files that describe them."""
        journal = self._journal()
        if journal is None or journal.n_requests != self._n_requests or not self._are_whole(journal.documents):
            return None
        part = self._parts.kept(journal.n_rows)
        return _with_journal(part, journal) if part is not None else None

    def _journal(self) -> Journal | None:
        if not self._target.resume:
            return None
        text = storage.read_bytes(storage.join(self._target.directory, self._name))
        try:
            return msgspec.json.decode(text, type=Journal) if text is not None else None
        except msgspec.MsgspecError:
            return None

    def _are_whole(self, documents: Sequence[FileRecord]) -> bool:
        return all(storage.is_whole(self._target.directory, file) for file in documents)


def _with_journal(part: Part, journal: Journal) -> ExportedRecording:
    counts = (*part.counts, *sorted(journal.counts.items()))
    return ExportedRecording(replace(part, counts=counts), journal.documents)
