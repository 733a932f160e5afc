"""Filtering overlaps: within each row, or among all rows of one recording."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.collector import collector_paused
from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.manifest_files import read_rows
from beam_curator.intervals import Seconds
from beam_curator.sets.blocks import BlockRef, LineBlock
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.metrics import timed
from beam_curator.transforms.windows.training_windows import build_block
from beam_curator.windows.entry_blocks import EntryBlock, PlannedEntry, audio_file_of
from beam_curator.windows.line_windows import choose_in_row
from beam_curator.windows.overlap import OverlapRules, survivors
from beam_curator.windows.rendering import OverlapChoice
from beam_curator.windows.row_limit import RowLimit
from beam_curator.windows.window_rules import WindowRules

RowId = tuple[str, int, int]
"""(source, occurrence, offset): rows compete in this order, so of equal windows the first stays."""
RowSpans = tuple[RowId, int, tuple[Seconds, ...], tuple[Seconds, ...]]
"""A row's id, its block's ordinal, and the starts and ends of its windows in seconds."""
Choices = tuple[int, tuple[int, tuple[int, ...]]]
"""A block's ordinal, and for one of its rows the offset and the positions of the windows that stay."""


class FilterOverlaps(beam.PTransform[PCollection[EntryBlock], PCollection[EntryBlock]]):
    """Decide which windows stay.

    Args:
      rules: how much audio two windows may share, and which compete: those of each entry, as in the reference, or
        those of all entries of one recording. For the latter only times are grouped (GroupByKey on the audio file);
        the rows are then read again by offset.
      reading: as given to `ReadManifests`; needed for the second reading.
    """

    def __init__(self, rules: OverlapRules, *, reading: InputOptions = InputOptions()) -> None:
        super().__init__()
        self._rules = rules
        self._reading = reading

    def expand(self, blocks: PCollection[EntryBlock]) -> PCollection[EntryBlock]:
        if self._rules.scope == "row":
            return blocks | "Choose in row" >> beam.Map(_choose_in_rows, self._rules)
        choices = (
            blocks
            | "Take spans"
            >> beam.FlatMap(spans_by_audio_file, self._reading.audio_root).with_output_types(tuple[str, RowSpans])
            | "Group by audio file" >> beam.GroupByKey()
            | "Choose in file" >> beam.FlatMap(choose_in_file, self._rules).with_output_types(Choices)
        )
        refs = blocks | "Take refs" >> beam.Map(_ref_and_rules).with_output_types(
            tuple[int, tuple[BlockRef, WindowRules, RowLimit]]
        )
        return (
            {"refs": refs, "choices": choices}
            | "Group by block" >> beam.CoGroupByKey()
            | "Read again" >> beam.FlatMap(read_again, self._rules, self._reading)
        )


def _choose_in_rows(block: EntryBlock, rules: OverlapRules) -> EntryBlock:
    with timed("overlap"), collector_paused():
        chosen = tuple(_chosen(row, choose_in_row(row.plan, rules)) for row in block.rows)
    return replace(block, rows=chosen)


def _chosen(row: PlannedEntry, choice: OverlapChoice) -> PlannedEntry:
    return PlannedEntry(offset=row.offset, entry=row.entry, plan=row.plan, choice=choice)


def spans_by_audio_file(block: EntryBlock, audio_root: str = "") -> Iterator[tuple[str, RowSpans]]:
    """Yield the times of each row's windows under its recording; rows without a path take no part."""
    ref = block.ref
    for row in block.rows:
        key = audio_file_of(row.entry, ref.source, audio_root)
        if key is not None and row.plan.firsts:
            row_id = (ref.source, ref.occurrence, row.offset)
            yield key, (row_id, ref.ordinal, tuple(row.plan.starts), tuple(row.plan.ends))


def choose_in_file(group: tuple[str, Iterable[RowSpans]], rules: OverlapRules) -> Iterator[Choices]:
    """Let all windows of one recording compete; yield for each row the windows that stay, sorted by time."""
    # groups come in any order; sorted by row id, equal windows are decided alike on every engine
    rows = sorted(group[1])
    owners = [(number, position) for number, row in enumerate(rows) for position in range(len(row[2]))]
    spans = [span for row in rows for span in zip(row[2], row[3], strict=True)]
    kept: dict[int, list[int]] = {}
    for index in survivors(spans, rules):
        number, position = owners[index]
        kept.setdefault(number, []).append(position)
    # also rows without survivors: a row without a choice would mean that its file has changed
    for number, (row_id, ordinal, _, _) in enumerate(rows):
        yield ordinal, (row_id[2], tuple(kept.get(number, ())))


def _ref_and_rules(block: EntryBlock) -> tuple[int, tuple[BlockRef, WindowRules, RowLimit]]:
    return block.ref.ordinal, (block.ref, block.rules, block.limit)


def read_again(
    group: tuple[int, dict[str, Iterable[Any]]], overlap: OverlapRules, reading: InputOptions
) -> Iterator[EntryBlock]:
    """Read and plan a block once more, and attach the windows chosen for its rows."""
    (ref, rules, limit), *_ = group[1]["refs"]
    # only the times of windows were grouped: reading rows again costs less than shuffling them
    choices = dict(group[1]["choices"])
    for item in read_rows(ref, reading.max_line_bytes, AnnotationReading.for_windows(reading)):
        if isinstance(item, LineBlock):
            with timed("overlap"), collector_paused():
                # the first reading reported these failures already
                built, _failed_before = build_block(item, rules, limit)
                rows = tuple(_with_choice(row, ref.source, choices, overlap) for row in built.rows)
            if rows:
                yield replace(built, rows=rows)


def _with_choice(
    row: PlannedEntry, source: str, choices: dict[int, tuple[int, ...]], rules: OverlapRules
) -> PlannedEntry:
    kept = choices.get(row.offset)
    if kept is not None:
        return _chosen(row, OverlapChoice(survivors=kept, kept=sorted(kept)))
    # the first reading gave every such row a choice, if only an empty one
    if row.plan.firsts and audio_file_of(row.entry, source) is not None:
        raise RuntimeError(f"no choice for the row at byte {row.offset} of {source}: it changed while it was read")
    # without a recording to name, the windows of a row compete with each other alone
    return _chosen(row, choose_in_row(row.plan, rules))
