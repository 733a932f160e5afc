"""Messages: each one chunk of one stream, as attributes with bytes of sound."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from beam_curator.failures import EntryError, FailureCode
from beam_curator.recordings.safe_names import safe_stem, stem_with_mark

VERSION = "1"
CODECS = ("pcm_s16le", "mulaw", "flac", "ogg", "wav")
MODEL_FRAMES_A_SECOND = 12.5
_MOST_SAMPLE_RATE = 384_000
_MOST_SEQ = 1 << 53
_REQUIRED = ("version", "stream_id", "seq", "sample_rate", "codec")
_MOST_BYTES = {"stream_id": 1024, "session": 1024, "audio_filepath": 4096}
"""Of texts that are kept as long as their session goes on; Pub/Sub itself takes 1,024."""

MESSAGE_SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Attributes of a message of beam-curator stream; all values are texts",
    "type": "object",
    "required": list(_REQUIRED),
    "properties": {
        "version": {"const": VERSION},
        "stream_id": {"type": "string", "minLength": 1, "description": "names the stream"},
        "session": {"type": "string", "description": "tells sessions of a stream apart; may be left out"},
        "seq": {"type": "string", "pattern": "^[0-9]{1,16}$", "description": "number of the chunk, from 0"},
        "sample_rate": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "Hz, a multiple of 12.5"},
        "codec": {"enum": list(CODECS)},
        "final": {"enum": ["true", "false"], "description": "the session ends with this chunk"},
        "audio_filepath": {"type": "string", "description": "where the recording of the session will lie"},
    },
    "additionalProperties": {"type": "string"},
}
"""JSON schema of the attributes; the sound is the message's data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One chunk of one stream.

    Attributes:
      stream_id: names the stream.
      session: tells sessions of a stream apart; "" for the only one. A reconnect goes on with the same session.
      seq: number of the chunk in its session, from 0.
      sample_rate: in Hz.
      codec: one of CODECS; the last three are whole files.
      data: the sound; none is allowed at the end of a session only.
      final: the session ends with it.
      audio_filepath: where the recording of the session lies, or will; "" where nobody says.
    """

    stream_id: str
    session: str = ""
    seq: int
    sample_rate: int
    codec: str
    data: bytes
    final: bool = False
    audio_filepath: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The session that it belongs to."""
        return self.stream_id, self.session

    def attributes(self) -> dict[str, str]:
        """Return the attributes of its message.

        Example:
          >>> Chunk(stream_id="a", seq=0, sample_rate=8000, codec="mulaw", data=b"").attributes()["codec"]
          'mulaw'
        """
        optional = {"session": self.session, "audio_filepath": self.audio_filepath}
        return {
            "version": VERSION,
            "stream_id": self.stream_id,
            "seq": str(self.seq),
            "sample_rate": str(self.sample_rate),
            "codec": self.codec,
            "final": str(self.final).lower(),
            **{name: value for name, value in optional.items() if value},
        }

    @classmethod
    def of(cls, attributes: Mapping[str, str], data: bytes) -> Chunk:
        """Read a message.

        Raises:
          EntryError: an attribute is missing or wrong (`bad_message`).
        """
        missing = [name for name in _REQUIRED if not attributes.get(name)]
        if missing:
            raise bad_message(f"a message without {', '.join(missing)}, expected {', '.join(_REQUIRED)}")
        if attributes["version"] != VERSION:
            raise bad_message(f"a message of version {attributes['version'][:40]!r}, expected {VERSION}")
        if attributes["codec"] not in CODECS:
            raise bad_message(f"codec {attributes['codec'][:40]!r}, expected one of {', '.join(CODECS)}")
        for name, most in _MOST_BYTES.items():
            _check_text(name, attributes.get(name, ""), most)
        final = attributes.get("final", "false")
        if final not in ("true", "false"):
            raise bad_message(f"final {final[:40]!r}, expected true or false")
        rate = _number(attributes, "sample_rate", 1, _MOST_SAMPLE_RATE)
        if rate * 2 % 25:
            raise bad_message(f"sample_rate {rate}, expected a multiple of 12.5 Hz: a frame of 80 ms has whole samples")
        return cls(
            stream_id=attributes["stream_id"],
            session=attributes.get("session", ""),
            seq=_number(attributes, "seq", 0, _MOST_SEQ),
            sample_rate=rate,
            codec=attributes["codec"],
            data=data,
            final=final == "true",
            audio_filepath=attributes.get("audio_filepath", ""),
        )

    def to_bytes(self) -> bytes:
        """Return the message as a file has it: the attributes as one line of JSON, then the sound."""
        return message_bytes(self.attributes(), self.data)


class Sent(NamedTuple):
    """A message as a source gives it.

    Attributes:
      data: its bytes.
      sent: when it was sent, in seconds.
    """

    data: bytes
    sent: float


def message_bytes(attributes: Mapping[str, str], data: bytes) -> bytes:
    """Return a message as one text of bytes."""
    return json.dumps(dict(attributes), ensure_ascii=False, separators=(",", ":")).encode() + b"\n" + data


def chunk_of(message: bytes) -> Chunk:
    """Read a message that is one text of bytes.

    Raises:
      EntryError: it is none, or an attribute is missing or wrong (`bad_message`).

    Example:
      >>> chunk = Chunk(stream_id="a", seq=3, sample_rate=16000, codec="pcm_s16le", data=b"ab", final=True)
      >>> chunk_of(chunk.to_bytes()) == chunk
      True
    """
    return Chunk.of(*split_message(message))


def split_message(message: bytes) -> tuple[dict[str, str], bytes]:
    """Return the attributes of a message, and its sound.

    Raises:
      EntryError: it is none (`bad_message`).
    """
    head, newline, data = message.partition(b"\n")
    try:
        attributes = json.loads(head) if newline else None
    except (ValueError, RecursionError):
        attributes = None
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise bad_message(f"{len(message)} bytes that do not begin with a line of attributes, a JSON object of texts")
    return attributes, data


def bad_message(message: str) -> EntryError:
    """Make the error for a message that cannot be told to belong to a stream, or to a place in it."""
    return EntryError(FailureCode.BAD_MESSAGE, message, "mend the publisher; docs/live.md has the attributes")


def _check_text(name: str, text: str, most: int) -> None:
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise bad_message(f"{name} {text[:40]!r} has half a character, expected UTF-8") from None
    if n_bytes > most:
        raise bad_message(f"{name} {text[:40]!r}… of {n_bytes:,} bytes, expected {most:,} or less")


def _number(attributes: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = attributes[name]
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else -1
    if not low <= value <= high:
        raise bad_message(f"{name} {text[:40]!r}, expected a whole number from {low} to {high}")
    return value


def session_id(stream_id: str, session: str) -> str:
    """Return the name of a session's files, which no other session has.

    Example:
      >>> session_id("talk", ""), session_id("talk", "2"), session_id("talk@2", "")
      ('talk', 'talk@2', 'talk@2~a9463e37ef115c0f')
    """
    name = f"{stream_id}@{session}" if session else stream_id
    stem = safe_stem(name)
    # the sign between both may be a part of one
    is_plain = "@" not in stream_id and "@" not in session
    return stem if is_plain else stem_with_mark(stem, json.dumps([stream_id, session]))
