"""From manifests to the complete output set of a job over their rows, block by block."""

from collections.abc import Iterator, Mapping
from typing import Literal

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput

from beam_curator.collector import collector_paused
from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.block_files import BlockWriter
from beam_curator.files.kept_blocks import BlockFact
from beam_curator.files.known_files import keeps
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.row_files import write_passed_on
from beam_curator.sets.blocks import FailureBlock, LineBlock
from beam_curator.sets.counting import count_failures, count_lines
from beam_curator.sets.line_jobs import LineJob, WorkedBlock, work_on_block
from beam_curator.sets.output_set import ROW_EXTENSIONS, Config, FileRecord, RowFormat
from beam_curator.transforms.jobs.job_sets import CommitJob, JobSet, Reading
from beam_curator.transforms.jobs.keeping import CountFacts, KeepBlocks, TakeBlocks, counts_of_fact, fact_of_file
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.jobs.writing import MergeShards, WriteFailures, write_letters
from beam_curator.transforms.metrics import CountBlocks, timed

_Failed = TaggedOutput[Literal["failures"], FailureBlock]


class WriteLineSet(beam.PTransform[PBegin, JobSet]):
    """Do a job over the rows of manifests, and write its rows as a complete output set.

    A block is never split, merged or reordered, so that rows stay in their order on every engine.

    Args:
      job: the work on each row.
      reading: the inputs, and how to read them.
      target: where the set goes.
      config: the settings that decide the rows.
      row_format: the rows' format.
    """

    def __init__(
        self, job: LineJob, reading: Reading, target: OutputTarget, config: Config, *, row_format: RowFormat
    ) -> None:
        super().__init__()
        self._job = job
        self._reading = reading
        self._target = target
        self._config = config
        self._row_format: RowFormat = row_format

    def expand(self, begin: PBegin) -> "JobSet":
        job, target, rows = self._job, self._target, self._job.kind.rows
        annotations = AnnotationReading.for_windows(self._reading.options)
        blocks, unreadable = begin | "Read manifests" >> ReadManifests(
            self._reading.inputs, reading=self._reading.options, annotations=annotations
        )
        asked: PCollection[LineBlock] = blocks
        facts: tuple[PCollection[BlockFact], ...] = ()
        if keeps(target):
            asked, known = blocks | "Take blocks over" >> TakeBlocks(target, rows)
            facts = (known,)
        worked = asked | "Work" >> beam.FlatMap(_work, job).with_outputs("failures", main="blocks")
        facts += (
            worked["blocks"] | "Count rows" >> CountFacts(_counts_of_block),
            worked["failures"] | "Count failed" >> CountFacts(count_failures),
        )
        files: PCollection[FileRecord] = (
            worked["blocks"] | "Write rows" >> beam.Map(write_worked, target, rows, self._row_format),
            worked["failures"] | "Write failed" >> beam.Map(write_letters, target),
        ) | "Files of blocks" >> beam.Flatten()
        if keeps(target):
            made = files | "Facts of files" >> beam.Map(fact_of_file).with_output_types(BlockFact)
            keep = KeepBlocks(target, rows, is_named=self._row_format != "jsonl")
            files = (*facts, made) | "All facts" >> beam.Flatten() | "Keep blocks" >> keep
        counts = (
            blocks | "Count rows read" >> CountBlocks(count_lines),
            unreadable | "Count unreadable" >> CountBlocks(count_failures),
            *(fact | f"Counts {number}" >> beam.FlatMap(counts_of_fact) for number, fact in enumerate(facts)),
        )
        merged = files | "Merge shards" >> MergeShards(target)
        letters = unreadable | "Write unreadable" >> WriteFailures(target)
        return begin | "Commit" >> CommitJob(
            target, job.kind, self._config, files=(merged, letters), counts=counts, reading=self._reading
        )


def _work(block: LineBlock, job: LineJob) -> Iterator[WorkedBlock | _Failed]:
    with timed(job.stage), collector_paused():
        worked, failed = work_on_block(job, block)
    yield worked
    if failed is not None:
        yield TaggedOutput("failures", failed)


def _counts_of_block(block: WorkedBlock) -> Mapping[str, int]:
    return dict(block.counts)


def write_worked(block: WorkedBlock, target: OutputTarget, rows: str, row_format: RowFormat) -> FileRecord:
    """Write the lines of a block, unless an earlier attempt has."""
    writer = BlockWriter(target, rows, block.ref, block.part, ROW_EXTENSIONS[row_format])
    with timed("write"), collector_paused():
        record = writer.kept()
        if record is None:
            with writer.file() as file:
                write_passed_on(file, block.lines, block.ref.source, row_format)
            record = writer.record(file, len(block.lines))
    return record
