"""Files on local disks and in object stores behind one set of functions.

Local paths use the operating system, with temporary file, fsync and rename; `gs://` and `s3://` go through Beam's
FileSystems, where an object appears only when its upload is complete.
"""

import hashlib
import io
import os
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import zstandard
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_curator.output_set import temp_name

SCHEMES = ("gs", "s3")
"""Object stores that are read and written; anything else with `://` is refused."""

DAMAGED = (EOFError, zlib.error, zstandard.ZstdError)
"""What reading a compressed file raises where it ends early or is damaged."""

_BUFFER_BYTES = 1 << 20
_HANDOVER_BYTES = 8 << 20
"""How much is handed to the writing thread at once: enough that waiting for the interpreter does not matter."""
_WRITE_BYTES = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS


class UnknownSchemeError(ValueError):
    """A path with a scheme that is not on the list."""


class ForeignRunError(RuntimeError):
    """Another run has taken over the output directory."""


def is_remote(path: str) -> bool:
    """Tell whether a path names an object store.

    Raises:
      UnknownSchemeError: it has a scheme, but none that is allowed.
    """
    scheme, separator, _ = path.partition("://")
    if not separator:
        return False
    if scheme not in SCHEMES:
        raise UnknownSchemeError(f"scheme {scheme}:// in {path} is not allowed: use a local path, gs:// or s3://")
    return True


def check_store(path: str) -> None:
    """Check that a path can be served here.

    Raises:
      UnknownSchemeError: its scheme is not allowed, or what serves it is not installed.
    """
    if not is_remote(path):
        return
    scheme = path.partition("://")[0]
    try:
        FileSystems.get_filesystem(path)
        served = scheme != "s3" or find_spec("boto3") is not None  # Beam lists s3 even where it cannot serve it
    except ValueError:
        served = False
    if not served:
        extra = {"gs": "gcp", "s3": "aws"}[scheme]
        raise UnknownSchemeError(f"{path} needs an extra: pip install 'beam-curator[{extra}]'")


def join(directory: str, name: str) -> str:
    """Join a directory and a name."""
    return FileSystems.join(directory, name) if is_remote(directory) else os.path.join(directory, name)


def make_directory(path: str) -> None:
    """Make a local directory and its parents; object stores need none."""
    if not is_remote(path):
        os.makedirs(path, exist_ok=True)


def list_directory(path: str) -> list[str]:
    """Return the names of the files directly in a directory, sorted; none where there is no such directory."""
    if is_remote(path):
        prefix = path.rstrip("/") + "/"
        found = FileSystems.match([prefix + "*"])[0].metadata_list
        return sorted(metadata.path[len(prefix) :] for metadata in found)
    try:
        return sorted(item.name for item in os.scandir(path) if item.is_file(follow_symlinks=False))
    except FileNotFoundError:
        return []


def size_of(path: str) -> int | None:
    """Return the size of a file in bytes, None where there is none."""
    if is_remote(path):
        found = FileSystems.match([path])[0].metadata_list
        return found[0].size_in_bytes if found else None
    try:
        return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def identity_of(path: str) -> str:
    """Return what tells cheaply whether a file changed: its size and its time of change."""
    if is_remote(path):
        metadata = FileSystems.match([path])[0].metadata_list[0]
        return f"{metadata.size_in_bytes} {metadata.last_updated_in_seconds}"
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return "absent"
    return f"{status.st_size} {status.st_mtime_ns}"


def open_raw(path: str) -> BinaryIO:
    """Open a file's own bytes, compressed or not, seekable."""
    if not is_remote(path):
        return open(path, "rb")
    if size_of(path) is None:  # each store has its own error for that
        raise FileNotFoundError(f"{path} is not there")
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


@contextmanager
def open_text(path: str) -> Iterator[BinaryIO]:
    """Open the decompressed bytes of a `.gz`, `.zst` or plain file; seekable only where it is plain."""
    with open_raw(path) as raw:
        if path.lower().endswith(".gz"):
            yield cast(BinaryIO, _Decompressed(raw, lambda: zlib.decompressobj(wbits=_GZIP)))
        elif path.lower().endswith(".zst"):
            yield cast(BinaryIO, _Decompressed(raw, lambda: zstandard.ZstdDecompressor().decompressobj()))
        else:
            yield raw


