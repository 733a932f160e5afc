"""Events and dead letters as messages: shapes and attributes."""

from __future__ import annotations

import json

import jsonschema
import pytest

from beam_curator.failures import EntryError, Failure, FailureCode
from beam_curator.live.messages import split_message
from beam_curator.live.outgoing import PYANNOTE_SCHEMA, event_messages, failure_messages
from tests.live.live_shards import Shard
from tests.live.test_bad_messages import CHUNKS, GOOD

RECORDED = [
    {"type": "diarization_speaker_start", "data": {"timestamp": 1.24, "speaker": "SPEAKER_00"}},
    {"type": "diarization_speaker_end", "data": {"timestamp": 2.5, "speaker": "SPEAKER_00"}},
]
"""As pyannoteAI's documentation of its socket has them."""


def test_turns_as_pyannote_tells_them() -> None:
    shard = Shard()
    shard.tell(*CHUNKS)
    shown = [json.loads(message.data) for event in shard.events for message in event_messages(event, "pyannote")]
    for event in (*RECORDED, *shown):
        jsonschema.validate(event, PYANNOTE_SCHEMA)
    assert shown[0] == {"type": "diarization_speaker_start", "data": {"timestamp": 0.16, "speaker": "SPEAKER_00"}}
    assert len(shown) == 4
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**RECORDED[0], "data": {"timestamp": 1.24}}, PYANNOTE_SCHEMA)


def test_own_events_with_their_attributes() -> None:
    shard = Shard()
    shard.tell(*CHUNKS)
    for event in shard.events:
        (message,) = event_messages(event, "own")
        assert json.loads(message.data) == event
        assert message.attributes["event_id"] == event["event_id"]
        assert message.attributes["event_seq"] == str(event["event_seq"])


def failed(payload: bytes, message: str = "m") -> Failure:
    error = EntryError(FailureCode.TOO_EARLY, message, "c")
    return Failure.from_error(error, stage="stream", source="a", offset=9, payload=payload)


def test_a_dead_letter_is_the_message_that_failed() -> None:
    (message,) = failure_messages(failed(GOOD.to_bytes()))
    assert message.data == GOOD.data
    why = {"failure_code": "too_early", "failure_message": "m", "failure_cure": "c", "failure_session_id": "a"}
    assert message.attributes == GOOD.attributes() | why
    assert split_message(GOOD.to_bytes()) == (GOOD.attributes(), GOOD.data)


def test_a_dead_letter_of_other_bytes() -> None:
    (message,) = failure_messages(failed(b"poison", "é" * 600))
    assert message.data == b"poison"
    assert message.attributes["failure_message"] == "é" * 512
