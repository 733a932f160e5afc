"""Messages as an unbounded source: out of a folder, which needs no server, a subscription of Pub/Sub, or Kafka."""

import json
import os
import time
import uuid
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from apache_beam.coders import Coder
from apache_beam.io.unbounded_source import CheckpointMark, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from beam_curator.files.chunk_folders import ChunkFolder
from beam_curator.files.message_places import Messages, acknowledge_messages, open_messages
from beam_curator.intervals import Seconds
from beam_curator.live.arriving import END, Arrived
from beam_curator.live.messages import Sent
from beam_curator.live.source_clock import TICK_SECONDS, SourceClock

LEASE_SECONDS = 35.0
"""Messages that a process was given come again by then, if it is no more: none of them is missing before."""

_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark(CheckpointMark):
    """The messages of a bundle, which are acknowledged once the bundle is committed, and where its reader stands.

    Attributes:
      subscription, ack_ids: of the messages.
      process: of the reader.
      place: in a folder, as `ChunkFolder.place` told it.
      clock: of the source.
      done: a file that is made when the bundle is committed: nothing follows; "" where something may.
    """

    subscription: str
    ack_ids: tuple[str, ...]
    process: str
    place: int
    clock: SourceClock
    done: str = ""

    def finalize_checkpoint(self) -> None:
        if self.ack_ids:
            acknowledge_messages(self.subscription, self.ack_ids)
        if self.done:
            with open(self.done, "wb"):
                pass


class _MarkCoder(Coder):
    def encode(self, value: _Mark) -> bytes:
        return json.dumps(asdict(value)).encode()

    def decode(self, encoded: bytes) -> _Mark:
        found = json.loads(encoded)
        clock = SourceClock(**found.pop("clock"))
        return _Mark(**{**found, "ack_ids": tuple(found["ack_ids"]), "clock": clock})

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return _Mark


@cache
def _this_process() -> str:
    return uuid.uuid4().hex


class MessageSource(UnboundedSource):
    """Messages as they come, the time five times a second while none comes, and `END` behind all.

    A reader in another process reads a whole folder again: sessions drop what they know. Of a subscription it goes on,
    and gets again what was not acknowledged.

    Args:
      folder: of the chunks; local. "" for a subscription.
      subscription: of Pub/Sub, its full name, or a topic of Kafka; "" for a folder.
      until_idle: seconds without a new message after which the source ends; 0 for never.
      stop: a file that ends the source as soon as it is there, whatever waits to be read; "" for none.
      done: a file that is made when the source has ended and all of it is committed; "" for none.
      follows: whether a job that is no more may still have messages: none is missing until they came again.
    """

    def __init__(
        self,
        folder: str,
        subscription: str,
        until_idle: Seconds,
        stop: str = "",
        done: str = "",
        *,
        follows: bool = False,
    ) -> None:
        self._folder = folder
        self.subscription = subscription
        self.until_idle = until_idle
        self.stop, self.done = stop, done
        self._follows = follows

    def split(self, desired_num_splits: int, options: Any = None) -> "list[MessageSource]":
        """Return the source: it is read by one reader."""
        del desired_num_splits, options
        return [self]

    def create_reader(self, options: Any, checkpoint_mark: CheckpointMark | None) -> "_MessageReader":
        """Return a reader."""
        del options
        place, clock, follows = 0, SourceClock.beginning(time.time()), self._follows
        if isinstance(checkpoint_mark, _Mark):
            clock, follows = replace(checkpoint_mark.clock), checkpoint_mark.process != _this_process()
            place = 0 if follows else checkpoint_mark.place
        if follows and self.subscription:
            clock.stand_still(time.time() + LEASE_SECONDS)
        messages = open_messages(self.subscription) if self.subscription else ChunkFolder(self._folder, place)
        return _MessageReader(self, messages, clock)

    def get_checkpoint_mark_coder(self) -> Coder:
        """Return the coder of marks."""
        return _MarkCoder()


class _MessageReader(UnboundedReader):
    """Reads messages; an engine may make a new one for each bundle."""

    def __init__(self, source: MessageSource, messages: Messages, clock: SourceClock) -> None:
        self._source, self._messages, self._clock = source, messages, clock
        self._current: Arrived = b"", clock.now, clock.now
        self._is_over = False
        self._has_given = False

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        self._has_given = not self._is_over and self._go_on()
        return self._has_given

    def _go_on(self) -> bool:
        is_stopped = self._source.stop != "" and os.path.exists(self._source.stop)
        message = None if is_stopped else self._look()
        if message is not None:
            self._clock.hear()
            # nobody was late before the job began
            self._current = message.data, self._clock.now, max(message.sent, self._clock.begun)
            return True
        has_ticked = self._clock.tick(time.time())
        self._is_over = is_stopped or 0 < self._source.until_idle <= self._clock.idle
        if self._is_over:
            # behind all messages, so that their sessions are closed
            self._current = END
        elif has_ticked:
            self._current = b"", self._clock.now, self._clock.now
        return self._is_over or has_ticked

    def _look(self) -> Sent | None:
        """Return the next message; None where there is none, up to the next tick if the bundle holds nothing yet.

        The direct runner does not wait from one bundle to the next: it would take a whole core to find nothing.
        """
        message, until = self._messages.next_message(), min(time.time(), self._clock.ticked) + TICK_SECONDS
        while message is None and not self._has_given and time.time() < until:
            time.sleep(_LOOK_SECONDS)
            message = self._messages.next_message()
        return message

    def get_current(self) -> Arrived:
        return self._current

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp(self._clock.now)

    def get_watermark(self) -> Timestamp:
        return MAX_TIMESTAMP if self._is_over else Timestamp(self._clock.now)

    def get_checkpoint_mark(self) -> _Mark:
        return _Mark(
            subscription=self._source.subscription,
            ack_ids=self._messages.take_acks(),
            process=_this_process(),
            place=self._messages.place,
            clock=replace(self._clock),
            done=self._source.done if self._is_over else "",
        )

    def close(self) -> None:
        self._messages.close()
