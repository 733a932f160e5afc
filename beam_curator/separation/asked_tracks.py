"""Rows with turns, and the tasks that they make: a recording with its turns, and all rows that hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from beam_curator.entries.json_lines import encode
from beam_curator.recordings.recording_ids import different_ids
from beam_curator.separation.speaker_turns import SpeakerTurn
from beam_curator.sets.packed_rows import PackedRow
from beam_curator.sets.recording_jobs import RowsTask


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsRow(PackedRow):
    """One row that names a recording and says who speaks when in it; it crosses a shuffle.

    Attributes:
      wanted_id: that its recording would like to go by.
      turns_hash: of its turns; rows with the same turns of the same recording share their tracks.
      n_speakers: who have at least one turn.
      n_bad: turns without usable times.
    """

    wanted_id: str
    turns_hash: str
    n_speakers: int
    n_bad: int = 0


def hash_of(turns: Iterable[SpeakerTurn]) -> str:
    """Return a hash of turns that does not depend on their order."""
    listed = sorted(
        (
            float(turn.start) + 0.0,
            float(turn.end) + 0.0,
            turn.speaker,
            *(() if turn.channel is None else (turn.channel,)),
        )
        for turn in turns  # -0.0 is 0
    )
    return hashlib.blake2b(encode(listed), digest_size=16).hexdigest()


def tasks_of(asked: Iterable[TurnsRow]) -> Iterator[RowsTask[TurnsRow]]:
    """Give recordings that could share an id their ids, and yield each with the rows that hold its turns."""
    rows = sorted(asked, key=lambda row: row.position)
    hashes: dict[str, set[str]] = {}
    for row in rows:
        hashes.setdefault(row.recording, set()).add(row.turns_hash)
    by_identity: dict[str, list[TurnsRow]] = {}
    for row in rows:
        several = len(hashes[row.recording]) > 1
        identity = f"{row.recording}#{row.turns_hash}" if several else row.recording
        by_identity.setdefault(identity, []).append(row)
    ids = different_ids({identity: min(row.wanted_id for row in asking) for identity, asking in by_identity.items()})
    for identity, asking in sorted(by_identity.items()):
        yield RowsTask(recording_id=ids[identity], identity=identity, rows=tuple(asking))
