"""Arguments of `beam-curator report`; light, since its help needs nothing else."""

from __future__ import annotations

import argparse

from beam_curator.report.report_options import ReportOptions
from beam_curator.runners.options import Sections, add_flags

SECTIONS: Sections = {"report": ReportOptions}


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("sets", nargs="+", metavar="SET", help="output set; of several, recordings are shown together")
    parser.add_argument(
        "--output",
        default="./report_output",
        metavar="DIR",
        help="local directory of the page, or a name that ends in .html for one file that holds everything but the "
        "audio (default: ./report_output)",
    )
    add_flags(parser, SECTIONS)
    parser.add_argument(
        "--reference",
        metavar="REF",
        help="turns to compare those of the sets with, as for score: errors of each recording, the worst first",
    )
    parser.add_argument(
        "--partial", action="store_true", help="show sets that are not complete, too: the rows that are there by now"
    )
    run = parser.add_argument_group("run")
    run.add_argument("--overwrite", action="store_true", help="replace a page made from other sets or options")
