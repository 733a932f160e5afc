"""Packs: the requests of one block for one recording, small enough to cross a shuffle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from beam_curator.clips.naming import NameClaim, claim_of, sort_requests
from beam_curator.clips.records import ClipRequest
from beam_curator.entries.json_lines import encode
from beam_curator.recordings.safe_names import stem_with_mark
from beam_curator.sets.blocks import BlockRef
from beam_curator.sets.packed_rows import compressed, decompressed

Position = tuple[int, int, int]
"""Where a row stands among all: ordinal and part of its block, and its byte offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """The requests of one block for one recording: small, since it crosses a shuffle.

    Attributes:
      source: the manifest.
      position: of the first row.
      n_blocks: number of blocks of the job.
      claim: the file names that the clips would take.
      packed: offsets and requests, compressed.
    """

    source: str
    position: Position
    n_blocks: int
    claim: NameClaim
    packed: bytes


def pack(ref: BlockRef, part: int, recording: str, requests: Sequence[tuple[int, ClipRequest]]) -> Pack:
    """Pack the requests of one block for one recording, each with the byte offset of its row."""
    rows = [(offset, r.combo, r.index, r.start, r.end, r.unit, r.fields) for offset, r in requests]
    return Pack(
        source=ref.source,
        position=(ref.ordinal, part, requests[0][0]),
        n_blocks=ref.n_blocks,
        claim=claim_of(recording, [request for _, request in requests]),
        packed=compressed(encode(rows)),
    )


def unpack(packs: Iterable[Pack]) -> list[tuple[Position, ClipRequest]]:
    """Return the requests of packs, each with the place of its row, in the order of rows."""
    placed = []
    for item in sorted(packs, key=_position):
        ordinal, part, _ = item.position
        rows = msgspec.json.decode(decompressed(item.packed))
        for offset, combo, index, start, end, unit, fields in rows:
            request = ClipRequest(fields=fields, combo=combo, index=index, start=start, end=end, unit=unit)
            placed.append(((ordinal, part, offset), request))
    return placed


def _position(item: Pack) -> Position:
    return item.position


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Everything that is asked of one recording.

    Attributes:
      name: path, as it is opened.
      stem: what the names of its clips begin with.
      position: of its first row.
      n_blocks: number of blocks of the job.
      requests: in the order of their numbers, with the places of their rows.
      sources: ordinal of a block to its manifest.
    """

    name: str
    stem: str
    position: Position
    n_blocks: int
    requests: tuple[tuple[Position, ClipRequest], ...]
    sources: dict[int, str]


def recording_from(name: str, packs: Iterable[Pack], *, marked: bool) -> Recording:
    """Put the packs of one recording together, in the order in which its clips are numbered."""
    packs = list(packs)
    stem = packs[0].claim.stem
    return Recording(
        name=name,
        stem=stem_with_mark(stem, name) if marked else stem,
        position=min(item.position for item in packs),
        n_blocks=packs[0].n_blocks,
        requests=tuple(sort_requests(unpack(packs))),
        sources={item.position[0]: item.source for item in packs},
    )
