"""Planning clips: blocks of raw rows to small packs of requests, one for each recording of a block."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import apache_beam as beam
import msgspec
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.blocks import BlockRef, FailureBlock, Line, LineBlock
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.entries import EntryKeys
from beam_curator.clips.naming import NameClaim, claim_of
from beam_curator.clips.records import BadInterval, ClipRequest
from beam_curator.clips.requests import What, requests_of_row
from beam_curator.failures import EntryError, Failure
from beam_curator.json_lines import encode, parse_object
from beam_curator.tar_members import nemo_member
from beam_curator.transforms.clips.recordings import recording_of
from beam_curator.transforms.metrics import Count, collector_paused, timed
from beam_curator.transforms.packed_rows import compressed, decompressed

ROW_STAGE, INTERVAL_STAGE = "plan", "interval"

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


class PlannedClips(NamedTuple):
    """The result of `PlanClips`.

    Attributes:
      packs: requests by recording.
      failures: rows that cannot be understood, and pieces whose times cannot be.
      counts: rows and clips, as they arise.
    """

    packs: PCollection[tuple[str, Pack]]
    failures: tuple[PCollection[FailureBlock], ...]
    counts: PCollection[Count]


class PlanClips(beam.PTransform[PCollection[LineBlock], Any]):
    """Parse rows and tell which pieces of which recordings they ask for.

    Args:
      rules: what is cut.
      kept_keys: that clips of entries have from their piece or their entry, whatever they hold.
      own_keys: that they have from their piece only.
    """

    def __init__(self, rules: CutRules, kept_keys: Sequence[str] = (), own_keys: Sequence[str] = ()) -> None:
        super().__init__()
        self._rules = rules
        self._keys = EntryKeys(audio=rules.audio_key, kept=tuple(kept_keys), own=tuple(own_keys))

    def expand(self, blocks: PCollection[LineBlock]) -> "PlannedClips":
        planned = blocks | "Plan" >> beam.ParDo(_PlanFn(self._rules, self._keys)).with_outputs(
            "rows_failed", "intervals_failed", "counts", main="packs"
        )
        return PlannedClips(
            packs=planned["packs"],
            failures=(planned["rows_failed"], planned["intervals_failed"]),
            counts=planned["counts"],
        )


_RowsFailed = TaggedOutput[Literal["rows_failed"], FailureBlock]
_IntervalsFailed = TaggedOutput[Literal["intervals_failed"], FailureBlock]
_Counted = TaggedOutput[Literal["counts"], tuple[str, int]]


class _PlanFn(beam.DoFn):
    def __init__(self, rules: CutRules, keys: EntryKeys) -> None:
        self._rules = rules
        self._keys = keys

    def process(self, block: LineBlock) -> Iterator[tuple[str, Pack] | _RowsFailed | _IntervalsFailed | _Counted]:
        with timed("plan"), collector_paused():
            plan = plan_clips(block, self._rules, self._keys)
        for recording, requests in plan.requests.items():
            yield recording, pack(block.ref, block.part, recording, requests)
        if plan.rows_failed:
            yield _rows_failed(_block(block, ROW_STAGE, plan.rows_failed))
        if plan.intervals_failed:
            yield _intervals_failed(_block(block, INTERVAL_STAGE, plan.intervals_failed))
        yield from map(_counted, plan.counts())


def _rows_failed(block: FailureBlock) -> _RowsFailed:
    return TaggedOutput("rows_failed", block)


def _intervals_failed(block: FailureBlock) -> _IntervalsFailed:
    return TaggedOutput("intervals_failed", block)


def _counted(count: Count) -> _Counted:
    return TaggedOutput("counts", count)


def _block(block: LineBlock, stage: str, failures: list[Failure]) -> FailureBlock:
    return FailureBlock(ref=block.ref, part=block.part, stage=stage, failures=tuple(failures))


@dataclass(slots=True)
class BlockPlan:
    """The requests, failures and counts of the rows of one block.

    Attributes:
      requests: recording to byte offsets and requests.
      rows_failed: rows that cannot be understood.
      intervals_failed: pieces of other rows whose times cannot be.
      n_rows: rows that ask for at least one piece, possible or not.
      n_dropped: rows that ask for none.
    """

    requests: dict[str, list[tuple[int, ClipRequest]]]
    rows_failed: list[Failure]
    intervals_failed: list[Failure]
    n_rows: int = 0
    n_dropped: int = 0

    def counts(self) -> Iterator[Count]:
        """Yield the counts for the books."""
        n_good = sum(map(len, self.requests.values()))
        counted = {
            "plan.rows": self.n_rows,
            "plan.dropped": self.n_dropped,
            "plan.dropped.no_pieces": self.n_dropped,
            "plan.clips": n_good + len(self.intervals_failed),
            **_by_code(ROW_STAGE, self.rows_failed),
            **_by_code(INTERVAL_STAGE, self.intervals_failed),
        }
        yield from ((name, n) for name, n in counted.items() if n)


def _by_code(stage: str, failures: list[Failure]) -> dict[str, int]:
    counts = {f"{stage}.failures": len(failures)}
    for failure in failures:
        name = f"{stage}.failures.{failure.code}"
        counts[name] = counts.get(name, 0) + 1
    return counts


def plan_clips(block: LineBlock, rules: CutRules, keys: EntryKeys | None = None) -> BlockPlan:
    """Plan the clips that the rows of one block ask for; by default they have no keys that hold lists or objects."""
    keys = keys if keys is not None else EntryKeys(audio=rules.audio_key)
    plan = BlockPlan(requests={}, rows_failed=[], intervals_failed=[])
    for line in block.lines:
        try:
            _plan_row(plan, block.ref.source, line, rules, keys)
        except EntryError as err:
            failure = Failure.from_error(
                err, stage=ROW_STAGE, source=block.ref.source, offset=line.offset, payload=line.raw
            )
            plan.rows_failed.append(failure)
    return plan


def _plan_row(plan: BlockPlan, source: str, line: Line, rules: CutRules, keys: EntryKeys) -> None:
    row = parse_object(line.raw)
    member = nemo_member(source, row)
    items = requests_of_row(row, cast(What, rules.what), keys, member=member)
    plan.n_rows += bool(items)
    plan.n_dropped += not items
    for item in items:
        if isinstance(item, BadInterval):
            failure = Failure.from_error(
                item.error, stage=INTERVAL_STAGE, source=source, offset=line.offset, payload=encode(item.fields)
            )
            plan.intervals_failed.append(failure)
            continue
        recording = recording_of(item.fields["original_file"], source, rules.audio_root)
        plan.requests.setdefault(recording, []).append((line.offset, item))
