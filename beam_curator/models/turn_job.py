"""The job that tells who speaks when: rows to recordings, and a model's result for one to entries and files."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from beam_curator.audio import AudioReader
from beam_curator.audio_formats import Channels
from beam_curator.clips.cutting import readable
from beam_curator.diarization.channel_turns import joined_channels
from beam_curator.diarization.diarize_rules import DiarizeRules, InferenceOptions, ModelOptions
from beam_curator.diarization.hearing import channels_to_hear, samples_asked
from beam_curator.diarization.rttm import render_overlap_ctm, render_rttm, render_uem
from beam_curator.diarization.speaker_counts import CAMPPLUS, SpeakerCounts
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings
from beam_curator.diarization.streaming_parameters import StreamingParameters
from beam_curator.diarization.turn_entries import EntryFacts, diarized_entry, row_before
from beam_curator.diarization.turn_rows import (
    DIARIZE_STAGE,
    SPEAKER_EMBEDDINGS,
    TURN_EMBEDDINGS,
    TURNS,
    TURNS_WITH_EMBEDDINGS,
)
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import overlap_regions
from beam_curator.entries.json_lines import parse_object
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.failures import EntryError
from beam_curator.files.asked_lines import asked_row
from beam_curator.files.clip_files import in_memory
from beam_curator.files.embedding_tables import hidden_row
from beam_curator.model_records import CAMPPLUS_MODEL, KNOWN_MODELS, SILERO_MODEL
from beam_curator.models.model_checks import config_of_model, embedding_path
from beam_curator.models.turn_finding import Diarized, Ready, TurnTask, diarized_of
from beam_curator.recordings.recording_options import limits_of
from beam_curator.recordings.row_paths import named_in_set
from beam_curator.rules import config_of
from beam_curator.sets.asked_rows import AskedRow, key_of, tasks_of
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.output_set import Config
from beam_curator.sets.recording_events import Event, Made, MadeFile, Noticed, TableRow
from beam_curator.sets.recording_jobs import BlockPlan, LinePlace, ModelJob, plan_lines
from beam_curator.sets.set_kinds import DIARIZE
from beam_curator.sets.set_options import InputOptions, RowOutputOptions, output_config
from beam_curator.vad.vad_options import SILERO

_KINDS = (_RTTM, _UEM, _CTM) = (".rttm", ".uem", ".ctm")
"""Of the files of a recording."""


class TurnJob(ModelJob[AskedRow, TurnTask, Ready | Diarized]):
    """Recordings to entries with turns, RTTM, and embeddings if asked for.

    What is given to `made` is a recording with a model's probabilities, or one whose turns were found before with the
    embeddings that another model made.

    Args:
      rules: which recordings and channels to hear, and which results to write.
      turns: how probabilities become turns.
      always_rttm: make the .rttm file also where entries name none.
    """

    kind = DIARIZE
    shown = frozenset(f"{DIARIZE_STAGE}.{name}" for name in ("turns", "failures", "audio_us"))

    def __init__(self, rules: DiarizeRules, turns: TurnRules, *, always_rttm: bool = False) -> None:
        self._rules = rules
        self._turns = turns
        self._makes_rttm = always_rttm or bool(rules.rttm_out_dir)
        self.rows = TURNS_WITH_EMBEDDINGS if rules.embeddings else TURNS
        self.allowed_root = rules.allowed_root
        self.limits = limits_of(rules)
        self.key_of_recordings = rules.audio_filepath_key

    def plan(self, block: LineBlock) -> BlockPlan[AskedRow]:
        return plan_lines(block, self._plan_line)

    def _plan_line(self, plan: BlockPlan[AskedRow], raw: bytes, place: LinePlace) -> None:
        plan.asked.append(self.asked_by(raw, place))
        plan.counts["plan.rows"] += 1

    def asked_by(self, raw: bytes, place: LinePlace) -> AskedRow:
        """Tell which recording a line of a manifest asks for.

        Raises:
          EntryError: it is no JSON object, or names no recording.
        """
        rules = self._rules
        before = row_before(parse_object(raw), rules.diar_segments_key, rules.audio_filepath_key)
        return asked_row(raw, place, key=rules.audio_filepath_key, audio_root=rules.audio_root, fields=before)

    def key(self, asked: AskedRow) -> str:
        return key_of(asked)

    def tasks(self, key: str, asked: Iterable[AskedRow], *, marked: bool) -> Iterator[TurnTask]:
        return tasks_of(asked)

    def ready(self, task: TurnTask, reader: AudioReader) -> Ready:
        asked, info = task.rows[0], reader.info
        first, stop = samples_asked(info, asked.start, asked.end)
        splits = asked.channel is None and self._rules.splits
        channels = "mix" if splits else self._channels(asked.channel, reader, first, stop)
        return Ready(
            name=asked.recording,
            first=first,
            stop=stop,
            sample_rate=info.sample_rate,
            channels=channels,
            unmixed=asked.channel is None and self._rules.channels == "mix" and channels != "mix",
            split=tuple(range(info.n_channels)) if splits else (),
            allowed_root=self._rules.allowed_root,
            version=reader.version,
            task=task,
            duration=round(info.n_samples / info.sample_rate, 6),
        )

    def _channels(self, named: int | None, reader: AudioReader, first: int, stop: int) -> Channels:
        """Return the one channel that is heard, or "mix": that of the row, or else that of the rules.

        Where the channels cancel each other in their mean, the loudest is heard instead.
        """
        rules = self._rules
        with readable():
            return channels_to_hear(reader, first, stop, rules.channel if named is None else named, rules.channels)

    def task_of(self, ready: Ready | Diarized) -> TurnTask:
        return ready.ready.task if isinstance(ready, Diarized) else ready.task

    def version_of(self, ready: Ready | Diarized) -> str:
        return ready.ready.version if isinstance(ready, Diarized) else ready.version

    def found(self, ready: Ready, heard: Any) -> Diarized:
        """Return a recording with the turns in a model's result for it.

        Raises:
          EntryError: see `diarized_of`.
        """
        return diarized_of(ready, heard, self._rules, self._turns, self.timed)

    def made(self, ready: Ready | Diarized, result: Any) -> Iterator[Event]:
        if isinstance(ready, Diarized):
            yield from self._events(replace(ready, embeddings=_embeddings_in(ready, result)))
        else:
            yield from self._events(self.found(ready, result))

    def failed(self, task: TurnTask, error: EntryError) -> Iterator[Event]:
        stem = self._stem(task)
        names = tuple(f"{stem}{kind}" for kind in _KINDS) if self._rules.rttm_out_dir else ()
        yield from task.missed(error, DIARIZE_STAGE, names)

    def _events(self, diarized: Diarized) -> Iterator[Event]:
        embeddings = list(embedding_rows(diarized))
        files = self._files(diarized)
        task = diarized.ready.task
        for number, row in enumerate(task.rows):
            yield Made(row=self._entry(row, diarized, files), order=(number,), files=files)
        if embeddings:
            n_speakers = sum(row.table == SPEAKER_EMBEDDINGS for row in embeddings)
            counts = {SPEAKER_EMBEDDINGS: n_speakers, TURN_EMBEDDINGS: len(embeddings) - n_speakers}
            yield Noticed(counts=counts)
        yield from embeddings

    def _entry(self, row: AskedRow, diarized: Diarized, files: tuple[MadeFile, ...]) -> dict[str, Any]:
        ready = diarized.ready
        facts = EntryFacts(
            recording_id=diarized.recording_id,
            audio_filepath=ready.name,
            sample_rate=ready.sample_rate,
            duration=ready.duration,
            turns=diarized.turns,
            saturated=diarized.saturated,
            bandwidths=diarized.bandwidths,
            non_speech=diarized.non_speech,
            clipped_ratio=diarized.clipped_ratio,
            rttm=files[0].name if self._rules.rttm_out_dir else None,
            files=tuple(file.written for file in files) if self._rules.rttm_out_dir else (),
            crosstalk=diarized.crosstalk,
            unmixed=ready.channel if ready.unmixed else None,
        )
        fields = row.fields()
        key = self._rules.audio_filepath_key
        fields[key] = named_in_set(fields.get(key), row.recording)
        entry = diarized_entry(fields, facts, self._rules.diar_segments_key, self._rules.diar_format, key)
        return entry | {ORIGIN_KEY: {"source": row.source, "offset": row.offset}}

    def _stem(self, task: TurnTask) -> str:
        return f"{self._rules.rttm_out_dir}/{task.recording_id}".lstrip("/")

    def _files(self, diarized: Diarized) -> tuple[MadeFile, ...]:
        if not self._makes_rttm:
            return ()
        name, ready = diarized.recording_id, diarized.ready
        texts = {_RTTM: render_rttm(name, diarized.turns)}
        if self._rules.uem:
            heard = [stream.channel for stream in ready.streams]
            texts[_UEM] = render_uem(name, [(diarized.begin, diarized.begin + ready.seconds)], heard)
        if self._rules.overlaps:
            texts[_CTM] = render_overlap_ctm(name, overlap_regions(diarized.turns))
        stem = self._stem(ready.task)
        return tuple(MadeFile(name=f"{stem}{kind}", body=in_memory(text.encode())) for kind, text in texts.items())


def _embeddings_in(diarized: Diarized, result: Any) -> SpeakerEmbeddings:
    """Return the embeddings in a model's result for a recording, or in those for its channels.

    Raises:
      EntryError: the model failed.
    """
    found = {}
    results = result if diarized.ready.split else (result,)
    for stream, embeddings in zip(diarized.streams, results, strict=True):
        if isinstance(embeddings, EntryError):
            raise embeddings
        found[stream.ready.channel] = embeddings
    return joined_channels(diarized.turns, found) if diarized.ready.split else embeddings


def embedding_rows(diarized: Diarized) -> Iterator[TableRow]:
    """Yield the embeddings of a recording as rows of their tables, None for one that is missing.

    Raises:
      EntryError: the recording's name cannot be a file name.
    """
    embeddings = diarized.embeddings
    if embeddings is None:
        return
    for speaker, vector in embeddings.speakers.items():
        row = hidden_row(diarized.speaker_name(speaker), vector, embeddings.model)
        yield TableRow(table=SPEAKER_EMBEDDINGS, row=row)
    for turn, vector in zip(diarized.turns, embeddings.turns, strict=True):
        row = hidden_row(diarized.turn_name(turn), vector, embeddings.model)
        yield TableRow(table=TURN_EMBEDDINGS, row=row)


def turn_config(
    rules: DiarizeRules,
    model: ModelOptions,
    walk: StreamingParameters,
    turns: TurnRules,
    speakers: SpeakerCounts,
    inference: InferenceOptions,
    *,
    reading: InputOptions,
    output: RowOutputOptions,
    n_shards: int,
) -> Config:
    """Return the settings that decide the rows of a set of turns, as its manifest records them.

    Of a model that makes embeddings and is given by its path it is the file name alone, since the file is hashed. The
    detector of speech is the same wherever it lies.
    """
    path = embedding_path(rules)
    models: dict[str, Any] = {"embedding_model": os.path.basename(path.rstrip("/"))} if path else {}
    models |= {"vad_path": "", "vad_sha256": KNOWN_MODELS[SILERO_MODEL].sha256} if rules.vad == SILERO else {}
    return {
        "diarization": config_of(rules) | models,
        "model": config_of_model(model),
        "streaming": config_of(walk),
        "turns": config_of(turns),
        "inference": {"inference_batch_size": inference.inference_batch_size},
        "input": config_of(reading),
        "output": output_config(output, n_shards, "row_format", "shards"),
        # numbers that no other model than the cascade takes, unless pieces are linked
        **({} if speakers == SpeakerCounts() else {"speakers": _speakers_config(speakers)}),
    }


def _speakers_config(speakers: SpeakerCounts) -> Config:
    """Return the known counts of speakers, and the model of voices that links pieces, if they are linked."""
    config = config_of(speakers)
    if not speakers.link_pieces:
        return {name: value for name, value in config.items() if name not in ("link_pieces", "link_by")}
    return config | ({"link_sha256": KNOWN_MODELS[CAMPPLUS_MODEL].sha256} if speakers.link_by == CAMPPLUS else {})
