"""The command line: `beam-curator COMMAND …`. Nothing heavy is imported before a pipeline is built."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version

from beam_curator.files.beam_imports import is_for_dataflow
from beam_curator.runners.beam_start import start_beam
from beam_curator.runners.exit_codes import DONE, FAILED, INTERRUPTED, USAGE
from beam_curator.runners.job_options import JOBS
from beam_curator.runners.live_arguments import (
    STREAM_OUTPUT,
    STREAM_SECTIONS,
    add_listen_arguments,
    add_publish_arguments,
    add_stream_source,
)
from beam_curator.runners.logs import quieten
from beam_curator.runners.models_command import add_models_arguments, run_models_command
from beam_curator.runners.options import Sections, UsageError, add_flags, nearest
from beam_curator.runners.score_options import add_score_arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: its line of help, its flags, and the function that runs it.

    Jobs load Beam themselves, when they build a pipeline; others that do not need it load it for object stores alone.
    `passes_flags_on` leaves the flags behind its argument to another command.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, list[str]], int]
    takes_beam_options: bool = False
    needs_beam: bool = False
    passes_flags_on: bool = False


def _add_job_arguments(parser: argparse.ArgumentParser, sections: Sections) -> None:
    parser.add_argument("--config", metavar="FILE", help="YAML file of these options by section")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="set one option as in the config file; may be repeated",
    )
    add_flags(parser, sections)


def _add_arguments_of(job: str, parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=JOBS[job].inputs)
    parser.add_argument("--output", metavar="DIR", help=f"directory of the output set (default: {JOBS[job].output})")
    _add_job_arguments(parser, JOBS[job].sections)


def _add_stream_arguments(parser: argparse.ArgumentParser) -> None:
    add_stream_source(parser)
    parser.add_argument(
        "--output", metavar="DIR", help=f"directory for events, RTTM and entries (default: {STREAM_OUTPUT})"
    )
    _add_job_arguments(parser, STREAM_SECTIONS)


def _run_of(job: str, arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    from beam_curator.runners.job_command import run_job_command
    from beam_curator.runners.jobs import kind_of_job

    return run_job_command(kind_of_job(job), arguments, beam_arguments)


def _run_stream(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    from beam_curator.runners.stream_command import run_stream_command

    return run_stream_command(arguments, beam_arguments)


def _run_without_beam(name: str, arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Run a command of a module of its own, which is loaded now."""
    del beam_arguments
    module = import_module(f"beam_curator.runners.{name}_command")
    code: int = getattr(module, f"run_{name}_command")(arguments)
    return code


def _add_pool_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, required=True, metavar="N", help="port to listen on")
    parser.add_argument(
        "--host", default="localhost", metavar="NAME", help="interface to listen on (default: localhost)"
    )


def _run_pool(arguments: argparse.Namespace, _: list[str]) -> int:
    from beam_curator.runners.engines.worker_pool import run_pool

    run_pool(arguments.port, arguments.host)
    return DONE


