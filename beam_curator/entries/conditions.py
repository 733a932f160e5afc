"""Conditions on the values of rows, as people write them: `metrics.bandwidth >= 7000`."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["holds", "fails", "missing", "not_comparable"]
Value = str | int | float | bool | None

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SIGNS = {"=": "==", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
"""Other ways to write a comparison; the words are those of NeMo Curator's PreserveByValue."""

_ONE = re.compile(
    r"""\s*(?P<key>[^\s=!<>"']+)
        (?:\s*(?P<sign>==|!=|<=|>=|=|<|>)\s*|\s+(?P<word>eq|ne|lt|le|gt|ge)\s+)
        (?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|(?!["'\s=<>!])(?:(?!\s+and\s).)+?)
        \s*(?P<end>$|\sand\s)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_PLAIN = re.compile(r"[^\W\d][\w.-]*")
"""Texts that need no quotes."""
_WORDS: Mapping[str, Value] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A comparison of a value with another.

    Attributes:
      key: of the value; dots lead into objects.
      sign: `==`, `!=`, `<`, `<=`, `>` or `>=`.
      value: a text, a number, true or false; None for no value.
    """

    key: str
    sign: str
    value: Value

    def __str__(self) -> str:
        is_bare = isinstance(self.value, str) and _PLAIN.fullmatch(self.value) and self.value not in _WORDS
        return f"{self.key} {self.sign} {self.value if is_bare else json.dumps(self.value, ensure_ascii=False)}"

    def judge(self, fields: Mapping[str, Any]) -> Verdict:
        """Tell whether the condition holds for an object.

        Texts are compared by their characters. A text is never a number, nor is true or false; such values are
        unequal, and neither is less. A key that is absent or null is missing, unless the condition is about null.

        Example:
          >>> (condition,) = parse_conditions("metrics.bandwidth >= 7000")
          >>> condition.judge({"metrics": {"bandwidth": 8000}}), condition.judge({"metrics": {}})
          ('holds', 'missing')
        """
        found = value_at(fields, self.key)
        if self.value is None:
            return "holds" if (found is None) == (self.sign == "==") else "fails"
        if found is None:
            return "missing"
        if _kind(found) != _kind(self.value):
            if self.sign in ("==", "!="):
                return "holds" if self.sign == "!=" else "fails"
            return "not_comparable"
        return "holds" if _COMPARISONS[self.sign](found, self.value) else "fails"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def value_at(fields: Mapping[str, Any], key: str) -> Any:
    """Return the value at a key; None where there is none. A key with a dot in its name wins over a way into objects.

    Example:
      >>> value_at({"a": {"b.c": 1}}, "a.b.c"), value_at({"a.b": 1, "a": {"b": 2}}, "a.b"), value_at({"a": [0]}, "a.0")
      (1, 1, None)
    """
    if key in fields:
        return fields[key]
    for dot in (match.start() for match in re.finditer(r"\.", key)):
        inner = fields.get(key[:dot])
        if isinstance(inner, Mapping) and (found := value_at(inner, key[dot + 1 :])) is not None:
            return found
    return None


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Parse conditions that all have to hold: `KEY SIGN VALUE`, with `and` between them.

    Signs are `==` (or `=`), `!=`, `<`, `<=`, `>`, `>=`, or the words eq, ne, lt, le, gt, ge. A value is a number, true,
    false, null, or else a text; in quotes it is a text whatever it looks like.

    Raises:
      ValueError: it is none.

    Example:
      >>> [str(condition) for condition in parse_conditions("metrics.bandwidth ge 7000 and speaker != no-speaker")]
      ['metrics.bandwidth >= 7000', 'speaker != no-speaker']
    """
    found: list[Condition] = []
    at = 0
    while at < len(text) or not found:
        match = _ONE.match(text, at)
        if match is None:
            raise ValueError(
                f"condition {text!r} is not KEY, ==, !=, <, <=, > or >=, and a value"
                f"{f', from {text[at:].strip()!r} on' if at else ''}: write for example 'metrics.bandwidth >= 7000'"
            )
        sign = match["sign"] or match["word"]
        condition = Condition(key=match["key"], sign=_SIGNS.get(sign, sign), value=_value(match["value"]))
        _check(condition, text)
        found.append(condition)
        at = match.end()
        if match["end"].strip() and at == len(text):
            raise ValueError(f"condition {text!r} ends with 'and': write another one behind it, or leave it out")
    return tuple(found)


def _value(text: str) -> Value:
    if text[0] == "'":
        return text[1:-1]
    if text[0] == '"':
        try:
            return str(json.loads(text, strict=False))
        except ValueError as err:
            raise ValueError(f"text {text} has an escape that JSON does not know: write \\\\ for a backslash") from err
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    return text


def _check(condition: Condition, text: str) -> None:
    if condition.sign not in ("==", "!=") and (condition.value is None or isinstance(condition.value, bool)):
        raise ValueError(
            f"condition {text!r} asks for an order of {json.dumps(condition.value)}, which has none: use == or !="
        )
