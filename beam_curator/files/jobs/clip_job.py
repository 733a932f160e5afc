"""Jobs that cut clips: rows to requests, and the requests for one recording to clips and their rows."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, cast

from beam_curator.audio import AudioReader
from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.clip_rows import CLIPS, CUT_STAGE
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import cut_of
from beam_curator.clips.entry_pieces import EntryKeys
from beam_curator.clips.naming import NameClaim, claim_key, recordings_to_mark
from beam_curator.clips.packs import AskedClips, Pack, Recording, pack
from beam_curator.clips.records import BadInterval, ClipRequest
from beam_curator.clips.requests import What, requests_of_row
from beam_curator.clips.tables import CutFacts, clip_row
from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.failures import EntryError, Failure
from beam_curator.files.clip_files import CutClip, encode_clip
from beam_curator.files.opened_recordings import recording_of
from beam_curator.recordings.recording_options import limits_of
from beam_curator.recordings.tar_members import nemo_member
from beam_curator.rules import config_of
from beam_curator.sets.blocks import LineBlock, Position
from beam_curator.sets.output_set import Config
from beam_curator.sets.recording_events import Event, Made, MadeFile, Missed, Noticed
from beam_curator.sets.recording_jobs import BlockPlan, LinePlace, OpenedJob, plan_lines
from beam_curator.sets.set_kinds import EXTRACT
from beam_curator.sets.set_options import InputOptions, output_config

INTERVAL_STAGE = "interval"
"""The stage in which pieces of rows with impossible times fail."""

Outcome = CutFacts | EntryError
"""What came of one request."""

_Requests = dict[str, list[tuple[int, ClipRequest]]]
"""The requests of a block, each with the byte offset of its row, by recording."""


class RequestJob(OpenedJob[Pack, AskedClips]):
    """A job whose rows ask for pieces of recordings.

    Args:
      rules: which pieces to cut, and how to make clips of them.
      keys: of rows; by default none that hold lists or objects.
    """

    rows = CLIPS
    have_marks = True
    pieces_fail_alone = True

    def __init__(self, rules: CutRules, keys: EntryKeys | None = None) -> None:
        self._rules = rules
        self._keys = keys if keys is not None else EntryKeys(audio=rules.audio_filepath_key)
        self.audio_root = rules.audio_root
        self.allowed_root = rules.allowed_root
        self.limits = limits_of(rules)

    def plan(self, block: LineBlock) -> BlockPlan[Pack]:
        requests: _Requests = {}
        plan: BlockPlan[Pack] = plan_lines(block, partial(self._plan_row, requests))
        plan.asked += [pack(block.ref, block.part, name, asked) for name, asked in requests.items()]
        n_bad = len(plan.failures.get(INTERVAL_STAGE, ()))
        plan.counts["plan.clips"] = sum(map(len, requests.values())) + n_bad
        return plan

    def _plan_row(self, requests: _Requests, plan: BlockPlan[Pack], raw: bytes, place: LinePlace) -> None:
        row, offset = parse_object(raw), place.position[2]
        member = nemo_member(place.source, row)
        items = requests_of_row(row, cast(What, self._rules.what), self._keys, member=member)
        if not items:
            plan.counts["plan.dropped"] += 1
            plan.counts["plan.dropped.no_pieces"] += 1
            return
        paths = {item.fields["original_file"] for item in items if isinstance(item, ClipRequest)}
        recordings = {path: recording_of(path, place.source, self._rules.audio_root) for path in paths}
        plan.counts["plan.rows"] += 1
        for item in items:
            if isinstance(item, BadInterval):
                payload = encode(item.fields)
                plan.fail(item.error, source=place.source, offset=offset, payload=payload, stage=INTERVAL_STAGE)
            else:
                requests.setdefault(recordings[item.fields["original_file"]], []).append((offset, item))

    def key(self, asked: Pack) -> str:
        return asked.recording

    def tasks(self, key: str, asked: Iterable[Pack], *, marked: bool) -> Iterator[AskedClips]:
        yield AskedClips(recording=key, packs=tuple(asked), marked=marked)


class ClipJob(RequestJob):
    """Rows to clips, each in a file of its own.

    Args:
      rules: which pieces to cut, and how to make clips of them.
      output_format: of the clips.
    """

    kind = EXTRACT

    def __init__(self, rules: CutRules, output_format: AudioFormat) -> None:
        super().__init__(rules)
        self._output_format: AudioFormat = output_format

    def claim(self, asked: Pack) -> Iterator[tuple[str, NameClaim]]:
        for claim in asked.claims:
            yield claim_key(claim.stem), claim

    def collisions(self, claims: Iterable[NameClaim]) -> set[str]:
        return recordings_to_mark(claims)

    def work(self, task: AskedClips, reader: AudioReader) -> Iterator[Event]:
        recording = task.unpacked()
        names = self._names(recording)
        requests = [request for _, request in recording.requests]
        rate, n_samples = reader.info.sample_rate, reader.info.n_samples
        for index in sorted(range(len(requests)), key=lambda index: requests[index].sample_range(rate, n_samples)):
            cut = cut_clip(reader, requests[index], self._rules, self._output_format)
            if isinstance(cut, EntryError):
                yield missed_clip(cut, recording, index, names[index])
                continue
            facts = cut.facts(names[index])
            file = MadeFile(name=names[index], body=cut.clip)
            yield Made(row=row_of(recording, index, facts), order=(index,), files=(file,))
            yield Noticed(progress=progress_of(facts))

    def failed(self, task: AskedClips, error: EntryError) -> Iterator[Event]:
        recording = task.unpacked()
        for index, name in enumerate(self._names(recording)):
            yield missed_clip(error, recording, index, name)

    def _names(self, recording: Recording) -> list[str]:
        return recording.clip_names(self._output_format)


def missed_clip(error: EntryError, recording: Recording, index: int, *names: str) -> Missed:
    """Return the dead letter of a request, by its number."""
    return Missed(failure=failure_of(error, recording, *recording.requests[index]), order=(index,), names=names)


def failure_of(error: EntryError, recording: Recording, position: Position, request: ClipRequest) -> Failure:
    """Make the dead letter of a clip: its payload is a row that asks for this clip alone."""
    source = recording.sources[position[0]]
    return Failure.from_error(error, stage=CUT_STAGE, source=source, offset=position[2], payload=encode(request.fields))


def row_of(recording: Recording, index: int, facts: CutFacts) -> dict[str, Any]:
    """Return the row of a clip, with the line that it comes from."""
    position, request = recording.requests[index]
    origin = {"source": recording.sources[position[0]], "offset": position[2]}
    return clip_row(request.fields, request.index, facts) | {ORIGIN_KEY: origin}


def progress_of(facts: CutFacts) -> dict[str, int]:
    """Return the progress counts of one clip: the clip itself, and its audio in microseconds."""
    return {"progress.clips": 1, "progress.audio_us": round(facts.n_samples * 1e6 / facts.sample_rate)}


def cut_clip(
    reader: AudioReader, request: ClipRequest, rules: CutRules, output_format: AudioFormat
) -> CutClip | EntryError:
    """Cut and encode one clip; an `EntryError` is returned, not raised."""
    try:
        return encode_clip(reader, cut_of(request, reader.info, rules), rules, output_format)
    except EntryError as err:
        return err


def clip_config(rules: CutRules, reading: InputOptions, output: ClipOutputOptions, n_shards: int) -> Config:
    """Return the settings that decide the rows of a set of clips, as its manifest records them."""
    names = ("output_format", "row_format", "shards", "index", "pack")
    return {
        "clips": config_of(rules),
        "input": config_of(reading),
        "output": output_config(output, n_shards, *names),
    }
