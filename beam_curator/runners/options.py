"""Options: one frozen dataclass per concern, from which flags, YAML keys, help and tables are made."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO, get_type_hints

import yaml

from beam_curator.option_names import former_names, is_optional, plain_type, values_of_presets


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
            settings: dict[str, Any] = {"dest": f"{section}.{field.name}", "default": argparse.SUPPRESS}
            if kind is bool:
                action = "store_false" if field.default is True else "store_true"
                text = f"do not {text}" if field.default is True else text
                group.add_argument(flag_of(field), action=action, help=text, **settings)
                continue
            default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
            repeats = field.metadata.get("repeats", False)
            settings |= {
                "type": str
                if repeats
                else _Converter(kind, field.metadata["choices"], may_be_null=is_optional(hints[field.name])),
                "choices": field.metadata["choices"] or None,
                "metavar": None if field.metadata["choices"] else "TEXT" if repeats else _metavar(kind),
                "action": "append" if repeats else "store",
            }
            text = f"{text}; may be repeated" if repeats else text
            text = text if default in (None, "") else f"{text} (default: {default})"
            also = [f"--{field.metadata['also']}"] if field.metadata["also"] else []
            group.add_argument(flag_of(field), *also, help=text, **settings)
            if field.metadata["formerly"]:
                former: str = field.metadata["formerly"]
                settings["dest"] = f"{section}.{former}"
                group.add_argument(f"--{former.replace('_', '-')}", help=argparse.SUPPRESS, **settings)


def _metavar(kind: Any) -> str:
    if kind == tuple[str, ...]:
        return "TEXT,TEXT"
    return {int: "N", str: "TEXT"}.get(kind, "NUMBER")


class _Converter:
    """A converter from the text of a flag to an option's value; argparse shows its `__name__` in messages."""

    def __init__(self, kind: Any, choices: Sequence[str] = (), *, may_be_null: bool = False) -> None:
        self._kind, self._choices, self._may_be_null = kind, choices, may_be_null
        self.__name__ = {int: "whole number", str: "text"}.get(kind, "number")

    def __call__(self, text: str) -> Any:
        if self._kind == tuple[str, ...]:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if self._choices and text not in self._choices:
            raise argparse.ArgumentTypeError(f"invalid choice: {text!r}{nearest(text, self._choices)}")
        if self._kind is str:
            return text
        if self._may_be_null and text == "null":
            return None
        if self._kind is int:
            return int(text)
        number = float(text)
        return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The options that a person gave, each `(section.key, value)`, in the order in which later ones win."""

    config: Mapping[str, Any]
    settings: Sequence[tuple[str, Any]]
    flags: Mapping[str, Any]


def given_options(
    sections: Sections, config: Mapping[str, Any], settings: Sequence[str], flags: Mapping[str, Any]
) -> Given:
    """Put together the options that a person gave, by their present names; warn of former ones on stderr.

    Args:
      sections: option classes by section.
      config: of the file: keys and values by section.
      settings: of `--set`: `SECTION.KEY=VALUE`.
      flags: by `section.key`.

    Raises:
      UsageError: what cannot be understood, or an option under its former and its present name.
    """
    _refuse_unknown_sections(sections, config)
    given = Given(config=dict(_flattened(config)), settings=[_setting(text) for text in settings], flags=flags)
    former = {
        f"{section}.{old}": f"{section}.{new}"
        for section, options in sections.items()
        for old, new in former_names(options).items()
    }
    paths = [*given.config, *(path for path, _ in given.settings), *given.flags]
    for old, new in former.items():
        if old in paths and new in paths:
            raise UsageError(f"{old} and {new} are one option, and {old} is its former name: leave that one out")
        if old in paths:
            shown = [_flag(name) if old in given.flags else name for name in (old, new)]
            print(f"beam-curator: warning: {shown[0]} is now called {shown[1]}", file=sys.stderr)
    return Given(
        config={former.get(path, path): value for path, value in given.config.items()},
        settings=[(former.get(path, path), value) for path, value in given.settings],
        flags={former.get(path, path): value for path, value in given.flags.items()},
    )


def _flag(path: str) -> str:
    return f"--{path.partition('.')[2].replace('_', '-')}"


def resolve(sections: Sections, given: Given) -> dict[str, Any]:
    """Make the options of each section: flags win over `--set`, which wins over the file, which wins over defaults.

    Raises:
      UsageError: an unknown section or key, or values that do not go together; all problems at once.
    """
    chosen: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for path, value in [*given.config.items(), *given.settings]:
        section, _, key = path.partition(".")
        if section not in sections:
            raise UsageError(f"unknown section {section!r} in {path!r}{nearest(section, [*sections, *_BESIDE])}")
        names = [field.name for field in dataclasses.fields(sections[section])]
        if key not in names:
            close = nearest(key, names).replace("did you mean ", f"did you mean {section}.")
            raise UsageError(f"unknown option {path!r}{close}")
        chosen[section][key] = _from_yaml(sections[section], key, value, path)
    for path, value in given.flags.items():
        section, _, key = path.partition(".")
        chosen[section][key] = tuple(value) if isinstance(value, list) else value
    problems, options = [], {}
    for section, values in chosen.items():
        try:
            options[section] = sections[section](**values)
        except (ValueError, TypeError) as err:
            problems.append(str(err))
    if problems:
        raise UsageError("; ".join(problems))
    return options


def origins(sections: Sections, given: Given) -> dict[str, str]:
    """Tell where each option that is not at its default was set: the one that wins, or the preset that sets it.

    Example:
      >>> given = Given(config={"run.jobs": 2}, settings=[("run.jobs", 3)], flags={"run.verbose": True})
      >>> origins({}, given)
      {'run.jobs': '--set', 'run.verbose': 'flag'}
    """
    found = dict.fromkeys(given.config, "config")
    found |= dict.fromkeys((path for path, _ in given.settings), "--set") | dict.fromkeys(given.flags, "flag")
    winning = {**given.config, **dict(given.settings), **given.flags}
    for section, options in sections.items():
        values = {path.partition(".")[2]: value for path, value in winning.items() if path.startswith(f"{section}.")}
        decided = values_of_presets(options, values).items()
        found |= {f"{section}.{name}": f"preset {preset}" for name, (preset, _) in decided}
    return found


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
        return path, load_yaml(value) if value else ""
    except RepeatedKeyError as err:
        raise UsageError(f"--set {text!r}: {err}") from err
    except yaml.YAMLError as err:
        raise UsageError(f"the value of --set {text!r} is not YAML: quote it") from err


def _from_yaml(options: type[Any], key: str, value: Any, path: str) -> Any:
    hint = get_type_hints(options)[key]
    kind = plain_type(hint)
    if value is None and is_optional(hint):
        return None
    field = options.__dataclass_fields__[key]
    if kind == tuple[str, ...] and isinstance(value, str):
        return (value,) if "repeats" in field.metadata else _Converter(kind)(value)
    if kind == tuple[str, ...] and isinstance(value, list):
        return tuple(value)
    if kind is str and not isinstance(value, str):
        value = str(value)
    allowed = (bool,) if kind is bool else (int,) if kind is int else (str,) if kind is str else (int, float)
    if kind == tuple[str, ...] or not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{path} is {value!r}, expected {_expected(kind)}")
    choices = field.metadata["choices"]
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
    return f": known are {', '.join(names)}" if len(names) <= _MOST_LISTED else ""


_MOST_LISTED = 21
"""Names that a message lists: all commands, but not all options."""


class RepeatedKeyError(yaml.MarkedYAMLError):
    """A mapping of YAML has a key twice: which of the values is meant cannot be told."""

    def __str__(self) -> str:
        line = self.problem_mark.line + 1 if self.problem_mark is not None else 0
        return f"line {line}: {self.problem} is there twice: leave one of them out"


class _StrictLoader(yaml.SafeLoader):
    """Loads plain YAML, and refuses a mapping that has a key twice; PyYAML takes the last value in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise RepeatedKeyError(problem=f"key {key.value!r}", problem_mark=key.start_mark)
            if name is not None and key.tag != _MERGE:
                seen.add(name)
        return super().construct_mapping(node, deep)


_MERGE = "tag:yaml.org,2002:merge"


def load_yaml(source: str | TextIO) -> Any:
    """Load plain YAML.

    Raises:
      RepeatedKeyError: a mapping has a key twice.
      yaml.YAMLError: it is not YAML.

    Example:
      >>> load_yaml("{a: 1, b: [2]}")
      {'a': 1, 'b': [2]}
    """
    return yaml.load(source, _StrictLoader)  # a SafeLoader


def read_config(path: str) -> dict[str, Any]:
    """Read a YAML file of options.

    Raises:
      UsageError: it is not there, or not a mapping.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            config = load_yaml(stream)
    except RepeatedKeyError as err:
        raise UsageError(f"config {path}, {err}") from err
    except OSError as err:
        raise UsageError(f"config {path} cannot be read: {os.strerror(err.errno or 0)}") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise UsageError(f"config {path} is not YAML: {err}") from err
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise UsageError(f"config {path} holds {config!r}, expected sections with keys and values")
    return config
