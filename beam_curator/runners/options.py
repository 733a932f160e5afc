"""Options: one frozen dataclass per concern, from which flags, YAML keys, help and tables are made."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, get_args, get_type_hints

import yaml


class UsageError(ValueError):
    """A command that cannot be run as given: exit code 2."""


Sections = Mapping[str, type[Any]]
"""Option classes of a job by section, as in `--config` and `--set`."""

_BESIDE = ("inputs", "output_dir", "beam")
"""What a config file may hold besides sections of options."""


def flag_of(field: dataclasses.Field[Any]) -> str:
    """Return the flag of an option, with `--no-` where the option is on by default.

    Example:
      >>> from beam_curator.windows.window_rules import WindowRules
      >>> flag_of(WindowRules.__dataclass_fields__["truncation"])
      '--no-truncation'
    """
    name = (field.metadata["flag"] or field.name).replace("_", "-")
    return f"--no-{name}" if field.default is True else f"--{name}"


def add_flags(parser: argparse.ArgumentParser, sections: Sections) -> None:
    """Add a flag for each option; options that the user does not give stay out of the namespace."""
    for section, options in sections.items():
        group = parser.add_argument_group(f"{section} options")
        hints = get_type_hints(options)
        for field in dataclasses.fields(options):
            kind, text = plain_type(hints[field.name]), field.metadata["help"].replace("%", "%%")
            destination = f"{section}.{field.name}"
            if kind is bool:
                action = "store_false" if field.default is True else "store_true"
                text = f"do not {text}" if field.default is True else text
                group.add_argument(
                    flag_of(field), dest=destination, action=action, default=argparse.SUPPRESS, help=text
                )
                continue
            default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
            group.add_argument(
                flag_of(field),
                *([f"--{field.metadata['also']}"] if field.metadata["also"] else []),
                dest=destination,
                type=_Converter(kind),
                choices=field.metadata["choices"] or None,
                default=argparse.SUPPRESS,
                metavar=None if field.metadata["choices"] else _metavar(kind),
                help=text if default in (None, "") else f"{text} (default: {default})",
            )


def plain_type(kind: Any) -> Any:
    """Return the type of an option's value where it has one: `float | None` is float."""
    return next(part for part in get_args(kind) if part is not NoneType) if NoneType in get_args(kind) else kind


def _metavar(kind: Any) -> str:
    if kind == tuple[str, ...]:
        return "TEXT,TEXT"
    return {int: "N", str: "TEXT"}.get(kind, "NUMBER")


class _Converter:
    """A converter from the text of a flag to an option's value; argparse shows its `__name__` in messages."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self.__name__ = {int: "whole number", str: "text"}.get(kind, "number")

    def __call__(self, text: str) -> Any:
        if self._kind == tuple[str, ...]:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if self._kind is str:
            return text
        if self._kind is int:
            return int(text)
        number = float(text)
        return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number


def resolve(
    sections: Sections, config: Mapping[str, Any], settings: Sequence[str], flags: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the options of each section: flags win over `--set`, which wins over the file, which wins over defaults.

    Raises:
      UsageError: an unknown section or key, or values that do not go together; all problems at once.
    """
    chosen: dict[str, dict[str, Any]] = {section: {} for section in sections}
    _refuse_unknown_sections(sections, config)
    for path, value in [*_flattened(config), *map(_setting, settings)]:
        section, _, key = path.partition(".")
        if section not in sections:
            raise UsageError(f"unknown section {section!r} in {path!r}{nearest(section, [*sections, *_BESIDE])}")
        names = [field.name for field in dataclasses.fields(sections[section])]
        if key not in names:
            close = nearest(key, names).replace("did you mean ", f"did you mean {section}.")
            raise UsageError(f"unknown option {path!r}{close}")
        chosen[section][key] = _from_yaml(sections[section], key, value, path)
    for path, value in flags.items():
        section, _, key = path.partition(".")
        chosen[section][key] = value
    problems, options = [], {}
    for section, values in chosen.items():
        try:
            options[section] = sections[section](**values)
        except (ValueError, TypeError) as err:
            problems.append(str(err))
    if problems:
        raise UsageError("; ".join(problems))
    return options


def origins(config: Mapping[str, Any], settings: Sequence[str], flags: Mapping[str, Any]) -> dict[str, str]:
    """Tell where each option that is not at its default was set: the one that wins.

    Example:
      >>> origins({"run": {"jobs": 2}}, ["run.jobs=3"], {"run.verbose": True})
      {'run.jobs': '--set', 'run.verbose': 'flag'}
    """
    found = {path: "config" for path, _ in _flattened(config)}
    found |= {_setting(text)[0]: "--set" for text in settings}
    return found | dict.fromkeys(flags, "flag")


def _refuse_unknown_sections(sections: Sections, config: Mapping[str, Any]) -> None:
    for section, values in config.items():
        if section not in sections and not isinstance(values, Mapping):
            raise UsageError(f"unknown section {section!r}{nearest(str(section), [*sections, *_BESIDE])}")


def _flattened(config: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for section, values in config.items():
        if not isinstance(values, Mapping):
            raise UsageError(f"section {section!r} of the config holds {values!r}, expected keys and values")
        for key, value in values.items():
            yield f"{section}.{key}", value


def _setting(text: str) -> tuple[str, Any]:
    path, equals, value = text.partition("=")
    if not equals or "." not in path:
        raise UsageError(f"--set {text!r} is not SECTION.KEY=VALUE: write for example windows.min_speakers=3")
    try:
        return path, yaml.safe_load(value) if value else ""
    except yaml.YAMLError as err:
        raise UsageError(f"the value of --set {text!r} is not YAML: quote it") from err


def _from_yaml(options: type[Any], key: str, value: Any, path: str) -> Any:
    hint = get_type_hints(options)[key]
    kind = plain_type(hint)
    if value is None and hint is not kind:
        return None
    if kind == tuple[str, ...] and isinstance(value, str):
        return _Converter(kind)(value)
    if kind == tuple[str, ...] and isinstance(value, list):
        return tuple(value)
    if kind is str and not isinstance(value, str):
        value = str(value)
    allowed = (bool,) if kind is bool else (int,) if kind is int else (str,) if kind is str else (int, float)
    if kind == tuple[str, ...] or not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{path} is {value!r}, expected {_expected(kind)}")
    choices = options.__dataclass_fields__[key].metadata["choices"]
    if choices and value not in choices:
        raise UsageError(f"{path} is {value!r}, expected one of {', '.join(choices)}{nearest(str(value), choices)}")
    return value


def _expected(kind: Any) -> str:
    if kind == tuple[str, ...]:
        return "a list of keys"
    return {bool: "true or false", int: "a whole number", str: "a text"}.get(kind, "a number")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message that names the nearest known name, or all of them.

    Example:
      >>> nearest("--min-speaker", ["--min-speakers", "--tolerance"])
      ': did you mean --min-speakers?'
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f": did you mean {close[0]}?"
    return f": known are {', '.join(names)}" if len(names) <= 12 else ""


def read_config(path: str) -> dict[str, Any]:
    """Read a YAML file of options.

    Raises:
      UsageError: it is not there, or not a mapping.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            config = yaml.safe_load(stream)
    except OSError as err:
        raise UsageError(f"config {path} cannot be read: {os.strerror(err.errno or 0)}") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise UsageError(f"config {path} is not YAML: {err}") from err
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise UsageError(f"config {path} holds {config!r}, expected sections with keys and values")
    return config
