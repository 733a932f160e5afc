"""Folders of chunks, one file each: a publisher puts them there, and a job finds those that are new."""

import os
from collections import deque
from contextlib import suppress

from beam_curator.files.atomic_files import AtomicFile
from beam_curator.live.messages import Chunk, Sent, session_id

SUFFIX = ".chunk"


def put_chunk(directory: str, chunk: Chunk) -> None:
    """Put a chunk into a folder; a reader sees all of it or none."""
    name = f"{session_id(*chunk.key)}-{chunk.seq:09d}{SUFFIX}"
    with AtomicFile(directory, name, sync=False, hashed=False) as file:
        file.write_pieces([chunk.to_bytes()])


class ChunkFolder:
    """The chunks of a folder, each once, as they come: by the time of their files, then by name.

    Args:
      directory: a local one.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._seen: set[str] = set()
        self._next: deque[tuple[int, str]] = deque()

    def __len__(self) -> int:
        return len(self._seen)

    def next_message(self) -> Sent | None:
        """Return the next message; None while there is none.

        Raises:
          OSError: the folder or a file in it cannot be read.
        """
        if not self._next:
            self._look()
        while self._next:
            sent_ns, name = self._next.popleft()
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
        # what was removed need not be remembered
        new = there.keys() - self._seen
        self._seen = set(there)
        for name in new:
            # it may be removed just now
            with suppress(FileNotFoundError):
                self._next.append((there[name].stat().st_mtime_ns, name))
        self._next = deque(sorted(self._next))
