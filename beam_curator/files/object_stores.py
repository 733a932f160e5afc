"""Objects of `gs://` and `s3://`, asked for by name and listed by the beginnings of their names, never by patterns."""

import io
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, lru_cache
from importlib import import_module
from itertools import chain
from types import ModuleType
from typing import Any, BinaryIO, TypeVar

from beam_curator.files.store_objects import Found, Head, Page, Parts, Store
from beam_curator.files.store_patience import Patience, StoreError

T = TypeVar("T")

BLOCK_BYTES = 8 << 20
"""How much of an object is read, or written, with one request."""

_BUCKET = re.compile(r"[^\W_]([^*?\[\]\s]*[^\W_])?")
_N_AT_ONCE = 8
_PATIENCE = Patience()


def store_module(scheme: str) -> ModuleType:
    """Import the module that serves a scheme.

    Raises:
      ImportError: its extra is not installed.
    """
    name = {"gs": "google_store", "s3": "s3_store"}[scheme]
    return import_module(f"beam_curator.files.{name}")


def _options() -> Any:
    """Return Beam's options, which say how to sign in."""
    from apache_beam.io.filesystems import FileSystems

    # FileSystems keeps those of the pipeline, and has no public way to ask for them
    return FileSystems._pipeline_options or _no_options()


@cache
def _no_options() -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions([])


@lru_cache(maxsize=4)
def _store(scheme: str, options: Any) -> Store:
    module = store_module(scheme)
    store: Store = (module.GoogleStore if scheme == "gs" else module.S3Store)(options)
    return store


def _ask(path: str, act: Callable[[Store, str, str], T]) -> T:
    """Ask the store of a path for something; `act` gets the store, the bucket and the name.

    Raises:
      FileNotFoundError: it is not there.
      StoreError: the store refuses, or does not answer.
    """
    scheme, _, place = path.partition("://")
    bucket, _, name = place.partition("/")
    if not _BUCKET.fullmatch(bucket):
        cure = f"write {scheme}://BUCKET/NAME, where only the name may be a pattern"
        raise StoreError(f"{path} names no bucket: {cure}", cure)
    store = _store(scheme, _options())
    return _PATIENCE.ask(
        path,
        lambda: act(store, bucket, name),
        lambda: store.find(bucket, name or "_"),
        store_module(scheme).trouble_of,
    )


def _name_in(path: str) -> str:
    return path.partition("://")[2].partition("/")[2]


def find(path: str) -> Found | None:
    """Look an object up by its name; None where there is none."""
    if not _name_in(path):
        return None  # a bucket is no object
    return _ask(path, lambda store, bucket, name: store.find(bucket, name))


def _pages(prefix: str, *, flat: bool = False, limit: int | None = None) -> Iterator[Page]:
    page = _page(prefix, flat, None, limit)
    yield page
    while page.token is not None and limit is None:
        page = _page(prefix, flat, page.token, None)
        yield page


def _page(prefix: str, flat: bool, token: str | None, limit: int | None) -> Page:
    return _ask(prefix, lambda store, bucket, name: store.page(bucket, name, flat=flat, token=token, limit=limit))


def list_objects(prefix: str) -> Iterator[tuple[str, Found]]:
    """Yield the path of each object whose path begins with a prefix, and the object, in order of their names."""
    bucket = "/".join(prefix.split("/", 3)[:3])
    for page in _pages(prefix):
        yield from ((f"{bucket}/{found.name}", found) for found in page.found)


def has_objects(prefix: str) -> bool:
    """Tell whether any object's path begins with a prefix."""
    return any(page.found for page in _pages(prefix, limit=1))


