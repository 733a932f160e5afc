"""From manifests, or recordings named by themselves, to the complete output set of a job."""

from collections.abc import Iterator, Sequence
from typing import Generic, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput

from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.asked_lines import rows_of_recordings
from beam_curator.files.listing import Lister, list_either, list_inputs, list_manifests_of, list_recordings
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.counting import Count, count_failures, count_lines
from beam_curator.sets.output_set import Config, FileRecord, RowFormat
from beam_curator.sets.recording_jobs import AskedT, OpenedJob, RecordingJob, TaskT
from beam_curator.transforms.jobs.job_sets import CommitJob, JobSet, Reading
from beam_curator.transforms.jobs.manifests import ReadManifests
from beam_curator.transforms.jobs.merging import MergeParts
from beam_curator.transforms.jobs.recording_steps import GroupRecordings, PlanRows, WriteRecordings
from beam_curator.transforms.jobs.writing import WriteFailures
from beam_curator.transforms.metrics import CountBlocks


class ReadRows(NamedTuple, Generic[AskedT]):
    """The result of `ReadAsked`: requests, records of the files of dead letters, and counts."""

    asked: PCollection[AskedT]
    letters: tuple[PCollection[FileRecord], ...]
    counts: tuple[PCollection[Count], ...]


class ReadAsked(beam.PTransform[PBegin, ReadRows[AskedT]], Generic[AskedT, TaskT]):
    """Read manifests, and find the recordings that their rows ask for; write failures as dead letters.

    Args:
      job: tells it of a block.
      reading: the inputs, and how to read them.
      target: where dead letters go.
      takes_recordings: inputs may also be recordings, each a request of its own.
    """

    def __init__(
        self,
        job: RecordingJob[AskedT, TaskT],
        reading: Reading,
        target: OutputTarget,
        *,
        takes_recordings: bool = False,
    ) -> None:
        super().__init__()
        self._job = job
        self._reading = reading
        self._target = target
        self._takes_recordings = takes_recordings

    def expand(self, begin: PBegin) -> "ReadRows[AskedT]":
        lister: Lister = list_manifests_of if self._takes_recordings else list_inputs
        blocks, unreadable = begin | "Read manifests" >> ReadManifests(
            self._reading.inputs,
            reading=self._reading.options,
            list_files=lister,
            annotations=AnnotationReading(audio_root=self._job.audio_root),
        )
        counts = [
            blocks | "Count rows read" >> CountBlocks(count_lines),
            unreadable | "Count unreadable" >> CountBlocks(count_failures),
        ]
        if self._takes_recordings:
            start = begin | "Start" >> beam.Create([None])
            listed = start | "List recordings" >> beam.FlatMap(
                _recordings, self._reading, self._job.key_of_recordings
            ).with_outputs("counts", main="blocks")
            blocks = (blocks, listed["blocks"]) | "All rows" >> beam.Flatten()
            counts.append(listed["counts"])
        planned = blocks | "Plan rows" >> PlanRows(self._job)
        letters = (
            unreadable | "Write unreadable" >> WriteFailures(self._target),
            planned.failures | "Write failed rows" >> WriteFailures(self._target),
        )
        return ReadRows(asked=planned.asked, letters=letters, counts=(*counts, *planned.counts))


def _recordings(
    _: None, reading: Reading, key: str
) -> Iterator[LineBlock | TaggedOutput[Literal["counts"], tuple[str, int]]]:
    """Yield recordings that are named by themselves, as rows; there are none where the inputs mean manifests."""
    files, _repeated, are_manifests = list_recordings(reading.inputs, keep_duplicates=reading.options.keep_duplicates)
    if are_manifests:
        return
    yield from rows_of_recordings(files, key)
    yield TaggedOutput("counts", ("read.rows", len(files)))


class WriteRecordingSet(beam.PTransform[PBegin, JobSet], Generic[AskedT, TaskT]):
    """Do a job over recordings from its inputs to a complete output set.

    Args:
      job: the work on each recording.
      reading: the inputs, and how to read them.
      target: where the set goes.
      config: the settings that decide the rows.
      row_format: the rows' format.
      takes_recordings: inputs may also be recordings, each a request of its own.
      beside: files other than the inputs that affect the rows.
    """

    def __init__(
        self,
        job: OpenedJob[AskedT, TaskT],
        reading: Reading,
        target: OutputTarget,
        config: Config,
        *,
        row_format: RowFormat,
        takes_recordings: bool = False,
        beside: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._job = job
        self._reading = reading
        self._target = target
        self._config = config
        self._row_format: RowFormat = row_format
        self._takes_recordings = takes_recordings
        self._beside = tuple(beside)

    def expand(self, begin: PBegin) -> "JobSet":
        job, target = self._job, self._target
        read = begin | "Read" >> ReadAsked(job, self._reading, target, takes_recordings=self._takes_recordings)
        tasks = read.asked | "Group" >> GroupRecordings(job)
        done = tasks | "Write" >> WriteRecordings(job, target)
        merged = done.parts | "Merge" >> MergeParts(target, self._row_format, job.rows)
        return begin | "Commit" >> CommitJob(
            target,
            job.kind,
            self._config,
            files=(*read.letters, *merged.files, done.documents),
            counts=(*read.counts, merged.counts),
            reading=self._reading,
            progress=(done.progress,),
            beside=self._beside,
            list_files=list_either if self._takes_recordings else list_inputs,
        )
