"""Rows of several sets brought together by recording, on the disk: memory stays flat."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import msgspec

from beam_curator.report.recordings import ShownRecording
from beam_curator.report.shown_rows import Shown
from beam_curator.sets.output_set import temp_name


class RowsByRecording:
    """Holds rows in a temporary file until each recording has all of its own.

    Args:
      directory: for the file, which is gone in the end.
    """

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, temp_name("rows", uuid4().hex))
        self._encoder, self._decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Shown)

    def __enter__(self) -> Self:
        self._rows = sqlite3.connect(self._path, isolation_level=None)
        for line in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA temp_store=FILE", "BEGIN",
                     "CREATE TABLE piece (recording BLOB, number INT, is_failure INT, data BLOB)"):  # fmt: skip
            self._rows.execute(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()
        os.unlink(self._path)

    def add(self, recording: str, number: int, shown: Shown) -> None:
        """Hold a row of a recording, of the set of this number."""
        self._put(recording, number, shown, is_failure=False)

    def add_failure(self, recording: str, number: int, letter: dict[str, Any]) -> None:
        """Hold a dead letter of a recording, of the set of this number."""
        self._put(recording, number, letter, is_failure=True)

    def _put(self, recording: str, number: int, value: Any, *, is_failure: bool) -> None:
        # names may hold bytes that are no text
        row = (recording.encode("utf-8", "surrogatepass"), number, is_failure, self._encoder.encode(value))
        self._rows.execute("INSERT INTO piece VALUES (?, ?, ?, ?)", row)

    def names(self) -> Iterator[str]:
        """Yield the names of all recordings, in order."""
        for (name,) in self._rows.execute("SELECT DISTINCT recording FROM piece ORDER BY recording"):
            yield name.decode("utf-8", "surrogatepass")

    def recordings(self, above: str) -> Iterator[ShownRecording]:
        """Yield the recordings in the order of their names, without the folder that all lie below."""
        rows = self._rows.execute("SELECT * FROM piece ORDER BY recording, number, is_failure, rowid")
        for name, pieces in groupby(rows, itemgetter(0)):
            path = name.decode("utf-8", "surrogatepass")
            recording = ShownRecording(name=path.removeprefix(above) or "(no recording named)", path=path)
            for _, number, is_failure, data in pieces:
                if is_failure:
                    recording.add_failure(number, msgspec.json.decode(data))
                else:
                    recording.add(number, self._decoder.decode(data))
            yield recording
