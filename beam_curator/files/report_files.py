"""The files of a page: scripts that hand over data, since a page from the disk may read no others; and its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from beam_curator.files import storage
from beam_curator.files.atomic_files import AtomicFile
from beam_curator.files.clip_files import EncodedClip
from beam_curator.files.output_target import OutputTarget
from beam_curator.report.one_page import one_page
from beam_curator.sets.output_set import FileRecord, is_temporary, temp_name

STATIC = "page"
"""Kind of the files that are the same in every page."""
DATA = "data"
_PAGE = files("beam_curator.report") / "page"
_INDEX = "index.html"


class PageTooLargeError(ValueError):
    """The data of a page are more than one file may hold."""


class PageFiles:
    """Writes the files of a page below a directory.

    Args:
      target: where they go.
      folder: of all but the page itself.
      limit: bytes that all files may have; None for any number.
    """

    def __init__(self, target: OutputTarget, folder: str, limit: int | None = None) -> None:
        self._target = target
        self._folder = folder
        self._below = storage.join(target.directory, folder)
        self.records: list[FileRecord] = []
        self._key, self._n_before = "", 0
        self._left = limit

    def put_static(self) -> None:
        """Write the page itself, its style and its scripts."""
        for file in sorted(_PAGE.iterdir(), key=lambda file: file.name):
            name = file.name if file.name == _INDEX else f"{self._folder}/{file.name}"
            self.put(name, file.read_bytes(), STATIC, 0)

    def put_script(self, name: str, value: Any, kind: str = DATA, n_rows: int = 0) -> None:
        """Write a value as a script that hands it to the page under its name, without the ending."""
        # ASCII alone: a script may hold no line separators, and is read in any encoding
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
        self.put(f"{self._folder}/{name}.js", f'take("{name}",{text})\n'.encode("ascii"), kind, n_rows)

    def put(self, name: str, data: bytes, kind: str, n_rows: int) -> None:
        """Write a file."""
        with self.open(name, kind, n_rows) as file:
            file.write_pieces([data])

    def put_clip(self, name: str, clip: EncodedClip) -> str:
        """Write the copy of a recording; return its address."""
        address = f"{self._folder}/{name}"
        with self.open(address, DATA) as file:
            file.write_pieces(clip.chunks())
        clip.close()
        return address

    def kept(self, name: str, made_of: Any) -> int | None:
        """Take over the files that a killed run made of the same; return the number that it noted, None without any.

        Args:
          name: of the data.
          made_of: all that decides it, as JSON.
        """
        self._key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
        self._n_before = len(self.records)
        text = storage.read_bytes(storage.join(self._below, _mark_of(name)))
        mark = json.loads(text) if text is not None else {}
        records = [FileRecord(**record) for record in mark.get("files", ())]
        if mark.get("key") != self._key or not all(storage.is_whole(self._target.directory, file) for file in records):
            return None
        self.records += records
        return int(mark["number"])

    def keep(self, name: str, number: int) -> None:
        """Note for a later run which files were written since `kept` was asked, and a number."""
        records = [asdict(record) for record in self.records[self._n_before :]]
        mark = json.dumps({"key": self._key, "number": number, "files": records}).encode()
        with AtomicFile(self._below, _mark_of(name), sync=False) as file:
            file.write_pieces([mark])

    def sweep(self) -> None:
        """Remove the files that an earlier run of other recordings left."""
        own = {record.name.rpartition("/")[2] for record in self.records}
        strays = [name for name in storage.names_in(self._below) if name not in own and not is_temporary(name)]
        storage.delete(self._below, strays)

    @contextmanager
    def open(self, name: str, kind: str, n_rows: int = 0) -> Iterator[AtomicFile]:
        """Begin a file, which has its name once it is whole.

        Raises:
          PageTooLargeError: all files are more than the limit.
        """
        folder, _, last = storage.join(self._target.directory, name).rpartition("/")
        storage.make_directory(folder)
        with AtomicFile(folder, last, self._target.check, sync=False) as file:
            yield file
        self.records.append(FileRecord(name=name, n_bytes=file.n_bytes, sha256=file.sha256, n_rows=n_rows, kind=kind))
        if self._left is not None:
            self._left -= file.n_bytes
            if self._left < 0:
                raise PageTooLargeError


def packed_page(directory: str, records: Sequence[FileRecord]) -> bytes:
    """Return a page that was written into a directory as one file."""
    texts = {each.name: (storage.read_bytes(storage.join(directory, each.name)) or b"").decode() for each in records}
    values = {
        name: texts[each.name][len(f'take("{name}",') : -len(")\n")]
        for each in records
        for name in [each.name.rpartition("/")[2].removesuffix(".js")]
        if each.kind != STATIC
    }
    return one_page(texts.pop(_INDEX), texts, values).encode()


def _mark_of(name: str) -> str:
    """Name the hidden note about data; a commit removes it."""
    return temp_name(name, "kept")
