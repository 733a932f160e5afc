"""Options of `beam-curator score`; light, since its help needs nothing else."""

from __future__ import annotations

import argparse
import math

_INPUTS = "a file of turns (RTTM, TextGrid, …), a directory tree or glob of them, or an output set of diarize"


def add_score_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("reference", metavar="REF", help=f"reference turns: {_INPUTS}")
    parser.add_argument("hypothesis", metavar="HYP", help=f"turns to score: {_INPUTS}")
    parser.add_argument(
        "--collar",
        dest="collars",
        type=_seconds,
        action="append",
        metavar="SECONDS",
        help="seconds to ignore on each side of every boundary of a reference turn, as md-eval -c does; "
        "repeat it for several tables (default: 0)",
    )
    parser.add_argument("--skip-overlap", action="store_true", help="ignore overlapping speech of the reference")
    parser.add_argument(
        "--by-channel", action="store_true", help="score each channel, the third field of an RTTM, by itself"
    )
    parser.add_argument("--uem", metavar="PATH", help="parts to score: a .uem file, or a directory of them")
    parser.add_argument(
        "--strict", action="store_true", help="fail on a hypothesis without reference, instead of ignoring it"
    )
    parser.add_argument(
        "--sort", choices=("name", "der"), default="name", help="order of the recordings; der: highest first"
    )
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table", help="format of the report")
    parser.add_argument("--output", metavar="FILE", help="write the report to a file")
    parser.add_argument(
        "--fail-under",
        type=_percentage,
        metavar="P",
        help="exit with 3 if 100 - weighted DER in percent, with the first collar, is below P",
    )


def _seconds(text: str) -> float:
    value = _number(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected seconds, 0 or more: give for example 0.25")
    return value


def _percentage(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}, expected percent, 0 to 100: give for example 85")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
