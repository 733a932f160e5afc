"""From tasks to what a model listens to, and from what it says to rows and files."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.audio import mix_channels
from beam_curator.audio_formats import Mono
from beam_curator.diarization.bandwidth import BandwidthMeter
from beam_curator.diarization.diarize_rules import ORIGIN_KEY, DiarizeRules
from beam_curator.diarization.entries import EntryFacts, diarized_entry
from beam_curator.diarization.hearing import samples_asked
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.diarization.rttm import render_overlap_ctm, render_rttm, render_uem
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings, pool_embeddings
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import Turn, is_saturated, overlap_regions, turns_from_probabilities
from beam_curator.export.tree import clip_uuid
from beam_curator.failures import EntryError, Failure
from beam_curator.intervals import Seconds
from beam_curator.output_set import WrittenFile
from beam_curator.tar_members import split_locator
from beam_curator.transforms import storage
from beam_curator.transforms.clips.recordings import open_recording
from beam_curator.transforms.clips.sinks import ClipFiles, in_memory
from beam_curator.transforms.diarization.embedding_tables import embedding_row
from beam_curator.transforms.diarization.recordings import Row, Task
from beam_curator.transforms.diarization.rows import (
    DIARIZE_STAGE,
    SPEAKER_EMBEDDINGS,
    TURN_EMBEDDINGS,
    TURNS,
    TURNS_WITH_EMBEDDINGS,
)
from beam_curator.transforms.diarization.sources import RecordingSource
from beam_curator.transforms.metrics import timed
from beam_curator.transforms.output_set import OutputTarget
from beam_curator.transforms.parts import Part, PartWriter

_TIMES = 1000
"""Turns are on a grid of milliseconds: what is added to them has to stay there, and within the recording."""

_KINDS = (_RTTM, _UEM, _CTM) = (".rttm", ".uem", ".ctm")
"""Of the files of a recording."""

_ROUNDING = 1e-6
"""Of a sum that is meant to be a whole number of milliseconds."""


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
    """Return what collects the rows of a task; a recording that goes by two names is two tasks."""
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
    """Open the recording of a task and tell what there is to listen to.

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


class WriteTurns(beam.PTransform[PCollection[PredictionResult], PCollection[Part]]):
    """Make turns of what a model says, and write the rows and files of each recording.

    Args:
      target: of the job.
      rules: what is written.
      turns: how probabilities become turns.
    """

    def __init__(self, target: OutputTarget, rules: DiarizeRules, turns: TurnRules) -> None:
        super().__init__()
        self._work = _WriteFn(target, rules, turns)

    def expand(self, results: PCollection[PredictionResult]) -> PCollection[Part]:
        return results | "Write" >> beam.ParDo(self._work)


class WriteUnheard(beam.PTransform[PCollection[Unheard], PCollection[Part]]):
    """Write the dead letters of recordings that cannot be listened to.

    Args:
      target: of the job.
      rules: what would be written.
      turns: not used by such.
    """

    def __init__(self, target: OutputTarget, rules: DiarizeRules, turns: TurnRules) -> None:
        super().__init__()
        self._work = _WriteUnheardFn(target, rules, turns)

    def expand(self, unheard: PCollection[Unheard]) -> PCollection[Part]:
        return unheard | "Write" >> beam.ParDo(self._work)


class _WritingFn(beam.DoFn):
    def __init__(self, target: OutputTarget, rules: DiarizeRules, turns: TurnRules) -> None:
        self._target = target
        self._rules = rules
        self._turns = turns

    def setup(self) -> None:
        self._writer = TurnWriter(self._target, self._rules, self._turns)

    def teardown(self) -> None:
        self._writer.close()


class _WriteFn(_WritingFn):
    def process(self, result: PredictionResult) -> Iterator[Part]:
        with timed("turns"):
            part = self._writer.write(cast(Ready, result.example), cast(Probabilities | EntryError, result.inference))
        yield part


