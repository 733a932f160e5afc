"""Lines of JSON: bytes to objects, with an error that names the problem, and back."""

from __future__ import annotations

import json
import math
from typing import NoReturn

import msgspec

from beam_curator.failures import EntryError, FailureCode

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}

encode = msgspec.json.Encoder().encode
"""Encode a value as compact UTF-8 JSON: no blanks, no ASCII escapes, integers of any size as they are."""


encode_lines = msgspec.json.Encoder().encode_lines
"""Encode values as above, each with a newline behind it."""


def parse_object(line: bytes) -> dict[str, object]:
    """Parse one line that should hold a JSON object.

    Of repeated keys the last value counts. Integers of any size stay integers.

    Args:
      line: the raw bytes, without a byte order mark.

    Raises:
      EntryError: the line is not JSON, not UTF-8, not an object, or holds a number that is not finite.
    """
    try:
        value = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as err:
        _raise_why_not_json(line, err)
    if type(value) is not dict:
        raise EntryError(
            FailureCode.NOT_AN_OBJECT,
            f"the line holds {kind_of(value)}, expected an object",
            "write one JSON object a line",
        )
    return value


def is_object(line: bytes) -> bool:
    """Tell whether `parse_object` takes a line."""
    try:
        parse_object(line)
    except EntryError:
        return False
    return True


def _raise_why_not_json(line: bytes, err: Exception) -> NoReturn:
    """Raise the error that names why a line could not be decoded."""
    if isinstance(err, RecursionError):
        raise EntryError(
            FailureCode.TOO_DEEP,
            "objects or arrays are nested too deeply",
            "flatten the entry, or remove the nested value",
        ) from err
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as utf8:
        raise EntryError(
            FailureCode.BAD_UTF8,
            f"byte {line[utf8.start]:#04x} at position {utf8.start} is not UTF-8",
            "convert the manifest to UTF-8",
        ) from utf8
    lenient, finite = _read_leniently(text)
    if lenient:
        if not finite:
            raise EntryError(
                FailureCode.NON_FINITE, "a number is NaN, infinite or beyond 1e308", "write null, or leave the key out"
            ) from err
        raise EntryError(
            FailureCode.BAD_UNICODE,
            "a string holds a lone surrogate escape",
            "write the character itself, or remove it",
        ) from err
    raise EntryError(FailureCode.BAD_JSON, f"not valid JSON: {err}", "mend the line; one JSON object a line") from err


def _read_leniently(text: str) -> tuple[bool, bool]:
    """Say whether Python's more lenient parser takes the text, and whether all its numbers are finite then."""
    numbers: list[float] = []

    def note(number: str) -> float:
        numbers.append(float(number))
        return numbers[-1]

    try:
        json.loads(text, parse_float=note, parse_constant=note)
    except (ValueError, RecursionError):
        return False, True
    return True, all(map(math.isfinite, numbers))


def kind_of(value: object) -> str:
    """Name the JSON kind of a value, as error messages do.

    Example:
      >>> kind_of([1]), kind_of(None), kind_of({}), kind_of(2.5)
      ('an array', 'null', 'an object', 'a number')
    """
    return _KINDS.get(type(value), "a number")
