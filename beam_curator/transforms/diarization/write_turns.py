"""From a model's results for recordings to rows and files."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import apache_beam as beam
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.pvalue import PCollection

from beam_curator.diarization.diarize_rules import ORIGIN_KEY, DiarizeRules
from beam_curator.diarization.probabilities import Probabilities
from beam_curator.diarization.rttm import render_overlap_ctm, render_rttm, render_uem
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings
from beam_curator.diarization.turn_entries import EntryFacts, diarized_entry
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import overlap_regions
from beam_curator.failures import EntryError, Failure
from beam_curator.files import storage
from beam_curator.files.clip_files import ClipFiles, in_memory
from beam_curator.files.embedding_tables import hidden_row
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part
from beam_curator.files.turn_rows import DIARIZE_STAGE, SPEAKER_EMBEDDINGS, TURN_EMBEDDINGS
from beam_curator.recordings.tar_members import split_locator
from beam_curator.sets.output_set import WrittenFile
from beam_curator.transforms.diarization.find_turns import Diarized, diarized_of
from beam_curator.transforms.diarization.prepare_recordings import Ready, Unheard, writer_of
from beam_curator.transforms.diarization.read_recordings import Row, Task
from beam_curator.transforms.metrics import timed

_KINDS = (_RTTM, _UEM, _CTM) = (".rttm", ".uem", ".ctm")
"""Of the files of a recording."""


class WriteTurns(beam.PTransform[PCollection[PredictionResult], PCollection[Part]]):
    """Find turns in a model's results, and write the rows and files of each recording.

    Elements are results of a model that tells who speaks when, or of one that embeds the speakers that such a model
    found before.

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
        if isinstance(result.example, Diarized):
            yield self._writer.write_embedded(result.example, cast(SpeakerEmbeddings | EntryError, result.inference))
            return
        with timed("turns"):
            part = self._writer.write(cast(Ready, result.example), cast(Probabilities | EntryError, result.inference))
        yield part


class _WriteUnheardFn(_WritingFn):
    def process(self, unheard: Unheard) -> Iterator[Part]:
        yield self._writer.write_failed(unheard.task, unheard.error)


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
        fields[rules.audio_filepath_key] = row.recording
    entry = diarized_entry(fields, facts, rules.diar_segments_key, rules.diar_format, rules.audio_filepath_key)
    return entry | {ORIGIN_KEY: {"source": row.source, "offset": row.offset}}


def letters_of(task: Task, error: EntryError) -> Iterator[Failure]:
    """Yield a dead letter for each row that asks for a recording."""
    for row in task.rows:
        yield Failure.from_error(error, stage=DIARIZE_STAGE, source=row.source, offset=row.offset, payload=row.text())


class TurnWriter:
    """Writer of the results of each recording: files, rows, dead letters.

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
        """Write the dead letters of the rows that ask for a recording. Files left by an earlier attempt are deleted."""
        if self._target.resume and self._rules.rttm_out_dir:
            self._target.check()
            storage.delete(self._target.directory, [f"{self._stem(task)}{kind}" for kind in _KINDS])
        writer = writer_of(self._target, task, self._rules)
        for letter in letters_of(task, error):
            writer.add_failure(letter)
        return writer.write()

    def _stem(self, task: Task) -> str:
        return f"{self._rules.rttm_out_dir}/{task.recording_id}"

    def write(self, ready: Ready, heard: Probabilities | EntryError) -> Part:
        """Write a model's result for a recording."""
        try:
            diarized = diarized_of(ready, heard, self._rules, self._turns)
        except EntryError as err:
            return self.write_failed(ready.task, err)
        return self.write_diarized(diarized)

    def write_embedded(self, diarized: Diarized, embeddings: SpeakerEmbeddings | EntryError) -> Part:
        """Write a recording with the embeddings that another model makes; where that fails, the recording does."""
        if isinstance(embeddings, EntryError):
            return self.write_failed(diarized.ready.task, embeddings)
        return self.write_diarized(replace(diarized, embeddings=embeddings))

    def write_diarized(self, diarized: Diarized) -> Part:
        """Write the rows, files and embeddings of a recording whose turns were found."""
        task = diarized.ready.task
        try:
            rows = list(embedding_rows(diarized))
        except EntryError as err:
            return self.write_failed(task, err)
        files = self._write_files(diarized)
        writer = writer_of(self._target, task, self._rules)
        for row in task.rows:
            writer.add_row(entry_of(row, diarized, self._rules, files))
        for table, made in rows:
            writer.add_to_table(table, made)
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


def embedding_rows(diarized: Diarized) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield the embeddings of a recording as hidden rows, with the table of each; None where there is no embedding.

    Raises:
      EntryError: the name of the recording cannot be that of a file.
    """
    embeddings = diarized.embeddings
    if embeddings is None:
        return
    for speaker, vector in embeddings.speakers.items():
        yield SPEAKER_EMBEDDINGS, hidden_row(diarized.speaker_name(speaker), vector, embeddings.model)
    for turn, vector in zip(diarized.turns, embeddings.turns, strict=True):
        yield TURN_EMBEDDINGS, hidden_row(diarized.turn_name(turn), vector, embeddings.model)
