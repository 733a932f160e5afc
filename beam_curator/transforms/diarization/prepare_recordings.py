"""From tasks to recordings that were looked into and that a model can listen to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.audio_formats import Mono
from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.diarization.hearing import samples_asked
from beam_curator.failures import EntryError
from beam_curator.files.opened_recordings import open_recording
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartWriter
from beam_curator.files.turn_rows import TURNS, TURNS_WITH_EMBEDDINGS
from beam_curator.intervals import Seconds
from beam_curator.models.sources import RecordingSource
from beam_curator.transforms.diarization.read_recordings import Task
from beam_curator.transforms.metrics import timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(RecordingSource):
    """A recording that was looked into and can be listened to, and the task that it is for.

    Attributes:
      task: what asks for it.
      duration: seconds of the whole recording.
    """

    task: Task
    duration: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """A task whose recording cannot be listened to, and why."""

    task: Task
    error: EntryError


_Kept = TaggedOutput[Literal["kept"], Part]
_Refused = TaggedOutput[Literal["unheard"], Unheard]


def _kept(part: Part) -> _Kept:
    return TaggedOutput("kept", part)


def _refused(task: Task, error: EntryError) -> _Refused:
    return TaggedOutput("unheard", Unheard(task=task, error=error))


def writer_of(target: OutputTarget, task: Task, rules: DiarizeRules) -> PartWriter:
    """Return the writer that collects the rows of a task. A recording that goes by two names is two tasks."""
    first = task.rows[0]
    kind = TURNS_WITH_EMBEDDINGS if rules.embeddings else TURNS
    return PartWriter(kind, target, f"{task.recording_id}\n{first.identity}", first.position, first.n_blocks)


class PrepareRecordings(beam.PTransform[PCollection[Task], Any]):
    """Look into each recording, unless an earlier attempt has done with it.

    Returns:
      By tag: `ready`, `unheard`, and `kept` parts of the earlier attempt.

    Args:
      target: of the job.
      rules: what is heard of a recording.
    """

    def __init__(self, target: OutputTarget, rules: DiarizeRules) -> None:
        super().__init__()
        self._work = _PrepareFn(target, rules)

    def expand(self, tasks: PCollection[Task]) -> Any:
        return tasks | "Prepare" >> beam.ParDo(self._work).with_outputs("unheard", "kept", main="ready")


class _PrepareFn(beam.DoFn):
    def __init__(self, target: OutputTarget, rules: DiarizeRules) -> None:
        self._target = target
        self._rules = rules

    def process(self, task: Task) -> Iterator[Ready | _Refused | _Kept]:
        part = writer_of(self._target, task, self._rules).kept(len(task.rows))
        if part is not None:
            yield _kept(part)
            return
        try:
            with timed("look"):
                ready = look_into(task, self._rules)
        except EntryError as err:
            yield _refused(task, err)
        else:
            yield ready


def look_into(task: Task, rules: DiarizeRules) -> Ready:
    """Open the recording of a task, and return the part of it to listen to.

    Raises:
      EntryError: it cannot be opened, or the piece asked for is not there.
    """
    asked = task.rows[0]
    with open_recording(asked.recording, rules.allowed_root) as reader:
        info = reader.info
        first, stop = samples_asked(info, asked.start, asked.end)
    return Ready(
        name=asked.recording,
        first=first,
        stop=stop,
        sample_rate=info.sample_rate,
        mono=cast(Mono, rules.mono),
        allowed_root=rules.allowed_root,
        task=task,
        duration=round(info.n_samples / info.sample_rate, 6),
    )