class _Decompressed:
    """Reads gzip members or Zstandard frames one after the other; notices when the last one is cut short.

    What precedes the damage is returned first; the next read raises. (The libraries' own readers lose the last piece,
    or, for Zstandard, end without a word.)
    """

    def __init__(self, raw: BinaryIO, new_frame: Callable[[], Any]) -> None:
        self._raw = raw
        self._new_frame = new_frame
        self._frame: Any = None
        self._packed = b""
        self._text = b""
        self._error: Exception | None = None

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end or before damage."""
        while len(self._text) < size and self._error is None:
            try:
                more = self._decompress()
            except DAMAGED as err:
                self._error = err
                break
            if more is None:
                break
            self._text += more
        if self._error is not None and not self._text:
            raise self._error
        data, self._text = self._text[:size], self._text[size:]
        return data

    def _decompress(self) -> bytes | None:
        if not self._packed:
            self._packed = self._raw.read(_BUFFER_BYTES // 8)
        if self._frame is None:
            self._packed = self._packed.lstrip(b"\0")  # tape padding between members
            if not self._packed:
                return None
            self._frame = self._new_frame()
        if not self._packed:
            raise EOFError("the compressed data ends early")
        text: bytes = self._frame.decompress(self._packed)
        self._packed = self._frame.unused_data
        if self._frame.eof:
            self._frame = None
        return text


def read_bytes(path: str) -> bytes | None:
    """Read a small file whole; None where there is none."""
    try:
        with open_raw(path) as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def hash_file(path: str) -> tuple[int, str, int]:
    """Read a file once; return its size in bytes, sha256 (hexadecimal) and number of newlines."""
    digest, n_bytes, n_lines = hashlib.sha256(), 0, 0
    with open_raw(path) as stream:
        while chunk := stream.read(_BUFFER_BYTES):
            digest.update(chunk)
            n_bytes += len(chunk)
            n_lines += chunk.count(b"\n")
    return n_bytes, digest.hexdigest(), n_lines


def delete(directory: str, names: list[str]) -> None:
    """Delete files; one that is gone already is fine."""
    if is_remote(directory):
        for path in [join(directory, name) for name in names]:
            if size_of(path) is not None:
                _delete_remote(path)
        return
    for name in names:
        Path(directory, name).unlink(missing_ok=True)


def _delete_remote(path: str) -> None:
    if _is_gcs(path):
        bucket, name = _gcs_bucket(path)
        bucket.blob(name).delete()  # one request; Beam's own asks twice, by way of a batch
    else:
        FileSystems.delete([path])


def _is_gcs(path: str) -> bool:
    """Tell whether a path is served by Beam's own client of Google's store."""
    return path.startswith("gs://") and type(FileSystems.get_filesystem(path)).__name__ == "GCSFileSystem"


def _gcs_bucket(path: str) -> tuple[Any, str]:
    """Return the store's own handle of a bucket, and the name of an object in it."""
    from apache_beam.io.gcp import gcsio  # needs the extra [gcp]

    bucket_name, name = gcsio.parse_gcs_path(path)
    # FileSystems keeps the options that say how to sign in, and has no public way to ask for them
    return gcsio.GcsIO(pipeline_options=FileSystems._pipeline_options).client.bucket(bucket_name), name


def write_bytes(directory: str, name: str, data: bytes) -> None:
    """Put a small file in place at once: a reader sees the old one or the new one."""
    with AtomicFile(directory, name) as file:
        file.write_pieces([data])
    if not is_remote(directory):
        _sync_directory(directory)


def replace_unless_changed(directory: str, name: str, data: bytes) -> None:
    """Put a small file in place like `write_bytes`; in `gs://` only if nobody else does so at the same time.

    There the upload carries the generation that was seen (0 for none) as its precondition, and fails if it is not met.
    """
    if not _is_gcs(directory):
        write_bytes(directory, name, data)
        return
    bucket, blob_name = _gcs_bucket(join(directory, name))
    seen = bucket.get_blob(blob_name)
    generation = seen.generation if seen is not None else 0
    bucket.blob(blob_name).upload_from_string(data, content_type="application/json", if_generation_match=generation)


class AtomicFile:
    """A file that appears under its name whole, or not at all; hashes what is written.

    Use as a context manager; an exception inside leaves no file. `sha256` and `n_bytes` are valid after the block.
    Large files are hashed and written by a second thread while the caller renders on: hashing and system calls leave
    the interpreter free.

    Args:
      directory: where the file goes; it must exist.
      name: of the file.
      check: called right before the file gets its name; may raise to prevent it.
    """

    def __init__(self, directory: str, name: str, check: Callable[[], None] | None = None) -> None:
        self._directory = directory
        self._name = name
        self._check = check
        self._remote = is_remote(directory)
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
        if self._remote:
            path = join(self._directory, self._name)
            self._stream = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
        else:
            self._stream = open(self._temp, "xb", buffering=0)
        return self

    def write_pieces(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Write pieces one after the other."""
        self._buffer.writelines(pieces)
        if self._buffer.tell() >= _HANDOVER_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let the second thread have the full buffer, and go on with the other one once that is written."""
        if self._writer is None:
            self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="beam_curator_write")
        self._wait()
        self._in_flight = self._writer.submit(self._flush, self._buffer)
        self._buffer, self._spare = self._spare, self._buffer

    def _wait(self) -> None:
        in_flight, self._in_flight = self._in_flight, None
        if in_flight is not None:
            in_flight.result()

    def _flush(self, buffer: io.BytesIO) -> None:
        """Hash and write a buffer; its memory is used again."""
        with buffer.getbuffer() as whole, whole[: buffer.tell()] as view:
            self._digest.update(view)
            self.n_bytes += len(view)
            position = 0
            while position < len(view):
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
        except BaseException:
            self._abort()
            raise
        finally:
            if self._writer is not None:
                self._writer.shutdown()
        if error is not None:
            self._abort()

    def _finish(self) -> None:
        self._flush(self._buffer)
        if not self._remote:
            os.fsync(self._stream.fileno())
        if self._check is not None:
            self._check()
        self._stream.close()
        if not self._remote:
            os.replace(self._temp, join(self._directory, self._name))

    def _abort(self) -> None:
        if self._remote:
            terminate = getattr(self._stream, "terminate", None)
            if terminate is not None:
                terminate()
            return
        self._stream.close()
        Path(self._temp).unlink(missing_ok=True)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
