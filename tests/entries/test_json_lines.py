from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.entries.json_lines import encode, encode_lines, kind_of, parse_object
from beam_curator.failures import EntryError, FailureCode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.sampled_from('aé\n"')), inner, max_size=3),
    max_leaves=8,
)


def test_numbers_keep_their_type_and_size() -> None:
    parsed = parse_object(b'{"a":1,"b":1.0,"c":1e2,"d":1000000000000000000000000000000,"e":-0.0,"f":-0}')
    assert repr(parsed) == "{'a': 1, 'b': 1.0, 'c': 100.0, 'd': 1000000000000000000000000000000, 'e': -0.0, 'f': 0}"


def test_of_repeated_keys_the_last_value_counts_in_the_first_place() -> None:
    assert list(parse_object(b'{"a":1,"b":2,"a":3}').items()) == [("a", 3), ("b", 2)]


def test_escapes_become_characters() -> None:
    assert parse_object(b'{"a":"\\u00e9\\ud83d\\ude00\\u0000\\n"}') == {"a": "é😀\x00\n"}


def test_blanks_around_the_object_do_not_matter() -> None:
    assert parse_object(b' \t{ "a" : 1 } \r') == {"a": 1}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", FailureCode.BAD_JSON),
        (b"  ", FailureCode.BAD_JSON),
        (b"{", FailureCode.BAD_JSON),
        (b'{"a":1}x', FailureCode.BAD_JSON),
        (b'{"a":1,}', FailureCode.BAD_JSON),
        (b"{'a':1}", FailureCode.BAD_JSON),
        (b'{"a":01}', FailureCode.BAD_JSON),
        (b'{"a":"\x01"}', FailureCode.BAD_JSON),
        (b'{"a":NaN', FailureCode.BAD_JSON),
        (b'\xef\xbb\xbf{"a":1}', FailureCode.BAD_JSON),
        (b'{"a":"\xff"}', FailureCode.BAD_UTF8),
        (b'{"\xff":1}', FailureCode.BAD_UTF8),
        (b'{"a":"\xed\xa0\x80"}', FailureCode.BAD_UTF8),  # a surrogate in UTF-8 bytes
        (b'{"a":"\\ud800"}', FailureCode.BAD_UNICODE),
        (b'{"\\udc00":1}', FailureCode.BAD_UNICODE),
        (b'{"a":NaN}', FailureCode.NON_FINITE),
        (b'{"a":-Infinity}', FailureCode.NON_FINITE),
        (b'{"a":1e999}', FailureCode.NON_FINITE),
        (b'{"a":' * 100_000, FailureCode.TOO_DEEP),
        (b"[1]", FailureCode.NOT_AN_OBJECT),
        (b"null", FailureCode.NOT_AN_OBJECT),
        (b'"{}"', FailureCode.NOT_AN_OBJECT),
        (b"1.5", FailureCode.NOT_AN_OBJECT),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_not_an_object_is_refused_with_a_code(text: bytes, code: FailureCode) -> None:
    with pytest.raises(EntryError) as caught:
        parse_object(text)
    assert caught.value.code is code


@pytest.mark.parametrize("text", [b'{"a":"\\ud800 NaN"}', b'{"title":"To Infinity","a":"\\ud800"}'])
def test_a_lone_surrogate_is_named_whatever_else_the_line_says(text: bytes) -> None:
    with pytest.raises(EntryError) as caught:
        parse_object(text)
    assert caught.value.code is FailureCode.BAD_UNICODE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a":"\xff"}', "bad_utf8: byte 0xff at position 6 is not UTF-8: convert the manifest to UTF-8"),
        (b"[]", "not_an_object: the line holds an array, expected an object: write one JSON object a line"),
        (b'{"a":1e999}', "non_finite: a number is NaN, infinite or beyond 1e308: write null, or leave the key out"),
    ],
)
def test_the_error_says_what_was_found_and_what_to_do(text: bytes, message: str) -> None:
    with pytest.raises(EntryError) as caught:
        parse_object(text)
    assert str(caught.value) == message


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES, max_size=4))
def test_encoding_and_parsing_give_back_the_same_object(fields: dict[str, object]) -> None:
    text = encode(fields)
    assert repr(parse_object(text)) == repr(fields)
    assert repr(json.loads(text)) == repr(fields)
    assert b"\n" not in text


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"{", b"}", b'"a"', b":", b"1", b",", b" ", b"\xff", b"[", b"]", b"NaN", b"\\"]), max_size=7
    )
)
def test_any_bytes_are_parsed_as_the_standard_library_does_or_refused(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    try:
        expected = json.loads(text.decode())
    except ValueError:
        expected = None
    try:
        found = parse_object(text)
    except EntryError:
        assert type(expected) is not dict or b"NaN" in text
    else:
        assert repr(found) == repr(expected)


def test_text_is_compact_and_not_escaped() -> None:
    assert encode({"a": [1, 2.0], "b": "é😀"}) == '{"a":[1,2.0],"b":"é😀"}'.encode()
    assert encode_lines([{"a": "x\ny"}, []]) == b'{"a":"x\\ny"}\n[]\n'


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, "an object"),
        ([], "an array"),
        ("", "a string"),
        (True, "a boolean"),
        (None, "null"),
        (1, "a number"),
        (10**30, "a number"),
    ],
)
def test_kinds_have_their_json_names(value: object, kind: str) -> None:
    assert kind_of(value) == kind
