"""The composites that read like the product."""

import warnings
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.kept_blocks import BlockFact
from beam_curator.files.known_files import keeps
from beam_curator.files.manifest_files import paths_of
from beam_curator.files.output_target import OutputTarget, target_beside
from beam_curator.files.row_files import row_pieces
from beam_curator.sets.blocks import FailureBlock, LineBlock
from beam_curator.sets.counting import Count, count_failures, count_lines
from beam_curator.sets.output_set import Config
from beam_curator.sets.set_kinds import WINDOWS
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.jobs.job_sets import CommitJob, JobSet, Reading
from beam_curator.transforms.jobs.keeping import CountFacts, KeepBlocks, TakeBlocks, counts_of_fact, fact_of_file
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.jobs.writing import MergeShards, WriteFailures, write_block, write_letters
from beam_curator.transforms.metrics import CountBlocks
from beam_curator.transforms.windows.overlap import FilterOverlaps
from beam_curator.transforms.windows.training_windows import BuildTrainingWindows
from beam_curator.windows.entry_blocks import EntryBlock
from beam_curator.windows.rendering import Layout
from beam_curator.windows.row_limit import RowLimit
from beam_curator.windows.window_counts import count_kept, count_windows
from beam_curator.windows.window_options import (
    OverlapOptions,
    WindowInputOptions,
    WindowOutputOptions,
    names_source,
    why_none_are_kept,
    window_config,
)
from beam_curator.windows.window_rules import WindowRules


class ChosenWindows(NamedTuple):
    """The result of `ChooseWindows`: blocks of planned rows with their choice, failures, and counts as they arise.

    Failures and counts are left apart by stage: a Flatten would break the fusion, and hold them back to the end.
    Facts are for a set that keeps its blocks to be updated.
    """

    blocks: PCollection[EntryBlock]
    failures: tuple[PCollection[FailureBlock], ...]
    counts: tuple[PCollection[Count], ...]
    facts: tuple[PCollection[BlockFact], ...]


