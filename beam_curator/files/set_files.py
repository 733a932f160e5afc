"""Putting the files of a set in place: their folders are made when first needed, and never lie outside of it."""

import os
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor

from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.output_set import RUN_NAME, is_temporary
from beam_curator.sets.recording_events import MadeFile

_KNOWN_FOLDERS = 1 << 12


class LinkedFolderError(RuntimeError):
    """A folder of the set is a link to another place."""


class SetFiles:
    """Writes files below an output directory: a temporary name, then a rename; in object stores one upload.

    There is no fsync: rows hold the hashes of their files, and a file is only known to be whole by it.

    Args:
      target: where to write.
      n_uploads: how many at a time in an object store, as one alone waits for the network most of the time.
    """

    def __init__(self, target: OutputTarget, n_uploads: int) -> None:
        self._target = target
        self._directory = target.directory
        self._remote = storage.is_remote(target.directory)
        self._compares = target.resume or target.token is None
        self._uploads = ThreadPoolExecutor(n_uploads, "beam_curator_upload") if self._remote else None
        self._in_flight: list[Future[None]] = []
        self._limit = 2 * n_uploads
        self._run_path = storage.join(target.directory, RUN_NAME)
        self._seen = ""
        self._made: set[str] = set()

    def put(self, file: MadeFile) -> None:
        """Put a file in place, and give its memory back; one that is there already, byte for byte, stays as it is.

        Raises:
          ForeignRunError: another run has taken over the directory.
          LinkedFolderError: its folder is a link.
        """
        if self._uploads is None:
            self._make_folder(file.name.rpartition("/")[0])
            self._put(file)
            return
        if len(self._in_flight) >= self._limit:
            self._in_flight.pop(0).result()
        self._in_flight.append(self._uploads.submit(self._put, file))

    def remove(self, name: str) -> None:
        """Remove the file that an earlier attempt may have left under a name.

        Raises:
          ForeignRunError: another run has taken over the directory.
        """
        if self._compares:
            self._check()
            storage.delete(self._directory, [name])

    def sweep(self, folder: str, own: Collection[str]) -> None:
        """Remove the files that an earlier attempt may have left in a folder; those that are put now stay.

        Raises:
          ForeignRunError: another run has taken over the directory.
        """
        if not self._compares:
            return
        there = [f"{folder}/{name}" for name in storage.names_in(storage.join(self._directory, folder))]
        strays = [name for name in there if name not in own and not is_temporary(name.rpartition("/")[2])]
        if strays:
            self._check()
            storage.delete(self._directory, strays)

    def take_back(self, names: list[str]) -> None:
        """Remove files that were put in place a moment ago, since their recording failed after all.

        Raises:
          ForeignRunError: another run has taken over the directory.
        """
        self.flush()
        self._target.check()
        storage.delete(self._directory, names)

    def flush(self) -> None:
        """Wait until all files are in place."""
        while self._in_flight:
            self._in_flight.pop(0).result()

    def close(self) -> None:
        """Give threads back."""
        if self._uploads is not None:
            self._uploads.shutdown(cancel_futures=True)

    def _check(self) -> None:
        """Look whether the directory is still ours: on a local disk whenever the mark of the run is another file."""
        if self._remote:
            self._target.check_lately()
            return
        seen = storage.identity_of(self._run_path)
        if seen != self._seen:
            self._target.check()
            self._seen = seen

    def _put(self, file: MadeFile) -> None:
        folder, last = os.path.split(storage.join(self._directory, file.name))
        try:
            if self._compares and storage.is_whole(self._directory, file.written):
                return
            with AtomicFile(folder, last, self._check, sync=False, hashed=False) as output:
                for chunk in file.body.chunks():
                    output.write_pieces([chunk])
        finally:
            file.body.close()

    def _make_folder(self, folder: str) -> None:
        if folder in self._made:
            return
        path = os.path.join(self._directory, folder)
        storage.make_directory(path)
        # the output directory itself may be a link; only folders below it may not
        expected = os.path.normpath(os.path.join(os.path.realpath(self._directory), folder))
        if os.path.realpath(path) != expected:
            raise LinkedFolderError(f"{path} is a link to another place: remove it, or choose another --output")
        if len(self._made) >= _KNOWN_FOLDERS:
            self._made.clear()
        self._made.add(folder)
