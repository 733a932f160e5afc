"""Reading, listing and deleting files on local disks and in object stores behind one set of functions.

Local paths use the operating system; `gs://` and `s3://` are served by `object_stores`, files of sets there by way of
`set_layers`. `atomic_files` writes.
"""

import hashlib
import os
import shutil
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import zstandard

from beam_curator.files import object_stores, set_layers
from beam_curator.files.beam_imports import import_store
from beam_curator.files.store_objects import Found
from beam_curator.sets.output_set import FileRecord, WrittenFile, is_temporary

SCHEMES = ("gs", "s3")
"""Object stores that are read and written; anything else with `://` is refused."""

DAMAGED = (EOFError, zlib.error, zstandard.ZstdError)
"""The exceptions raised by reading a compressed file that ends early or is damaged."""

_BUFFER_BYTES = 1 << 20
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
# packed bytes given to a decompressor at a time, which become 8 MiB at most: 1 byte of gzip becomes 1,032, and the 4
# bytes of a Zstandard block 128 KiB
_GZIP_STEP, _ZSTD_STEP = 8 << 10, 256
# zlib takes a gzip header and trailer where 16 is added
_GZIP = 16 + zlib.MAX_WBITS


class UnknownSchemeError(ValueError):
    """A path with a scheme that is not on the list."""


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
      UnknownSchemeError: its scheme is not allowed, or the packages for it are not installed.
    """
    if not is_remote(path):
        return
    scheme = path.partition("://")[0]
    import_store(scheme)
    try:
        object_stores.store_module(scheme)
    except ImportError as err:
        extra = {"gs": "gcp", "s3": "aws"}[scheme]
        raise UnknownSchemeError(f"{path} needs an extra: pip install 'beam-curator[{extra}]'") from err


def join(directory: str, name: str) -> str:
    """Join a directory and a name."""
    return f"{directory.rstrip('/')}/{name.lstrip('/')}" if is_remote(directory) else os.path.join(directory, name)


def home_of(directory: str) -> str:
    """Return the directory that holds the manifest of a set: in a store one that was updated has it in a layer."""
    return set_layers.newest_layer(directory) if is_remote(directory) else directory


def plain_path(path: str) -> str:
    """Return a path without `file://`, and with the home directory in place of a `~` that nothing has for its name."""
    path = path.removeprefix("file://")
    return os.path.expanduser(path) if path.startswith("~") and not os.path.lexists(path) else path


def as_on_disk(path: str) -> str:
    """Return a local path as the disk spells it, if it is there in another form of Unicode (NFC or NFD) only.

    Disks and copying tools change the form of letters with marks, and manifests keep the former one.
    """
    if path.isascii() or os.path.lexists(path):
        return path
    folder, name = os.path.split(path)
    if not name:
        return path
    folder = as_on_disk(folder)
    spelled = (os.path.join(folder, unicodedata.normalize(form, name)) for form in _FORMS)
    return next(filter(os.path.lexists, spelled), path)


def make_directory(path: str) -> None:
    """Make a local directory and its parents; object stores need none."""
    if not is_remote(path):
        os.makedirs(path, exist_ok=True)


def names_in(path: str) -> Iterator[str]:
    """Yield the names of the files directly in a directory, in no order; none where there is no such directory."""
    if is_remote(path):
        yield from object_stores.list_folder(path)[0]
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
        prefix = path.rstrip("/") + "/"
        has_any = object_stores.has_objects(prefix) or any(True for _ in set_layers.list_located(prefix))
        return has_any and size_of(path) is None
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
        return object_stores.list_folder(path)[1]
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
        object_stores.delete_objects(below for below, _ in object_stores.list_objects(path.rstrip("/") + "/"))
    else:
        shutil.rmtree(path)


def size_of(path: str) -> int | None:
    """Return the size of a file in bytes, None where there is none."""
    if is_remote(path):
        found = object_stores.find(set_layers.located(path))
        return found.n_bytes if found is not None else None
    try:
        return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def identity_of(path: str) -> str:
    """Return a cheap fingerprint of a file: size and time of change; of an object, size and generation or ETag."""
    if is_remote(path):
        found = object_stores.find(set_layers.located(path))
        return fingerprint(found) if found is not None else "absent"
    try:
        return fingerprint(os.stat(path))
    except FileNotFoundError:
        return "absent"


def fingerprint(status: os.stat_result | Found) -> str:
    """Return the fingerprint of a file from its status, or of an object from a list."""
    if isinstance(status, Found):
        return f"{status.n_bytes} {status.version}"
    return f"{status.st_size} {status.st_mtime_ns}"


def open_raw(path: str) -> BinaryIO:
    """Open a file's own bytes, compressed or not, seekable."""
    return set_layers.open_located(path) if is_remote(path) else open(path, "rb")


