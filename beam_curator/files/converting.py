"""The work of `beam-curator convert`: rows are gathered by recording, and each recording is written in a format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.failures import EntryError, Failure
from beam_curator.files import storage
from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.converted_files import ConvertedFiles, LetterFiles
from beam_curator.files.listing import with_forms
from beam_curator.files.manifest_files import FILE_STAGE, read_rows
from beam_curator.files.opened_recordings import open_recording, recording_of
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.turn_files import form_of
from beam_curator.formats.annotations import Annotation, Segment
from beam_curator.formats.convert_options import ConvertOptions
from beam_curator.formats.losses import kept_segments, lost_of
from beam_curator.formats.registry import FORMATS, Format
from beam_curator.formats.segments_of_rows import RowSegments, segments_of_row
from beam_curator.recordings.channel_files import channel_files, joined_name
from beam_curator.recordings.recording_ids import different_ids
from beam_curator.recordings.tar_members import nemo_member
from beam_curator.sets.blocks import InputFile, Line, LineBlock, beginning_of, plan_blocks
from beam_curator.sets.counting import count_lines
from beam_curator.sets.output_set import FileRecord
from beam_curator.sets.packed_rows import compressed, decompressed
from beam_curator.sets.recording_jobs import ROW_STAGE, Request
from beam_curator.sets.set_options import InputOptions

CONVERT_STAGE, SEGMENT_STAGE = "convert", "segment"


@dataclass(slots=True, kw_only=True)
class _Asked:
    """The rows of one recording, compressed: all rows of a job are held."""

    wanted_id: str
    rows: list[Request] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The outcome of a conversion: the counts, and the files of the set."""

    counts: Counter[str]
    files: list[FileRecord]


def convert(
    files: Sequence[InputFile], target: OutputTarget, options: ConvertOptions, reading: InputOptions
) -> Converted:
    """Write the recordings of rows in a format, in the order of their ids; nothing is committed.

    Raises:
      OSError: a file cannot be written.
    """
    of = FORMATS[options.to]
    with ConvertedFiles(target, of) as written, LetterFiles(target) as letters:
        conversion = _Conversion(of=of, options=options, letters=letters)
        asked = conversion.gather(files, reading)
        ids = different_ids({recording: rows.wanted_id for recording, rows in asked.items()})
        for recording in sorted(asked, key=lambda recording: ids[recording].encode()):
            annotation = conversion.annotation(recording, ids[recording], asked.pop(recording).rows)
            if annotation is not None:
                written.add(annotation)
    return Converted(counts=conversion.counts, files=[*written.records(), *letters.records()])


