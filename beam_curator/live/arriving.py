"""Messages as they arrive at a shard: each finds its session and its place there, or becomes a failure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from beam_curator.failures import EntryError, Failure, FailureCode
from beam_curator.live.cells import ShardCells
from beam_curator.live.directory import (
    Ended,
    Session,
    SessionKey,
    ended_of,
    ended_to_bytes,
    sessions_of,
    sessions_to_bytes,
)
from beam_curator.live.events import Event
from beam_curator.live.live_options import LiveRules
from beam_curator.live.messages import Chunk, chunk_of, session_id
from beam_curator.live.ordering import closed
from beam_curator.live.session_state import Hearing, HearingRules
from beam_curator.live.sound import samples_of

STAGE = "stream"

Arrived = tuple[bytes, float, float]
"""A message, the time when it came, and when it was sent, in seconds; one without bytes tells the time alone."""

Told = Event | Failure

Bridge = Callable[[Session], Iterator[Told]]
"""Puts silence in the place of the first chunks that a session lacks; the model hears all before it first."""

END: Arrived = b"", math.inf, math.inf
"""Comes behind all messages: sessions are closed."""


class Arrivals:
    """The sessions of a shard while messages arrive.

    Args:
      cells: the state of the shard.
      rules: how chunks become sessions.
      hearing: the model.

    Attributes:
      sessions: that go on, by stream and session.
      now: the time, in seconds: that of the latest message.
      is_drained: nothing will follow.

    Raises:
      ValueError: the state is damaged, or of another version.
    """

    def __init__(self, cells: ShardCells, rules: LiveRules, hearing: HearingRules) -> None:
        self.cells, self.rules = cells, rules
        self._hearing = hearing
        self._before = cells.sessions.read()
        self.sessions = sessions_of(self._before)
        self.now = max((session.heard_at for session in self.sessions.values()), default=0.0)
        self.is_drained = False
        self._ended: dict[SessionKey, Ended] | None = None
        self._n_ended = 0

    def take(
        self, messages: Iterable[Arrived], make_room: Callable[[], Iterator[Told]], bridge: Bridge
    ) -> Iterator[Told]:
        """Put messages in their places; yield a failure for each that has none.

        Args:
          messages: in any order.
          make_room: lets the model hear what is there, so that sessions may end; called where one finds no slot.
          bridge: called where a session has come too far to wait for a chunk.
        """
        for message, arrived, _sent in messages:
            if math.isinf(arrived):
                self.is_drained = True
                continue
            self.now = max(self.now, arrived)
            if not message:
                continue
            try:
                chunk = chunk_of(message)
                if chunk.key not in self.sessions and not self._free_slots():
                    yield from make_room()
                session = self._session_of(chunk)
                if session is not None:
                    yield from self._place(session, chunk, message, bridge)
            except EntryError as err:
                yield failure_of(err, message)

    def _session_of(self, chunk: Chunk) -> Session | None:
        """Return the session of a chunk, which may begin with it; None for a chunk that came before.

        Raises:
          EntryError: the session has ended (`session_closed`), or finds no place (`overloaded`).
        """
        if chunk.key in self.sessions:
            return self.sessions[chunk.key]
        ended = self._all_ended().get(chunk.key)
        if ended is not None and chunk.seq <= ended.last_seq:
            return None
        if ended is not None and ended.code == FailureCode.SESSION_CLOSED:
            raise closed(chunk.seq, ended.last_seq)
        free = self._free_slots()
        if ended is not None or not free:
            self.end(chunk.key, Ended(last_seq=-1, code=FailureCode.OVERLOADED))
            raise EntryError(
                FailureCode.OVERLOADED,
                f"a session that began while {self.rules.room} others had all the room of their shard",
                "begin a new session later, or raise --max-streams, --streams-per-shard or --shards",
            )
        session = Session(
            slot=min(free),
            stream_id=chunk.stream_id,
            session=chunk.session,
            sample_rate=chunk.sample_rate,
            codec=chunk.codec,
            audio_filepath=chunk.audio_filepath,
            heard_at=self.now,
            n_needed=Hearing(self._hearing, chunk.sample_rate).n_needed,
        )
        self.sessions[chunk.key] = session
        return session

    def _free_slots(self) -> set[int]:
        taken = {session.slot for session in self.sessions.values()}
        return set(range(self.rules.streams_per_shard)) - taken if len(taken) < self.rules.room else set()

    def _place(self, session: Session, chunk: Chunk, message: bytes, bridge: Bridge) -> Iterator[Told]:
        """Put a chunk in its place; where it is too far ahead, silence stands for those that lack.

        Raises:
          EntryError: it has none, or its sound cannot be heard; silence will stand for it.
        """
        order = session.order
        session.heard_at = self.now
        if order.is_known(chunk.seq):
            return
        order.check(chunk.seq, self.rules.max_early)
        while chunk.seq > order.next_seq + self.rules.max_early:
            yield from bridge(session)
            if chunk.key not in self.sessions:
                raise closed(chunk.seq, self._all_ended()[chunk.key].last_seq)
        try:
            n_samples = self._n_samples(session, chunk)
        except EntryError:
            if chunk.final:
                order.finish_at(chunk.seq)
            raise
        else:
            order.place(chunk.seq, n_samples)
            if n_samples:
                self.cells.slots[session.slot].waiting.add(message)
            if chunk.final:
                order.finish_at(chunk.seq)
        finally:
            order.note_gap(self.now)

    def _n_samples(self, session: Session, chunk: Chunk) -> int:
        if not session.has_format_of(chunk):
            raise EntryError(
                FailureCode.FORMAT_CHANGED,
                f"a chunk in {chunk.codec} at {chunk.sample_rate} Hz, expected {session.codec} at "
                f"{session.sample_rate} Hz as at the beginning of the session",
                "begin a new session for another format",
            )
        # the end may be told without sound
        return 0 if chunk.final and not chunk.data else len(samples_of(chunk, self.rules.max_chunk_seconds))

    def _all_ended(self) -> dict[SessionKey, Ended]:
        if self._ended is None:
            self._ended = ended_of(self.cells.ended.read())
        return self._ended

    def end(self, key: SessionKey, ended: Ended) -> None:
        """Remember that a session has ended, and give its slot back."""
        if key in self.sessions:
            self.cells.slots[self.sessions.pop(key).slot].clear()
        if key not in self._all_ended():
            self._n_ended += 1
            self._all_ended()[key] = ended

    def write(self) -> None:
        """Write the cells that have changed."""
        data = sessions_to_bytes(self.sessions)
        if data != self._before and (self.sessions or self._before):
            self.cells.sessions.write(data)
        if self._n_ended:
            self.cells.ended.write(ended_to_bytes(self._all_ended()))


def failure_of(error: EntryError, message: bytes) -> Failure:
    """Return the dead letter of a message, with the message in it."""
    try:
        chunk = chunk_of(message)
        source, offset = session_id(*chunk.key), chunk.seq
    except EntryError:
        source, offset = "", 0
    return Failure.from_error(error, stage=STAGE, source=source, offset=offset, payload=message)
