"""Folders of chunks, one file each: a publisher puts them there, and a job finds those that are new."""

import os
from collections import deque

from beam_curator.files.atomic_files import AtomicFile
from beam_curator.live.messages import Chunk, session_id

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
        self._next: deque[str] = deque()

    def next_message(self) -> bytes | None:
        """Return the next message; None while there is none.

        Raises:
          OSError: the folder or a file in it cannot be read.
        """
        if not self._next:
            self._look()
        while self._next:
            try:
                with open(os.path.join(self._directory, self._next.popleft()), "rb") as file:
                    return file.read()
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
            new = [entry for entry in entries if entry.name.endswith(SUFFIX) and entry.name not in self._seen]
            found = sorted((entry.stat().st_mtime_ns, entry.name) for entry in new)
        self._next.extend(name for _, name in found)
        self._seen.update(self._next)
