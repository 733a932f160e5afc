"""Putting the files of a set in place: their folders are made when first needed, and never lie outside of it."""

import os

from beam_curator.files import storage
from beam_curator.files.clip_files import N_UPLOADS, ClipFiles
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.recording_events import MadeFile

_KNOWN_FOLDERS = 1 << 12


class LinkedFolderError(RuntimeError):
    """A folder of the set is a link to another place."""


class SetFiles:
    """Writes files below an output directory; see `ClipFiles` for how.

    Args:
      target: where to write.
      n_uploads: how many at a time in an object store.
    """

    def __init__(self, target: OutputTarget, n_uploads: int = N_UPLOADS) -> None:
        self._directory = target.directory
        self._remote = storage.is_remote(target.directory)
        self._files = ClipFiles(target, n_uploads)
        self._made: set[str] = set()

    def put(self, file: MadeFile) -> None:
        """Put a file in place, and give its memory back.

        Raises:
          ForeignRunError: another run has taken over the directory.
          LinkedFolderError: its folder is a link.
        """
        self._make_folder(file.name.rpartition("/")[0])
        self._files.put(file.name, file.body)

    def remove(self, name: str) -> None:
        """Remove the file that an earlier attempt may have left under a name."""
        self._files.remove(name)

    def take_back(self, names: list[str]) -> None:
        """Remove files that were put in place a moment ago, since their recording failed after all."""
        self.flush()
        self._files.delete(names)

    def flush(self) -> None:
        """Wait until all files are in place."""
        self._files.flush()

    def close(self) -> None:
        """Give threads back."""
        self._files.close()

    def _make_folder(self, folder: str) -> None:
        if self._remote or folder in self._made:
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
