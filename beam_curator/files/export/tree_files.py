"""Putting the files of the tree in place: their folders are made when first needed, and never lie outside of it."""

import os

from beam_curator.files import storage
from beam_curator.files.clip_files import ClipFiles, EncodedClip
from beam_curator.files.output_target import OutputTarget
from beam_curator.sets.output_set import WrittenFile

_KNOWN_FOLDERS = 1 << 12


class LinkedFolderError(RuntimeError):
    """A folder of the tree is a link to another place."""


class TreeFiles:
    """Writes files below an output directory; see `ClipFiles` for how.

    Args:
      target: where to.
      n_uploads: how many at a time in an object store.
    """

    def __init__(self, target: OutputTarget, n_uploads: int) -> None:
        self._directory = target.directory
        self._remote = storage.is_remote(target.directory)
        self._files = ClipFiles(target, n_uploads)
        self._made: set[str] = set()

    def put(self, name: str, body: EncodedClip) -> WrittenFile:
        """Put a file in place, and give its memory back.

        Raises:
          ForeignRunError: another run has taken over the directory.
          LinkedFolderError: its folder is a link.
        """
        self._make_folder(name.rpartition("/")[0])
        written = WrittenFile(name, body.n_bytes, body.sha256)
        self._files.put(name, body)
        return written

    def remove(self, name: str) -> None:
        """Remove the file that an earlier attempt may have left under a name."""
        self._files.remove(name)

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
        if os.path.realpath(path) != os.path.join(os.path.realpath(self._directory), folder):
            raise LinkedFolderError(f"{path} is a link to another place: remove it, or choose another --output")
        if len(self._made) >= _KNOWN_FOLDERS:
            self._made.clear()
        self._made.add(folder)
