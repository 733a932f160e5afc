"""Common parts of rule classes: options that document themselves, and problems reported together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from beam_curator.option_names import is_optional, plain_type


def option(
    default: Any,
    help_text: str,
    *,
    flag: str | None = None,
    choices: Sequence[str] = (),
    also: str | None = None,
    formerly: str | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    repeats: bool = False,
) -> Any:
    """Declare a dataclass field that is also a flag, a YAML key, and a row of the help tables.

    Args:
      default: the field's default.
      help_text: one line for people; units in words.
      flag: name on the command line without dashes, where it differs from the field's.
      choices: the only values allowed, if any.
      also: another, shorter name of the flag.
      formerly: the field's name before this release, which goes on working with a warning: put
        `option_names.accepts_former_names` on the class, too.
      presets: for an option that chooses values of others by one name: those values, by name. Options count as equal
        by the values; put `option_names.takes_presets` on the class, too.
      repeats: of a list: the flag takes one text, commas and all, and may be given several times.
    """
    metadata: dict[str, Any] = {"help": help_text, "flag": flag, "also": also, "formerly": formerly}
    metadata |= {"repeats": True} if repeats else {}
    metadata |= {"choices": tuple(presets or choices), "presets": presets or {}}
    return dataclasses.field(default=default, metadata=metadata, compare=not presets)


def same_option(options: type[Any], name: str, *, note: str = "", **changes: Any) -> Any:
    """Declare a field that is the option of another class, which states all but the changes.

    Args:
      options: the class that states the option.
      name: of its field.
      note: put behind its help text.
      changes: any of `option`'s arguments, in place of what is stated.

    Example:
      >>> class Walking:
      ...     pace: float = option(1.5, "metres a second")
      >>> walking = dataclasses.dataclass(Walking)
      >>> faster = same_option(walking, "pace", default=None, note=" (default: as one likes)")
      >>> faster.default, faster.metadata["help"]
      (None, 'metres a second (default: as one likes)')
    """
    stated = options.__dataclass_fields__[name]
    words = {("help_text" if key == "help" else key): value for key, value in stated.metadata.items()}
    same = {"default": stated.default, **words, **changes}
    return option(same.pop("default"), same.pop("help_text") + note, **same)


def option_problems(options: Any) -> list[str]:
    """Check that options are of their types, and those with choices have one of them; return the problems."""
    problems, hints = [], get_type_hints(type(options))
    for field in dataclasses.fields(options):
        value, choices = getattr(options, field.name), field.metadata["choices"]
        if not choices:
            problems += type_problems(field.name, value, hints[field.name])
        elif value not in choices and not (value is None and is_optional(hints[field.name])):
            problems.append(f"{field.name} {value!r} is not known: use one of {', '.join(choices)}")
    return problems


def check_types(subject: str, options: Any) -> None:
    """Check that options are of their types, before checks that need them to be.

    Raises:
      ValueError: all that are not.
    """
    fields = [field for field in dataclasses.fields(options) if not field.metadata["choices"]]
    hints = get_type_hints(type(options))
    problems = [type_problems(field.name, getattr(options, field.name), hints[field.name]) for field in fields]
    raise_problems(subject, [problem for of_field in problems for problem in of_field])


def type_problems(name: str, value: Any, hint: Any) -> list[str]:
    """Check that the value of an option is of its type; return the problem, if there is one.

    Example:
      >>> type_problems("score_keys", "mos", tuple[str, ...])
      ["score_keys 'mos' is one text, expected a list of texts: write ['mos']"]
      >>> type_problems("shards", 2.5, int), type_problems("sample_rate", None, int | None)
      (['shards 2.5 is not a whole number: give one'], [])
    """
    if value is None and is_optional(hint):
        return []
    kind = plain_type(hint)
    if kind is bool:
        wrong = "" if isinstance(value, bool) else "is neither true nor false: give one of them"
    elif kind is str:
        wrong = "" if isinstance(value, str) else "is not a text: write it in quotes"
    elif kind in (int, float):
        wrong = _number_problem(value, whole=kind is int)
    elif isinstance(value, str):
        wrong = f"is one text, expected a list of texts: write [{value!r}]"
    else:
        is_list = isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
        wrong = "" if is_list else "is not a list of texts: write [] for none"
    return [f"{name} {value!r} {wrong}"] if wrong else []


def _number_problem(value: Any, *, whole: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "is not a number: give a number"
    return "is not a whole number: give one" if whole and isinstance(value, float) else ""


def raise_problems(subject: str, problems: Sequence[str]) -> None:
    """Raise one ValueError that lists all problems, if there are any.

    Example:
      >>> raise_problems("window rules", ["min_speakers 5 exceeds max_speakers 3: lower min_speakers"])
      Traceback (most recent call last):
      ValueError: window rules: min_speakers 5 exceeds max_speakers 3: lower min_speakers
    """
    if problems:
        raise ValueError(f"{subject}: " + "; ".join(dict.fromkeys(problems)))


def number_problems(rules: object, limits: dict[str, tuple[float, float]]) -> list[str]:
    """Check that named fields are finite numbers within inclusive limits; return the problems, one text each."""
    problems = []
    for name, (low, high) in limits.items():
        value = getattr(rules, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            problems.append(f"{name} {value!r} is not a number: give a number")
        elif not _is_double(value):
            problems.append(f"{name} {repr(value)[:24]} is not a finite number: give one")
        elif not low <= value <= high:
            problems.append(f"{name} {value:g} {_expectation(low, high)}")
    return problems


def _is_double(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _expectation(low: float, high: float) -> str:
    if math.isinf(high):
        return f"is below {low:g}: raise it"
    return f"must be {low:g}-{high:g}: choose a value between them"


def config_of(rules: Any) -> dict[str, Any]:
    """Return the options of a rule class as plain values; 50 and 50.0 are the same number where one is asked for.

    A preset is in the values that it stands for.
    """
    hints = get_type_hints(type(rules))
    values = {field.name: getattr(rules, field.name) for field in dataclasses.fields(rules) if field.compare}
    return {name: float(value) if hints[name] is float else value for name, value in values.items()}
