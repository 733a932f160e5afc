"""Reading the recordings to separate: from rows with turns to one task for each recording and its turns."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput

from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.failures import EntryError, Failure
from beam_curator.files.opened_recordings import recording_of
from beam_curator.files.output_target import OutputTarget
from beam_curator.recordings.asked import asked_by
from beam_curator.recordings.recording_ids import different_ids, id_key, wanted_id
from beam_curator.recordings.tar_members import nemo_member
from beam_curator.separation.separate_rules import SeparateRules
from beam_curator.separation.speaker_turns import SpeakerTurn, turns_of_row
from beam_curator.sets.blocks import FailureBlock, LineBlock
from beam_curator.sets.counting import Count, count_failures, count_lines
from beam_curator.sets.output_set import FileRecord
from beam_curator.sets.packed_rows import PackedRow, compressed
from beam_curator.transforms.jobs.job_sets import Reading
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.jobs.writing import WriteFailures
from beam_curator.transforms.metrics import CountBlocks, collector_paused, timed

ROW_STAGE = "plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsRow(PackedRow):
    """One row that names a recording and says who speaks when in it; it crosses a shuffle.

    Attributes:
      wanted_id: that its recording would like to go by.
      turns_hash: of its turns; rows with the same turns of the same recording share their tracks.
      n_speakers: who have at least one turn.
    """

    wanted_id: str
    turns_hash: str
    n_speakers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparationTask:
    """One recording with its turns, and the rows that hold them, in the order of their positions.

    Attributes:
      recording_id: names its tracks.
      identity: what tells it from all others.
      rows: all with the same recording and the same turns.
    """

    recording_id: str
    identity: str
    rows: tuple[TurnsRow, ...]


class ReadTurns(NamedTuple):
    """The result of `ReadTurnRows`: tasks, records of the files of dead letters, and counts."""

    tasks: PCollection[SeparationTask]
    letters: tuple[PCollection[FileRecord], ...]
    counts: tuple[PCollection[Count], ...]


class ReadTurnRows(beam.PTransform[PBegin, Any]):
    """Read manifests, and make a task of each recording and its turns; write failures as dead letters.

    Rows whose recordings could share an id meet, so that no two share the name of a track.

    Args:
      reading: what is read.
      target: where dead letters go.
      rules: where recordings and turns are in a row.
    """

    def __init__(self, reading: Reading, target: OutputTarget, rules: SeparateRules) -> None:
        super().__init__()
        self._reading = reading
        self._target = target
        self._rules = rules

    def expand(self, begin: PBegin) -> "ReadTurns":
        blocks, unreadable = begin | "Read manifests" >> ReadManifests(
            self._reading.inputs,
            reading=self._reading.options,
        )
        planned = blocks | "Plan" >> beam.ParDo(_PlanFn(self._rules)).with_outputs("failed", "counts", main="rows")
        tasks: PCollection[SeparationTask] = (
            planned["rows"]
            | "Key by id" >> beam.Map(key_by_id).with_output_types(tuple[str, TurnsRow])
            | "Group by id" >> beam.GroupByKey()
            | "Give ids" >> beam.FlatMap(tasks_of).with_output_types(tuple[str, SeparationTask])
            | "Spread recordings" >> beam.transforms.util.ReshufflePerKey()
            | "Drop key" >> beam.Values()
        )
        letters = (
            unreadable | "Write unreadable" >> WriteFailures(self._target),
            planned["failed"] | "Write failed rows" >> WriteFailures(self._target),
        )
        counts = (
            blocks | "Count rows read" >> CountBlocks(count_lines),
            unreadable | "Count unreadable" >> CountBlocks(count_failures),
            planned["failed"] | "Count failed" >> CountBlocks(count_failures),
            planned["counts"],
        )
        return ReadTurns(tasks=tasks, letters=letters, counts=counts)


_Counted = TaggedOutput[Literal["counts"], tuple[str, int]]
_Failed = TaggedOutput[Literal["failed"], FailureBlock]


def _counted(count: Count) -> _Counted:
    return TaggedOutput("counts", count)


def _failed(block: FailureBlock) -> _Failed:
    return TaggedOutput("failed", block)


class _PlanFn(beam.DoFn):
    def __init__(self, rules: SeparateRules) -> None:
        self._rules = rules

    def process(self, block: LineBlock) -> Iterator[TurnsRow | _Failed | _Counted]:
        with timed("plan"), collector_paused():
            plan = plan_rows(block, self._rules)
        yield from plan.rows
        if plan.failures:
            failures = tuple(plan.failures)
            yield _failed(FailureBlock(ref=block.ref, part=block.part, stage=ROW_STAGE, failures=failures))
        yield from map(_counted, sorted(plan.counts.items()))


class RowsPlan(NamedTuple):
    """The plan for the rows of a block: rows with turns, rows that cannot be understood, and counts."""

    rows: list[TurnsRow]
    failures: list[Failure]
    counts: Counter[str]


def plan_rows(block: LineBlock, rules: SeparateRules) -> RowsPlan:
    """Tell which recordings the rows of a block name, and which rows say nothing that can be understood."""
    plan = RowsPlan([], [], Counter())
    source = block.ref.source
    for line in block.lines:
        position = block.ref.ordinal, block.part, line.offset
        try:
            row, counts = row_of_line(line.raw, source, position, block.ref.n_blocks, rules)
        except EntryError as err:
            failure = Failure.from_error(err, stage=ROW_STAGE, source=source, offset=line.offset, payload=line.raw)
            plan.failures.append(failure)
        else:
            plan.rows.append(row)
            plan.counts.update({name: n for name, n in counts.items() if n})
    return plan


def row_of_line(
    raw: bytes, source: str, position: tuple[int, int, int], n_blocks: int, rules: SeparateRules
) -> tuple[TurnsRow, dict[str, int]]:
    """Return a line of a manifest as a row with the full name of its recording, and the counts of its turns.

    Args:
      raw: the line.
      source: the manifest.
      position: ordinal and part of its block, and the byte offset of the line.
      n_blocks: number of blocks of the job.
      rules: where recordings and turns are in a row.

    Raises:
      EntryError: it is no JSON object, names no recording, or its turns cannot be.
    """
    fields = parse_object(raw)
    whole = {key: value for key, value in fields.items() if key != "offset"}
    asked = asked_by(whole, rules.audio_filepath_key, member=nemo_member(source, fields))
    found = turns_of_row(fields, rules.diar_segments_key)
    speakers = {turn.speaker for turn in found.turns}
    row = TurnsRow(
        wanted_id=wanted_id(fields, asked.name),
        recording=recording_of(asked.path, source, rules.audio_root),
        turns_hash=hash_of(found.turns),
        n_speakers=len(speakers),
        source=source,
        position=position,
        n_blocks=n_blocks,
        packed=compressed(raw),
    )
    counts = {
        "plan.rows": 1,
        "plan.speakers": len(speakers),
        "plan.turns": len(found.turns),
        "plan.turns_empty": found.n_empty,
        "plan.turns_no_speaker": found.n_no_speaker,
    }
    return row, counts


def hash_of(turns: Iterable[SpeakerTurn]) -> str:
    """Return a hash of turns that does not depend on their order."""
    listed = sorted((float(turn.start) + 0.0, float(turn.end) + 0.0, turn.speaker) for turn in turns)  # -0.0 is 0
    return hashlib.blake2b(encode(listed), digest_size=16).hexdigest()


def key_by_id(row: TurnsRow) -> tuple[str, TurnsRow]:
    """Give a row a key that it shares with all rows whose recordings could get its id."""
    return id_key(row.wanted_id), row


def tasks_of(group: tuple[str, Iterable[TurnsRow]]) -> Iterator[tuple[str, SeparationTask]]:
    """Give recordings their ids, and yield each with the rows that hold its turns."""
    rows = sorted(group[1], key=_position)
    hashes: dict[str, set[str]] = {}
    for row in rows:
        hashes.setdefault(row.recording, set()).add(row.turns_hash)
    by_identity: dict[str, list[TurnsRow]] = {}
    for row in rows:
        several = len(hashes[row.recording]) > 1
        identity = f"{row.recording}#{row.turns_hash}" if several else row.recording
        by_identity.setdefault(identity, []).append(row)
    ids = different_ids({identity: _smallest_id(asking) for identity, asking in by_identity.items()})
    for identity, asking in sorted(by_identity.items()):
        yield identity, SeparationTask(recording_id=ids[identity], identity=identity, rows=tuple(asking))


def _smallest_id(rows: Sequence[TurnsRow]) -> str:
    return min(row.wanted_id for row in rows)


def _position(row: TurnsRow) -> tuple[int, int, int]:
    return row.position
