"""Reading the recordings to diarize, or manifests that name them, into one task for each recording."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput

from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.turn_entries import row_before
from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.failures import EntryError, Failure
from beam_curator.files import storage
from beam_curator.files.listing import list_manifests_of, list_recordings
from beam_curator.files.opened_recordings import recording_of
from beam_curator.intervals import Seconds
from beam_curator.recordings.asked import asked_by
from beam_curator.recordings.recording_ids import identity_of, ids_of
from beam_curator.recordings.safe_names import folded, safe_stem
from beam_curator.recordings.tar_members import nemo_member
from beam_curator.sets.blocks import FailureBlock, LineBlock
from beam_curator.sets.counting import Count, count_failures, count_lines
from beam_curator.sets.packed_rows import PackedRow, compressed
from beam_curator.transforms.jobs.job_sets import Reading
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.metrics import CountBlocks, collector_paused, timed

ROW_STAGE = "plan"
FILES_A_BLOCK = 1000
"""How many recordings that were named by themselves count as one block, for the number of files of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(PackedRow):
    """One row that asks for a recording; small, since it crosses a shuffle.

    Attributes:
      name: that the id of the recording is made of.
      start: where its piece begins, seconds.
      end: where it ends, seconds; None for the end of the recording.
    """

    name: str
    start: Seconds
    end: Seconds | None

    @property
    def identity(self) -> str:
        """A key that tells the recording, or the piece of it, from all others."""
        return identity_of(self.recording, self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One recording, or a piece of one, and the rows that ask for it, in the order of their positions."""

    recording_id: str
    rows: tuple[Row, ...]


class ReadTasks(NamedTuple):
    """The results of `ReadRecordings`: tasks, blocks of failures by stage, and counts."""

    tasks: PCollection[Task]
    failures: tuple[PCollection[FailureBlock], ...]
    counts: tuple[PCollection[Count], ...]


class ReadRecordings(beam.PTransform[PBegin, Any]):
    """Read the recordings to diarize, or manifests that name them, and give each recording its id.

    Rows that name the same recording meet, so that it is heard once.

    Args:
      reading: files, globs, directories; either recordings or manifests.
      rules: which key names the recording, and where relative names begin.
    """

    def __init__(self, reading: Reading, rules: DiarizeRules) -> None:
        super().__init__()
        self._reading = reading
        self._rules = rules

    def expand(self, begin: PBegin) -> "ReadTasks":
        listed = begin | "Read recordings" >> _ListRecordings(self._reading)
        blocks, unreadable = begin | "Read manifests" >> ReadManifests(
            self._reading.inputs,
            reading=self._reading.options,
            list_files=list_manifests_of,
        )
        planned = blocks | "Plan" >> beam.ParDo(_PlanFn(self._rules)).with_outputs("failed", "counts", main="rows")
        rows = (listed["rows"], planned["rows"]) | "All rows" >> beam.Flatten()
        counts = (
            listed["counts"],
            blocks | "Count rows read" >> CountBlocks(count_lines),
            unreadable | "Count unreadable" >> CountBlocks(count_failures),
            planned["failed"] | "Count failed" >> CountBlocks(count_failures),
            planned["counts"],
        )
        return ReadTasks(
            tasks=rows | "Plan tasks" >> PlanTasks(), failures=(unreadable, planned["failed"]), counts=counts
        )


class PlanTasks(beam.PTransform[PCollection[Row], PCollection[Task]]):
    """Give recordings their ids, and make one task of all rows that name the same one."""

    def expand(self, rows: PCollection[Row]) -> PCollection[Task]:
        tasks: PCollection[Task] = (
            rows
            | "Key by name" >> beam.Map(key_by_name).with_output_types(tuple[str, Row])
            | "Group by name" >> beam.GroupByKey()
            | "Give ids" >> beam.FlatMap(tasks_of).with_output_types(tuple[str, Task])
            | "Spread recordings" >> beam.transforms.util.ReshufflePerKey()
            | "Drop key" >> beam.Values()
        )
        return tasks


class _ListRecordings(beam.PTransform[PBegin, Any]):
    """List recordings that were named by themselves; there are none where the inputs mean manifests."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._list = _ListFn(reading.inputs, reading.options.keep_duplicates)

    def expand(self, begin: PBegin) -> Any:
        start = begin | "Start" >> beam.Create([None])
        return start | "List" >> beam.ParDo(self._list).with_outputs("counts", main="rows")


def key_by_name(row: Row) -> tuple[str, Row]:
    """Give a row a key that it shares with those whose files would meet its own in a file system that ignores case."""
    return folded(safe_stem(row.name)), row


_Counted = TaggedOutput[Literal["counts"], tuple[str, int]]
_Failed = TaggedOutput[Literal["failed"], FailureBlock]


def _counted(name: str, n: int) -> _Counted:
    return TaggedOutput("counts", (name, n))


def _failed(block: FailureBlock) -> _Failed:
    return TaggedOutput("failed", block)


class _PlanFn(beam.DoFn):
    def __init__(self, rules: DiarizeRules) -> None:
        self._rules = rules

    def process(self, block: LineBlock) -> Iterator[Row | _Failed | _Counted]:
        with timed("plan"), collector_paused():
            rows, failures = plan_rows(block, self._rules)
        yield from rows
        if failures:
            yield _failed(FailureBlock(ref=block.ref, part=block.part, stage=ROW_STAGE, failures=tuple(failures)))
        if rows:
            yield _counted("plan.rows", len(rows))


def plan_rows(block: LineBlock, rules: DiarizeRules) -> tuple[list[Row], list[Failure]]:
    """Tell which recordings the rows of a block ask for, and which rows ask for none."""
    rows, failures = [], []
    source = block.ref.source
    for line in block.lines:
        position = block.ref.ordinal, block.part, line.offset
        try:
            rows.append(row_of_line(line.raw, source, position, block.ref.n_blocks, rules))
        except EntryError as err:
            failure = Failure.from_error(err, stage=ROW_STAGE, source=source, offset=line.offset, payload=line.raw)
            failures.append(failure)
    return rows, failures


def row_of_line(raw: bytes, source: str, position: tuple[int, int, int], n_blocks: int, rules: DiarizeRules) -> Row:
    """Tell which recording a line of a manifest asks for.

    Args:
      raw: the line.
      source: the manifest.
      position: ordinal and part of its block, and the byte offset of the line.
      n_blocks: number of blocks of the job.
      rules: which key names the recording, and where relative names begin.

    Raises:
      EntryError: it is no JSON object, or names no recording.
    """
    fields = parse_object(raw)
    before = row_before(fields, rules.diar_segments_key, rules.audio_filepath_key)
    asked = asked_by(before, rules.audio_filepath_key, member=nemo_member(source, fields))
    return Row(
        name=asked.name,
        recording=recording_of(asked.path, source, rules.audio_root),
        start=asked.start,
        end=asked.end,
        source=source,
        position=position,
        n_blocks=n_blocks,
        packed=compressed(raw),
    )


class _ListFn(beam.DoFn):
    def __init__(self, inputs: Sequence[str], keep_duplicates: bool) -> None:
        self._inputs = inputs
        self._keep_duplicates = keep_duplicates

    def process(self, _: None) -> Iterator[Row | _Counted]:
        files, _repeated, are_manifests = list_recordings(self._inputs, keep_duplicates=self._keep_duplicates)
        if are_manifests:
            return
        n_blocks = -(-len(files) // FILES_A_BLOCK)
        for number, file in enumerate(files):
            full = file.name if storage.is_remote(file.name) else os.path.abspath(file.name)
            asked = asked_by({"audio_filepath": full}, "audio_filepath")
            block, place = divmod(number, FILES_A_BLOCK)
            yield Row(
                name=asked.name,
                recording=full,
                start=0.0,
                end=None,
                source=file.name,
                position=(block, place, 0),
                n_blocks=n_blocks,
                packed=compressed(encode({"audio_filepath": full})),
            )
        yield _counted("read.rows", len(files))
        yield _counted("plan.rows", len(files))


def tasks_of(group: tuple[str, Iterable[Row]]) -> Iterator[tuple[str, Task]]:
    """Give the recordings that share a name their ids, and yield each with the rows that ask for it."""
    rows = sorted(group[1], key=_position)
    by_identity: dict[str, list[Row]] = {}
    for row in rows:
        by_identity.setdefault(row.identity, []).append(row)
    ids = ids_of(min(row.name for row in rows), by_identity)
    for identity, asking in sorted(by_identity.items()):
        yield identity, Task(recording_id=ids[identity], rows=tuple(asking))


def _position(row: Row) -> tuple[int, int, int]:
    return row.position
