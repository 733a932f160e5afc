"""Cutting clips: the requests for one open recording to files, rows and dead letters."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from beam_curator.audio import AudioReader
from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import Cut, channels_of, cut_of, rate_of
from beam_curator.clips.naming import number_names
from beam_curator.clips.packs import Recording
from beam_curator.clips.records import ClipRequest
from beam_curator.clips.tables import ORIGIN_KEY, CutFacts, clip_row
from beam_curator.entries.json_lines import encode
from beam_curator.failures import EntryError, Failure
from beam_curator.files.clip_files import ClipFiles, EncodedClip, encode_clip
from beam_curator.files.opened_recordings import open_recording
from beam_curator.files.part_files import PartWriter
from beam_curator.sets.counting import Count

CUT_STAGE = "cut"


Outcome = CutFacts | EntryError
"""What came of one request."""


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
