"""Folders of chunks, one file each: a publisher puts them there, and a job finds those that are new."""

import os
from collections import deque
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from beam_curator.files.atomic_files import AtomicFile
from beam_curator.live.messages import Chunk, Sent, session_id

SUFFIX = ".chunk"


def put_chunk(directory: str, chunk: Chunk) -> None:
    """Put a chunk into a folder; a reader sees all of it or none."""
    name = f"{session_id(*chunk.key)}-{chunk.seq:09d}{SUFFIX}"
    with AtomicFile(directory, name, sync=False, hashed=False) as file:
        file.write_pieces([chunk.to_bytes()])


@dataclass(slots=True)
class _Found:
    """The chunks that this process found in a folder, in the order in which it did.

    Attributes:
      names: of those that are there, with the times of their files; those that were removed first are forgotten.
      seen: the same names.
      n_gone: how many were forgotten.
    """

    names: deque[tuple[int, str]] = field(default_factory=deque)
    seen: set[str] = field(default_factory=set)
    n_gone: int = 0

    @property
    def n(self) -> int:
        """All that were found."""
        return self.n_gone + len(self.names)

    def add(self, new: Iterable[tuple[int, str]], there: Container[str]) -> None:
        """Add chunks that were found, and forget those that are gone."""
        self.names.extend(new)
        while self.names and self.names[0][1] not in there:
            self.names.popleft()
            self.n_gone += 1
        self.seen = {name for _, name in self.names}


@cache
def _found_in(directory: str) -> _Found:
    del directory
    return _Found()


class ChunkFolder:
    """The chunks of a folder, each once, as they come: by the time of their files, then by name.

    Args:
      directory: a local one.
      place: where to begin, as an earlier reader of this process told it.

    Attributes:
      place: how many chunks were given, of those that this process found.
    """

    def __init__(self, directory: str, place: int = 0) -> None:
        self._directory = directory
        self._found = _found_in(directory)
        self.place = max(place, self._found.n_gone)

    def __len__(self) -> int:
        return len(self._found.seen)

    def next_message(self) -> Sent | None:
        """Return the next message; None while there is none.

        Raises:
          OSError: the folder or a file in it cannot be read.
        """
        if self.place == self._found.n:
            self._look()
        while self.place < self._found.n:
            sent_ns, name = self._found.names[self.place - self._found.n_gone]
            self.place += 1
            try:
                with open(os.path.join(self._directory, name), "rb") as file:
                    return Sent(file.read(), sent_ns / 1e9)
            except FileNotFoundError:
                # removed since it was found
                continue
        return None

    def take_acks(self) -> tuple[str, ...]:
        """Return nothing: files stay where they are, and nobody waits for an acknowledgement."""
        return ()

    def close(self) -> None:
        """Let go of nothing: no file stays open."""

    def _look(self) -> None:
        with os.scandir(self._directory) as entries:
            # temporary files begin with a dot, and end otherwise
            there = {entry.name: entry for entry in entries if entry.name.endswith(SUFFIX)}
        new = []
        for name in there.keys() - self._found.seen:
            # it may be removed just now
            with suppress(FileNotFoundError):
                new.append((there[name].stat().st_mtime_ns, name))
        self._found.add(sorted(new), there)
        self.place = max(self.place, self._found.n_gone)
