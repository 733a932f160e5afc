"""Arguments of `beam-curator convert`; light, since its help needs nothing else."""

from __future__ import annotations

import argparse

from beam_curator.formats.convert_options import ConvertOptions
from beam_curator.runners.options import Sections, add_flags
from beam_curator.sets.set_options import InputOptions

SECTIONS: Sections = {"convert": ConvertOptions, "input": InputOptions}

_INPUTS = "manifest, output set, or turns in a format that is read; a file, glob or directory; local, gs:// or s3://"


def add_convert_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=_INPUTS)
    parser.add_argument(
        "--output",
        default="./convert_output",
        metavar="DIR",
        help="directory of the output set (default: ./convert_output)",
    )
    add_flags(parser, SECTIONS)
    run = parser.add_argument_group("run")
    run.add_argument(
        "--tolerate",
        default="0",
        metavar="TEXT",
        help="failures to accept as success: a number, or a percentage (default: 0)",
    )
    run.add_argument("--overwrite", action="store_true", help="replace an output set made from other inputs or options")
