"""Separation: from tasks to tracks, their rows, and dead letters."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_curator.audio import AudioReader
from beam_curator.audio_formats import AudioFormat
from beam_curator.diarization.diarize_rules import ORIGIN_KEY
from beam_curator.failures import EntryError, Failure
from beam_curator.files import storage
from beam_curator.files.clip_files import ClipFiles
from beam_curator.files.opened_recordings import open_recording
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartWriter
from beam_curator.files.track_files import encode_tracks
from beam_curator.files.track_rows import SEPARATE_STAGE, TRACKS
from beam_curator.recordings.tar_members import split_locator
from beam_curator.separation.child_rows import SATURATED_KEY, TrackFacts, child_row
from beam_curator.separation.recording_plan import RecordingPlan, plan_recording
from beam_curator.separation.separate_rules import TRACKS_FOLDER, SeparateRules
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.speaker_turns import TURN_KEYS, turns_of_row
from beam_curator.separation.track_names import track_names
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import WrittenFile
from beam_curator.transforms.metrics import Noted, collector_paused, noted, timed
from beam_curator.transforms.separation.read_turns import SeparationTask, TurnsRow


class SeparateTasks(beam.PTransform[PCollection[SeparationTask], Any]):
    """Open each recording, and write a track and a row for each of its speakers.

    Returns:
      The outcome of each recording, and counts for people while it is worked on.

    Args:
      target: where to.
      separation: what goes on a track.
      rules: where recordings and turns are in a row.
      output_format: of the tracks.
    """

    def __init__(
        self, target: OutputTarget, separation: SeparationRules, rules: SeparateRules, output_format: AudioFormat
    ) -> None:
        super().__init__()
        self._work = _SeparateFn(target, separation, rules, output_format)

    def expand(self, tasks: PCollection[SeparationTask]) -> "tuple[PCollection[Part], PCollection[Count]]":
        done = tasks | "Separate" >> beam.ParDo(self._work).with_outputs("progress", main="parts")
        return done["parts"], done["progress"]


class _SeparateFn(beam.DoFn):
    def __init__(
        self, target: OutputTarget, separation: SeparationRules, rules: SeparateRules, output_format: AudioFormat
    ) -> None:
        self._target = target
        self._separation = separation
        self._rules = rules
        self._output_format: AudioFormat = output_format

    def setup(self) -> None:
        if self._target.token is None:
            storage.make_directory(self._target.directory)
        storage.make_directory(storage.join(self._target.directory, TRACKS_FOLDER))
        self._files = ClipFiles(self._target)

    def teardown(self) -> None:
        self._files.close()

    def process(self, task: SeparationTask) -> Iterator[Part | Noted]:
        with timed("separate"), collector_paused():
            work = Separation(task, self._target, self._separation, self._rules, self._output_format, self._files)
            part = work.run()
        yield from noted(work.progress())
        yield part


class Separation:
    """One recording with its turns on its way to tracks and rows.

    Args:
      task: the recording and its rows.
      target: where the set goes.
      separation: what goes on a track.
      rules: where recordings and turns are in a row.
      output_format: of the tracks.
      files: puts tracks in place.
    """

    def __init__(
        self,
        task: SeparationTask,
        target: OutputTarget,
        separation: SeparationRules,
        rules: SeparateRules,
        output_format: AudioFormat,
        files: ClipFiles,
    ) -> None:
        self._task = task
        self._target = target
        self._separation = separation
        self._rules = rules
        self._output_format: AudioFormat = output_format
        self._files = files
        self._parents = [row.fields() for row in task.rows]
        self._turns = turns_of_row(self._parents[0], rules.diar_segments_key).turns
        speakers = sorted({turn.speaker for turn in self._turns})
        names = track_names(task.recording_id, speakers, output_format)
        self._names = {speaker: f"{TRACKS_FOLDER}/{name}" for speaker, name in names.items()}
        self._seconds = 0.0
        self._n_tracks = 0

    def run(self) -> Part:
        """Make the tracks, and return the outcome of the recording; one that an earlier attempt completed is kept."""
        asked = self._task.rows[0]
        try:
            with open_recording(asked.recording, self._rules.allowed_root) as reader:
                plan = plan_recording(self._turns, reader.info, self._separation)
                self._seconds = reader.info.n_samples / reader.info.sample_rate
                writer = self._writer(plan)
                part = writer.kept(len(plan.tracks) * len(self._parents))
                if part is None:
                    written = self._write_tracks(reader, plan)
        except EntryError as err:
            return self._failed(err)
        self._n_tracks = len(plan.tracks)
        if part is not None:
            return part
        for row, fields in zip(self._task.rows, self._parents, strict=True):
            for child in self._children(row, fields, plan, written):
                writer.add_row(child)
        self._files.flush()
        return writer.write()

    def progress(self) -> Iterator[Count]:
        """Yield the progress counts of a finished recording: rows, tracks, and microseconds of audio."""
        yield "progress.rows", len(self._parents)
        yield "progress.tracks", self._n_tracks
        yield "progress.audio_us", round(self._seconds * 1e6)

    def _empty_writer(self) -> PartWriter:
        first = self._task.rows[0]
        key = f"{self._task.recording_id}\n{self._task.identity}"  # a recording may be part of several tasks
        return PartWriter(TRACKS, self._target, key, first.position, first.n_blocks)

    def _writer(self, plan: RecordingPlan) -> PartWriter:
        """Return a writer of rows; it already has the counts that no row holds, once for each parent."""
        writer = self._empty_writer()
        counts = Counter(f"dropped.{reason}" for reason in plan.dropped.values())
        counts["dropped"] = len(plan.dropped)
        counts["rows"] = 1
        counts["audio_us"] = round(self._seconds * 1e6)
        counts["turns_cut"], counts["turns_outside"] = plan.n_cut, plan.n_outside
        counts["silent"] = int(not self._turns)
        for name, n in counts.items():
            if n:
                writer.count(name, n * len(self._parents))
        n_saturated = sum(fields.get(SATURATED_KEY) is True for fields in self._parents)
        if n_saturated:
            writer.count("saturated", n_saturated)
        return writer

    def _write_tracks(self, reader: AudioReader, plan: RecordingPlan) -> list[WrittenFile]:
        """Put all tracks in place, or none; those that an earlier attempt made of others go."""
        for speaker in plan.dropped:
            self._files.remove(self._names[speaker])
        written: list[WrittenFile] = []
        try:
            for clips in encode_tracks(reader, plan.tracks, self._output_format):
                for clip in clips:
                    name = self._names[plan.speakers[len(written)].speaker]
                    written.append(WrittenFile(name, clip.n_bytes, clip.sha256))
                    self._files.put(name, clip)
        except EntryError:
            self._files.flush()
            self._target.check()
            storage.delete(self._target.directory, [file.name for file in written])
            raise
        return written

    def _children(
        self, row: TurnsRow, fields: dict[str, Any], plan: RecordingPlan, written: Sequence[WrittenFile]
    ) -> Iterator[dict[str, Any]]:
        in_tar = split_locator(row.recording)[1] is not None  # rows of a tarred dataset name the member alone
        for speaker, track, file in zip(plan.speakers, plan.tracks, written, strict=True):
            facts = TrackFacts(
                speaker=speaker,
                plan=track,
                audio_filepath=file.name,
                source_audio_filepath=row.recording if in_tar else fields[self._rules.audio_filepath_key],
                recording_id=self._task.recording_id,
                num_speakers=len(plan.tracks),
                files=(file,),
            )
            child = child_row(
                fields,
                facts,
                turns_key=self._rules.diar_segments_key or TURN_KEYS[0],
                filepath_key=self._rules.audio_filepath_key,
            )
            yield child | {ORIGIN_KEY: {"source": row.source, "offset": row.offset}}

    def _failed(self, error: EntryError) -> Part:
        """Write a dead letter for each row; tracks that an earlier attempt left go."""
        for name in self._names.values():
            self._files.remove(name)
        writer = self._empty_writer()
        for row in self._task.rows:
            writer.count("speakers_failed", row.n_speakers)
            writer.add_failure(
                Failure.from_error(
                    error, stage=SEPARATE_STAGE, source=row.source, offset=row.offset, payload=row.text()
                )
            )
        return writer.write()
