"""Packs: the requests of one block for one recording, small enough to cross a shuffle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from beam_curator.clips.naming import NameClaim, claims_of, number_names, sort_requests
from beam_curator.clips.records import ClipRequest
from beam_curator.entries.json_lines import encode
from beam_curator.recordings.recording_ids import stem_in_row
from beam_curator.recordings.safe_names import stem_with_mark
from beam_curator.sets.blocks import BlockRef, Position
from beam_curator.sets.packed_rows import compressed, decompressed
from beam_curator.sets.recording_jobs import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """The requests of one block for one recording: small, since it crosses a shuffle.

    Attributes:
      source: the manifest.
      position: of the first row.
      n_blocks: number of blocks of the job.
      recording: its path, resolved.
      claims: the file names that the clips would take.
      packed: offsets and requests, compressed.
    """

    source: str
    position: Position
    n_blocks: int
    recording: str
    claims: tuple[NameClaim, ...]
    packed: bytes


def pack(ref: BlockRef, part: int, recording: str, requests: Sequence[tuple[int, ClipRequest]]) -> Pack:
    """Pack the requests of one block for one recording, each with the byte offset of its row."""
    rows = [(offset, r.combo, r.index, r.start, r.end, r.unit, r.channel, r.fields) for offset, r in requests]
    return Pack(
        source=ref.source,
        position=(ref.ordinal, part, requests[0][0]),
        n_blocks=ref.n_blocks,
        recording=recording,
        claims=claims_of(recording, [request for _, request in requests]),
        packed=compressed(encode(rows)),
    )


def unpack(packs: Iterable[Pack]) -> list[tuple[Position, ClipRequest]]:
    """Return the requests of packs, each with the place of its row, in the order of rows."""
    placed = []
    for item in sorted(packs, key=lambda item: item.position):
        ordinal, part, _ = item.position
        rows = msgspec.json.decode(decompressed(item.packed))
        for offset, combo, index, start, end, unit, channel, fields in rows:
            request = ClipRequest(
                fields=fields, combo=combo, index=index, start=start, end=end, unit=unit, channel=channel
            )
            placed.append(((ordinal, part, offset), request))
    return placed


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedClips:
    """The clips that are asked of one recording, still packed: this may cross a shuffle.

    Attributes:
      recording: the path to open.
      packs: of the blocks that ask for it.
      marked: names of its clips need a mark, since another recording's would be the same.
    """

    recording: str
    packs: tuple[Pack, ...]
    marked: bool

    @property
    def name(self) -> str:
        """A text that no other task has."""
        return self.recording

    @property
    def position(self) -> Position:
        """Where its first row stands."""
        return min(item.position for item in self.packs)

    @property
    def n_blocks(self) -> int:
        """Number of blocks of the job."""
        return self.packs[0].n_blocks

    def requests(self) -> Iterator[Request]:
        """Yield the requests in the order of their numbers, each with the beginning of its clip's name."""
        recording = self.unpacked()
        for position, asked in recording.requests:
            stem = recording.stem(asked)
            text = encode([stem, asked.combo, asked.index, asked.start, asked.end, asked.unit, asked.fields])
            yield Request(text, recording.sources[position[0]], position[2])

    def unpacked(self) -> Recording:
        """Return the requests, in the order in which clips are numbered."""
        return Recording(
            name=self.recording,
            marked=self.marked,
            requests=tuple(sort_requests(unpack(self.packs))),
            sources={item.position[0]: item.source for item in self.packs},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All clips requested from one recording.

    Attributes:
      name: the path to open.
      marked: names of its clips need a mark, since another recording's would be the same.
      requests: in the order of their numbers, with the places of their rows.
      sources: the manifest of each block, by the block's ordinal.
    """

    name: str
    marked: bool
    requests: tuple[tuple[Position, ClipRequest], ...]
    sources: dict[int, str]

    def stem(self, request: ClipRequest) -> str:
        """Return the beginning of the name of a request's clip."""
        stem = stem_in_row(request.fields, self.name)
        return stem_with_mark(stem, self.name) if self.marked else stem

    def clip_names(self, audio_format: str) -> list[str]:
        """Return the file names of the clips, in the order of the requests."""
        return number_names(((self.stem(request), request) for _, request in self.requests), audio_format)