def _add_later(name: str, parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a command once they are asked for: the formats that `convert` names take long to load."""
    module = import_module(f"beam_curator.runners.{name}_arguments")
    getattr(module, f"add_{name}_arguments")(parser)


def _add_sets_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directories",
        nargs="*",
        default=["."],
        metavar="DIR",
        help="directory to search (default: the working one); of clips, sizes count those of extract",
    )
    parser.add_argument("--tree", action="store_true", help="show below each set those that were made from it")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def _add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="SET", help="output set")
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="recording (path, file name, id), clip, row (MANIFEST:OFFSET) or its number (default: the set as a whole)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def _add_retry_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="SET", help="output set")
    _add_codes_argument(parser)
    parser.add_argument(
        "flags", nargs=argparse.REMAINDER, metavar="FLAG", help="flags of its command, such as --timeout 600 or --plan"
    )


def _add_codes_argument(parser: argparse.ArgumentParser) -> None:
    """Add the flag for codes of failures."""
    parser.add_argument(
        "--code", dest="codes", metavar="CODE,…", help="try again only what failed with these codes (default: all)"
    )


def _run_retry(arguments: argparse.Namespace, _: list[str]) -> int:
    from beam_curator.runners.retry_command import run_retry_command

    # flags behind the set are the rest of the line, ours among them
    ours = argparse.ArgumentParser(prog="beam-curator retry", allow_abbrev=False)
    _add_codes_argument(ours)
    given, flags = ours.parse_known_args(arguments.flags)
    codes = arguments.codes if given.codes is None else given.codes
    return run_retry_command(arguments.directory, flags, codes or "")


def _add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", help="output set to check")


def _run_verify(arguments: argparse.Namespace, _: list[str]) -> int:
    from beam_curator.runners.verify_command import run_verify_command

    return run_verify_command(arguments.directory)


def _add_benchmark_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="*", metavar="MANIFEST", help="manifest, glob or directory")
    parser.add_argument(
        "--repeat-factor", type=int, default=None, metavar="N", help="read the rows N times (default: 1)"
    )
    parser.add_argument(
        "--results", metavar="DIR", help="directory for params.json and metrics.json (default: ./benchmark)"
    )
    parser.add_argument("--no-write", action="store_true", help="do not time the writing of rows")
    parser.add_argument("--keep-rows", action="store_true", help="keep the rows in DIR/rows")
    parser.add_argument("--entry", metavar="NAME", help="benchmark to run from the --config file")
    _add_job_arguments(parser, JOBS["windows"].sections)


def _run_benchmark(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    from beam_curator.runners.benchmark_command import run_benchmark_command

    return run_benchmark_command(arguments, beam_arguments)


COMMANDS = {
    **{
        name: Command(
            help=job.help,
            add_arguments=partial(_add_arguments_of, name),
            run=partial(_run_of, name),
            takes_beam_options=True,
        )
        for name, job in JOBS.items()
    },
    "stream": Command(
        help="tell who speaks when in live streams, while they go on",
        add_arguments=_add_stream_arguments,
        run=_run_stream,
        takes_beam_options=True,
    ),
    "publish": Command(
        help="send recordings as live streams, in real time if asked for",
        add_arguments=add_publish_arguments,
        run=partial(_run_without_beam, "publish"),
    ),
    "listen": Command(
        help="show who talks in live streams, in the terminal",
        add_arguments=add_listen_arguments,
        run=partial(_run_without_beam, "listen"),
    ),
    "sets": Command(
        help="list the output sets below directories, and the sets that each was made from",
        add_arguments=_add_sets_arguments,
        run=partial(_run_without_beam, "sets"),
    ),
    "retry": Command(
        help="work again on the failures of a set, by the command that made it",
        add_arguments=_add_retry_arguments,
        run=_run_retry,
        passes_flags_on=True,
    ),
    "explain": Command(
        help="say why each piece of a recording was kept, dropped or failed",
        add_arguments=_add_explain_arguments,
        run=partial(_run_without_beam, "explain"),
    ),
    "verify": Command(
        help="check every file of an output set against its manifest",
        add_arguments=_add_verify_arguments,
        run=_run_verify,
    ),
    "models": Command(
        help="list, show or install models, or export a .nemo file to run without NeMo and torch",
        add_arguments=add_models_arguments,
        run=lambda arguments, _: run_models_command(arguments),
    ),
    "benchmark": Command(
        help="time the windows job on a manifest repeated N times",
        add_arguments=_add_benchmark_arguments,
        run=_run_benchmark,
        takes_beam_options=True,
        needs_beam=True,
    ),
    "convert": Command(
        help="write turns for Praat, Audacity, ELAN, Label Studio, NIST's tools, Kaldi, Lhotse, NeMo, or as subtitles",
        add_arguments=partial(_add_later, "convert"),
        run=partial(_run_without_beam, "convert"),
    ),
    "report": Command(
        help="write a page that shows sets: hours, losses, distributions, and every recording with its turns and sound",
        add_arguments=partial(_add_later, "report"),
        run=partial(_run_without_beam, "report"),
    ),
    "score": Command(
        help="compare turns with a reference: DER, JER, number of speakers",
        add_arguments=add_score_arguments,
        run=partial(_run_without_beam, "score"),
    ),
    "worker-pool": Command(
        help="start worker processes when a cluster asks for them",
        add_arguments=_add_pool_arguments,
        run=_run_pool,
        needs_beam=True,
    ),
}

_BEAM_OPTIONS = "Any Beam pipeline option may be given too, such as --flink-master, --parallelism or --project. "
_EXIT_CODES = "Exit codes: 0 done, 3 done with failures, 2 wrong usage, 1 failed, 130 interrupted."


class Parser(argparse.ArgumentParser):
    """A parser whose errors are printed in one place."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse says NoReturn; so it is
        """Raise a UsageError."""
        raise UsageError(message)


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of one command."""
    command = COMMANDS[name]
    parser = Parser(
        prog=f"beam-curator {name}",
        description=command.help[0].upper() + command.help[1:] + ".",
        epilog=(_BEAM_OPTIONS if command.takes_beam_options else "") + _EXIT_CODES,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    return parser


def overview() -> str:
    """Return the text of `beam-curator --help`."""
    lines = ["usage: beam-curator COMMAND …", "", "Speech-data curation on Apache Beam.", "", "commands:"]
    lines += [f"  {name:<11} {command.help}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", "beam-curator COMMAND --help lists the options of a command."])


def split_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell our arguments from Beam's. Words in a flag may be joined by dashes or by underscores.

    Raises:
      UsageError: a flag that is neither ours nor Beam's, with the nearest known one.
    """
    ours: list[str] = []
    beams: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        given, equals, value = argument.partition("=")
        name = f"--{given[2:].replace('_', '-')}"
        if not given.startswith("--") or given == "--":
            ours.append(argument)
        elif name in parser._option_string_actions:
            ours.append(name + equals + value)
        else:
            start_beam(for_dataflow=is_for_dataflow(arguments))
            flag, takes_value = _beam_flag(given, parser)
            beams.append(flag + equals + value)
            if takes_value and not equals and remaining:
                beams.append(remaining.pop(0))
    return ours, beams


def _beam_flag(given: str, parser: argparse.ArgumentParser) -> tuple[str, bool]:
    """Return a flag as Beam spells it, and whether it takes a value."""
    from beam_curator.runners.beam_options import known_flags

    flags = known_flags()
    for flag in (given, f"--{given[2:].replace('-', '_')}"):
        if flag in flags:
            return flag, flags[flag]
    raise UsageError(f"unknown flag {given}{nearest(given, [*parser._option_string_actions, *flags])}")


def run(arguments: Sequence[str]) -> int:
    """Run a command line; return its exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return DONE if arguments else USAGE
    name, *rest = arguments
    if name == "--version":
        print(version("beam-curator"))
        return DONE
    if name not in COMMANDS:
        raise UsageError(f"unknown command {name!r}{nearest(name, COMMANDS)}")
    parser = parser_of(name)
    quieten(verbose="--verbose" in rest)
    ours, beams = split_arguments(parser, rest) if not COMMANDS[name].passes_flags_on else (rest, [])
    if beams and not COMMANDS[name].takes_beam_options:
        raise UsageError(f"unknown flag {beams[0]} of {name}{nearest(beams[0], parser._option_string_actions)}")
    parse = parser.parse_args if COMMANDS[name].passes_flags_on else parser.parse_intermixed_args
    parsed = parse(ours)
    if COMMANDS[name].needs_beam or any("://" in argument for argument in rest):
        start_beam(for_dataflow=is_for_dataflow(rest))
    return COMMANDS[name].run(parsed, beams)


def settle_threads() -> None:
    """Say how threads of models are to behave, which torch hears before it is loaded only.

    OpenMP's threads spin while they wait: beside one other busy process, two of them took eleven times as long as one.
    They may spin a little, since waking them for each small step takes long, too.
    MKL takes fewer threads on a busy machine, and sums come out otherwise by their last bits.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    os.environ.setdefault("MKL_DYNAMIC", "FALSE")


def main() -> None:
    """Entry point: run the command line and exit with its code."""
    settle_threads()
    try:
        code = run(sys.argv[1:])
    except UsageError as err:
        print(f"beam-curator: {err}", file=sys.stderr)
        code = USAGE
    except KeyboardInterrupt:
        print("\nbeam-curator: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        code = FAILED
    except OSError as err:
        print(f"beam-curator: {err}", file=sys.stderr)
        code = FAILED
    sys.exit(code)


if __name__ == "__main__":
    main()
