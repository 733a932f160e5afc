"""Writing files that appear under their names whole, or not at all.

Local files are written under a temporary name, synced and renamed; in object stores an object appears only when its
upload is complete.
"""

import hashlib
import io
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from beam_curator.files import object_stores
from beam_curator.files.storage import is_remote, join
from beam_curator.sets.output_set import temp_name

_HANDOVER_BYTES = 8 << 20
"""How much is handed to the writing thread at once: enough that waiting for the interpreter does not matter."""
_WRITE_BYTES = 1 << 20
_PIECES_AT_ONCE = 64


@contextmanager
def errors_with_path(path: str) -> Iterator[None]:
    """Give errors of the system that name no file, as that of a full disk, the path of the one that is written."""
    try:
        yield
    except OSError as err:
        if err.errno is None or err.filename is not None:
            raise
        raise OSError(err.errno, err.strerror, path) from err


class ForeignRunError(RuntimeError):
    """Another run has taken over the output directory."""


def write_bytes(directory: str, name: str, data: bytes) -> None:
    """Put a small file in place at once: a reader sees the old one or the new one."""
    with AtomicFile(directory, name) as file:
        file.write_pieces([data])
    if not is_remote(directory):
        # without it a crash of the machine may undo the rename
        _sync_directory(directory)


def replace_unless_changed(directory: str, name: str, data: bytes) -> None:
    """Put a small file in place like `write_bytes`; in `gs://` only if nobody else does so at the same time.

    In `gs://` the upload carries the generation that was seen (0 for none) as its precondition, and fails if it is not
    met. Of two uploads to `s3://` the later one stays: not all stores that speak its language know preconditions.
    """
    if not is_remote(directory):
        write_bytes(directory, name, data)
        return
    seen = object_stores.find(join(directory, name))
    object_stores.put_object(join(directory, name), data, replaces=seen.version if seen is not None else "")


class AtomicFile:
    """A file that appears under its name whole, or not at all; hashes its contents.

    Use as a context manager; an exception inside leaves no file. `sha256` and `n_bytes` are valid after the block.
    Large files are hashed and written by a second thread while the caller renders on: hashing and system calls leave
    the interpreter free.

    Args:
      directory: where the file goes; it must exist.
      name: of the file.
      check: called before the file is begun, and again right before it gets its name; may raise to prevent it.
      sync: wait until a local file is on the disk before it gets its name.
      hashed: hash the contents; else `sha256` is the hash of no bytes.
    """

    def __init__(
        self,
        directory: str,
        name: str,
        check: Callable[[], None] | None = None,
        *,
        sync: bool = True,
        hashed: bool = True,
    ) -> None:
        self._directory = directory
        self._name = name
        self._check = check
        self._sync = sync
        self._hashed = hashed
        self._remote = is_remote(directory)
        # two attempts may write one file at the same time: each has a temporary name of its own
        self._temp = join(directory, temp_name(name, uuid.uuid4().hex))
        self._digest = hashlib.sha256()
        self._buffer, self._spare = io.BytesIO(), io.BytesIO()
        self._writer: ThreadPoolExecutor | None = None
        self._in_flight: Future[None] | None = None
        self.n_bytes = 0

    @property
    def sha256(self) -> str:
        """The hash of all bytes written, hexadecimal; valid once the file is closed."""
        return self._digest.hexdigest()

    def __enter__(self) -> "AtomicFile":
        # who lost the directory may be killed at any moment, and would leave a temporary file in a set of another run
        if self._check is not None:
            self._check()
        if self._remote:
            self._stream: Any = object_stores.Upload(join(self._directory, self._name))
        else:
            # unbuffered: the buffers here are larger, and a second copy would only cost time
            self._stream = open(self._temp, "xb", buffering=0)
        return self

    def write_pieces(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Write pieces one after the other."""
        remaining = iter(pieces)
        # a few at a time: a row of windows may have pieces of hundreds of megabytes
        while some := list(islice(remaining, _PIECES_AT_ONCE)):
            self._buffer.writelines(some)
            if self._buffer.tell() >= _HANDOVER_BYTES:
                self._hand_over()

    def _hand_over(self) -> None:
        """Let the second thread have the full buffer, and go on with the other one once that is written."""
        if self._writer is None:
            self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="beam_curator_write")
        self._wait()
        # at most one buffer is in flight: bytes stay in order, and the spare one is free
        self._in_flight = self._writer.submit(self._flush, self._buffer)
        self._buffer, self._spare = self._spare, self._buffer

    def _wait(self) -> None:
        in_flight, self._in_flight = self._in_flight, None
        if in_flight is not None:
            in_flight.result()

    def _flush(self, buffer: io.BytesIO) -> None:
        """Hash and write a buffer; its memory is used again."""
        # the buffer keeps its old length when used again: only the bytes before its position are new
        with self._named(), buffer.getbuffer() as whole, whole[: buffer.tell()] as view:
            if self._hashed:
                self._digest.update(view)
            self.n_bytes += len(view)
            position = 0
            while position < len(view):
                # a raw write may take less than it is given; object stores' streams return None and take all
                written = self._stream.write(view[position : position + _WRITE_BYTES])
                position += written if written is not None else _WRITE_BYTES
        buffer.seek(0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._wait()
            if error is None:
                self._finish()
        # also after Ctrl-C no temporary file stays
        except BaseException:
            self._abort()
            raise
        finally:
            if self._writer is not None:
                self._writer.shutdown()
        if error is not None:
            self._abort()

    def _named(self) -> AbstractContextManager[None]:
        return errors_with_path(join(self._directory, self._name))

    def _finish(self) -> None:
        self._flush(self._buffer)
        if self._sync and not self._remote:
            # before the rename: after a crash the name may otherwise stand for a file without its bytes
            with self._named():
                os.fsync(self._stream.fileno())
        # after the sync, which may take long: the less time between check and rename, the better
        if self._check is not None:
            self._check()
        # in an object store this completes the upload, and the object appears
        with self._named():
            self._stream.close()
        if not self._remote:
            os.replace(self._temp, join(self._directory, self._name))

    def _abort(self) -> None:
        if self._remote:
            # closing an upload would complete it, and the partial object would appear
            self._stream.terminate()
            return
        self._stream.close()
        Path(self._temp).unlink(missing_ok=True)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
