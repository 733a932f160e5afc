"""Rows that ask for a recording or a piece of one, and the tasks that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from beam_curator.intervals import Seconds
from beam_curator.recordings.recording_ids import identity_of, ids_of
from beam_curator.recordings.safe_names import folded, safe_stem
from beam_curator.sets.packed_rows import PackedRow
from beam_curator.sets.recording_jobs import RowsTask


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRow(PackedRow):
    """One row that asks for a recording; small, since it crosses a shuffle.

    Attributes:
      name: that the id of the recording is made of.
      start: where its piece begins, seconds.
      end: where it ends, seconds; None for the end of the recording.
      channel: to hear, from 0; None where the row names none.
    """

    name: str
    start: Seconds
    end: Seconds | None
    channel: int | None = None

    @property
    def identity(self) -> str:
        """A key that distinguishes the recording, or the piece of one, from all others."""
        return identity_of(self.recording, self.start, self.end, self.channel)


def key_of(row: AskedRow) -> str:
    """Return a key that a row shares with those whose files would meet its own in a file system that ignores case."""
    return folded(safe_stem(row.name))


def tasks_of(asked: Iterable[AskedRow]) -> Iterator[RowsTask[AskedRow]]:
    """Give the recordings that share a name their ids, and yield each with the rows that ask for it."""
    rows = sorted(asked, key=lambda row: row.position)
    by_identity: dict[str, list[AskedRow]] = {}
    for row in rows:
        by_identity.setdefault(row.identity, []).append(row)
    ids = ids_of(min(row.name for row in rows), by_identity)
    for identity, asking in sorted(by_identity.items()):
        yield RowsTask(recording_id=ids[identity], identity=identity, rows=tuple(asking))
