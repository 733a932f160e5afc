"""Messages as an unbounded source: out of a folder, which needs no server, a subscription of Pub/Sub, or Kafka."""

import json
import os
import time
from typing import Any

from apache_beam.coders import Coder
from apache_beam.io.unbounded_source import CheckpointMark, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from beam_curator.files.chunk_folders import ChunkFolder
from beam_curator.files.message_places import Messages, acknowledge_messages, open_messages
from beam_curator.intervals import Seconds
from beam_curator.live.arriving import END, Arrived
from beam_curator.live.messages import Sent

TICK_SECONDS = 0.2
_LOOK_SECONDS = 0.02


class _Mark(CheckpointMark):
    """The messages of a bundle, which are acknowledged once the bundle is committed."""

    def __init__(self, subscription: str, ack_ids: tuple[str, ...]) -> None:
        self.subscription = subscription
        self.ack_ids = ack_ids

    def finalize_checkpoint(self) -> None:
        if self.ack_ids:
            acknowledge_messages(self.subscription, self.ack_ids)


class _MarkCoder(Coder):
    def encode(self, value: _Mark) -> bytes:
        return json.dumps([value.subscription, value.ack_ids]).encode()

    def decode(self, encoded: bytes) -> _Mark:
        subscription, ack_ids = json.loads(encoded)
        return _Mark(subscription, tuple(ack_ids))

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return _Mark


class MessageSource(UnboundedSource):
    """Messages as they come, the time five times a second while none comes, and `END` behind all.

    A reader that begins anew reads a whole folder again: sessions drop what they know. Of a subscription it goes on,
    and gets again what was not acknowledged.

    Args:
      folder: of the chunks; local. "" for a subscription.
      subscription: of Pub/Sub, its full name, or a topic of Kafka; "" for a folder.
      until_idle: seconds without a new message after which the source ends; 0 for never.
      stop: a file that ends the source as soon as it is there, whatever waits to be read; "" for none.
    """

    def __init__(self, folder: str, subscription: str, until_idle: Seconds, stop: str = "") -> None:
        self._folder = folder
        self._subscription = subscription
        self._until_idle = until_idle
        self.stop = stop

    def split(self, desired_num_splits: int, options: Any = None) -> "list[MessageSource]":
        """Return the source: it is read by one reader."""
        del desired_num_splits, options
        return [self]

    def create_reader(self, options: Any, checkpoint_mark: CheckpointMark | None) -> "_MessageReader":
        """Return a reader."""
        del options, checkpoint_mark
        messages = open_messages(self._subscription) if self._subscription else ChunkFolder(self._folder)
        return _MessageReader(messages, self._subscription, self._until_idle, self.stop)

    def get_checkpoint_mark_coder(self) -> Coder:
        """Return the coder of marks."""
        return _MarkCoder()


class _MessageReader(UnboundedReader):
    """Reads messages; the clock goes on only while there are none: a job that is behind takes no chunk for missing."""

    def __init__(self, messages: Messages, subscription: str, until_idle: Seconds, stop: str) -> None:
        self._messages, self._subscription = messages, subscription
        self._until_idle, self._stop = until_idle, stop
        self._heard = time.monotonic()
        self._ticked, self._clock = 0.0, time.time()
        self._begun = self._clock
        self._current: Arrived = b"", self._clock, self._clock
        self._is_over = False
        self._has_given = False

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        self._has_given = not self._is_over and self._go_on()
        return self._has_given

    def _go_on(self) -> bool:
        is_stopped = self._stop != "" and os.path.exists(self._stop)
        message, now = None if is_stopped else self._look(), time.monotonic()
        if message is not None:
            self._heard = now
            # nobody was late before the job began
            self._current = message.data, self._clock, max(message.sent, self._begun)
            return True
        self._is_over = is_stopped or 0 < self._until_idle <= now - self._heard
        if self._is_over:
            # behind all messages, so that their sessions are closed
            self._current = END
        elif now - self._ticked >= TICK_SECONDS:
            self._ticked, self._clock = now, time.time()
            self._current = b"", self._clock, self._clock
        else:
            return False
        return True

    def _look(self) -> Sent | None:
        """Return the next message; None where there is none, up to the next tick if the bundle holds nothing yet.

        The direct runner does not wait from one bundle to the next: it would take a whole core to find nothing.
        """
        message, until = self._messages.next_message(), self._ticked + TICK_SECONDS
        while message is None and not self._has_given and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            message = self._messages.next_message()
        return message

    def get_current(self) -> Arrived:
        return self._current

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp(self._clock)

    def get_watermark(self) -> Timestamp:
        return MAX_TIMESTAMP if self._is_over else Timestamp(self._clock)

    def get_checkpoint_mark(self) -> _Mark:
        return _Mark(self._subscription, self._messages.take_acks())

    def close(self) -> None:
        self._messages.close()
