from __future__ import annotations

import base64
import json
import pickle
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.failures import FAILURE_DOCS, EntryError, Failure, FailureCode, render_failure

FAILURE = Failure(
    code=FailureCode.BAD_TIME,
    stage="build",
    source="talks/a.jsonl",
    offset=12,
    message="segments[0].end is null",
    cure="write it",
    payload=b'{"a":1}',
)


def payload_of(rendered: bytes) -> bytes:
    """Get the raw line back from a dead letter, as a reader who mends it would."""
    letter = json.loads(rendered)
    text: str = letter["payload"]
    return base64.b64decode(text) if letter["payload_encoding"] == "base64" else text.encode()


def test_every_code_is_its_own_string_and_has_one_line_of_documentation() -> None:
    code: str = FailureCode.BAD_JSON
    assert code == str(code) == f"{code}" == "bad_json"
    assert FailureCode("bad_json") is code  # type: ignore[call-arg]  # mypy takes __new__ for the way to look up
    assert list(FAILURE_DOCS) == [member.value for member in FailureCode]
    for member in FailureCode:
        assert member.value == member.name.lower()
        assert FAILURE_DOCS[member] == member.doc
        assert member.doc.endswith(".")
        assert "\n" not in member.doc


def test_an_error_says_code_message_and_cure() -> None:
    error = EntryError(FailureCode.MISSING_KEY, "key 'segments' is absent", "add it")
    assert isinstance(error, ValueError)
    assert str(error) == "missing_key: key 'segments' is absent: add it"


def test_an_error_travels_between_processes() -> None:
    error = EntryError(FailureCode.MISSING_KEY, "m", "c")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.code, copy.message, copy.cure) == (FailureCode.MISSING_KEY, "m", "c")
    assert copy.code is FailureCode.MISSING_KEY
    assert pickle.loads(pickle.dumps(FAILURE)) == FAILURE


def test_a_dead_letter_is_made_from_an_error() -> None:
    error = EntryError(FailureCode.BAD_TIME, "segments[0].end is null", "write it")
    made = Failure.from_error(error, stage="build", source="talks/a.jsonl", offset=12, payload=b'{"a":1}')
    assert made == FAILURE


def test_a_dead_letter_is_one_json_line_with_these_keys() -> None:
    assert render_failure(FAILURE) == (
        b'{"code":"bad_time","stage":"build","source":"talks/a.jsonl","offset":12,"message":"segments[0].end is null",'
        b'"cure":"write it","payload":"{\\"a\\":1}","payload_truncated":false,"payload_encoding":"utf-8"}'
    )


def test_a_payload_that_is_not_utf_8_is_written_as_base64() -> None:
    letter = json.loads(render_failure(replace(FAILURE, payload=b"\xff{", payload_truncated=True)))
    assert (letter["payload"], letter["payload_encoding"], letter["payload_truncated"]) == ("/3s=", "base64", True)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=20) | st.text(st.characters(exclude_categories=["Cs"]), max_size=10).map(str.encode))
def test_any_payload_comes_back_byte_for_byte(payload: bytes) -> None:
    rendered = render_failure(replace(FAILURE, payload=payload))
    assert payload_of(rendered) == payload
    assert b"\n" not in rendered


def test_a_source_whose_name_is_not_utf_8_can_be_named() -> None:
    name = b"talk-\xff.jsonl".decode("utf-8", "surrogateescape")  # as os.listdir gives it
    assert json.loads(render_failure(replace(FAILURE, source=name)))["source"] == "talk-\\xff.jsonl"
    assert json.loads(render_failure(replace(FAILURE, source="é😀\\x")))["source"] == "é😀\\x"
