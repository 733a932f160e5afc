"""Dataflow flex templates: their parameters, made from the options, and the way from a launch to the command.

python -m beam_curator.runners.flex templates/flex

writes the metadata of each template into that folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from beam_curator.option_names import flat_name, plain_type
from beam_curator.runners import cli
from beam_curator.runners.exit_codes import USAGE
from beam_curator.runners.job_options import JOBS
from beam_curator.runners.live_arguments import STREAM_SECTIONS
from beam_curator.runners.options import Sections, UsageError
from beam_curator.runners.presets import JOB_PRESETS, STREAM

TEMPLATES = (*JOBS, STREAM)
"""Commands that have a template."""

RUN_OPTIONS = ("overwrite", "verbose")
"""Options of the section `run` that mean something in a template.

The launcher only hands the job over: nobody is there to wait, to print plans, or to compare failures with `tolerate`.
Machines are Beam's options, which a launch takes besides the parameters; `gpu`, which brings its machine, is a
parameter of jobs that use one.
"""

_MANIFESTS = "manifests, folders or globs, comma separated"
_RECORDINGS = "recordings, or manifests that name them: files, folders or globs, comma separated"
_INPUTS = dict.fromkeys(("diarize", "curate", "measure"), _RECORDINGS)

_SUBSCRIPTION = "subscription of Pub/Sub with the chunks, as projects/PROJECT/subscriptions/NAME"
_OUTPUTS = {STREAM: "folder for RTTM and an entry of each session, and for dead letters"}

_TYPES = {bool: "BOOLEAN", int: "NUMBER", float: "NUMBER"}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a template.

    Attributes:
      name: as it is given at a launch.
      kind: the type of the option's value; str for paths.
      flag: of the command, without dashes in front.
      group: heading under which a form shows it.
      help: one line for people.
      default: of the option; None where there is none.
      choices: the only values allowed, if any.
    """

    name: str
    kind: Any
    flag: str
    group: str
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()

    def metadata(self) -> dict[str, Any]:
        """Return the parameter as Dataflow's TemplateMetadata has it."""
        found: dict[str, Any] = {
            "name": self.name,
            "label": self.name.replace("_", " ").capitalize(),
            "helpText": self.help + (", comma separated" if self.kind == tuple[str, ...] else ""),
            "groupName": self.group,
            "isOptional": self.group != "Paths",
            "paramType": "ENUM" if self.choices else _TYPES.get(self.kind, "TEXT"),
        }
        if self.choices:
            found["enumOptions"] = [{"value": choice, "label": choice} for choice in self.choices]
        if self.default is not None:
            found["defaultValue"] = _text(self.default)
        return found | _PATHS.get(self.name, {})

    def arguments(self, value: str) -> list[str]:
        """Return the arguments that pass a value to the command; none for an empty text or a switch at its default.

        Raises:
          UsageError: neither true nor false, where that is asked for.
        """
        if self.kind is bool:
            if value.lower() not in _BOOLEANS:
                raise UsageError(f"parameter {self.name} is {value!r}, expected true or false")
            chosen = _BOOLEANS[value.lower()]
            return [] if chosen == self.default else [f"--{self.flag}" if chosen else f"--no-{self.flag}"]
        if value == "" and self.kind != tuple[str, ...]:
            return []
        return [f"--{self.flag}={value}"]


_PATHS: dict[str, dict[str, Any]] = {
    "input": {"regexes": [r"^gs://.+$"]},
    "subscription": {"paramType": "PUBSUB_SUBSCRIPTION"},
    "output": {"paramType": "GCS_WRITE_FOLDER"},
}