class _WriteUnheardFn(_WritingFn):
    def process(self, unheard: Unheard) -> Iterator[Part]:
        yield self._writer.write_failed(unheard.task, unheard.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diarized:
    """What a model says of a recording.

    Attributes:
      ready: the recording.
      turns: in order of time, counted from the beginning of the whole recording.
      saturated: all speakers that the model has slots for talk: there may be more.
      bandwidths: of each turn, Hz; None where they were not asked for.
      embeddings: of speakers and turns; None where they were not asked for.
    """

    ready: Ready
    turns: tuple[Turn, ...]
    saturated: bool
    bandwidths: tuple[int, ...] | None
    embeddings: SpeakerEmbeddings | None = None

    @property
    def recording_id(self) -> str:
        """Names the files of the recording."""
        return self.ready.task.recording_id


def diarized_of(ready: Ready, heard: Probabilities | EntryError, rules: DiarizeRules, turns: TurnRules) -> Diarized:
    """Make turns of what a model says of a recording.

    Raises:
      EntryError: the model failed, or the recording is not there any more when its bandwidths are estimated.
    """
    if isinstance(heard, EntryError):
        raise heard
    found = _turns_of(ready, heard, turns)
    return Diarized(
        ready=ready,
        turns=tuple(found),
        saturated=is_saturated(found, heard.n_speakers),
        bandwidths=_bandwidths_of(ready, found) if rules.bandwidth else None,
        embeddings=_embeddings_of(ready, heard, found) if rules.embeddings else None,
    )


def _embeddings_of(ready: Ready, heard: Probabilities, turns: Sequence[Turn]) -> SpeakerEmbeddings:
    frames = heard.encoder_frames
    if frames is None:
        frames = np.empty((0, 0), np.float16)
    with timed("embed"):
        return pool_embeddings(frames, heard.frame_step, turns, ready.first / ready.sample_rate)


def _add_embeddings(writer: PartWriter, diarized: Diarized, embeddings: SpeakerEmbeddings) -> None:
    """Add a row for each speaker, by recording and speaker, and for each turn, by the id that its clip has."""
    ready = diarized.ready
    for speaker, vector in embeddings.speakers.items():
        name = f"{diarized.recording_id}/{Turn(start=0, end=0, speaker=speaker).label}"
        writer.add_to_table(SPEAKER_EMBEDDINGS, embedding_row(name, vector))
    for turn, vector in zip(diarized.turns, embeddings.turns, strict=True):
        first, stop = (round(time * ready.sample_rate) for time in (turn.start, turn.end))
        writer.add_to_table(TURN_EMBEDDINGS, embedding_row(clip_uuid(ready.name, first, stop), vector))


def _turns_of(ready: Ready, heard: Probabilities, rules: TurnRules) -> list[Turn]:
    turns = turns_from_probabilities(heard.frames, rules, heard.frame_step, ready.seconds)
    begin = ready.first / ready.sample_rate
    if begin == 0:
        return turns
    return [Turn(start=_later(turn.start, begin), end=_later(turn.end, begin), speaker=turn.speaker) for turn in turns]


def _bandwidths_of(ready: Ready, turns: Sequence[Turn]) -> tuple[int, ...]:
    found = []
    with timed("bandwidth"), open_recording(ready.name, ready.allowed_root) as reader:
        for turn in turns:
            meter = BandwidthMeter(ready.sample_rate)
            first, stop = samples_asked(reader.info, turn.start, turn.end)
            for samples in reader.pieces(first, stop):
                meter.add(mix_channels(samples, ready.mono)[:, 0])
            found.append(meter.bandwidth())
    return tuple(found)


def entry_of(row: Row, diarized: Diarized, rules: DiarizeRules, files: Sequence[WrittenFile] = ()) -> dict[str, Any]:
    """Return the entry of a row that asked for a recording.

    Args:
      row: one of those of the task.
      diarized: what came out.
      rules: keys and forms.
      files: of the recording, the .rttm one first.
    """
    ready = diarized.ready
    facts = EntryFacts(
        recording_id=diarized.recording_id,
        audio_filepath=ready.name,
        sample_rate=ready.sample_rate,
        duration=ready.duration,
        turns=diarized.turns,
        saturated=diarized.saturated,
        bandwidths=diarized.bandwidths,
        rttm=files[0].name if files else None,
        files=tuple(files),
    )
    fields = row.fields()
    if split_locator(row.recording)[1] is not None:  # rows of a tarred dataset name the member alone
        fields[rules.filepath_key] = row.recording
    entry = diarized_entry(fields, facts, rules.diar_segments_key, rules.diar_format, rules.filepath_key)
    return entry | {ORIGIN_KEY: {"source": row.source, "offset": row.offset}}


def letters_of(task: Task, error: EntryError) -> Iterator[Failure]:
    """Yield a dead letter for each row that asks for a recording."""
    for row in task.rows:
        yield Failure.from_error(error, stage=DIARIZE_STAGE, source=row.source, offset=row.offset, payload=row.text())


class TurnWriter:
    """Writes what came of each recording: files, rows, dead letters.

    Args:
      target: of the job.
      rules: what is written.
      turns: how probabilities become turns.
    """

    def __init__(self, target: OutputTarget, rules: DiarizeRules, turns: TurnRules) -> None:
        self._target = target
        self._rules = rules
        self._turns = turns
        self._files = ClipFiles(target)
        if target.token is None:
            storage.make_directory(target.directory)
        if rules.rttm_out_dir:
            storage.make_directory(storage.join(target.directory, rules.rttm_out_dir))

    def close(self) -> None:
        """Give threads back."""
        self._files.close()

    def write_failed(self, task: Task, error: EntryError) -> Part:
        """Write the dead letters of the rows that ask for a recording; what an earlier attempt left of it goes."""
        if self._target.resume and self._rules.rttm_out_dir:
            storage.delete(self._target.directory, [f"{self._stem(task)}{kind}" for kind in _KINDS])
        writer = writer_of(self._target, task, self._rules)
        for letter in letters_of(task, error):
            writer.add_failure(letter)
        return writer.write()

    def _stem(self, task: Task) -> str:
        return f"{self._rules.rttm_out_dir}/{task.recording_id}"

    def write(self, ready: Ready, heard: Probabilities | EntryError) -> Part:
        """Write what a model says of a recording."""
        try:
            diarized = diarized_of(ready, heard, self._rules, self._turns)
        except EntryError as err:
            return self.write_failed(ready.task, err)
        files = self._write_files(diarized)
        writer = writer_of(self._target, ready.task, self._rules)
        for row in ready.task.rows:
            writer.add_row(entry_of(row, diarized, self._rules, files))
        if diarized.embeddings is not None:
            _add_embeddings(writer, diarized, diarized.embeddings)
        self._files.flush()
        return writer.write()

    def _write_files(self, diarized: Diarized) -> list[WrittenFile]:
        if not self._rules.rttm_out_dir:
            return []
        name, ready = diarized.recording_id, diarized.ready
        begin = ready.first / ready.sample_rate
        texts = {_RTTM: render_rttm(name, diarized.turns)}
        if self._rules.uem:
            texts[_UEM] = render_uem(name, [(begin, begin + ready.seconds)])
        if self._rules.overlaps:
            texts[_CTM] = render_overlap_ctm(name, overlap_regions(diarized.turns))
        return [self._put(f"{self._stem(ready.task)}{kind}", text) for kind, text in texts.items()]

    def _put(self, name: str, text: str) -> WrittenFile:
        file = in_memory(text.encode())
        self._files.put(name, file)
        return WrittenFile(name, file.n_bytes, file.sha256)


def _later(time: Seconds, by: Seconds) -> Seconds:
    return math.floor((time + by) * _TIMES + _ROUNDING) / _TIMES
