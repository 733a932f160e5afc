"""Names of options: in one flat list of keywords, as signatures have them, and before they were renamed."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import Any, Literal, Optional, TypeVar, get_args, get_origin, get_type_hints

_Options = TypeVar("_Options")


def is_optional(kind: Any) -> bool:
    """Tell whether None is a value of a type.

    Example:
      >>> is_optional(float | None), is_optional(float)
      (True, False)
    """
    return NoneType in get_args(kind)


def plain_type(kind: Any) -> Any:
    """Return the type of an option's value where it has one: `float | None` is float, one of some words is str.

    Example:
      >>> plain_type(float | None), plain_type(Literal["row", "audio_file"])
      (<class 'float'>, <class 'str'>)
    """
    if is_optional(kind):
        return plain_type(next(part for part in get_args(kind) if part is not NoneType))
    return str if get_origin(kind) is Literal else kind


def flat_name(field: dataclasses.Field[Any]) -> str:
    """Return the name of an option where all are in one list: that of its flag, with underscores."""
    return str(field.metadata["flag"] or field.name).replace("-", "_")


def former_names(options: type[Any]) -> dict[str, str]:
    """Return the present names of the fields that had another one, by that."""
    fields = [field for field in dataclasses.fields(options) if field.metadata["formerly"]]
    return {field.metadata["formerly"]: field.name for field in fields}


def under_present_names(
    options: type[Any], given: Mapping[str, Any], warn: Callable[[str, str], None]
) -> dict[str, Any]:
    """Return the values given for options, each under its present name.

    Args:
      options: the class.
      given: values by name, present or former.
      warn: told the former and the present name of each value that was given under the former one.

    Raises:
      ValueError: a value is given under both names.
    """
    former = former_names(options)
    renamed: dict[str, Any] = {}
    for name, value in given.items():
        present = former.get(name, name)
        if present != name and present in given:
            raise ValueError(f"{name} and {present} are one option, and {name} is its former name: leave that one out")
        if present != name:
            warn(name, present)
        renamed[present] = value
    return renamed


def accepts_former_names(options: type[_Options]) -> type[_Options]:
    """Let options be made by former names as well, with a warning, as `option(…, formerly=…)` says."""

    def warn(former: str, present: str) -> None:
        warnings.warn(f"{former} is now called {present}", DeprecationWarning, stacklevel=5)

    return _made_with(options, lambda given: under_present_names(options, given, warn))


def takes_presets(options: type[_Options]) -> type[_Options]:
    """Let a preset among the given options decide those that are not given, as `option(…, presets=…)` says."""

    def chosen(given: Mapping[str, Any]) -> dict[str, Any]:
        return {**{name: value for name, (_, value) in values_of_presets(options, given).items()}, **given}

    return _made_with(options, chosen)


def values_of_presets(options: type[Any], given: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Return the options that a preset among the given ones decides: its name and the value, by option.

    Args:
      options: the class.
      given: values by present name; they win over the preset.
    """
    decided: dict[str, tuple[str, Any]] = {}
    for field in dataclasses.fields(options):
        for preset, values in field.metadata["presets"].items():
            if given.get(field.name) == preset:
                decided |= {name: (preset, value) for name, value in values.items() if name not in given}
    return decided


def _made_with(options: type[_Options], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> type[_Options]:
    """Let a class of options change the arguments that it is made with."""
    made = options.__init__

    @functools.wraps(made)
    def init(self: _Options, **given: Any) -> None:
        made(self, **change(given))

    options.__init__ = init  # type: ignore[method-assign,assignment]  # the same arguments, and those that it changes
    return options


class Chosen:
    """Options by their classes."""

    def __init__(self, made: Mapping[type[Any], Any]) -> None:
        self._made = made

    def __getitem__(self, kind: type[_Options]) -> _Options:
        """Return the options of one class."""
        made: _Options = self._made[kind]
        return made


class FlatOptions:
    """Classes of options as one flat list of keyword arguments.

    Args:
      kinds: the classes.
      left_out: flat names of options that are no arguments and stay at their defaults.
      fixed: values of options that are no arguments, by flat name.
    """

    def __init__(self, *kinds: type[Any], left_out: Iterable[str] = (), fixed: Mapping[str, Any] | None = None) -> None:
        self._kinds = kinds
        self._fixed = fixed if fixed is not None else {}
        self._hidden = {*left_out, *self._fixed}

    def chosen(self, arguments: Mapping[str, Any]) -> Chosen:
        """Make the options that arguments stand for; lists stand for tuples, former names for present ones.

        Raises:
          TypeError: an argument is no option.
          ValueError: options that cannot hold.
        """
        values = {name: _frozen(value) for name, value in arguments.items() if name not in self._hidden}
        made, known = {}, set()
        for kind in self._kinds:
            names = {name: name for name in former_names(kind)}
            names |= {flat_name(field): field.name for field in dataclasses.fields(kind)}
            known |= names.keys() - self._hidden
            given = {names[name]: value for name, value in {**values, **self._fixed}.items() if name in names}
            made[kind] = (kind, given)
        unknown = [name for name in arguments if name not in known]
        if unknown:
            raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
        return Chosen({kind: make(**given) for kind, (make, given) in made.items()})

    def parameters(self) -> list[inspect.Parameter]:
        """Return the options as parameters of a signature, with types as Beam's schemas understand them.

        Beam takes `float | None` for an object of any kind, and Optional for itself.
        """
        return [
            inspect.Parameter(
                flat_name(field),
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Optional[plain_type(hint)] if is_optional(hint) else plain_type(hint),  # noqa: UP045
            )
            for field, hint in self._fields()
        ]

    def docs(self) -> list[str]:
        """Return the options as lines of a docstring's Args."""
        return [f"{flat_name(field)}: {field.metadata['help']}" for field, _ in self._fields()]

    def _fields(self) -> list[tuple[dataclasses.Field[Any], Any]]:
        return [
            (field, get_type_hints(kind)[field.name])
            for kind in self._kinds
            for field in dataclasses.fields(kind)
            if flat_name(field) not in self._hidden
        ]

    def in_signature(self, step: type[_Options]) -> type[_Options]:
        """Show the options in the signature and in the docs of a class whose `__init__` takes them as `**options`."""
        made: Any = step.__init__
        stated = inspect.signature(made)
        own = [part for part in stated.parameters.values() if part.kind is not inspect.Parameter.VAR_KEYWORD]
        first = [part for part in own if part.kind is not inspect.Parameter.KEYWORD_ONLY]
        made.__signature__ = stated.replace(parameters=[*first, *self.parameters(), *own[len(first) :]])
        head, args, tail = inspect.cleandoc(step.__doc__ or "").partition("\nArgs:\n")
        args = args or "\n\nArgs:"
        described, blank, rest = tail.partition("\n\n")
        step.__doc__ = "".join((head, args, described, *(f"\n  {line}" for line in self.docs()), blank, rest))
        return step


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