def _text(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(default) if isinstance(default, tuple) else str(default)


def parameters(job: str) -> list[Parameter]:
    """Return the parameters of a template: input and output, then one for each option."""
    output = _OUTPUTS.get(job, "folder for the output set")
    found = [_source_of(job), Parameter(name="output", kind=str, flag="output", group="Paths", help=output)]
    run_options = (*RUN_OPTIONS, "gpu") if "gpu" in JOB_PRESETS.get(job, {}) else RUN_OPTIONS
    if job == STREAM:
        # on Dataflow nothing of an earlier job is in the way
        run_options = ("gpu", "verbose")
    for section, options in _sections_of(job).items():
        hints = get_type_hints(options)
        for field in dataclasses.fields(options):
            if section == "run" and field.name not in run_options:
                continue
            found.append(
                Parameter(
                    name=flat_name(field),
                    # one text says it all
                    kind=str if "repeats" in field.metadata else plain_type(hints[field.name]),
                    flag=flat_name(field).replace("_", "-"),
                    group=section.capitalize(),
                    help=field.metadata["help"],
                    default=field.default,
                    choices=field.metadata["choices"],
                )
            )
    return found


def _source_of(job: str) -> Parameter:
    if job == STREAM:
        return Parameter(name="subscription", kind=str, flag="subscription", group="Paths", help=_SUBSCRIPTION)
    return Parameter(name="input", kind=str, flag="", group="Paths", help=_INPUTS.get(job, _MANIFESTS))


def _sections_of(job: str) -> Sections:
    return STREAM_SECTIONS if job == STREAM else JOBS[job].sections


def metadata(job: str) -> dict[str, Any]:
    """Return the metadata of a template, as `gcloud dataflow flex-template build --metadata-file` takes it."""
    return {
        "name": f"beam-curator {job}",
        "description": cli.COMMANDS[job].help,
        "streaming": job == STREAM,
        "parameters": [parameter.metadata() for parameter in parameters(job)],
    }


def metadata_text(job: str) -> str:
    """Return the metadata of a template as it stands in its file."""
    return json.dumps(metadata(job), indent=2, ensure_ascii=False) + "\n"


def parser_of(job: str) -> argparse.ArgumentParser:
    """Return the parser of a launch: its flags are the template's parameters, no more and no less."""
    parser = cli.Parser(prog=job, allow_abbrev=False, add_help=False)
    for parameter in parameters(job):
        parser.add_argument(f"--{parameter.name}", required=parameter.group == "Paths", default=argparse.SUPPRESS)
    return parser


def command_line(job: str, arguments: Sequence[str]) -> list[str]:
    """Turn the arguments of Dataflow's launcher into those of `beam-curator`.

    Flags that are no parameters are Beam's: project, image, job name and whatever else the launcher adds. They go
    through as they are, and the command refuses those that its Beam does not know: a launch that fails with a message
    is better than a job that runs without something it was asked for.

    Example:
      >>> command_line("windows", ["--input=gs://a/1,gs://a/2", "--output=gs://b", "--truncation=false",
      ...     "--runner=DataflowRunner", "--project=p"])
      ['windows', 'gs://a/1', 'gs://a/2', '--output=gs://b', '--no-truncation', '--runner=dataflow', '--no-wait',
       '--project=p']

    Raises:
      UsageError: a parameter is missing, or cannot be what it is.
    """
    known, beams = parser_of(job).parse_known_args(list(arguments))
    given = {
        parameter: value for parameter in parameters(job) if (value := getattr(known, parameter.name, None)) is not None
    }
    inputs, ours = [], []
    for parameter, value in given.items():
        if parameter.name == "input":
            inputs = re.split(r"\s*,\s*(?=gs://)", value.strip()) if value.strip() else []
        else:
            ours += parameter.arguments(value)
    # a job without an end is never waited for
    waits = [] if job == STREAM else ["--no-wait"]
    return [job, *inputs, *ours, "--runner=dataflow", *waits, *_for_beam(beams)]


def _for_beam(arguments: Sequence[str]) -> list[str]:
    """Write flags as Beam's parser takes them, without the runner: the preset says which that is."""
    from beam_curator.runners.beam_options import known_flags

    flags, kept = known_flags(), []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name == "--runner":
            continue
        if not equals or flags.get(name, True):
            kept.append(argument)
        elif value.lower() == "true":
            kept.append(name)
        elif f"--no_{name[2:]}" in flags:
            kept.append(f"--no_{name[2:]}")
    return kept


def launch(job: str) -> None:
    """Entry point of a template: run the command that a launch stands for, and exit with its code."""
    try:
        sys.argv[1:] = command_line(job, sys.argv[1:])
    except UsageError as err:
        print(f"beam-curator: {err}", file=sys.stderr)
        sys.exit(USAGE)
    print(f"beam-curator: launching: beam-curator {shlex.join(sys.argv[1:])}", file=sys.stderr, flush=True)
    cli.main()


def main() -> None:
    """Write the metadata of each template into the folders named on the command line."""
    for folder in sys.argv[1:]:
        for job in TEMPLATES:
            Path(folder, f"metadata_{job}.json").write_text(metadata_text(job), encoding="utf-8")


if __name__ == "__main__":
    main()
