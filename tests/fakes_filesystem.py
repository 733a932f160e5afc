"""An object store in memory behind `gs://`, for Beam's FileSystems.

Importing this module registers it for the whole process; Beam's own, where it is installed, answers to another scheme.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import time
from collections.abc import Iterator

from apache_beam.io.filesystem import CompressionTypes, FileMetadata, FileSystem
from apache_beam.io.filesystems import FileSystems  # noqa: F401  registers Beam's own file systems first

for _kind in FileSystem.get_all_subclasses():
    if _kind.scheme() == "gs":
        _kind.scheme = classmethod(lambda cls: "gs-of-google")

OBJECTS: dict[str, tuple[bytes, float]] = {}
"""Path to content and time of change."""
_PREFIX = "gs://"


class NotFoundError(Exception):
    """What the store says of an object that is not there; a kind of its own, as Google's."""


def put(path: str, data: bytes) -> None:
    """Put an object in place."""
    OBJECTS[path] = (data, time.time())


def get(path: str) -> bytes:
    """Return the content of an object."""
    if path not in OBJECTS:
        raise NotFoundError(path)
    return OBJECTS[path][0]


def names_under(directory: str) -> list[str]:
    """Return the names of the objects below a directory, sorted."""
    prefix = directory.rstrip("/") + "/"
    return sorted(path.removeprefix(prefix) for path in OBJECTS if path.startswith(prefix))


class _Upload(io.BytesIO):
    """An object on its way up: there when it is closed, and never where it is given up."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            put(self._path, self.getvalue())
        super().close()

    def terminate(self) -> None:
        super().close()


class MemoryFileSystem(FileSystem):
    """What Beam asks of a file system, over `OBJECTS`."""

    @classmethod
    def scheme(cls) -> str:
        return "gs"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *(path.strip("/") for path in paths)])

    def split(self, path: str) -> tuple[str, str]:
        head, tail = posixpath.split(path.removeprefix(_PREFIX))
        return _PREFIX + head, tail

    def mkdirs(self, path: str) -> None:
        return None

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for path in sorted(OBJECTS):
            if path.startswith(dir_or_prefix):
                yield self.metadata(path)

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> _Upload:
        return _Upload(path)

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> io.BytesIO:
        return io.BytesIO(get(path))

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        raise NotImplementedError

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        return path in OBJECTS

    def size(self, path: str) -> int:
        return len(get(path))

    def last_updated(self, path: str) -> float:
        return OBJECTS[path][1]

    def checksum(self, path: str) -> str:
        return hashlib.blake2b(get(path)).hexdigest()

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            if path not in OBJECTS:
                raise NotFoundError(path)
            del OBJECTS[path]
