"""Clips in tar shards: recordings that belong to one shard are cut by one worker, straight into its tar file."""

import hashlib
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.clip_rows import CLIPS
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.packing import TarWriter, nemo_manifest_name, nemo_row, shard_name
from beam_curator.clips.packs import AskedClips
from beam_curator.collector import collector_paused
from beam_curator.entries.json_lines import encode, parse_object
from beam_curator.failures import EntryError
from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.jobs.clip_job import failure_of, row_of
from beam_curator.files.kept_parts import Taken
from beam_curator.files.kept_tars import KeptTars
from beam_curator.files.known_files import keeps
from beam_curator.files.listing import list_inputs, with_forms
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartWriter
from beam_curator.files.recording_files import seen_since
from beam_curator.files.tar_shards import TarShard
from beam_curator.recordings.tar_members import split_locator
from beam_curator.sets.blocks import plan_blocks
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import FileRecord
from beam_curator.transforms.metrics import Noted, noted, timed

TAR_KIND, MANIFEST_KIND = "tar", "sharded-manifest"


class PackedClips(NamedTuple):
    """The result of `PackClips`: rows of each recording, the tar shards with their manifests, and counts for people."""

    parts: PCollection[Part]
    shards: PCollection[FileRecord]
    progress: PCollection[Count]


class PackClips(beam.PTransform[PCollection[AskedClips], PackedClips]):
    """Cut clips into tar shards; a recording's clips are all in the shard that its name falls into.

    Every number from 0 has a shard, an empty one where no recording falls into it.

    Args:
      target: where to; as many shards as it says, or as there are blocks of manifest.
      inputs: of the job, by which blocks are counted.
      rules: how clips are cut.
      output_format: of the clips.
      pack: "webdataset" or "nemo-tar".
      keep_duplicates: the job reads a file each time it is listed.
    """

    def __init__(
        self,
        target: OutputTarget,
        inputs: Sequence[str],
        rules: CutRules,
        output_format: AudioFormat,
        pack: str,
        *,
        keep_duplicates: bool,
    ) -> None:
        super().__init__()
        self._target = target
        self._inputs = tuple(inputs)
        self._keep_duplicates = keep_duplicates
        self._rules = rules
        self._output_format: AudioFormat = output_format
        self._pack = pack

    def expand(self, asked: PCollection[AskedClips]) -> "PackedClips":
        start = asked.pipeline | "Start shards" >> beam.Create([None])
        shards = start | "List shards" >> beam.FlatMap(
            _list_shards, self._inputs, self._target.n_shards, self._keep_duplicates
        )
        recordings = asked | "Key by shard" >> beam.Map(key_recording, self._target.n_shards).with_output_types(
            tuple[int, AskedClips]
        )
        packed = (
            {"recordings": recordings, "shards": shards}
            | "Group by shard" >> beam.CoGroupByKey()
            | "Pack"
            >> beam.ParDo(_PackFn(self._target, self._rules, self._output_format, self._pack)).with_outputs(
                "shards", "progress", main="parts"
            )
        )
        return PackedClips(parts=packed["parts"], shards=packed["shards"], progress=packed["progress"])


def _list_shards(_: None, inputs: tuple[str, ...], n_shards: int, keep_duplicates: bool) -> Iterator[tuple[int, bool]]:
    if not n_shards:
        files, _repeated = list_inputs(inputs, keep_duplicates=keep_duplicates)
        n_shards = len(plan_blocks(with_forms(files)))
    for number in range(n_shards):
        yield number, True


