"""Events and failures as messages that go out: the shapes of events, and the attributes of each message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from beam_curator.failures import EntryError, Failure
from beam_curator.live.events import Event, render_event
from beam_curator.live.live_options import OWN, PYANNOTE
from beam_curator.live.messages import Chunk, split_message

_MOST_ATTRIBUTE_BYTES = 1024
"""As Pub/Sub takes them."""

PYANNOTE_SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "An event of pyannoteAI's socket of live streams",
    "type": "object",
    "required": ["type", "data"],
    "properties": {
        "type": {"enum": ["diarization_speaker_start", "diarization_speaker_end"]},
        "data": {
            "type": "object",
            "required": ["timestamp", "speaker"],
            "properties": {
                "timestamp": {"type": "number", "minimum": 0},
                "speaker": {"type": "string", "pattern": "^SPEAKER_[0-9]{2}$"},
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that goes out.

    Attributes:
      data: its bytes.
      attributes: texts by name.
    """

    data: bytes
    attributes: dict[str, str]


def message_of(chunk: Chunk) -> Outgoing:
    """Return a chunk as a message."""
    return Outgoing(chunk.data, chunk.attributes())


def renderer_of(shape: str) -> Callable[[Event], bytes]:
    """Return the function that renders an event in a shape, as a line of JSON without its newline; b"" for none."""
    return {OWN: render_event, PYANNOTE: render_pyannote}[shape]


def render_pyannote(event: Event) -> bytes:
    """Render a turn that begins or ends as pyannoteAI's socket tells it; b"" for any other event.

    Example:
      >>> render_pyannote({"type": "turn_ended", "start": 0.5, "end": 1.24, "speaker": "speaker_0"})
      b'{"type":"diarization_speaker_end","data":{"timestamp":1.24,"speaker":"SPEAKER_00"}}'
    """
    if event["type"] not in ("turn_started", "turn_ended"):
        return b""
    begins = event["type"] == "turn_started"
    number = int(event["speaker"].rpartition("_")[2])
    data = {"timestamp": event["start" if begins else "end"], "speaker": f"SPEAKER_{number:02d}"}
    return msgspec.json.encode({"type": f"diarization_speaker_{'start' if begins else 'end'}", "data": data})


def event_messages(event: Event, shape: str) -> list[Outgoing]:
    """Return the message of an event, none where its shape has no such event.

    The attributes tell events of sessions apart: those that come again have the same `event_id`.
    """
    data = renderer_of(shape)(event)
    names = ("type", "stream_id", "session", "event_seq", "event_id")
    return [Outgoing(data, {name: str(event[name]) for name in names})] if data else []


def failure_messages(failure: Failure) -> list[Outgoing]:
    """Return the message of a dead letter: that which failed, with why in attributes that begin with `failure_`.

    Example:
      >>> from beam_curator.failures import FailureCode
      >>> failed = Failure(code=FailureCode.TOO_EARLY, stage="stream", source="a", offset=9, message="m", cure="c",
      ...                  payload=b'{"stream_id":"a"}\\nsound')
      >>> (message,) = failure_messages(failed)
      >>> message.data, message.attributes["stream_id"], message.attributes["failure_code"]
      (b'sound', 'a', 'too_early')
    """
    try:
        attributes, data = split_message(failure.payload)
    except EntryError:
        attributes, data = {}, failure.payload
    why = {"code": failure.code, "message": failure.message, "cure": failure.cure, "session_id": failure.source}
    return [Outgoing(data, attributes | {f"failure_{name}": _cut(str(text)) for name, text in why.items()})]


def _cut(text: str) -> str:
    return text.encode()[:_MOST_ATTRIBUTE_BYTES].decode(errors="ignore")
