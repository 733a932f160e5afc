"""A job of one's own: the peak level of each recording, with resume, failures and books."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import PBegin

from beam_curator.audio import AudioReader
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.asked_lines import asked_row
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.asked_rows import AskedRow, key_of, tasks_of
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.columns import Column, Table
from beam_curator.sets.recording_events import Event, Made
from beam_curator.sets.recording_jobs import BlockPlan, LinePlace, OpenedJob, RowKind, RowsTask, plan_lines
from beam_curator.sets.set_kinds import SetKind, recording_books
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms import JobSet, Reading, WriteRecordingSet

PeakTask = RowsTask[AskedRow]
STAGE = "measure"
COLUMNS = (Column("recording_id", "text"), Column("peak_db", "float"))


class PeakJob(OpenedJob[AskedRow, PeakTask]):
    """Rows, or recordings, to their peak levels in dB of full scale; silence is a failure."""

    kind = SetKind(command="peaks", rows="peaks", balances=recording_books("peaks", STAGE))
    rows = RowKind(rows="peaks", stage=STAGE, table=Table(name="PeakRow", columns=COLUMNS, computed=lambda row: {}))
    shown = frozenset({f"{STAGE}.peaks"})

    def plan(self, block: LineBlock) -> BlockPlan[AskedRow]:
        return plan_lines(block, self._plan_line)

    def _plan_line(self, plan: BlockPlan[AskedRow], raw: bytes, place: LinePlace) -> None:
        plan.asked.append(asked_row(raw, place, key="audio_filepath"))
        plan.counts["plan.rows"] += 1

    def key(self, asked: AskedRow) -> str:
        return key_of(asked)

    def tasks(self, key: str, asked: Iterable[AskedRow], *, marked: bool) -> Iterator[PeakTask]:
        return tasks_of(asked)

    def work(self, task: PeakTask, reader: AudioReader) -> Iterator[Event]:
        peak = max(float(np.abs(piece).max()) for piece in reader.pieces(0, reader.info.n_samples))
        if peak == 0:
            raise EntryError(FailureCode.EMPTY_AUDIO, "all samples are 0", "leave the recording out")
        for number, row in enumerate(task.rows):
            made: dict[str, Any] = {"recording_id": task.recording_id, "peak_db": round(20 * math.log10(peak), 2)}
            origin = {"source": row.source, "offset": row.offset}
            yield Made(row=row.fields() | made | {ORIGIN_KEY: origin}, order=(number,))

    def failed(self, task: PeakTask, error: EntryError) -> Iterator[Event]:
        return task.missed(error, STAGE)


class MeasurePeaks(beam.PTransform[PBegin, JobSet]):
    """Measure the peak level of recordings, and write the rows as a complete output set."""

    def __init__(self, inputs: tuple[str, ...], target: OutputTarget) -> None:
        super().__init__()
        reading = Reading(inputs=inputs, options=InputOptions())
        self._write = WriteRecordingSet(PeakJob(), reading, target, {}, row_format="jsonl", takes_recordings=True)

    def expand(self, begin: PBegin) -> JobSet:
        measured: JobSet = begin | "Measure" >> self._write
        return measured
