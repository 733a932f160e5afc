"""The job that gives each speaker of a recording a track of their own."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from beam_curator.audio import AudioReader
from beam_curator.audio_formats import AudioFormat
from beam_curator.entries.json_lines import parse_object
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.failures import EntryError
from beam_curator.files.opened_recordings import recording_of
from beam_curator.files.track_files import encode_tracks
from beam_curator.recordings.asked import asked_by
from beam_curator.recordings.channel_files import path_text
from beam_curator.recordings.recording_ids import id_key, wanted_id
from beam_curator.recordings.recording_options import limits_of
from beam_curator.recordings.row_paths import named_in_set
from beam_curator.recordings.tar_members import nemo_member
from beam_curator.rules import config_of
from beam_curator.separation.asked_tracks import TurnsRow, hash_of, tasks_of
from beam_curator.separation.child_rows import SATURATED_KEY, TrackFacts, child_row
from beam_curator.separation.recording_plan import RecordingPlan, plan_recording
from beam_curator.separation.separate_rules import TRACKS_FOLDER, SeparateRules, TrackOutputOptions
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.speaker_turns import TURN_KEYS, SpeakerTurn, TurnsOfRow, turns_of_row
from beam_curator.separation.track_names import track_names
from beam_curator.separation.track_rows import SEPARATE_STAGE, TRACKS
from beam_curator.sets.blocks import LineBlock
from beam_curator.sets.output_set import Config
from beam_curator.sets.packed_rows import compressed
from beam_curator.sets.recording_events import Event, Made, MadeFile, Missed, Noticed
from beam_curator.sets.recording_jobs import BlockPlan, LinePlace, OpenedJob, RowsTask, plan_lines
from beam_curator.sets.set_kinds import SEPARATE
from beam_curator.sets.set_options import InputOptions, output_config

TrackTask = RowsTask[TurnsRow]

_OF_A_PIECE = ("offset", "duration", "track_duration")
"""Keys by which a row asks for a piece: turns are those of the whole recording."""


class TrackJob(OpenedJob[TurnsRow, TrackTask]):
    """Rows with turns to tracks and their rows.

    Args:
      separation: which speech goes on a track.
      rules: where recordings and turns are in a row.
      output_format: of the tracks.
    """

    kind = SEPARATE
    rows = TRACKS
    shown = frozenset(f"{SEPARATE_STAGE}.{name}" for name in ("rows", "tracks", "audio_us", "failures"))

    def __init__(self, separation: SeparationRules, rules: SeparateRules, output_format: AudioFormat) -> None:
        self._separation = separation
        self._rules = rules
        self._output_format: AudioFormat = output_format
        self.audio_root = rules.audio_root
        self.allowed_root = rules.allowed_root
        self.limits = limits_of(rules)
        self.key_of_recordings = rules.audio_filepath_key

    def plan(self, block: LineBlock) -> BlockPlan[TurnsRow]:
        return plan_lines(block, self._plan_line)

    def _plan_line(self, plan: BlockPlan[TurnsRow], raw: bytes, place: LinePlace) -> None:
        fields = parse_object(raw)
        whole = {key: value for key, value in fields.items() if key not in _OF_A_PIECE}
        asked = asked_by(whole, self._rules.audio_filepath_key, member=nemo_member(place.source, fields))
        found = self._turns(fields)
        n_speakers = len({turn.speaker for turn in found.turns})
        plan.asked.append(
            TurnsRow(
                wanted_id=wanted_id(fields, asked.name),
                recording=recording_of(asked.path, place.source, self.audio_root),
                turns_hash=hash_of(found.turns),
                n_speakers=n_speakers,
                n_bad=found.n_bad,
                source=place.source,
                position=place.position,
                n_blocks=place.n_blocks,
                packed=compressed(raw),
            )
        )
        plan.counts["plan.rows"] += 1
        plan.counts["plan.speakers"] += n_speakers
        plan.counts["plan.turns"] += len(found.turns)
        plan.counts["plan.bad_segments"] += found.n_bad
        plan.counts["plan.turns_empty"] += found.n_empty
        plan.counts["plan.turns_no_speaker"] += found.n_no_speaker

    def key(self, asked: TurnsRow) -> str:
        return id_key(asked.wanted_id)

    def tasks(self, key: str, asked: Iterable[TurnsRow], *, marked: bool) -> Iterator[TrackTask]:
        return tasks_of(asked)

    def work(self, task: TrackTask, reader: AudioReader) -> Iterator[Event]:
        parents = [row.fields() for row in task.rows]
        turns = self._turns(parents[0]).turns
        names = self._names(task, turns)
        plan = plan_recording(turns, reader.info, self._separation)
        seconds = reader.info.n_samples / reader.info.sample_rate
        yield Noticed(
            counts=_counts(plan, parents, seconds, is_silent=not turns),
            names=tuple(names[speaker] for speaker in plan.dropped),
        )
        number = 0
        for clips in encode_tracks(reader, plan.tracks, self._output_format):
            for clip in clips:
                file = MadeFile(name=names[plan.speakers[number].speaker], body=clip)
                for parent, (row, fields) in enumerate(zip(task.rows, parents, strict=True)):
                    child = self._child(task, row, fields, plan, number, file)
                    yield Made(row=child, order=(parent, number), files=(file,))
                number += 1

    def failed(self, task: TrackTask, error: EntryError) -> Iterator[Missed | Noticed]:
        turns = self._turns(task.rows[0].fields()).turns
        yield Noticed(counts={"speakers_failed": sum(row.n_speakers for row in task.rows)})
        yield from task.missed(error, SEPARATE_STAGE, tuple(self._names(task, turns).values()))

    def _turns(self, fields: dict[str, Any]) -> TurnsOfRow:
        return turns_of_row(fields, self._rules.diar_segments_key, strict=self._rules.strict)

    def _names(self, task: TrackTask, turns: Sequence[SpeakerTurn]) -> dict[str, str]:
        speakers = sorted({turn.speaker for turn in turns})
        names = track_names(task.recording_id, speakers, self._output_format)
        return {speaker: f"{TRACKS_FOLDER}/{name}" for speaker, name in names.items()}

    def _child(
        self, task: TrackTask, row: TurnsRow, fields: dict[str, Any], plan: RecordingPlan, number: int, file: MadeFile
    ) -> dict[str, Any]:
        given = named_in_set(fields.get(self._rules.audio_filepath_key), row.recording)
        facts = TrackFacts(
            speaker=plan.speakers[number],
            plan=plan.tracks[number],
            audio_filepath=file.name,
            source_audio_filepath=path_text(given) or row.recording,
            recording_id=task.recording_id,
            num_speakers=len(plan.tracks),
            bad_segments=row.n_bad,
            files=(file.written,),
        )
        child = child_row(
            fields,
            facts,
            turns_key=self._rules.diar_segments_key or TURN_KEYS[0],
            filepath_key=self._rules.audio_filepath_key,
        )
        return child | {ORIGIN_KEY: {"source": row.source, "offset": row.offset}}


def _counts(
    plan: RecordingPlan, parents: Sequence[dict[str, Any]], seconds: float, *, is_silent: bool
) -> dict[str, int]:
    """Return the counts that no row of a track holds, once for each parent."""
    counts = Counter(f"dropped.{reason}" for reason in plan.dropped.values())
    counts["dropped"] = len(plan.dropped)
    counts["rows"] = 1
    counts["audio_us"] = round(seconds * 1e6)
    counts["turns_cut"], counts["turns_outside"] = plan.n_cut, plan.n_outside
    counts["silent"] = int(is_silent)
    n_saturated = sum(fields.get(SATURATED_KEY) is True for fields in parents)
    return {name: n * len(parents) for name, n in counts.items()} | {"saturated": n_saturated}


def track_config(
    separation: SeparationRules, rules: SeparateRules, reading: InputOptions, output: TrackOutputOptions, n_shards: int
) -> Config:
    """Return the settings that decide the rows of a set of tracks, as its manifest records them."""
    return {
        "separation": config_of(separation),
        "rows": config_of(rules),
        "input": config_of(reading),
        "output": output_config(output, n_shards, "output_format", "row_format", "shards"),
    }