def list_folder(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the objects directly in a folder, and those of the folders in it."""
    folder = folder.rstrip("/") + "/"
    pages = list(_pages(folder, flat=True))
    skipped = len(_name_in(folder))
    names = [found.name[skipped:] for page in pages for found in page.found]
    below = chain.from_iterable(page.folders for page in pages)
    return [name for name in names if name], sorted({name[skipped:].rstrip("/") for name in below})


def folders_like(prefix: str) -> list[str]:
    """Return the paths of the folders whose paths begin with a prefix, down to the next slash."""
    bucket = "/".join(prefix.split("/", 3)[:3])
    found = chain.from_iterable(page.folders for page in _pages(prefix, flat=True))
    return sorted({f"{bucket}/{name.rstrip('/')}" for name in found})


def open_object(path: str) -> BinaryIO:
    """Open an object's own bytes, compressed or not, seekable. One of up to 8 MB is read with one request.

    Raises:
      FileNotFoundError: it is not there.
      StoreError: the store refuses, or does not answer.
    """
    if not _name_in(path):
        raise FileNotFoundError(f"{path} is a bucket, expected an object in it")
    return io.BufferedReader(_ObjectReader(path), 1 << 16)


def create_object(path: str) -> "Upload":
    """Open an object for writing; it appears when it is closed."""
    return Upload(path)


def put_object(path: str, data: bytes, *, replaces: str | None = None) -> None:
    """Write an object at once; `replaces` names the version that must be there ("" for none), None for any."""
    _ask(path, lambda store, bucket, name: store.put(bucket, name, data, replaces=replaces))


def delete_objects(paths: Iterable[str]) -> None:
    """Delete objects; those that are gone already are fine."""
    with ThreadPoolExecutor(_N_AT_ONCE, "beam_curator_delete") as pool:
        for _ in pool.map(_delete, paths):
            pass


def copy_objects(pairs: Iterable[tuple[str, str]]) -> None:
    """Copy objects, each to another path in its bucket."""
    with ThreadPoolExecutor(_N_AT_ONCE, "beam_curator_copy") as pool:
        for _ in pool.map(_copy, pairs):
            pass


def _copy(pair: tuple[str, str]) -> None:
    source, target = pair
    _ask(source, lambda store, bucket, name: store.copy(bucket, name, _name_in(target)))


def _delete(path: str) -> None:
    _ask(path, lambda store, bucket, name: store.delete(bucket, name))


class _ObjectReader(io.RawIOBase):
    """Reads an object in blocks, of which it keeps the first and the last read: a header, and where one is."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        head: Head = _ask(path, lambda store, bucket, name: store.head(bucket, name, BLOCK_BYTES))
        self._head, self._size, self._version = head.data, head.n_bytes, head.version
        self._block, self._block_start = b"", 0
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        here = self._position
        if here >= self._size:
            return 0
        block, start = (self._head, 0) if here < len(self._head) else self._block_at(here)
        piece = memoryview(block)[here - start : here - start + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _block_at(self, here: int) -> tuple[bytes, int]:
        if not self._block_start <= here < self._block_start + len(self._block):
            start = here - here % BLOCK_BYTES
            stop = min(start + BLOCK_BYTES, self._size)
            self._block = _ask(
                self._path, lambda store, bucket, name: store.read(bucket, name, self._version, start, stop)
            )
            self._block_start = start
            if len(self._block) < stop - start:
                raise StoreError(f"{self._path} gave {len(self._block)} bytes of {stop - start}")
        return self._block, self._block_start


class Upload:
    """An object on its way up: a small one is put at once when it is closed, a large one in parts.

    Args:
      path: of the object.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._pending = bytearray()
        self._parts: Parts | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes; whole parts are sent."""
        self._pending += data
        while len(self._pending) > BLOCK_BYTES:
            part = bytes(self._pending[:BLOCK_BYTES])
            del self._pending[:BLOCK_BYTES]
            self._add(part)

    def _add(self, part: bytes) -> None:
        if self._parts is None:
            self._parts = _ask(self._path, lambda store, bucket, name: store.begin(bucket, name))
        parts = self._parts
        _ask(self._path, lambda store, bucket, name: parts.add(part))

    def close(self) -> None:
        """Send the rest; the object appears."""
        rest = bytes(self._pending)
        if self._parts is None:
            put_object(self._path, rest)
            return
        self._add(rest)
        _ask(self._path, lambda store, bucket, name: self._parts.finish() if self._parts else None)

    def terminate(self) -> None:
        """Give the upload up: no object appears."""
        parts = self._parts
        if parts is not None:
            with suppress(OSError):  # the store forgets it some day, and no object appears
                _ask(self._path, lambda store, bucket, name: parts.abort())
