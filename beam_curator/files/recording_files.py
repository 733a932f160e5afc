"""From the events of a recording to its files, rows and dead letters, whole or not at all."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, Generic

from beam_curator.failures import EntryError
from beam_curator.files import storage
from beam_curator.files.kept_parts import kept_parts, take_over
from beam_curator.files.known_files import NOT_SEEN, Seen, keeps
from beam_curator.files.opened_recordings import open_recording, seen_now, version_of
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.part_files import Part, PartWriter
from beam_curator.files.set_files import SetFiles
from beam_curator.recordings.channel_files import channel_files
from beam_curator.sets.counting import Count
from beam_curator.sets.output_set import FileRecord
from beam_curator.sets.recording_events import Described, Event, Made, MadeFile, Missed, Noticed, Opened, TableRow
from beam_curator.sets.recording_jobs import AskedT, ModelJob, OpenedJob, ReadyT, RecordingJob, TaskT


def events_of(job: OpenedJob[AskedT, TaskT], task: TaskT) -> Iterator[Event]:
    """Open the recording of a task, and yield its events.

    Raises:
      EntryError: it cannot be opened, or fails as a whole.
    """
    job.check(task)
    with open_recording(task.recording, job.allowed_root, limits=job.limits) as reader:
        yield Opened(version=reader.version)
        yield from job.work(task, reader)


def look_into(job: ModelJob[Any, TaskT, ReadyT], task: TaskT) -> ReadyT:
    """Open the recording of a task, and return it as the model takes it.

    Raises:
      EntryError: it cannot be opened, or there is nothing to hear.
    """
    job.check(task)
    with open_recording(task.recording, job.allowed_root, limits=job.limits) as reader:
        return job.ready(task, reader)


class RecordingFiles(Generic[AskedT, TaskT]):
    """Writes the events of recordings: files, then the hidden file of rows that proves that they are whole.

    Args:
      job: the job that the recordings belong to.
      target: where to write.
    """

    def __init__(self, job: RecordingJob[AskedT, TaskT], target: OutputTarget) -> None:
        self._job = job
        self._target = target
        self._files = SetFiles(target, job.n_uploads)
        self._previous = kept_parts(target.replaces) if target.updates and target.replaces else None

    def close(self) -> None:
        """Give threads back."""
        self._files.close()

    def kept(self, task: TaskT) -> Part | None:
        """Return the outcome of an earlier attempt if all its files are intact, or that in a set that is updated."""
        writer = self._writer(task)
        part = writer.kept()
        if part is not None or self._previous is None:
            return part
        return take_over(self._previous, writer, task)

    def write(self, task: TaskT, events: Iterable[Event]) -> Generator[Count, None, Part]:
        """Write the events of a recording; if it fails as a whole, only its dead letters stay.

        Args:
          task: the recording, and the rows that request it.
          events: may raise an EntryError at any time.

        Yields:
          Counts for people while it is worked on.
        """
        writer = self._writer(task)
        # names in order, each once
        put: dict[str, None] = {}
        try:
            for event in events:
                yield from self._take(event, writer, put)
        except EntryError as err:
            # files of pieces that were made before the failure must not outlive their rows
            self._files.take_back(list(put))
            writer.clear()
            # with names of its own: a file that was taken back may be put again
            for event in self._job.failed(task, err):
                yield from self._take(event, writer, {})
        if folder := self._job.folder(task):
            self._files.sweep(folder, put)
        if keeps(self._target):
            writer.ask(task.recording, task.requests(), seen_since(task.recording, writer.version))
        # uploads end before the rows that vouch for them are written
        self._files.flush()
        return writer.write()

    def _writer(self, task: TaskT) -> PartWriter:
        return PartWriter(self._job.rows, self._target, task.name, task.position, task.n_blocks)

    def _take(self, event: Event, writer: PartWriter, put: dict[str, None]) -> Iterator[Count]:
        if isinstance(event, Opened):
            writer.version = event.version
        elif isinstance(event, Made):
            for file in event.files:
                self._put(file, put)
            writer.add_row(event.row, event.order)
            _count(writer, event.counts)
        elif isinstance(event, Missed):
            # an earlier attempt may have written these
            self._remove(event.names)
            writer.add_failure(event.failure, event.order)
            _count(writer, event.counts)
        elif isinstance(event, Noticed):
            self._remove(event.names)
            _count(writer, event.counts)
            yield from event.progress.items()
        elif isinstance(event, Described):
            self._put(event.file, put)
            name, n_bytes, sha256 = event.file.written
            writer.add_document(
                FileRecord(name=name, n_bytes=n_bytes, sha256=sha256, n_rows=event.n_rows, kind=event.kind)
            )
        elif isinstance(event, TableRow):
            writer.add_to_table(event.table, event.row)

    def _put(self, file: MadeFile, put: dict[str, None]) -> None:
        if file.name not in put:  # rows may share it
            put[file.name] = None
            self._files.put(file)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._files.remove(name)


def seen_since(recording: str, version: str) -> Seen:
    """Return a recording as it was opened; nothing where it was not, or has changed since."""
    if not version:
        return NOT_SEEN
    if all(map(storage.is_remote, channel_files(recording))):
        return Seen(stamp=version)  # a store need not be asked again: its reader does when it ends
    seen = seen_now(recording)
    return seen if version_of(recording) == version else NOT_SEEN


def _count(writer: PartWriter, counts: Mapping[str, int]) -> None:
    for name, n in counts.items():
        if n:
            writer.count(name, n)
