"""The job that makes clean clips of one speaker: speech, its speakers, and clips that filters let through."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from beam_curator.audio import AudioReader
from beam_curator.audio_formats import AudioFormat, Channels
from beam_curator.clips.cutting import readable
from beam_curator.curate.clip_plan import PlannedClip
from beam_curator.curate.curate_rules import CurateOptions
from beam_curator.curate.curated_rows import (
    CLIPS_FOLDER,
    CURATE_STAGE,
    CURATED_CLIPS,
    REJECTED,
    ClipFacts,
    RecordingFacts,
    clip_name,
    clip_row,
    rejected_row,
)
from beam_curator.curate.filters import CLIP, LEVELS, RECORDING, SEGMENT, Filter, Scores, filters_of, judge
from beam_curator.curate.score_rules import SCORED
from beam_curator.diarization.diarize_rules import SPLIT, number_of_channel
from beam_curator.diarization.hearing import channels_to_hear, samples_asked
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.failures import EntryError, FailureCode
from beam_curator.files.asked_lines import asked_row
from beam_curator.files.clip_files import EncodedClip
from beam_curator.files.curated_clips import encoded, measured
from beam_curator.files.opened_recordings import open_recording, seen_now
from beam_curator.models.clip_scoring import ClipScorers
from beam_curator.models.curated_speech import (
    CurateTask,
    HeardSpeech,
    HeardTrack,
    SharedStream,
    SpeechPiece,
    SpeechStream,
    clips_of_speakers,
    clips_of_stream,
    concatenated_speech,
    filtered_speech,
    shared_streams,
    spans_of_stream,
)
from beam_curator.models.speech_finding import SpeechFinder
from beam_curator.recordings.channel_files import path_text
from beam_curator.recordings.recording_options import limits_of
from beam_curator.recordings.row_paths import named_in_set
from beam_curator.rules import config_of
from beam_curator.sets.asked_rows import AskedRow, key_of, tasks_of
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.recording_events import Event, Made, MadeFile, Noticed, TableRow
from beam_curator.sets.recording_jobs import BlockPlan, LinePlace, ModelJob, plan_lines
from beam_curator.sets.set_kinds import CURATE

_OF_SCORERS = (FailureCode.MODEL_ERROR, FailureCode.OUT_OF_MEMORY)
"""Codes of failures of a model: of one clip, where what was found before stays."""

Models = Mapping[str, Mapping[str, str]]
"""Name and hash of each model, by what it does."""


class CurateJob(ModelJob[AskedRow, CurateTask, HeardSpeech]):
    """Recordings to clips.

    What is given to `made` is a recording with a diarizer's results for its streams; with None where speakers are not
    told apart.

    Args:
      options: what is speech, whose it is, and which clips are good enough.
      turns: how a diarizer's probabilities become turns.
      output_format: of the clips.
      models: that the rows name.
      threads: of the detector of speech.
    """

    kind = CURATE
    rows = CURATED_CLIPS
    shown = frozenset(f"{CURATE_STAGE}.{name}" for name in ("rows", "clips", "failures", "clips_failed", "audio_us"))

    def __init__(
        self,
        options: CurateOptions,
        turns: TurnRules,
        output_format: AudioFormat = "wav",
        models: Models | None = None,
        threads: int = 1,
    ) -> None:
        rules = options.recordings
        self._options = options
        self._turns = turns
        self._output_format: AudioFormat = output_format
        self._models = models or {}
        self._threads = threads
        self._filters = {level: filters_of(options, level) for level in LEVELS}
        self._hash = hashlib.sha256(encode(curate_config(options))).hexdigest()
        self._finder = SpeechFinder(options.vad, threads)
        self._scorers = ClipScorers(options, {name: model["sha256"] for name, model in self._models.items()})
        self.audio_root = rules.audio_root
        self.allowed_root = rules.allowed_root
        self.limits = limits_of(rules)
        self.key_of_recordings = rules.audio_filepath_key

    def close(self) -> None:
        self._scorers.close()

    def plan(self, block: LineBlock) -> BlockPlan[AskedRow]:
        return plan_lines(block, self._plan_line)

    def _plan_line(self, plan: BlockPlan[AskedRow], raw: bytes, place: LinePlace) -> None:
        rules = self._options.recordings
        fields = parse_object(raw)
        asked = asked_row(raw, place, key=rules.audio_filepath_key, audio_root=rules.audio_root, fields=fields)
        plan.asked.append(asked)
        plan.counts["plan.rows"] += 1

    def key(self, asked: AskedRow) -> str:
        return key_of(asked)

    def tasks(self, key: str, asked: Iterable[AskedRow], *, marked: bool) -> Iterator[CurateTask]:
        return tasks_of(asked)

    def task_of(self, ready: HeardSpeech) -> CurateTask:
        return ready.task

    def version_of(self, ready: HeardSpeech) -> str:
        return ready.version

    def folder(self, task: CurateTask) -> str:
        return f"{CLIPS_FOLDER}/{task.recording_id}"

    def failed(self, task: CurateTask, error: EntryError) -> Iterator[Event]:
        yield from task.missed(error, CURATE_STAGE)

    def ready(self, task: CurateTask, reader: AudioReader) -> HeardSpeech:
        filters = self._filters[SEGMENT]
        found = self.found(task, reader, measures=bool(filters))
        return concatenated_speech(filtered_speech(found, filters), self._options.concatenation.silence_duration_sec)

    def found(self, task: CurateTask, reader: AudioReader, *, measures: bool) -> HeardSpeech:
        """Find the speech of an open recording; nothing is filtered or put end to end.

        Args:
          task: the recording, and the rows that ask for it.
          reader: of it.
          measures: measure each piece of speech.
        """
        asked, info, rules = task.rows[0], reader.info, self._options.recordings
        first, stop = samples_asked(info, asked.start, asked.end)
        scores = {"sample_rate": info.sample_rate, "num_channels": info.n_channels}
        verdict = judge(self._filters[RECORDING], scores)
        split = asked.channel is None and rules.channels == SPLIT
        chosen: list[Channels] = []
        if verdict.dropped_by is None and split:
            chosen = list(range(info.n_channels))
        elif verdict.dropped_by is None:
            named = number_of_channel(rules.channels) if asked.channel is None else asked.channel
            with readable():
                chosen = [channels_to_hear(reader, first, stop, named, rules.channels)]
        with readable():
            heard = tuple(self._stream(reader, (first, stop), each, measures=measures) for each in chosen)
        return HeardSpeech(
            task=task,
            first=first,
            stop=stop,
            sample_rate=info.sample_rate,
            version=reader.version,
            allowed_root=self.allowed_root,
            scores=scores,
            verdict=verdict,
            split=split,
            unmixed=asked.channel is None and rules.channels == "mix" and chosen not in (["mix"], []),
            heard=heard,
        )

    def _stream(
        self, reader: AudioReader, span: tuple[int, int], channels: Channels, *, measures: bool
    ) -> SpeechStream:
        spans, speech = spans_of_stream(reader, span, channels, self._finder, self._options)
        pieces = []
        for each in spans:
            clip = PlannedClip(spans=(each,))
            scores: Scores = {}
            if measures:
                within = HeardTrack(clip=clip, channels=channels, speech=tuple(speech)).speech_within
                scores = measured(reader, clip, channels, within, self._options.band_filter)
            pieces.append(SpeechPiece(clip=clip, scores=scores))
        return SpeechStream(channels=channels, pieces=tuple(pieces), speech=tuple(speech))

    def made(self, ready: HeardSpeech, result: Any) -> Iterator[Event]:
        rows = _Rows(
            self._options, ready, self._facts(ready), self._filters[CLIP], self._score if self._scorers else None
        )
        yield from rows.before_clips()
        if ready.verdict.dropped_by is not None:
            return
        asked = self._options.speaker_separation.enable
        with readable(), open_recording(ready.task.recording, self.allowed_root, ready.version) as reader:
            shared = shared_streams(reader, ready, result, self._turns, self._options) if asked else []
            yield rows.of_speakers(shared)
            clips = self._clips(reader, ready, shared)
            yield from rows.of_clips(reader, clips, self._output_format)

    def _clips(self, reader: AudioReader, ready: HeardSpeech, shared: Sequence[SharedStream]) -> list[HeardTrack]:
        if not self._options.speaker_separation.enable:
            found = [clip for stream in ready.heard for clip in clips_of_stream(stream)]
        else:
            found = [
                clip for stream in shared for clip in clips_of_speakers(reader, stream, self._finder, self._options)
            ]
        return sorted(found, key=lambda each: (each.clip.first, each.clip.stop, each.clip.speaker, str(each.channels)))

    def _score(self, reader: AudioReader, found: HeardTrack) -> Scores:
        with self.timed("scores"):
            return self._scorers.scores(reader, found)

    def _facts(self, ready: HeardSpeech) -> RecordingFacts:
        row = ready.task.rows[0]
        given = named_in_set(row.fields().get(self._options.recordings.audio_filepath_key), row.recording)
        return RecordingFacts(
            original_file=path_text(given) or row.recording,
            recording_id=ready.task.recording_id,
            sample_rate=ready.sample_rate,
            sha256=seen_now(row.recording).content,
            models=self._models,
            config_sha256=self._hash,
        )


class _Rows:
    """Makes the events of one recording: its clips, all that was rejected, and counts."""

    def __init__(
        self,
        options: CurateOptions,
        ready: HeardSpeech,
        facts: RecordingFacts,
        filters: tuple[Filter, ...],
        score: Callable[[AudioReader, HeardTrack], Scores] | None,
    ) -> None:
        self._options = options
        self._ready = ready
        self._facts = facts
        self._filters = filters
        self._score = score
        self._parents = [(row, row.fields()) for row in ready.task.rows]
        self._num_speakers: int | None = None

    def before_clips(self) -> Iterator[Event]:
        """Yield all that was rejected before speakers were told apart."""
        ready, counts = self._ready, Counter[str]()
        pieces = [piece for stream in ready.heard for piece in stream.pieces]
        dropped = [(SEGMENT, piece.clip, piece.verdict.dropped_by, piece.scores) for piece in pieces]
        dropped.append((RECORDING, ready.whole, ready.verdict.dropped_by, ready.scores))
        for level, clip, by, scores in dropped:
            if by is not None:
                counts[f"rejected_{level}s"] += 1
                yield from self._rejected(level, clip, by, scores)
        is_in = ready.verdict.dropped_by is None
        counts["rows"] = int(is_in)
        counts["audio_us"] = round((ready.stop - ready.first) * 1e6 / ready.sample_rate)
        counts["segments"] = len(pieces)
        counts["segments_kept"] = len(pieces) - counts["rejected_segments"]
        counts["speech_us"] = round(sum(piece.clip.n_samples for piece in pieces) * 1e6 / ready.sample_rate)
        counts["silent"] = int(is_in and not pieces)
        counts["unmixed"] = int(ready.unmixed)
        yield self._noticed(counts)

    def of_speakers(self, shared: Sequence[SharedStream]) -> Noticed:
        """Return the fate of the speakers."""
        counts = Counter[str]()
        for stream in shared:
            counts["speakers_kept"] += len(stream.shared.tracks)
            counts["saturated"] = max(counts["saturated"], int(stream.saturated))
            counts["crosstalk_us"] += round(stream.crosstalk * 1e6)
            for reason in stream.shared.dropped.values():
                counts["speakers_dropped"] += 1
                counts[f"speakers_dropped.{reason}"] += 1
        counts["speakers"] = counts["speakers_kept"] + counts["speakers_dropped"]
        if self._options.speaker_separation.enable:
            self._num_speakers = counts["speakers_kept"]
        return self._noticed(counts)

    def of_clips(self, reader: AudioReader, clips: Sequence[HeardTrack], output_format: AudioFormat) -> Iterator[Event]:
        """Yield the rows of clips, in the order of their first samples."""
        vad, number = self._options.vad, 0
        least = vad.min_duration_sec * self._facts.sample_rate if vad.enable else 0
        for found in clips:
            held = found.clip.n_held
            yield self._noticed({"found": 1, "found_samples": held})
            if found.clip.n_samples < least:
                yield self._noticed({"dropped": 1, "dropped.clip_too_short": 1, "dropped_samples": held})
                continue
            name = clip_name(self._facts.recording_id, found.clip, _channel_of(found), output_format)
            clip, scores = self._cut(reader, found, output_format)
            try:
                scores = yield from self._scored(reader, found, scores)
            except EntryError as err:
                _close(clip)
                if err.code not in _OF_SCORERS:
                    raise
                yield from self._missed(err, found, name, number)
                continue
            verdict = judge(self._filters, scores)
            if verdict.dropped_by is not None:
                _close(clip)
                yield from self._rejected(CLIP, found.clip, verdict.dropped_by, scores)
                yield self._noticed({"rejected_samples": held})
                continue
            facts = ClipFacts(
                recording=self._facts,
                plan=found.clip,
                num_speakers=self._num_speakers,
                channel=_channel_of(found),
                scores={key: value for key, value in scores.items() if key != "duration"},
                verdict=verdict,
            )
            yield from self._made(facts, () if clip is None else (MadeFile(name=name, body=clip),), number)
            number += 1

    def _scored(self, reader: AudioReader, found: HeardTrack, scores: Scores) -> Generator[Event, None, Scores]:
        """Add the scores of models, which take long: a clip that a measure drops is not heard."""
        if self._score is None or judge(self._filters, scores).dropped_by is not None:
            return scores
        yield self._noticed({"scored": 1, "scored_us": round(found.clip.n_samples * 1e6 / self._facts.sample_rate)})
        return {**scores, **self._score(reader, found)}

    def _missed(self, error: EntryError, found: HeardTrack, name: str, number: int) -> Iterator[Event]:
        """Yield the dead letters of a clip that a model failed on."""
        yield self._noticed({"clips_failed": 1, f"clips_failed.{error.code}": 1, "failed_samples": found.clip.n_held})
        about = EntryError(error.code, f"{name.rpartition('/')[2]}: {error.message}", error.cure)
        for parent in range(len(self._parents)):
            missed = self._ready.task.missed_row(parent, about, CURATE_STAGE, (name,))
            yield dataclasses.replace(missed, order=(parent, number))

    def _cut(
        self, reader: AudioReader, found: HeardTrack, output_format: AudioFormat
    ) -> tuple[EncodedClip | None, Scores]:
        given = reader, found.clip, found.channels, found.speech_within, self._options.band_filter
        if not self._options.clips.clips:
            return None, measured(*given)
        return encoded(*given, output_format)

    def _made(self, facts: ClipFacts, files: tuple[MadeFile, ...], number: int) -> Iterator[Made]:
        for parent, (row, fields) in enumerate(self._parents):
            made = clip_row(
                fields,
                facts,
                filepath_key=self._options.recordings.audio_filepath_key,
                passed=self._options.timestamp_mapper.passthrough_keys,
                file=files[0].written if files else None,
            )
            origin = {ORIGIN_KEY: {"source": row.source, "offset": row.offset}}
            yield Made(row=made | origin, order=(parent, number), files=files)

    def _rejected(self, level: str, clip: PlannedClip, by: Filter, scores: Scores) -> Iterator[Event]:
        counts = {f"rejected.{by.name}": 1} | ({} if self._options.clips.rejected else {"unlisted": 1})
        yield self._noticed(counts)
        if not self._options.clips.rejected:
            return
        for row, _ in self._parents:
            origin = {ORIGIN_KEY: {"source": row.source, "offset": row.offset}}
            yield TableRow(table=REJECTED, row=rejected_row(self._facts, level, clip, by, scores) | origin)

    def _noticed(self, counts: Mapping[str, int]) -> Noticed:
        """Return counts, once for each row that asks for the recording."""
        return Noticed(counts={name: n * len(self._parents) for name, n in counts.items()})


def _close(clip: EncodedClip | None) -> None:
    if clip is not None:
        clip.close()


def _channel_of(found: HeardTrack) -> int | None:
    return found.channels if isinstance(found.channels, int) else None


def curate_config(options: CurateOptions) -> dict[str, dict[str, Any]]:
    """Return the options that decide the clips, by section; a model is the same wherever it lies."""
    places = {"vad": {"vad_path": ""}} | {name: {"path": ""} for name in (*SCORED, "band_filter")}
    return {
        field.name: config_of(getattr(options, field.name)) | places.get(field.name, {})
        for field in dataclasses.fields(options)
    }
