"""Reading, listing and deleting files on local disks and in object stores behind one set of functions.

Local paths use the operating system; `gs://` and `s3://` go through Beam's FileSystems, which are loaded when a path
first names a store. `atomic_files` writes.
"""

import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from beam_curator.files.beam_imports import import_store
from beam_curator.sets.output_set import FileRecord, WrittenFile, is_temporary

SCHEMES = ("gs", "s3")
"""Object stores that are read and written; anything else with `://` is refused."""

DAMAGED = (EOFError, zlib.error, zstandard.ZstdError)
"""The exceptions raised by reading a compressed file that ends early or is damaged."""

_BUFFER_BYTES = 1 << 20
# zlib takes a gzip header and trailer where 16 is added
_GZIP = 16 + zlib.MAX_WBITS


class UnknownSchemeError(ValueError):
    """A path with a scheme that is not on the list."""


def file_systems() -> Any:
    """Return Beam's FileSystems; loading it takes a second, which commands on local files do without."""
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def open_object(path: str, *, create: bool = False) -> Any:
    """Open an object's own bytes, compressed or not, for reading, or create it."""
    from apache_beam.io.filesystem import CompressionTypes

    stores = file_systems()
    return (stores.create if create else stores.open)(path, compression_type=CompressionTypes.UNCOMPRESSED)


def is_remote(path: str) -> bool:
    """Tell whether a path names an object store; Beam can then serve it, if the packages for it are installed.

    Raises:
      UnknownSchemeError: it has a scheme, but none that is allowed.
    """
    scheme, separator, _ = path.partition("://")
    if not separator:
        return False
    if scheme not in SCHEMES:
        raise UnknownSchemeError(f"scheme {scheme}:// in {path} is not allowed: use a local path, gs:// or s3://")
    import_store(scheme)
    return True


def check_store(path: str) -> None:
    """Check that a path can be served here.

    Raises:
      UnknownSchemeError: its scheme is not allowed, or the packages for it are not installed.
    """
    if not is_remote(path):
        return
    scheme = path.partition("://")[0]
    try:
        file_systems().get_filesystem(path)
        served = scheme != "s3" or find_spec("boto3") is not None  # Beam lists s3 even where it cannot serve it
    except ValueError:
        served = False
    if not served:
        extra = {"gs": "gcp", "s3": "aws"}[scheme]
        raise UnknownSchemeError(f"{path} needs an extra: pip install 'beam-curator[{extra}]'")


def join(directory: str, name: str) -> str:
    """Join a directory and a name."""
    return file_systems().join(directory, name) if is_remote(directory) else os.path.join(directory, name)


def make_directory(path: str) -> None:
    """Make a local directory and its parents; object stores need none."""
    if not is_remote(path):
        os.makedirs(path, exist_ok=True)


def names_in(path: str) -> Iterator[str]:
    """Yield the names of the files directly in a directory, in no order; none where there is no such directory."""
    if is_remote(path):
        prefix = path.rstrip("/") + "/"
        for metadata in file_systems().match([prefix + "*"])[0].metadata_list:
            yield metadata.path[len(prefix) :]
        return
    with suppress(FileNotFoundError), os.scandir(path) as items:
        for item in items:
            if item.is_file(follow_symlinks=False):
                yield item.name


def list_directory(path: str) -> list[str]:
    """Return the names of the files directly in a directory, sorted; none where there is no such directory."""
    return sorted(names_in(path))


def is_directory(path: str) -> bool:
    """Tell whether a path is a directory, or the beginning of names in an object store."""
    if is_remote(path):
        # the limit of one match is enough to tell
        return size_of(path) is None and bool(file_systems().match([path.rstrip("/") + "/**"], [1])[0].metadata_list)
    return os.path.isdir(path)


def links_in(path: str) -> list[str]:
    """Return the names of the symbolic links directly in a local directory, sorted; object stores have none."""
    if is_remote(path):
        return []
    with suppress(FileNotFoundError), os.scandir(path) as items:
        return sorted(item.name for item in items if item.is_symlink())
    return []


def folders_in(path: str) -> list[str]:
    """Return the names of the directories directly in a directory, sorted; links count as foreign."""
    if is_remote(path):
        prefix = path.rstrip("/") + "/"
        found = file_systems().match([prefix + "**"])[0].metadata_list
        return sorted({rest.partition("/")[0] for m in found if "/" in (rest := m.path[len(prefix) :])})
    try:
        return sorted(item.name for item in os.scandir(path) if item.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def temporary_below(path: str) -> Iterator[str]:
    """Yield the temporary files in a local tree, relative to it; object stores have none."""
    if is_remote(path):
        return
    for folder, _, names in os.walk(path):
        yield from (os.path.relpath(os.path.join(folder, name), path) for name in names if is_temporary(name))


def delete_folder(path: str) -> None:
    """Delete a directory with all that is in it."""
    if is_remote(path):
        found = file_systems().match([path.rstrip("/") + "/**"])[0].metadata_list
        file_systems().delete([metadata.path for metadata in found])
    else:
        shutil.rmtree(path)


def size_of(path: str) -> int | None:
    """Return the size of a file in bytes, None where there is none."""
    if is_remote(path):
        found = file_systems().match([path])[0].metadata_list
        return found[0].size_in_bytes if found else None
    try:
        return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def identity_of(path: str) -> str:
    """Return a cheap fingerprint of a file: size and time of change; of an object, size and generation or ETag."""
    if is_gcs(path):
        bucket, name = gcs_bucket(path)
        blob = bucket.get_blob(name)
        return f"{blob.size} {blob.generation}" if blob is not None else "absent"
    if is_remote(path):
        found = file_systems().match([path])[0].metadata_list
        # s3's checksum is the ETag
        return f"{found[0].size_in_bytes} {file_systems().checksum(path)}" if found else "absent"
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
    return open_object(path)


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
        # what lies behind the end of a member belongs to the next one
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


def is_whole(directory: str, file: WrittenFile | FileRecord) -> bool:
    """Tell whether a file is in its place below a directory, byte for byte."""
    path = join(directory, file.name)
    # the size is cheap, and spares most hashes of files that differ
    return size_of(path) == file.n_bytes and hash_file(path)[1] == file.sha256


def delete(directory: str, names: list[str]) -> None:
    """Delete files; one that is gone already is fine."""
    if is_remote(directory):
        for path in [join(directory, name) for name in names]:
            # deleting an absent object is an error in some stores
            if size_of(path) is not None:
                _delete_remote(path)
        return
    for name in names:
        Path(directory, name).unlink(missing_ok=True)


def _delete_remote(path: str) -> None:
    if is_gcs(path):
        bucket, name = gcs_bucket(path)
        bucket.blob(name).delete()  # one request; Beam's own asks twice, by way of a batch
    else:
        file_systems().delete([path])


def is_gcs(path: str) -> bool:
    """Tell whether a path is served by Beam's own client of Google's store."""
    return path.startswith("gs://") and type(file_systems().get_filesystem(path)).__name__ == "GCSFileSystem"


def gcs_bucket(path: str) -> tuple[Any, str]:
    """Return the store's own handle of a bucket, and the name of an object in it."""
    from apache_beam.io.gcp import gcsio  # needs the extra [gcp]

    bucket_name, name = gcsio.parse_gcs_path(path)
    # FileSystems keeps the options that say how to sign in, and has no public way to ask for them
    return gcsio.GcsIO(pipeline_options=file_systems()._pipeline_options).client.bucket(bucket_name), name
