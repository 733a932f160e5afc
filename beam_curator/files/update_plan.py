"""The plan of an update: which recordings or blocks a complete set would keep, told without running the job."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from beam_curator.failures import EntryError
from beam_curator.files.annotation_manifests import AnnotationReading
from beam_curator.files.asked_lines import rows_of_recordings
from beam_curator.files.kept_blocks import keys_of_block, name_of_block
from beam_curator.files.kept_parts import KeptPart, is_kept
from beam_curator.files.listing import EXTENSIONS, with_forms
from beam_curator.files.manifest_files import read_rows
from beam_curator.files.moved_inputs import NOT_MOVED, Moved
from beam_curator.files.opened_recordings import open_recording
from beam_curator.files.part_files import part_file_name
from beam_curator.sets.blocks import InputFile, LineBlock, plan_blocks
from beam_curator.sets.recording_jobs import RecordingJob, Task
from beam_curator.sets.set_options import InputOptions

_MOST_LOOKED_INTO = 2000


class PlannedRecording(NamedTuple):
    """One recording that the inputs ask for: the name of its hidden file in the set, and whether that would be kept."""

    name: str
    recording: str
    is_kept: bool


def blocks_of(
    job: RecordingJob[Any, Any], files: Sequence[InputFile], reading: InputOptions, *, takes_recordings: bool
) -> Iterator[LineBlock]:
    """Yield the rows of a job's inputs."""
    if takes_recordings and files and not files[0].name.lower().endswith(EXTENSIONS):
        yield from rows_of_recordings(files, job.key_of_recordings)
        return
    yield from _read(files, reading, AnnotationReading(audio_root=job.audio_root))


def _read(files: Sequence[InputFile], reading: InputOptions, annotations: AnnotationReading) -> Iterator[LineBlock]:
    for ref in plan_blocks(with_forms(files)):
        for item in read_rows(ref, reading.max_line_bytes, annotations):
            if isinstance(item, LineBlock):
                yield item


def plan_update_of_blocks(
    files: Sequence[InputFile], reading: InputOptions, index: Mapping[str, KeptPart], rows: str
) -> Iterator[str]:
    """Yield for each block of manifests the name under which a set keeps it, or would.

    Args:
      files: the manifests.
      reading: how they are read.
      index: of the set's hidden files, by name.
      rows: kind of its rows.
    """
    for block in _read(files, reading, AnnotationReading.for_windows(reading)):
        names = [name_of_block(rows, key) for key in keys_of_block(block)]
        yield next(filter(index.__contains__, names), names[0])


def tasks_of_blocks(job: RecordingJob[Any, Any], blocks: Iterable[LineBlock]) -> Iterator[Task]:
    """Yield the tasks that the rows of a job make, as its pipeline does."""
    groups: dict[str, list[Any]] = {}
    claims: dict[str, list[Any]] = {}
    for block in blocks:
        for asked in job.plan(block).asked:
            groups.setdefault(job.key(asked), []).append(asked)
            for key, claim in job.claim(asked):
                claims.setdefault(key, []).append(claim)
    marked = {key for meeting in claims.values() for key in job.collisions(meeting)}
    while groups:
        key, group = groups.popitem()  # each is let go of when its tasks are made
        yield from job.tasks(key, group, marked=key in marked)


def plan_update(
    job: RecordingJob[Any, Any],
    tasks: Iterable[Task],
    index: Mapping[str, KeptPart],
    *,
    rehash: bool = False,
    codes: Collection[str] = (),
    moved: Moved = NOT_MOVED,
) -> Iterator[PlannedRecording]:
    """Tell for each task of a job whether a set would keep its outcome.

    Args:
      job: that made the set.
      tasks: of its present inputs.
      index: of the set's hidden files, by name.
      rehash: compare the bytes of recordings whatever their times say.
      codes: of failures to try again, where not all are.
      moved: directories that were moved since the set was made.
    """
    for task in tasks:
        name = part_file_name(job.rows.rows, moved.before(task.name))
        recording, asked = task.recording, moved.requests_before(tuple(task.requests()))
        kept = asked is not None and is_kept(index.get(name), recording, asked, rehash=rehash, codes=codes)
        yield PlannedRecording(name, recording, kept)


def seconds_of(recordings: Iterable[str]) -> float | None:
    """Return how long recordings are together, by their headers; None where they are too many to look into."""
    names = set(recordings)
    if len(names) > _MOST_LOOKED_INTO:
        return None
    seconds = 0.0
    for name in sorted(names):
        # one that cannot be opened becomes a dead letter of the job
        with suppress(EntryError), open_recording(name) as reader:
            seconds += reader.info.n_samples / reader.info.sample_rate
    return seconds
