"""Building training windows: blocks of raw rows to blocks of planned entries."""

from collections.abc import Iterator
from typing import Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.collector import collector_paused
from beam_curator.entries.entry import Entry
from beam_curator.failures import EntryError, Failure
from beam_curator.sets.blocks import FailureBlock, Line, LineBlock
from beam_curator.transforms.metrics import timed
from beam_curator.windows.block_planning import plan_block
from beam_curator.windows.entry_blocks import EntryBlock, PlannedEntry
from beam_curator.windows.row_limit import DEFAULT_LIMIT, RowLimit, check_row_size
from beam_curator.windows.training_windows import WindowPlan
from beam_curator.windows.window_rules import WindowRules

BLOCKS, FAILURES = "blocks", "failures"
STAGE = "build"


class BuildTrainingWindows(
    beam.PTransform[PCollection[LineBlock], tuple[PCollection[EntryBlock], PCollection[FailureBlock]]]
):
    """Parse the rows of each block and plan their training windows.

    Args:
      rules: the conditions for a window.
      limit: how large a row may become.

    Returns:
      Blocks of planned entries, and blocks of failures: rows that cannot be processed.
    """

    def __init__(self, rules: WindowRules, limit: RowLimit = DEFAULT_LIMIT) -> None:
        super().__init__()
        self._rules = rules
        self._limit = limit

    def expand(self, blocks: PCollection[LineBlock]) -> "tuple[PCollection[EntryBlock], PCollection[FailureBlock]]":
        built = blocks | "Build" >> beam.FlatMap(_build, self._rules, self._limit).with_outputs(FAILURES, main=BLOCKS)
        return built[BLOCKS], built[FAILURES]


def _build(
    block: LineBlock, rules: WindowRules, limit: RowLimit
) -> Iterator[EntryBlock | TaggedOutput[Literal["failures"], FailureBlock]]:
    with timed(STAGE), collector_paused():
        built, failures = build_block(block, rules, limit)
    if built.rows:
        yield built
    if failures:
        failed = FailureBlock(ref=block.ref, part=block.part, stage=STAGE, failures=tuple(failures))
        yield TaggedOutput("failures", failed)


def build_block(
    block: LineBlock, rules: WindowRules, limit: RowLimit = DEFAULT_LIMIT
) -> tuple[EntryBlock, list[Failure]]:
    """Parse and plan the rows of one block; those that cannot be processed become failures."""
    parsed: list[Entry | EntryError] = [_parse(line.raw, rules) for line in block.lines]
    plans = iter(plan_block([entry for entry in parsed if isinstance(entry, Entry)], rules))
    rows: list[PlannedEntry] = []
    failures: list[Failure] = []
    for line, entry in zip(block.lines, parsed, strict=True):
        plan = _checked(entry, next(plans), rules, limit, line) if isinstance(entry, Entry) else entry
        if isinstance(entry, Entry) and not isinstance(plan, EntryError):
            rows.append(PlannedEntry(offset=line.offset, entry=entry, plan=plan))
        elif isinstance(plan, EntryError):
            source = block.ref.source
            failures.append(Failure.from_error(plan, stage=STAGE, source=source, offset=line.offset, payload=line.raw))
    return EntryBlock(ref=block.ref, part=block.part, rules=rules, limit=limit, rows=tuple(rows)), failures


def _checked(
    entry: Entry, plan: WindowPlan | EntryError, rules: WindowRules, limit: RowLimit, line: Line
) -> WindowPlan | EntryError:
    try:
        if not isinstance(plan, EntryError):
            check_row_size(entry, plan, rules.drop_fields, limit, len(line.raw))
    except EntryError as err:
        return err
    return plan


def _parse(line: bytes, rules: WindowRules) -> Entry | EntryError:
    try:
        return Entry.from_json(line, strict=rules.strict)
    except EntryError as err:
        return err
