"""Options: one frozen dataclass per concern, from which flags, YAML keys, help and tables are made."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

import yaml

from beam_curator.blocks import MAX_LINE_BYTES
from beam_curator.output_set import ROW_EXTENSIONS
from beam_curator.overlap import OVERLAP_SCOPES, OverlapRules
from beam_curator.rendering import LAYOUTS
from beam_curator.rules import option, raise_problems
from beam_curator.window_rules import WindowRules

DEFAULT_OUTPUT = "./windows_output"


class UsageError(ValueError):
    """A command that cannot be run as given: exit code 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """What is read."""

    max_line_bytes: int = option(MAX_LINE_BYTES, "longest line that is read, bytes; longer ones become failures")
    keep_duplicates: bool = option(False, "read a file that is listed twice twice")

    def __post_init__(self) -> None:
        raise_problems("input", [] if self.max_line_bytes > 0 else ["max_line_bytes must be positive: raise it"])


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapOptions:
    """Which windows stay; the target follows the window rules unless it is given."""

    overlap_percentage: float = option(50.0, OverlapRules.__dataclass_fields__["overlap_percentage"].metadata["help"])
    target_duration: float | None = option(
        None,
        "the window nearer to this duration stays, seconds (default: the window target)",
        flag="overlap-target-duration",
    )
    scope: str = option(
        "row",
        "row: windows of one entry compete; audio_file: those of all entries of one recording",
        flag="overlap-scope",
        choices=OVERLAP_SCOPES,
    )

    def __post_init__(self) -> None:
        target = self.target_duration if self.target_duration is not None else 1.0
        OverlapRules(overlap_percentage=self.overlap_percentage, target_duration=target)

    def rules(self, windows: WindowRules) -> OverlapRules:
        """Return the rules, with the target of the window rules where none was given."""
        target = self.target_duration if self.target_duration is not None else windows.target_window_duration
        return OverlapRules(overlap_percentage=self.overlap_percentage, target_duration=target)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What is written."""

    layout: str = option("full", "full: windows hold their segments; spans: index ranges only", choices=LAYOUTS)
    row_format: str = option("jsonl", "format of the rows", choices=tuple(ROW_EXTENSIONS))
    shards: int = option(0, "merge the rows into at most so many files; 0 leaves one file per block")

    def __post_init__(self) -> None:
        raise_problems("output", [] if self.shards >= 0 else [f"shards {self.shards} is below 0: raise it"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How the job runs; none of it decides the rows."""

    runner: str = option(
        "direct", "where the job runs: direct, prism, flink, dataflow, or Beam's name of another runner"
    )
    jobs: int = option(1, "worker processes; on flink also the parallelism")
    gpu: str | None = option(None, "accelerator of Dataflow's workers, such as nvidia-l4")
    wait: bool = option(True, "wait for the end of the job (dataflow)")
    tolerate: str = option("0", "failures that still count as success: a number, or a percentage of the rows read")
    overwrite: bool = option(False, "replace an output set of other inputs or options")
    plan: bool = option(False, "say what would be read, written and run, and stop")
    show_options: bool = option(False, "print every option as it is resolved, and why, and stop")
    verbose: bool = option(False, "show the log of the engine")

    def __post_init__(self) -> None:
        problems = [] if self.jobs >= 1 else [f"jobs {self.jobs} is below 1: raise it"]
        if not _TOLERATE.fullmatch(self.tolerate):
            problems.append(f"tolerate {self.tolerate!r} is neither a number nor a percentage: write 10 or 0.5%")
        raise_problems("run", problems)

    def tolerates(self, n_failures: int, n_read: int) -> bool:
        """Tell whether so many failures still count as success.

        Example:
          >>> RunOptions(tolerate="1%").tolerates(1, 100), RunOptions(tolerate="1").tolerates(2, 100)
          (True, False)
        """
        if self.tolerate.endswith("%"):
            return n_failures * 100 <= float(self.tolerate[:-1]) * n_read
        return n_failures <= int(self.tolerate)


_TOLERATE = re.compile(r"[0-9]+|([0-9]*\.)?[0-9]+%")

Sections = Mapping[str, type[Any]]
WINDOWS_SECTIONS: Sections = {
    "windows": WindowRules,
    "overlap": OverlapOptions,
    "input": InputOptions,
    "output": OutputOptions,
    "run": RunOptions,
}
"""The option classes of the `windows` job by section, as in `--config` and `--set`."""


def flag_of(field: dataclasses.Field[Any]) -> str:
    """Return the flag of an option, with `--no-` where the option is on by default.

    Example:
      >>> flag_of(WindowRules.__dataclass_fields__["truncation"])
      '--no-truncation'
    """
    name = (field.metadata["flag"] or field.name).replace("_", "-")
    return f"--no-{name}" if field.default is True else f"--{name}"


def add_flags(parser: argparse.ArgumentParser, sections: Sections) -> None:
    """Add a flag for each option; what the user does not give stays out of the namespace."""
    for section, options in sections.items():
        group = parser.add_argument_group(f"{section} options")
        hints = get_type_hints(options)
        for field in dataclasses.fields(options):
            kind, text = _plain(hints[field.name]), field.metadata["help"].replace("%", "%%")
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
                dest=destination,
                type=_Converter(kind),
                choices=field.metadata["choices"] or None,
                default=argparse.SUPPRESS,
                metavar=None if field.metadata["choices"] else _metavar(kind),
                help=text if default is None else f"{text} (default: {default})",
            )


def _plain(kind: Any) -> Any:
    """Return the type of an option's value where it has one: `float | None` is float."""
    return next(part for part in get_args(kind) if part is not NoneType) if NoneType in get_args(kind) else kind


def _metavar(kind: Any) -> str:
    if kind == tuple[str, ...]:
        return "KEY,KEY"
    return {int: "N", str: "TEXT"}.get(kind, "NUMBER")


class _Converter:
    """Turns the text of a flag into an option's value; the class name is what argparse shows."""

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
    for path, value in [*_flattened(config), *map(_setting, settings)]:
        section, _, key = path.partition(".")
        if section not in sections:
            known = [*sections, "inputs", "output_dir", "beam"]
            raise UsageError(f"unknown section {section!r} in {path!r}{nearest(section, known)}")
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


def _flattened(config: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for section, values in config.items():
        if not isinstance(values, Mapping):
            if section not in WINDOWS_SECTIONS:
                known = [*WINDOWS_SECTIONS, "inputs", "output_dir", "beam"]
                raise UsageError(f"unknown section {section!r}{nearest(str(section), known)}")
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
    kind = _plain(hint)
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
