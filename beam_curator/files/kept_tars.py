"""Tars of a set that is updated: clips that stay are copied into the new tars, and whole tars are linked."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, cast

from beam_curator.entries.json_lines import parse_object
from beam_curator.files import storage
from beam_curator.files.clip_files import EncodedClip
from beam_curator.files.kept_parts import Taken, find_outcome, kept_parts, link
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import PartWriter
from beam_curator.recordings.tar_members import MemberFile, find_member, read_index, split_locator
from beam_curator.sets.output_set import MANIFEST_NAME, FileRecord, Manifest
from beam_curator.sets.recording_jobs import Task


class KeptClip(NamedTuple):
    """A clip in a tar of another set: its name there, its bytes, and its row."""

    name: str
    clip: EncodedClip
    row: bytes


class KeptTars:
    """The tars of a set that is updated.

    A clip stays in the tar of its number: their number is an option, which decides the rows.

    Args:
      directory: of the set.
    """

    def __init__(self, directory: str) -> None:
        self._kept = kept_parts(directory)
        manifest = Manifest.from_json(storage.read_bytes(storage.join(directory, MANIFEST_NAME)) or b"")
        self._records = {record.name: record for record in manifest.files}

    def find(self, name: str, tasks: Sequence[Task], writers: Sequence[PartWriter]) -> dict[int, Taken]:
        """Return the outcomes that stay of the recordings of a tar, by their numbers; none where it is damaged."""
        found = (find_outcome(self._kept, writer, task) for writer, task in zip(writers, tasks, strict=True))
        taken = {number: outcome for number, outcome in enumerate(found) if outcome is not None}
        record = self._records.get(name)
        if not taken or record is None or not storage.is_whole(self._kept.directory, record):
            return {}
        return {n: one for n, one in taken.items() if all(split_locator(file)[0] == name for file, _ in one.files)}

    def link(self, name: str, target: OutputTarget, taken: Collection[Taken], *, holds_rows: bool) -> FileRecord | None:
        """Link a tar in which nothing changes into another set; return its record, None where something does.

        Args:
          name: of the tar.
          target: the other set.
          taken: the outcomes of all recordings of the tar.
          holds_rows: the rows are members, too.
        """
        record = self._records.get(name)
        if record is None or record.n_rows != sum(len(one.rows) for one in taken):
            return None
        if holds_rows and any(one.has_moved for one in taken):
            return None
        storage.delete(target.directory, [name])  # an earlier attempt may have left another one
        return record if link(self._kept.directory, target, name, record.n_bytes) else None

    @contextmanager
    def opened(self, name: str, taken: Mapping[int, Taken]) -> Iterator[list[KeptClip]]:
        """Yield the clips of outcomes, which are read from the tar while it is open."""
        if not taken:
            yield []
            return
        with storage.open_raw(storage.join(self._kept.directory, name)) as stream:
            index = read_index(stream)
            clips = []
            for line in (line for one in taken.values() for line in one.rows):
                row: dict[str, Any] = parse_object(line)
                member = split_locator(row["extracted_path"])[1] or ""
                span = find_member(index, member)
                body = cast(BinaryIO, MemberFile(stream, span.offset, span.size))
                clip = EncodedClip(body=body, n_bytes=span.size, sha256=row["sha256"], n_samples=row["n_samples"])
                clips.append(KeptClip(member, clip, line))
            yield clips
