"""Cutting clips: the requests for one recording to files, rows and dead letters."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.audio import AudioReader
from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import Cut, channels_of, cut_of, rate_of
from beam_curator.clips.naming import number_names, sort_requests, stem_with_mark
from beam_curator.clips.records import ClipRequest
from beam_curator.clips.tables import ORIGIN_KEY, CutFacts, clip_row
from beam_curator.failures import EntryError, Failure
from beam_curator.json_lines import encode
from beam_curator.transforms import storage
from beam_curator.transforms.clips.parts import CLIPS
from beam_curator.transforms.clips.planning import Pack, Position, unpack
from beam_curator.transforms.clips.recordings import open_recording
from beam_curator.transforms.clips.sinks import ClipFiles, EncodedClip, encode_clip
from beam_curator.transforms.metrics import Count, collector_paused, timed
from beam_curator.transforms.output_set import OutputTarget
from beam_curator.transforms.parts import Part, PartWriter

CUT_STAGE = "cut"

_NOTE_EVERY = 0.5

Noted = TaggedOutput[Literal["progress"], tuple[str, int]]

Outcome = CutFacts | EntryError
"""What came of one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Everything that is asked of one recording.

    Attributes:
      name: path, as it is opened.
      stem: what the names of its clips begin with.
      position: of its first row.
      n_blocks: number of blocks of the job.
      requests: in the order of their numbers, with the places of their rows.
      sources: ordinal of a block to its manifest.
    """

    name: str
    stem: str
    position: Position
    n_blocks: int
    requests: tuple[tuple[Position, ClipRequest], ...]
    sources: dict[int, str]


def recording_from(name: str, packs: Iterable[Pack], *, marked: bool) -> Recording:
    """Put the packs of one recording together, in the order in which its clips are numbered."""
    packs = list(packs)
    stem = packs[0].claim.stem
    return Recording(
        name=name,
        stem=stem_with_mark(stem, name) if marked else stem,
        position=min(item.position for item in packs),
        n_blocks=packs[0].n_blocks,
        requests=tuple(sort_requests(unpack(packs))),
        sources={item.position[0]: item.source for item in packs},
    )


class CutClips(beam.PTransform[PCollection[tuple[str, dict[str, Any]]], Any]):
    """Open each recording once, cut the clips that are asked for, and write them with their rows.

    Returns:
      The outcome of each recording, and counts of clips for people while it is worked on.

    Args:
      target: where to.
      rules: how.
      output_format: of the clips.
    """

    def __init__(self, target: OutputTarget, rules: CutRules, output_format: AudioFormat) -> None:
        super().__init__()
        self._target = target
        self._rules = rules
        self._output_format = output_format

    def expand(self, groups: PCollection[tuple[str, dict[str, Any]]]) -> "tuple[PCollection[Part], PCollection[Count]]":
        work = _CutFn(self._target, self._rules, self._output_format)
        cut = groups | "Cut" >> beam.ParDo(work).with_outputs("progress", main="parts")
        return cut["parts"], cut["progress"]


class _CutFn(beam.DoFn):
    def __init__(self, target: OutputTarget, rules: CutRules, output_format: AudioFormat) -> None:
        self._target = target
        self._rules = rules
        self._output_format: AudioFormat = output_format

    def setup(self) -> None:
        if self._target.token is None:
            storage.make_directory(self._target.directory)
        self._files = ClipFiles(self._target)

    def teardown(self) -> None:
        self._files.close()

    def process(self, group: tuple[str, dict[str, Any]]) -> Iterator[Part | Noted]:
        name, joined = group
        recording = recording_from(name, joined["packs"], marked=any(joined["marks"]))
        writer = PartWriter(CLIPS, self._target, recording.name, recording.position, recording.n_blocks)
        with timed("cut"), collector_paused():
            part = writer.kept(len(recording.requests))
            if part is None:
                yield from noted(cut_recording(recording, self._rules, self._output_format, self._files, writer))
                self._files.flush()
                part = writer.write()
        yield part


def cut_recording(
    recording: Recording, rules: CutRules, output_format: AudioFormat, files: ClipFiles, writer: PartWriter
) -> Iterator[Count]:
    """Cut all clips of a recording in the order of time; rows and dead letters come in the order of their numbers.

    Yields:
      Counts of clips as they are cut.
    """
    names = number_names([request for _, request in recording.requests], recording.stem, output_format)
    outcomes: list[Outcome | None] = [None] * len(names)
    for index, cut in _cut_in_time_order(recording, rules, output_format):
        if isinstance(cut, EntryError):
            files.remove(names[index])
            outcomes[index] = cut
        else:
            facts = cut.facts(names[index])
            outcomes[index] = facts
            files.put(names[index], cut.clip)
            yield from progress_of(facts)
    for (position, request), outcome in zip(recording.requests, outcomes, strict=True):
        source = recording.sources[position[0]]
        if isinstance(outcome, CutFacts):
            writer.add_row(row_of(request, outcome, source, position[2]))
        elif outcome is not None:
            writer.add_failure(failure_of(outcome, request, source, position[2]))


def progress_of(facts: CutFacts) -> Iterator[Count]:
    """Yield the progress counts of one clip: the clip itself, and its audio in microseconds."""
    yield "progress.clips", 1
    yield "progress.audio_us", round(facts.n_samples * 1e6 / facts.sample_rate)


def noted(counts: Iterator[Count]) -> Iterator[Noted]:
    """Send counts to those who watch, added up, twice a second: each one by itself would cost more than its clip.

    No books are kept with them.
    """
    sums: Counter[str] = Counter()
    sent = time.monotonic()
    for name, n in counts:
        sums[name] += n
        if time.monotonic() - sent > _NOTE_EVERY:
            yield from map(_noted, sums.items())
            sums.clear()
            sent = time.monotonic()
    yield from map(_noted, sums.items())


def _noted(count: Count) -> Noted:
    return TaggedOutput("progress", count)


def row_of(request: ClipRequest, facts: CutFacts, source: str, offset: int) -> dict[str, Any]:
    """Return the row of a clip, with the line that it comes from."""
    return clip_row(request.fields, request.index, facts) | {ORIGIN_KEY: {"source": source, "offset": offset}}


def failure_of(error: EntryError, request: ClipRequest, source: str, offset: int) -> Failure:
    """Make the dead letter of a clip: its payload is a row that asks for this clip alone."""
    return Failure.from_error(error, stage=CUT_STAGE, source=source, offset=offset, payload=encode(request.fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class CutClip:
    """A clip that was cut, and where from."""

    clip: EncodedClip
    cut: Cut
    source_rate: int
    sample_rate: int
    n_channels: int

    def facts(self, path: str) -> CutFacts:
        """Return the properties of the clip that its row records."""
        return CutFacts(
            extracted_path=path,
            sha256=self.clip.sha256,
            n_bytes=self.clip.n_bytes,
            sample_rate=self.sample_rate,
            n_channels=self.n_channels,
            n_samples=self.clip.n_samples,
            real_start_sec=self.cut.first / self.source_rate,
            real_end_sec=self.cut.stop / self.source_rate,
            clamped=self.cut.clamped,
        )


def _cut_in_time_order(
    recording: Recording, rules: CutRules, output_format: AudioFormat
) -> Iterator[tuple[int, CutClip | EntryError]]:
    """Yield each request's number with its clip or its error."""
    requests = [request for _, request in recording.requests]
    try:
        with open_recording(recording.name, rules.allowed_root) as reader:
            rate = reader.info.sample_rate
            for index in sorted(range(len(requests)), key=lambda index: requests[index].sample_range(rate)):
                yield index, cut_clip(reader, requests[index], rules, output_format)
    except EntryError as err:
        for index in range(len(requests)):
            yield index, err


def cut_clip(
    reader: AudioReader, request: ClipRequest, rules: CutRules, output_format: AudioFormat
) -> CutClip | EntryError:
    """Cut and encode one clip; an `EntryError` is returned, not raised."""
    try:
        cut = cut_of(request, reader.info, rules)
        return CutClip(
            clip=encode_clip(reader, cut, rules, output_format),
            cut=cut,
            source_rate=reader.info.sample_rate,
            sample_rate=rate_of(reader.info, rules),
            n_channels=channels_of(reader.info, rules),
        )
    except EntryError as err:
        return err
