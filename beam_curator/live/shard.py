"""The live step: messages of a shard in, events and failures out, with a state that lies elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b

from beam_curator.diarization.live_turns import NewTurns
from beam_curator.diarization.models import Floats, hearing_error
from beam_curator.diarization.rttm import render_rttm
from beam_curator.failures import EntryError, Failure
from beam_curator.live.arriving import STAGE, Arrivals, Arrived, Told
from beam_curator.live.cells import ShardCells
from beam_curator.live.directory import Ended, Session, SessionKey
from beam_curator.live.events import Event, make_event, turn_fields
from beam_curator.live.live_options import LiveRules
from beam_curator.live.messages import Chunk, chunk_of, session_id
from beam_curator.live.session_bags import bad_state, chunks_in, turn_to_bytes, turns_of
from beam_curator.live.session_state import Hearing, HearingRules
from beam_curator.live.sound import samples_of
from beam_curator.live.taking import kept_chunks, take_samples


def shard_of(chunk: Chunk, n_shards: int) -> int:
    """Return the shard of a chunk, the same for all of a session.

    Example:
      >>> shard_of(Chunk(stream_id="a", seq=0, sample_rate=8000, codec="mulaw", data=b""), 1)
      0
    """
    name = json.dumps(chunk.key).encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest()) % n_shards


Remembered = dict[SessionKey, tuple[bytes, Hearing]]
"""Sessions as they were put away, with the head that was written: what is read again need not be parsed again."""


def hear_shard(
    cells: ShardCells,
    messages: Iterable[Arrived],
    rules: LiveRules,
    hearing: HearingRules,
    remembered: Remembered | None = None,
) -> Iterator[Told]:
    """Take messages of the streams of a shard, and let the model hear whoever has enough for a step.

    Args:
      cells: the state of the shard.
      messages: in any order, but for `END`.
      rules: how chunks become sessions.
      hearing: the model.
      remembered: of earlier calls, for speed; a session whose head is not the one that was written is read anew.

    Yields:
      Events, in the order of each session, and a failure for each message that has no place.

    Raises:
      ValueError: the sessions of the shard are damaged, or of another version.
    """
    arrivals = Arrivals(cells, rules, hearing)
    step = _Step(arrivals, hearing, {} if remembered is None else remembered)
    yield from arrivals.take(messages, step.listen, step.bridge)
    yield from step.listen()
    for session in step.overdue():
        yield from step.bridge(session)
        yield from step.listen()
    arrivals.write()


class _Step:
    """The work on a shard between reading its state and writing it."""

    def __init__(self, arrivals: Arrivals, hearing: HearingRules, remembered: Remembered) -> None:
        self._arrivals, self._rules, self._hearing = arrivals, arrivals.rules, hearing
        self._remembered = remembered
        self._open: dict[int, Hearing] = {}
        self._chunks: dict[int, dict[int, bytes]] = {}

    def overdue(self) -> Iterator[Session]:
        """Yield sessions whose next chunk was waited for long enough, each as long as that is so."""
        now = self._arrivals.now
        for session in list(self._arrivals.sessions.values()):
            is_over = self._arrivals.is_drained or self._is_idle(session)
            while self._goes_on(session) and (since := session.order.gap_since) is not None:
                if not is_over and now - since < self._rules.gap_timeout:
                    break
                yield session

    def bridge(self, session: Session) -> Iterator[Told]:
        """Put silence in the place of the first chunks that lack, behind all that the model can hear before it."""
        if _has_step(session):
            while self._goes_on(session) and _has_step(session):
                yield from self._push([session])
            if not self._goes_on(session):
                return
            self._put_away(session)
        gap = session.order.bridge(self._arrivals.now)
        start, end = (round(sample / session.sample_rate, 6) for sample in (gap.start, gap.stop))
        yield _event(session, "gap", start=start, end=end, first_seq=gap.first, last_seq=gap.last)

    def _goes_on(self, session: Session) -> bool:
        return session.key in self._arrivals.sessions

    def _is_idle(self, session: Session) -> bool:
        return self._arrivals.now - session.heard_at >= self._rules.idle_timeout

    def _end_of(self, session: Session) -> str:
        """Return why a session ends once all of its sound is heard; "" where it goes on."""
        if session.order.is_complete:
            return "final"
        if session.order.gap_since is not None:
            # silence stands for it first, so that events come in one order whenever that is
            return ""
        if self._arrivals.is_drained:
            return "drained"
        return "idle" if self._is_idle(session) else ""

    def listen(self) -> Iterator[Told]:
        """Let the model hear all sessions that have enough for a step, or end, until none is left."""
        sessions = self._arrivals.sessions
        while ready := [each for each in sessions.values() if _has_step(each) or self._end_of(each)]:
            for first in range(0, len(ready), self._rules.batch):
                yield from self._push(ready[first : first + self._rules.batch])
        for session in sessions.values():
            self._put_away(session)

    def _push(self, ready: Sequence[Session]) -> Iterator[Told]:
        """Let the model hear the next step of each session."""
        heard: list[tuple[Session, Hearing, Floats, bool]] = []
        for session in ready:
            try:
                hearing = self._opened(session)
                heard.append((session, hearing, *self._piece(session, hearing)))
            except EntryError as err:
                yield from self._fail(session, err)
        found = self._hearing.engine.push(
            [hearing.state for _, hearing, _, _ in heard],
            [piece for _, _, piece, _ in heard],
            [is_last for _, _, _, is_last in heard],
        )
        for (session, hearing, _, is_last), frames in zip(heard, found, strict=True):
            if isinstance(frames, Exception):
                yield from self._fail(session, hearing_error(frames))
                continue
            new = hearing.finish(frames) if is_last else hearing.decide(frames)
            session.n_needed = hearing.n_needed
            yield from self._turn_events(session, new, hearing.decided_until)
            if is_last:
                yield from self._close(session, self._end_of(session))

    def _piece(self, session: Session, hearing: Hearing) -> tuple[Floats, bool]:
        """Return the samples of the next step as the model takes them, and whether they are the last."""
        is_last = not _has_step(session)
        n_samples = session.order.n_waiting if is_last else session.n_needed
        samples = take_samples(session.order, n_samples, partial(self._decoded, session))
        return hearing.piece(samples, is_last=is_last), is_last

    def _opened(self, session: Session) -> Hearing:
        """Return the state of a session, which is read once.

        Raises:
          EntryError: it cannot be read (`bad_state`).
        """
        if session.slot not in self._open:
            # the model heard nothing of a session that has just begun
            is_new = not session.order.n_taken
            self._open[session.slot] = self._new_hearing(session) if is_new else self._put_away_before(session)
        return self._open[session.slot]

    def _new_hearing(self, session: Session) -> Hearing:
        return Hearing(self._hearing, session.sample_rate)

    def _put_away_before(self, session: Session) -> Hearing:
        slot = self._arrivals.cells.slots[session.slot]
        head = slot.head.read() or b""
        # it changes from now on, and is remembered again when it is put away
        known = self._remembered.pop(session.key, None)
        if known is not None and known[0] == head:
            return known[1]
        hearing = self._new_hearing(session)
        hearing.restore(head, slot.cache.read(), slot.fifo.read())
        return hearing

    def _decoded(self, session: Session, seq: int) -> Floats:
        if session.slot not in self._chunks:
            self._chunks[session.slot] = chunks_in(self._arrivals.cells.slots[session.slot].waiting.read())
        message = self._chunks[session.slot].get(seq)
        if message is None:
            raise bad_state(f"chunk {seq} is missing")
        return samples_of(chunk_of(message), self._rules.max_chunk_seconds)

    def _put_away(self, session: Session) -> None:
        """Write the changes of a session that the model heard."""
        slot = self._arrivals.cells.slots[session.slot]
        if session.slot in self._open:
            hearing = self._open[session.slot]
            parts = hearing.parts()
            slot.head.write(parts.head)
            self._remembered[session.key] = parts.head, hearing
            if parts.cache is not None:
                slot.cache.write(parts.cache)
            if parts.clears_fifo:
                slot.fifo.clear()
            if parts.fifo is not None:
                slot.fifo.add(parts.fifo)
        # they are read again where they are needed: more may come to the bag
        kept = kept_chunks(session.order, self._chunks.pop(session.slot, {}))
        if kept is not None:
            slot.waiting.clear()
            for message in kept:
                slot.waiting.add(message)

    def _turn_events(self, session: Session, new: NewTurns, decided_until: float) -> Iterator[Event]:
        for turn in new.begun:
            yield _event(session, "turn_started", **turn_fields(*session.key, turn))
        turns = self._arrivals.cells.slots[session.slot].turns
        for turn in new.final:
            turns.add(turn_to_bytes(turn))
            yield _event(session, "turn_ended", **turn_fields(*session.key, turn), end=turn.end)
        n_slots = self._hearing.engine.config.n_speakers
        speakers = sorted({*session.speakers, *(turn.speaker for turn in new.begun)})
        if len(speakers) == n_slots > len(session.speakers):
            yield _event(session, "saturated", decided_until=decided_until, n_speakers=n_slots)
        session.speakers = speakers
        every = self._rules.progress_every
        if every and decided_until // every > session.progress:
            session.progress = int(decided_until // every)
            waiting = round(session.order.n_ordered / session.sample_rate - decided_until, 6)
            yield _event(session, "progress", decided_until=decided_until, waiting=max(0.0, waiting))

    def _fail(self, session: Session, error: EntryError) -> Iterator[Told]:
        """End a session that cannot go on; others are not concerned."""
        yield _failure(session, error)
        yield from self._close(session, "failed")

    def _close(self, session: Session, reason: str) -> Iterator[Told]:
        """Give the slot of a session back, and tell its last event, with all turns."""
        try:
            turns = turns_of(self._arrivals.cells.slots[session.slot].turns.read())
        except EntryError as err:
            yield _failure(session, err)
            turns, reason = [], "failed"
        order = session.order
        last_seq = max(order.next_seq - 1, *order.early, -1 if order.last_seq is None else order.last_seq)
        self._open.pop(session.slot, None)
        self._remembered.pop(session.key, None)
        self._chunks.pop(session.slot, None)
        self._arrivals.end(session.key, Ended(last_seq=last_seq))
        yield _event(
            session,
            "closed",
            reason=reason,
            duration=round(order.n_ordered / session.sample_rate, 6),
            sample_rate=session.sample_rate,
            audio_filepath=session.audio_filepath,
            saturated=len(session.speakers) >= self._hearing.engine.config.n_speakers,
            turns=[[turn.start, turn.end, turn.speaker] for turn in turns],
            rttm=render_rttm(session_id(*session.key), turns),
        )


def _has_step(session: Session) -> bool:
    return session.order.n_waiting >= session.n_needed


def _failure(session: Session, error: EntryError) -> Failure:
    name = session_id(*session.key)
    return Failure.from_error(error, stage=STAGE, source=name, offset=session.order.taken_seq, payload=b"")


def _event(session: Session, kind: str, **own: object) -> Event:
    event = make_event(session.stream_id, session.session, session.event_seq, kind, **own)
    session.event_seq += 1
    return event