def key_recording(asked: AskedClips, n_shards: int) -> tuple[int, AskedClips]:
    """Give a recording the shard that the hash of its name falls into."""
    digest = hashlib.blake2b(asked.recording.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (n_shards or asked.n_blocks), asked


_ShardFile = TaggedOutput[Literal["shards"], FileRecord]


class _PackFn(beam.DoFn):
    def __init__(self, target: OutputTarget, rules: CutRules, output_format: AudioFormat, pack: str) -> None:
        self._target = target
        self._rules = rules
        self._output_format: AudioFormat = output_format
        self._pack = pack

    def setup(self) -> None:
        target = self._target
        # without a number of tars there are as many as blocks of rows, and with another number all clips move
        is_kept = target.updates and target.replaces is not None and target.n_shards
        self._previous = KeptTars(target.replaces or "") if is_kept else None

    def process(self, group: tuple[int, dict[str, Any]]) -> Iterator[Part | Noted | _ShardFile]:
        number, joined = group
        # a group comes in no order
        recordings = sorted(joined["recordings"], key=lambda recording: recording.position)
        with timed("cut"), collector_paused():
            kept = self._kept(number, recordings)
            parts, files = kept if kept is not None else (yield from self._packed(number, recordings))
        yield from parts
        for record in files:
            shard: _ShardFile = TaggedOutput("shards", record)
            yield shard

    def _writer(self, recording: AskedClips) -> PartWriter:
        return PartWriter(CLIPS, self._target, recording.name, recording.position, recording.n_blocks)

    def _names(self, number: int) -> list[tuple[str, str]]:
        names = [(shard_name(self._pack, number), TAR_KIND)]
        return names + ([(nemo_manifest_name(number), MANIFEST_KIND)] if self._pack == "nemo-tar" else [])

    def _kept(self, number: int, recordings: Sequence[AskedClips]) -> tuple[list[Part], list[FileRecord]] | None:
        """Return the shard of an earlier attempt, if all its files are in place: shards are synced to disk."""
        directory = self._target.directory
        paths = [storage.join(directory, name) for name, _ in self._names(number)]
        if not self._target.resume or any(storage.size_of(path) is None for path in paths):
            return None
        kept = (self._writer(recording).kept(synced=True) for recording in recordings)
        found = [part for part in kept if part is not None]
        if len(found) < len(recordings):
            return None
        n_clips = sum(record.n_rows for part in found for record in part.files)
        hashed = [storage.hash_file(path) for path in paths]
        return found, [
            FileRecord(name=name, n_bytes=n_bytes, sha256=sha256, n_rows=n_clips, kind=kind)
            for (name, kind), (n_bytes, sha256, _) in zip(self._names(number), hashed, strict=True)
        ]

    def _packed(
        self, number: int, recordings: Sequence[AskedClips]
    ) -> Generator[Noted, None, tuple[list[Part], list[FileRecord]]]:
        (tar_name, _), *_ = self._names(number)
        if self._target.token is None:
            storage.make_directory(self._target.directory)
        writers = list(map(self._writer, recordings))
        previous = self._previous
        taken = previous.find(tar_name, recordings, writers) if previous is not None else {}
        linked = None
        if previous is not None and len(taken) == len(recordings):
            holds_rows = self._pack == "webdataset"
            linked = previous.link(tar_name, self._target, taken.values(), holds_rows=holds_rows)
        fresh = [index for index in range(len(recordings)) if index not in taken]
        rows = [parse_object(line) for one in taken.values() for line in one.rows]
        if linked is None:
            asked = [recordings[index] for index in fresh]
            tar, made = yield from self._written(tar_name, asked, [writers[index] for index in fresh], taken)
            rows += made
            linked = replace(tar, n_rows=len(rows))
        records = [linked]
        if self._pack == "nemo-tar":
            records.append(self._write_manifest(number, sorted(rows, key=itemgetter("extracted_path"))))
        parts = {index: writers[index].write_again(one.head, one.rows, one.others) for index, one in taken.items()}
        parts |= {index: writers[index].write() for index in fresh}
        return [parts[index] for index in range(len(recordings))], records

    def _written(
        self, tar_name: str, asked: Sequence[AskedClips], writers: Sequence[PartWriter], taken: Mapping[int, Taken]
    ) -> Generator[Noted, None, tuple[FileRecord, list[dict[str, Any]]]]:
        """Write a tar; return its record, and the rows of recordings that were cut, which their writers have as well.

        Args:
          tar_name: of the tar.
          asked: the recordings to cut.
          writers: of these.
          taken: what came of the others before.
        """
        recordings = [one.unpacked() for one in asked]
        with ExitStack() as stack:
            kept = stack.enter_context(self._previous.opened(tar_name, taken)) if self._previous is not None else []
            file = stack.enter_context(AtomicFile(self._target.directory, tar_name, self._target.check))
            tar = TarWriter(file.write_pieces)
            shard = TarShard(tar_name, tar, self._pack, self._rules, self._output_format)
            yield from noted(shard.write(recordings, kept))
            tar.close()
        rows = []
        for recording, writer, outcomes in zip(recordings, writers, shard.outcomes, strict=True):
            for index, outcome in enumerate(outcomes):
                if isinstance(outcome, EntryError):
                    writer.add_failure(failure_of(outcome, recording, *recording.requests[index]))
                else:
                    rows.append(row_of(recording, index, outcome))
                    writer.add_row(rows[-1])
        if keeps(self._target) and self._target.n_shards:
            for one, writer, version in zip(asked, writers, shard.versions, strict=True):
                writer.ask(one.recording, one.requests(), seen_since(one.recording, version))
        return _record(tar_name, TAR_KIND, file, len(rows)), rows

    def _write_manifest(self, number: int, rows: Sequence[dict[str, Any]]) -> FileRecord:
        name = nemo_manifest_name(number)
        folder, _, last = name.rpartition("/")
        directory = storage.join(self._target.directory, folder)
        storage.make_directory(directory)
        if not storage.is_remote(directory) and os.path.islink(directory):
            raise FileExistsError(f"{directory} is a link to another place: remove it, or choose another --output")
        with AtomicFile(directory, last, self._target.check) as file:
            for row in rows:
                path = row["extracted_path"]
                made = nemo_row(
                    row,
                    member=split_locator(path)[1] or path,
                    n_samples=row["n_samples"],
                    sample_rate=row["sample_rate"],
                    shard=number,
                )
                file.write_pieces([encode(made), b"\n"])
        return _record(name, MANIFEST_KIND, file, len(rows))


def _record(name: str, kind: str, file: AtomicFile, n_rows: int) -> FileRecord:
    return FileRecord(name=name, n_bytes=file.n_bytes, sha256=file.sha256, n_rows=n_rows, kind=kind)
