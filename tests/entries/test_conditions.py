from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.entries.conditions import Condition, parse_conditions, value_at


def one(text: str) -> Condition:
    (condition,) = parse_conditions(text)
    return condition


@pytest.mark.parametrize(
    ("text", "key", "sign", "value"),
    [
        ("metrics.bandwidth >= 7000", "metrics.bandwidth", ">=", 7000),
        ("metrics.bandwidth>=7000", "metrics.bandwidth", ">=", 7000),
        ("speaker != no-speaker", "speaker", "!=", "no-speaker"),
        ("speaker = ana", "speaker", "==", "ana"),
        ("speaker == Ana Maria ", "speaker", "==", "Ana Maria"),
        ("snr_db lt -1.5e1", "snr_db", "<", -15.0),
        ("x le .5", "x", "<=", 0.5),
        ("x gt +3", "x", ">", 3),
        ("is_ok eq true", "is_ok", "==", True),
        ("text ne null", "text", "!=", None),
        ('text == "null"', "text", "==", "null"),
        ("text == '7000'", "text", "==", "7000"),
        ('text == "a \\"b\\" and c"', "text", "==", 'a "b" and c'),
        ("text == nan", "text", "==", "nan"),
        ("größe < 3", "größe", "<", 3),
        ("text == ''", "text", "==", ""),
        ("lang == brand new", "lang", "==", "brand new"),
    ],
)
def test_one_condition(text: str, key: str, sign: str, value: object) -> None:
    found = one(text)
    assert (found.key, found.sign, found.value, type(found.value)) == (key, sign, value, type(value))
    assert one(str(found)) == found


def test_several_have_and_between_them() -> None:
    found = parse_conditions("duration >= 2 and speaker != 'you and me' and lang eq de")
    assert [str(condition) for condition in found] == ["duration >= 2", 'speaker != "you and me"', "lang == de"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "condition '' is not KEY"),
        ("duration", "condition 'duration' is not KEY, ==, !=, <, <=, > or >=, and a value: write for example"),
        ("duration >=", "is not KEY"),
        (">= 2", "is not KEY"),
        ("duration => 2", "is not KEY"),
        ("a b == 2", "is not KEY"),
        ("text == 'a", "is not KEY"),
        ("a == 1 and b", "from 'b' on: write for example"),
        ("a == 1 and ", "ends with 'and'"),
        ('a == "\\q"', "an escape that JSON does not know"),
        ("a < null", "asks for an order of null, which has none: use == or !="),
        ("a >= true", "asks for an order of true"),
    ],
)
def test_a_bad_condition_says_how_to_write_one(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"condition|text") as caught:
        parse_conditions(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fields", "verdict"),
    [
        ("n >= 2", {"n": 2}, "holds"),
        ("n >= 2", {"n": 1.5}, "fails"),
        ("n > 2", {"n": 2}, "fails"),
        ("n == 2", {"n": 2.0}, "holds"),
        ("n <= 2", {"n": 10**400}, "fails"),
        ("n >= 2", {"n": "3"}, "not_comparable"),
        ("n == 2", {"n": "2"}, "fails"),
        ("n != 2", {"n": "2"}, "holds"),
        ("n == 1", {"n": True}, "fails"),
        ("n == true", {"n": True}, "holds"),
        ("n >= 2", {}, "missing"),
        ("n != 2", {"n": None}, "missing"),
        ("n == null", {}, "holds"),
        ("n == null", {"n": 0}, "fails"),
        ("n != null", {"n": 0}, "holds"),
        ("n != null", {"n": None}, "fails"),
        ("n < 2", {"n": [1]}, "not_comparable"),
        ("t < b", {"t": "a"}, "holds"),
        ("t ge b", {"t": "a"}, "fails"),
        ("m.b < 2", {"m": {"b": 1}}, "holds"),
        ("m.b < 2", {"m": 1}, "missing"),
    ],
)
def test_verdicts(text: str, fields: dict[str, Any], verdict: str) -> None:
    assert one(text).judge(fields) == verdict


def test_keys_lead_into_objects_and_may_have_dots() -> None:
    assert value_at({"a": {"b": {"c": 1}}}, "a.b.c") == 1
    assert value_at({"a.b": {"c": 1}}, "a.b.c") == 1
    assert value_at({"a": {}, "a.b": {"c": 1}}, "a.b.c") == 1
    assert value_at({"a": {"b": None}}, "a.b") is None


@given(
    st.from_regex(r"[a-z_]{1,5}(\.[a-z]{1,3})?", fullmatch=True),
    st.sampled_from(["==", "!=", "<", ">="]),
    st.one_of(st.text(max_size=12), st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_a_condition_comes_back_from_its_text(key: str, sign: str, value: Any) -> None:
    condition = Condition(key=key, sign=sign, value=value)
    assert parse_conditions(f"{condition} and {condition}") == (condition, condition)