@contextmanager
def open_text(path: str) -> Iterator[BinaryIO]:
    """Open the decompressed bytes of a `.gz`, `.zst` or plain file; seekable only where it is plain."""
    with open_raw(path) as raw:
        if path.lower().endswith(".gz"):
            yield cast(BinaryIO, _Decompressed(raw, lambda: zlib.decompressobj(wbits=_GZIP), _GZIP_STEP))
        elif path.lower().endswith(".zst"):
            unpacker = zstandard.ZstdDecompressor()
            yield cast(BinaryIO, _Decompressed(raw, unpacker.decompressobj, _ZSTD_STEP))
        else:
            yield raw


class _Decompressed:
    """Reads gzip members or Zstandard frames one after the other; notices when the last one is cut short.

    What precedes the damage is returned first; the next read raises. (The libraries' own readers lose the last piece,
    or, for Zstandard, end without a word.) Decompressors get a few bytes at a time: a small file may hold very much.
    """

    def __init__(self, raw: BinaryIO, new_frame: Callable[[], Any], step: int) -> None:
        self._raw = raw
        self._new_frame = new_frame
        self._step = step
        self._frame: Any = None
        self._packed = memoryview(b"")
        self._text = memoryview(b"")
        self._error: Exception | None = None

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end or before damage."""
        pieces: list[memoryview] = []
        missing = size
        while missing and (self._text or self._fill()):
            piece = self._text[:missing]
            self._text = self._text[len(piece) :]
            pieces.append(piece)
            missing -= len(piece)
        if self._error is not None and not pieces and size:
            raise self._error
        return b"".join(pieces)

    def _fill(self) -> bool:
        """Decompress the next bytes; return whether there are any."""
        while not self._text and self._error is None:
            try:
                more = self._decompress()
            except DAMAGED as err:
                self._error = err
                break
            if more is None:
                break
            self._text = memoryview(more)
        return bool(self._text)

    def _decompress(self) -> bytes | None:
        if not self._packed:
            self._packed = memoryview(self._raw.read(_BUFFER_BYTES // 8))
        if self._frame is None:
            # tape padding between members
            padding = len(self._packed) - len(bytes(self._packed).lstrip(b"\0"))
            self._packed = self._packed[padding:]
            if not self._packed:
                return None
            self._frame = self._new_frame()
        if not self._packed:
            raise EOFError("the compressed data ends early")
        step, self._packed = self._packed[: self._step], self._packed[self._step :]
        text: bytes = self._frame.decompress(step)
        if self._frame.eof:
            # what lies behind the end of a member belongs to the next one
            left = self._frame.unused_data
            self._packed = memoryview(left + bytes(self._packed))
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
    with open_raw(path) as stream:
        return _hash(stream)


def _hash(stream: BinaryIO) -> tuple[int, str, int]:
    digest, n_bytes, n_lines = hashlib.sha256(), 0, 0
    stream.seek(0)
    while chunk := stream.read(_BUFFER_BYTES):
        digest.update(chunk)
        n_bytes += len(chunk)
        n_lines += chunk.count(b"\n")
    return n_bytes, digest.hexdigest(), n_lines


def is_whole(directory: str, file: WrittenFile | FileRecord) -> bool:
    """Tell whether a file is in its place below a directory, byte for byte."""
    try:
        with open_raw(join(directory, file.name)) as stream:
            # the size is cheap, and spares most hashes of files that differ
            return stream.seek(0, os.SEEK_END) == file.n_bytes and _hash(stream)[1] == file.sha256
    except (FileNotFoundError, NotADirectoryError):
        return False


def delete(directory: str, names: list[str]) -> None:
    """Delete files; one that is gone already is fine."""
    if is_remote(directory):
        object_stores.delete_objects(join(directory, name) for name in names)
        return
    for name in names:
        Path(directory, name).unlink(missing_ok=True)
