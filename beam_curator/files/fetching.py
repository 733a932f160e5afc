"""Copies of files in a local folder: of objects that are read more than once, or in pieces."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory

from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile

_COPY_BYTES = 1 << 20
_N_AT_ONCE = 8


def copy_file(source: str, folder: str, name: str = "") -> str:
    """Copy a file into a local folder, under its name or another one; return its path there."""
    name = name or os.path.basename(source)
    with storage.open_raw(source) as stream, AtomicFile(folder, name, sync=False, hashed=False) as file:
        file.write_pieces(iter(lambda: stream.read(_COPY_BYTES), b""))
    return os.path.join(folder, name)


@contextmanager
def fetched(directory: str, names: Iterable[str]) -> Iterator[str]:
    """Yield a local directory that holds files of a directory, without those that are not there."""
    if not storage.is_remote(directory):
        yield directory
        return

    def fetch(name: str) -> None:
        with suppress(FileNotFoundError):
            copy_file(storage.join(directory, name), folder)

    with TemporaryDirectory(prefix="beam_curator-") as folder:
        with ThreadPoolExecutor(_N_AT_ONCE, "beam_curator_fetch") as threads:
            list(threads.map(fetch, names))
        yield folder
