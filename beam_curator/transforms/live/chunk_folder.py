"""Chunks out of a folder, as an unbounded source: no server is needed."""

import os
import time
from typing import Any

from apache_beam.coders import Coder
from apache_beam.io.unbounded_source import CheckpointMark, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from beam_curator.files.chunk_folders import ChunkFolder
from beam_curator.intervals import Seconds
from beam_curator.live.arriving import END, Arrived

TICK_SECONDS = 0.2


class _MarkCoder(Coder):
    """A mark has nothing in it."""

    def encode(self, value: CheckpointMark) -> bytes:
        del value
        return b""

    def decode(self, encoded: bytes) -> CheckpointMark:
        del encoded
        return CheckpointMark()

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return CheckpointMark


class ChunkFolderSource(UnboundedSource):
    """Messages out of a folder as they come, and the time five times a second, also when none comes.

    A reader that begins anew reads the whole folder again: sessions drop what they know.

    Args:
      directory: of the chunks; local.
      until_idle: seconds without a new chunk after which the source ends; 0 for never.
      stop: a file that ends the source when it is there; "" for none.
    """

    def __init__(self, directory: str, until_idle: Seconds, stop: str = "") -> None:
        self._directory = directory
        self._until_idle = until_idle
        self._stop = stop

    def split(self, desired_num_splits: int, options: Any = None) -> "list[ChunkFolderSource]":
        """Return the source: a folder is read by one reader."""
        del desired_num_splits, options
        return [self]

    def create_reader(self, options: Any, checkpoint_mark: CheckpointMark | None) -> "_FolderReader":
        """Return a reader of the whole folder."""
        del options, checkpoint_mark
        return _FolderReader(ChunkFolder(self._directory), self._until_idle, self._stop)

    def get_checkpoint_mark_coder(self) -> Coder:
        """Return the coder of marks, which hold nothing."""
        return _MarkCoder()


class _FolderReader(UnboundedReader):
    def __init__(self, folder: ChunkFolder, until_idle: Seconds, stop: str) -> None:
        self._folder, self._until_idle, self._stop = folder, until_idle, stop
        self._heard = time.monotonic()
        self._ticked = self._ticked_at = 0.0
        self._current: Arrived = b"", 0.0
        self._is_over = False

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        if self._is_over:
            return False
        now = time.monotonic()
        if now - self._ticked >= TICK_SECONDS:
            self._ticked, self._ticked_at = now, time.time()
            self._current = b"", self._ticked_at
            return True
        message = self._folder.next_message()
        if message is not None:
            self._heard = now
            self._current = message, time.time()
            return True
        is_idle = 0 < self._until_idle <= now - self._heard
        self._is_over = is_idle or (self._stop != "" and os.path.exists(self._stop))
        if self._is_over:
            # behind all messages, so that their sessions are closed
            self._current = END
        return self._is_over

    def get_current(self) -> Arrived:
        return self._current

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp(self._ticked_at)

    def get_watermark(self) -> Timestamp:
        return MAX_TIMESTAMP if self._is_over else Timestamp(self._ticked_at)

    def get_checkpoint_mark(self) -> CheckpointMark:
        return CheckpointMark()
