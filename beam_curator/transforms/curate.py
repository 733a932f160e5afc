"""The composites that read like the product."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import apache_beam as beam

from beam_curator.blocks import EntryBlock, LineBlock
from beam_curator.counting import count_failures, count_kept, count_lines, count_windows
from beam_curator.output_set import Config, FileRecord
from beam_curator.overlap import OverlapRules
from beam_curator.training_windows import WindowRules
from beam_curator.transforms.manifests import MAX_LINE_BYTES, HashInputs, ReadManifests
from beam_curator.transforms.metrics import Count, CountBlocks
from beam_curator.transforms.output_set import CommitOutputSet, OutputTarget, WriteFailures, WriteTrainingWindows
from beam_curator.transforms.overlap import FilterOverlaps, OverlapScope
from beam_curator.transforms.row_files import RowForm, row_pieces
from beam_curator.transforms.training_windows import BuildTrainingWindows

COMMAND = "windows"


class CuratedWindows(NamedTuple):
    """What `CurateWindows` returns: records of the files, counts as they arise, and the summed counts once committed."""

    files: beam.PCollection[FileRecord]
    counts: beam.PCollection[Count]
    committed: beam.PCollection[dict[str, int]]


class CurateWindows(beam.PTransform[beam.pvalue.PBegin, CuratedWindows]):
    """From manifests to a complete output set of training windows.

    Args:
      inputs: files, globs, directory trees or output sets, local or in an object store.
      target: where the set goes; a plain path will do.
      window_rules: what makes a window.
      overlap_rules: which windows stay; by default nearest to the window target, at most half shared.
      overlap_scope: "row" or "audio_file".
      form: file format and layout of the rows.
      max_line_bytes: longer lines become failures.
      keep_duplicates: read a file that is listed twice twice.

    Example:
      >>> with beam.Pipeline("FnApiRunner") as pipeline:  # doctest: +SKIP
      ...     pipeline | CurateWindows(["talks.jsonl"], "windows_output")
    """

    def __init__(
        self,
        inputs: Sequence[str],
        target: OutputTarget | str,
        *,
        window_rules: WindowRules | None = None,
        overlap_rules: OverlapRules | None = None,
        overlap_scope: OverlapScope = "row",
        form: RowForm | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
        keep_duplicates: bool = False,
    ) -> None:
        super().__init__()
        self._inputs = tuple(inputs)
        self._target = OutputTarget(directory=target) if isinstance(target, str) else target
        self._window_rules = window_rules if window_rules is not None else WindowRules()
        target_duration = self._window_rules.target_window_duration
        self._overlap_rules = (
            overlap_rules if overlap_rules is not None else OverlapRules(target_duration=target_duration)
        )
        self._overlap_scope: OverlapScope = overlap_scope
        self._form = form if form is not None else RowForm()
        self._max_line_bytes = max_line_bytes
        self._keep_duplicates = keep_duplicates

    def config(self) -> Config:
        """Return what decides the rows, as the manifest holds it."""
        return {
            "input": {"max_line_bytes": self._max_line_bytes, "keep_duplicates": self._keep_duplicates},
            "windows": asdict(self._window_rules),
            "overlap": {**asdict(self._overlap_rules), "scope": self._overlap_scope},
            "output": {**asdict(self._form), "shards": self._target.n_shards},
        }

    def expand(self, begin: beam.pvalue.PBegin) -> CuratedWindows:
        blocks, unreadable = begin | "Read manifests" >> ReadManifests(
            self._inputs, max_line_bytes=self._max_line_bytes, keep_duplicates=self._keep_duplicates
        )
        windows, failed = blocks | "Build training windows" >> BuildTrainingWindows(self._window_rules)
        kept = windows | "Filter overlaps" >> FilterOverlaps(
            self._overlap_rules, self._overlap_scope, max_line_bytes=self._max_line_bytes
        )
        rows = kept | "Write training windows" >> WriteTrainingWindows(self._target, self._form)
        failures = (unreadable, failed) | "All failures" >> beam.Flatten()
        letters = failures | "Write failures" >> WriteFailures(self._target)
        files = (rows, letters) | "All files" >> beam.Flatten()
        counts = (
            blocks | "Count rows read" >> CountBlocks(count_lines),
            failures | "Count failures" >> CountBlocks(count_failures),
            windows | "Count windows" >> CountBlocks(count_windows),
            kept | "Count kept" >> CountBlocks(count_kept),
        ) | "All counts" >> beam.Flatten()
        committed = files | "Commit output set" >> CommitOutputSet(
            self._target,
            command=COMMAND,
            config=self.config(),
            counts=counts,
            inputs=begin | "Hash inputs" >> HashInputs(self._inputs),
        )
        return CuratedWindows(files=files, counts=counts, committed=committed)


class SingleRow(NamedTuple):
    """One row on its own: where it came from, and its JSON text."""

    source: str
    offset: int
    row: str


class ExplodeBlocks(beam.PTransform[beam.PCollection[Any], beam.PCollection[SingleRow]]):
    """Turn blocks into single rows, for people who want them one by one.

    Blocks of raw rows give the lines as they are; blocks after `FilterOverlaps` give result rows.

    Args:
      form: the layout of result rows.
    """

    def __init__(self, form: RowForm | None = None) -> None:
        super().__init__()
        self._form = form if form is not None else RowForm()

    def expand(self, blocks: beam.PCollection[Any]) -> beam.PCollection[SingleRow]:
        return blocks | "Explode" >> beam.FlatMap(explode, self._form).with_output_types(SingleRow)


def explode(block: LineBlock | EntryBlock, form: RowForm) -> Iterator[SingleRow]:
    """Yield the rows of a block."""
    if isinstance(block, LineBlock):
        for line in block.lines:
            yield SingleRow(block.ref.source, line.offset, line.raw.decode("utf-8", "replace"))
    else:
        for row in block.rows:
            text = b"".join(row_pieces(row, block.rules, form.layout)).decode()
            yield SingleRow(block.ref.source, row.offset, text)
