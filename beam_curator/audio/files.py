"""Files as libsndfile sees them: a view to read with a position of its own, and a sink to write to.

libsndfile calls back into Python and cannot pass exceptions on (cffi prints them and returns 0, which looks like the
end of the file), so both classes keep the first error and raise it when asked.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import BinaryIO, Protocol


class WritableFile(Protocol):
    """The target of a sink: an open seekable binary file."""

    def write(self, data: bytes, /) -> object:
        """Write bytes at the position."""
        ...

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Move the position."""
        ...

    def tell(self) -> int:
        """Return the position."""
        ...


class SourceFile:
    """Bytes to read: some put in front, then an open file from an offset on.

    Two views of one file do not disturb each other: the file is sought before each read.

    Attributes:
      size: number of bytes in the view.

    Example:
      >>> view = SourceFile(io.BytesIO(b"0123456789"), start=4, prefix=b"ab")
      >>> view.size, view.read(3), view.read_at(6, 10), view.tell()
      (8, b'ab4', b'89', 3)
    """

    def __init__(self, file: BinaryIO, *, start: int = 0, prefix: bytes = b"") -> None:
        self._file = file
        self._start = start
        self._prefix = prefix
        self._position = 0
        self._error: Exception | None = None
        self._readinto = getattr(file, "readinto", None)
        self.size = len(prefix) + max(0, file.seek(0, os.SEEK_END) - start)

    def behind(self, start: int, prefix: bytes = b"") -> SourceFile:
        """Return a view of this file from byte `start` on, with other bytes in front."""
        if start < len(self._prefix):
            return SourceFile(self._file, start=self._start, prefix=prefix + self._prefix[start:])
        return SourceFile(self._file, start=self._start + start - len(self._prefix), prefix=prefix)

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, n_bytes: int = -1) -> bytes:
        """Read and return up to `n_bytes` bytes, or the rest where it is negative; errors of the file are passed on."""
        here = self._position
        left = max(0, self.size - here)
        n_bytes = left if n_bytes < 0 else min(n_bytes, left)
        pieces = [self._prefix[here : here + n_bytes]]
        # a raw file may return less than asked, so reading goes on until it returns nothing
        missing = n_bytes - len(pieces[0])
        if missing:
            self._file.seek(self._start + here + len(pieces[0]) - len(self._prefix))
        while missing and (piece := self._file.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._position += len(data)
        return data

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Read up to `n_bytes` bytes from `offset` on; the position stays."""
        here, self._position = self._position, offset
        try:
            return self.read(n_bytes)
        finally:
            self._position = here

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer for libsndfile; return the bytes read, and keep an error for `raise_error`."""
        here = self._position - len(self._prefix)
        try:
            # the prefix, or a file without readinto, needs a copy
            if self._readinto is None or here < 0 or self._position >= self.size:
                data = self.read(len(buffer))
                buffer[: len(data)] = data
                return len(data)
            self._file.seek(self._start + here)
            n_read: int = self._readinto(buffer)
            # a raw file may give less than asked, which libsndfile takes for the end
            while 0 < n_read < len(buffer) and (more := self._readinto(memoryview(buffer)[n_read:])):
                n_read += more
        except Exception as err:
            self._error = self._error or err
            return 0
        self._position += n_read
        return n_read

    def raise_error(self) -> None:
        """Raise the error that a read by libsndfile met, if there was one."""
        error, self._error = self._error, None
        if error is not None:
            raise error


class SinkFile:
    """A file to write, whose byte 0 is where the given file stands; it needs `write`, `seek` and `tell` only.

    Example:
      >>> file = io.BytesIO(b"head")
      >>> _ = file.seek(4)
      >>> sink = SinkFile(file)
      >>> _ = sink.write(b"....") + sink.seek(0) + sink.write(b"data")
      >>> file.getvalue()
      b'headdata'
    """

    def __init__(self, file: WritableFile) -> None:
        self._file = file
        self._base = file.tell()
        self._position = 0
        self._size = 0
        self._error: Exception | None = None

    def tell(self) -> int:
        """Return the position in bytes, counted from where the sink began."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; return it."""
        position = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence] + offset
        # even a seek to where it stands would flush a buffered file
        if position != self._position:
            self._position = position
            self._guard(lambda: self._file.seek(self._base + position))
        return position

    def write(self, data: bytes) -> int:
        """Write bytes for libsndfile; keep an error for `raise_error`, drop all that follows, and call it written."""
        self._guard(lambda: self._file.write(data))
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def readinto(self, buffer: memoryview) -> int:
        """Read nothing: libsndfile asks whether it could."""
        return 0

    def _guard(self, act: Callable[[], object]) -> None:
        if self._error is None:
            try:
                act()
            except Exception as err:
                self._error = err

    def raise_error(self) -> None:
        """Raise the error that a write by libsndfile met, if there was one."""
        if self._error is not None:
            raise self._error


def as_source(source: bytes | BinaryIO) -> SourceFile:
    """Return a view of bytes or of an open seekable file, which stays its owner's."""
    return SourceFile(io.BytesIO(source) if isinstance(source, bytes) else source)
