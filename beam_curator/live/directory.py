"""The sessions of a shard: the slot and the order of each, and those that have ended, as bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from beam_curator.failures import FailureCode
from beam_curator.live.messages import Chunk
from beam_curator.live.ordering import ChunkOrder

_VERSION = 1
_MOST_CLOSED = 1000
"""Sessions that have ended and are remembered, those of one shard."""

SessionKey = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Session:
    """A session that goes on.

    Attributes:
      slot: where its state lies.
      heard_at: when its latest chunk came, in seconds.
      n_needed: samples that its next step takes.
      event_seq: number of its next event.
      progress: events of progress that were made.
      speakers: slots of the model that have a turn.
      order: of its chunks.
    """

    slot: int
    stream_id: str
    session: str
    sample_rate: int
    codec: str
    audio_filepath: str
    heard_at: float
    n_needed: int
    event_seq: int = 0
    progress: int = 0
    speakers: list[int] = field(default_factory=list)
    order: ChunkOrder = field(default_factory=ChunkOrder)

    @property
    def key(self) -> SessionKey:
        """The stream, and the session of it."""
        return self.stream_id, self.session

    def has_format_of(self, chunk: Chunk) -> bool:
        """Tell whether a chunk has the rate and the codec that the session began with."""
        return (chunk.sample_rate, chunk.codec) == (self.sample_rate, self.codec)

    def to_dict(self) -> dict[str, Any]:
        """Return the session as JSON has it."""
        return asdict(self) | {"order": self.order.to_dict()}

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Session:
        """Return the session that `to_dict` gave."""
        return cls(**{**kept, "order": ChunkOrder.of(kept["order"])})


def sessions_to_bytes(sessions: dict[SessionKey, Session]) -> bytes:
    """Return the sessions of a shard as bytes; equal ones give equal bytes."""
    listed = [session.to_dict() for session in sessions.values()]
    return json.dumps({"version": _VERSION, "sessions": listed}, separators=(",", ":")).encode()


def sessions_of(data: bytes | None) -> dict[SessionKey, Session]:
    """Return the sessions that `sessions_to_bytes` wrote; none where there are no bytes.

    Raises:
      ValueError: the bytes are damaged, or of another version.
    """
    if not data:
        return {}
    sessions = [Session.of(session) for session in _versioned(data)["sessions"]]
    return {session.key: session for session in sessions}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A session that has ended.

    Attributes:
      last_seq: its last chunk; -1 where it never began.
      code: of the failure of each chunk that is still to come.
    """

    last_seq: int
    code: str = FailureCode.SESSION_CLOSED


def ended_to_bytes(ended: dict[SessionKey, Ended]) -> bytes:
    """Return the sessions that have ended as bytes, the latest thousand of them."""
    latest = list(ended.items())[-_MOST_CLOSED:]
    listed = [[*key, each.last_seq, each.code] for key, each in latest]
    return json.dumps({"version": _VERSION, "ended": listed}, separators=(",", ":")).encode()


def ended_of(data: bytes | None) -> dict[SessionKey, Ended]:
    """Return the sessions that `ended_to_bytes` wrote; none where there are no bytes.

    Raises:
      ValueError: the bytes are damaged, or of another version.
    """
    if not data:
        return {}
    listed = _versioned(data)["ended"]
    return {(stream, session): Ended(last_seq=last, code=code) for stream, session, last, code in listed}


def _versioned(data: bytes) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(data)
    except ValueError as err:
        raise ValueError(f"sessions that cannot be read: {err}: begin anew, with --overwrite") from err
    if kept["version"] != _VERSION:
        raise ValueError(
            f"sessions of version {kept['version']!r}, expected {_VERSION}: drain the job with the version that wrote "
            "them, then begin anew"
        )
    return kept