class ChooseWindows(beam.PTransform[PBegin, ChosenWindows]):
    """From manifests to training windows, each marked as kept or not; nothing is written.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      rules: the conditions for a window.
      overlap: which windows stay; by default nearest to the window target, at most half shared.
      reading: how the inputs are read; `WindowInputOptions` for recordings of RTTM that are elsewhere.
      output: layout of the rows to be made, which decides how large they become.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        rules: WindowRules = WindowRules(),
        overlap: OverlapOptions = OverlapOptions(),
        reading: InputOptions = WindowInputOptions(),
        output: WindowOutputOptions = WindowOutputOptions(),
    ) -> None:
        super().__init__()
        self.inputs = paths_of(inputs)
        self.output = output
        self.window_rules = rules
        self.overlap_rules = overlap.rules(rules)
        self.reading = reading
        self.keeper: OutputTarget | None = None
        """The target of a set that keeps its blocks; those of one that it updates are taken over."""

    def expand(self, begin: PBegin) -> "ChosenWindows":
        annotations = AnnotationReading.for_windows(self.reading)
        limit = RowLimit.of(self.output.layout, self.reading.max_line_bytes)
        blocks, unreadable = begin | "Read manifests" >> ReadManifests(
            self.inputs, reading=self.reading, annotations=annotations
        )
        asked: PCollection[LineBlock] = blocks
        taken: tuple[PCollection[BlockFact], ...] = ()
        if self.keeper is not None:
            asked, known = blocks | "Take blocks over" >> TakeBlocks(self.keeper, WINDOWS.rows)
            taken = (known,)
        windows, failed = asked | "Build training windows" >> BuildTrainingWindows(self.window_rules, limit)
        kept = windows | "Filter overlaps" >> FilterOverlaps(self.overlap_rules, reading=self.reading)
        facts = (
            *taken,
            failed | "Count failed" >> CountFacts(count_failures),
            windows | "Count windows" >> CountFacts(count_windows),
            kept | "Count kept" >> CountFacts(count_kept),
        )
        counts = (
            blocks | "Count rows read" >> CountBlocks(count_lines),
            unreadable | "Count unreadable" >> CountBlocks(count_failures),
            *(fact | f"Counts {number}" >> beam.FlatMap(counts_of_fact) for number, fact in enumerate(facts)),
        )
        return ChosenWindows(blocks=kept, failures=(unreadable, failed), counts=counts, facts=facts)


class BuildWindowSet(beam.PTransform[PBegin, JobSet]):
    """From manifests to a complete output set of training windows.

    Args:
      chosen: the inputs, and the rules for choosing windows; a plain list of inputs takes the default rules.
      target: where the set goes; a plain path will do.
      output: format and layout of the rows, and shards.

    Raises:
      ValueError: the target is no place for the set: empty, a file, or inside an input.

    Example:
      >>> import tempfile
      >>> with beam.Pipeline("FnApiRunner") as pipeline:
      ...     curated = pipeline | BuildWindowSet(["examples/talks.jsonl"], tempfile.mkdtemp())
      ...     _ = curated.committed | beam.Map(lambda counts: print(counts["overlap.windows"], "windows kept"))
      7 windows kept
    """

    def __init__(
        self,
        chosen: ChooseWindows | Sequence[str],
        target: OutputTarget | str,
        *,
        output: WindowOutputOptions = WindowOutputOptions(),
    ) -> None:
        super().__init__()
        self._choose = copy(chosen) if isinstance(chosen, ChooseWindows) else ChooseWindows(chosen)
        self._choose.output = output
        self._target = target_beside(self._choose.inputs, target, WINDOWS, output.shards)
        self._output = output
        why_none = why_none_are_kept(self._choose.overlap_rules.scope, output)
        self._choose.keeper = self._target if keeps(self._target) and why_none is None else None

    def config(self) -> Config:
        """Return the settings that determine the rows, as the manifest records them."""
        choose = self._choose
        return window_config(
            choose.window_rules, choose.overlap_rules, choose.reading, self._output, self._target.n_shards
        )

    def expand(self, begin: PBegin) -> "JobSet":
        chosen = begin | "Choose windows" >> self._choose
        unreadable, failed = chosen.failures
        files = (
            chosen.blocks | "Write training windows" >> beam.Map(write_block, self._target, self._output),
            failed | "Write failed" >> beam.Map(write_letters, self._target),
        ) | "Files of blocks" >> beam.Flatten()
        if self._choose.keeper is not None:
            facts = (*chosen.facts, files | "Facts of files" >> beam.Map(fact_of_file).with_output_types(BlockFact))
            keep = KeepBlocks(self._target, WINDOWS.rows, is_named=names_source(self._output))
            files = facts | "All facts" >> beam.Flatten() | "Keep blocks" >> keep
        merged = files | "Merge shards" >> MergeShards(self._target)
        letters = unreadable | "Write unreadable" >> WriteFailures(self._target)
        reading = Reading(inputs=self._choose.inputs, options=self._choose.reading)
        return begin | "Commit output set" >> CommitJob(
            self._target, WINDOWS, self.config(), files=(merged, letters), counts=chosen.counts, reading=reading
        )


class CurateWindows(BuildWindowSet):
    """`BuildWindowSet` under its former name, which goes with the next release."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        warnings.warn("CurateWindows is now called BuildWindowSet", DeprecationWarning, stacklevel=2)
        super().__init__(*arguments, **options)


class SingleRow(NamedTuple):
    """One row on its own: where it came from, and its JSON text."""

    source: str
    offset: int
    row: str


class ExplodeBlocks(beam.PTransform[PCollection[LineBlock | EntryBlock | FailureBlock], PCollection[SingleRow]]):
    """Turn blocks into single rows, for people who want them one by one.

    Blocks of raw rows give the lines as they are; blocks after `FilterOverlaps` give result rows.

    Args:
      output: the layout of result rows; its options for files have no effect here.
    """

    def __init__(self, output: WindowOutputOptions = WindowOutputOptions()) -> None:
        super().__init__()
        self._layout = output.layout

    def expand(self, blocks: PCollection[Any]) -> PCollection[SingleRow]:
        return blocks | "Explode" >> beam.FlatMap(explode, self._layout).with_output_types(SingleRow)


def explode(block: LineBlock | EntryBlock, layout: Layout) -> Iterator[SingleRow]:
    """Yield the rows of a block."""
    if isinstance(block, LineBlock):
        for line in block.lines:
            yield SingleRow(block.ref.source, line.offset, line.raw.decode("utf-8", "replace"))
    else:
        for row in block.rows:
            text = b"".join(row_pieces(row, block.ref.source, block.rules, layout)).decode()
            yield SingleRow(block.ref.source, row.offset, text)
