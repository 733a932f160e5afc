"""Planning clips: blocks of raw rows to small packs of requests, one for each recording of a block."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.clips.packs import Pack, pack
from beam_curator.failures import Failure
from beam_curator.files.clip_planning import INTERVAL_STAGE, ROW_STAGE, plan_clips
from beam_curator.sets.blocks import FailureBlock, LineBlock
from beam_curator.sets.counting import Count
from beam_curator.transforms.metrics import collector_paused, timed


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
        self._keys = EntryKeys(audio=rules.audio_filepath_key, kept=tuple(kept_keys), own=tuple(own_keys))

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