@dataclass(slots=True, kw_only=True)
class _Conversion:
    """A conversion at work: its counts, and where its dead letters go."""

    of: Format
    options: ConvertOptions
    letters: LetterFiles
    counts: Counter[str] = field(default_factory=Counter)

    def gather(self, files: Sequence[InputFile], reading: InputOptions) -> dict[str, _Asked]:
        """Read all rows, and gather them by recording."""
        found: dict[str, _Asked] = {}
        for block in self._blocks(files, reading):
            self.counts.update(count_lines(block))
            for line in block.lines:
                try:
                    row, source = parse_object(line.raw), block.ref.source
                    segments = segments_of_row(row, self.options, member=nemo_member(source, row))
                    self._plan(found, line, source, segments)
                except EntryError as err:
                    self._fail(ROW_STAGE, err, Request(line.raw, block.ref.source, line.offset))
        return found

    def _blocks(self, files: Sequence[InputFile], reading: InputOptions) -> Iterator[LineBlock]:
        how = AnnotationReading(audio_root=self.options.audio_root, needs_audio=False, form=self.options.from_format)
        forms = with_forms(files) if not how.form else [replace(file, form=form_of(how.form)) for file in files]
        broken: set[tuple[str, int]] = set()
        for ref in plan_blocks(forms):
            for item in read_rows(ref, reading.max_line_bytes, how):
                if isinstance(item, LineBlock):
                    yield item
                elif item.stage != FILE_STAGE or (ref.source, ref.occurrence) not in broken:  # a file fails once
                    broken |= {(ref.source, ref.occurrence)} if item.stage == FILE_STAGE else set()
                    self._letter(item)

    def _plan(self, found: dict[str, _Asked], line: Line, source: str, row: RowSegments) -> None:
        recording = recording_of(row.path, source, self.options.audio_root)
        asked = found.setdefault(recording, _Asked(wanted_id=row.wanted_id))
        # rows of a recording may want different ids: the choice must not depend on their order
        asked.wanted_id = min(asked.wanted_id, row.wanted_id)
        asked.rows.append(Request(compressed(line.raw), source, line.offset))
        self.counts["plan.rows"] += 1
        self.counts["plan.segments"] += row.n_pieces
        for bad in row.bad:
            self._fail(SEGMENT_STAGE, bad.error, Request(encode(bad.fields), source, line.offset))

    def annotation(self, recording: str, name: str, rows: list[Request]) -> Annotation | None:
        """Return a recording as the format has it; None where it lacks a fact that the format needs."""
        read = [self._read_again(row) for row in rows]
        given = next((each for each in read if each.duration is not None), read[0])
        annotation = Annotation(
            name=name, audio=_full_name(recording), duration=given.duration, sample_rate=given.sample_rate
        )
        segments = [segment for each in read for segment in each.segments]
        n_no_speaker = sum(each.n_no_speaker for each in read)
        try:
            annotation = self._with_facts(annotation, recording)
        except EntryError as err:
            self.counts["convert.segments_failed"] += len(segments) + n_no_speaker
            for row in rows:
                self._fail(CONVERT_STAGE, err, row._replace(text=decompressed(row.text)))
            return None
        kept, dropped = kept_segments(self.of, segments)
        dropped += Counter({"no_speaker": n_no_speaker} if n_no_speaker else {})
        self.counts.update({f"convert.dropped.{reason}": n for reason, n in dropped.items()})
        self.counts.update({f"convert.lost.{part}": n for part, n in lost_of(self.of, kept).items()})
        self.counts.update({"convert.lost.turns": sum(each.n_windows for each in read)})
        self.counts["convert.dropped"] += dropped.total()
        self.counts.update({"convert.rows": len(rows), "convert.recordings": 1, "convert.segments": len(kept)})
        return replace(annotation, segments=tuple(sorted(kept, key=_in_time)))

    def _read_again(self, row: Request) -> RowSegments:
        fields = parse_object(decompressed(row.text))
        return segments_of_row(fields, self.options, member=nemo_member(row.source, fields))

    def _with_facts(self, annotation: Annotation, recording: str) -> Annotation:
        """Ask the header of a recording for the facts that the format needs and its rows lack."""
        if all(getattr(annotation, fact) is not None for fact in (*self.of.needs, *self.of.asks)):
            return annotation
        try:
            with open_recording(recording) as reader:
                info = reader.info
        except EntryError:
            if self.of.needs:
                raise
            self.counts["convert.without_length"] += 1
            return annotation
        return replace(
            annotation,
            duration=info.n_samples / info.sample_rate,
            sample_rate=info.sample_rate,
            n_channels=info.n_channels,
        )

    def _fail(self, stage: str, error: EntryError, row: Request) -> None:
        self._letter(
            Failure.from_error(error, stage=stage, source=row.source, offset=row.offset, payload=beginning_of(row.text))
        )

    def _letter(self, failure: Failure) -> None:
        self.letters.add([failure])
        self.counts.update([f"{failure.stage}.failures", f"{failure.stage}.failures.{failure.code}"])


def _in_time(segment: Segment) -> tuple[float, float, str]:
    return segment.start, segment.end, segment.speaker


def _full_name(recording: str) -> str:
    """Return the name of a recording that holds wherever it is read."""
    files = [file if storage.is_remote(file) else os.path.abspath(file) for file in channel_files(recording)]
    return joined_name(files)
