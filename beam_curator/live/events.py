"""Events of a session: JSON objects with a schema, numbered in their order, each with an id of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from beam_curator.diarization.turns import Turn
from beam_curator.live.messages import session_id

VERSION = 1
CLOSE_REASONS = ("final", "idle", "drained", "failed")

Event = Mapping[str, Any]

_SECONDS = {"type": "number", "minimum": 0}
_TURN = {"turn_id": {"type": "string"}, "speaker": {"type": "string"}, "start": _SECONDS}
_TIMES_AND_SPEAKER = {"type": "array", "prefixItems": [_SECONDS, _SECONDS, {"type": "integer"}], "items": False}
_OF_TYPE: Mapping[str, Mapping[str, Any]] = {
    "turn_started": _TURN,
    "turn_ended": {**_TURN, "end": _SECONDS},
    "gap": {"start": _SECONDS, "end": _SECONDS, "first_seq": {"type": "integer"}, "last_seq": {"type": "integer"}},
    "progress": {"decided_until": _SECONDS, "waiting": _SECONDS},
    "saturated": {"decided_until": _SECONDS, "n_speakers": {"type": "integer"}},
    "closed": {
        "reason": {"enum": list(CLOSE_REASONS)},
        "duration": _SECONDS,
        "sample_rate": {"type": "integer"},
        "audio_filepath": {"type": "string"},
        "saturated": {"type": "boolean"},
        "turns": {"type": "array", "items": _TIMES_AND_SPEAKER},
        "rttm": {"type": "string"},
    },
}
_COMMON = {
    "version": {"const": VERSION},
    "stream_id": {"type": "string"},
    "session": {"type": "string"},
    "recording_id": {"type": "string"},
    "event_seq": {"type": "integer", "minimum": 0},
    "event_id": {"type": "string"},
}

EVENT_SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "An event of beam-curator stream",
    "oneOf": [
        {
            "title": name,
            "type": "object",
            "required": [*_COMMON, "type", *own],
            "properties": {**_COMMON, "type": {"const": name}, **own},
            "additionalProperties": False,
        }
        for name, own in _OF_TYPE.items()
    ],
}
"""JSON schema of all events."""


def make_event(stream_id: str, session: str, event_seq: int, kind: str, **own: Any) -> Event:
    """Return an event of a session; the id is the same whenever and wherever the event is made again."""
    name = session_id(stream_id, session)
    return {
        "version": VERSION,
        "type": kind,
        "stream_id": stream_id,
        "session": session,
        "recording_id": name,
        "event_seq": event_seq,
        "event_id": f"{name}:{event_seq}",
        **own,
    }


def turn_fields(stream_id: str, session: str, turn: Turn) -> dict[str, Any]:
    """Return the fields of the event with which a turn begins.

    Example:
      >>> turn_fields("talk", "", Turn(start=1.5, end=2.0, speaker=1))
      {'turn_id': 'talk:1:1500', 'speaker': 'speaker_1', 'start': 1.5}
    """
    name = session_id(stream_id, session)
    return {
        "turn_id": f"{name}:{turn.speaker}:{round(turn.start * 1000)}",
        "speaker": turn.label,
        "start": turn.start,
    }


def turns_in(event: Event) -> tuple[Turn, ...]:
    """Return the turns of a `closed` event."""
    turns: Sequence[tuple[float, float, int]] = event["turns"]
    return tuple(Turn(start=start, end=end, speaker=speaker) for start, end, speaker in turns)


def render_event(event: Event) -> bytes:
    """Return an event as a line of JSON without its newline."""
    return msgspec.json.encode(event)
