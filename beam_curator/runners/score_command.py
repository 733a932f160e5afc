"""`beam-curator score`: how near turns are to those of a reference."""

import argparse
import os
import sys
from collections.abc import Sequence

from beam_curator.runners import exit_codes
from beam_curator.runners.options import UsageError
from beam_curator.runners.score_inputs import read_turns, read_uem
from beam_curator.runners.stages import number_of
from beam_curator.scoring.measuring import score_recordings
from beam_curator.scoring.recordings import Pairing, Recordings, named, pair_recordings
from beam_curator.scoring.reports import (
    ScoreReport,
    ScoreTable,
    in_order,
    render_report_csv,
    render_report_json,
    render_report_table,
)
from beam_curator.scoring.scores import Conditions, weighted_rates
from beam_curator.transforms import storage
from beam_curator.transforms.atomic_files import write_bytes
from beam_curator.transforms.storage import UnknownSchemeError

_EVAL = "pip install 'beam-curator[eval]'"
_RENDERERS = {"table": render_report_table, "json": render_report_json, "csv": render_report_csv}


def run_score_command(arguments: argparse.Namespace) -> int:
    """Score, print or write the report, and return the exit code.

    Raises:
      UsageError: something is missing, broken or not installed.
    """
    reference, reference_files = read_turns(arguments.reference)
    hypothesis, hypothesis_files = read_turns(arguments.hypothesis)
    if arguments.output is not None:
        _check_output(arguments.output, [*reference_files, *hypothesis_files])
    try:
        pairing = pair_recordings(reference, hypothesis)
        _speak_of(pairing, strict=arguments.strict)
        report = _scored(arguments, pairing, reference, hypothesis)
    except ModuleNotFoundError as err:
        package = err.name or "something of it"
        raise UsageError(f"score needs pyannote.metrics, and {package} is not installed: {_EVAL}") from err
    except ValueError as err:
        raise UsageError(str(err)) from err
    _deliver(report, arguments.format, arguments.output)
    return _judged(report, arguments.fail_under)


def _check_output(output: str, files: Sequence[str]) -> None:
    try:
        storage.check_store(output)
    except UnknownSchemeError as err:
        raise UsageError(str(err)) from err
    if not storage.is_remote(output) and (os.path.isdir(output) or not os.path.basename(output)):
        raise UsageError(
            f"--output {output} is a directory: name a file, such as {os.path.join(output, 'scores.json')}"
        )
    for file in files:
        same = file == output if storage.is_remote(output) else os.path.realpath(file) == os.path.realpath(output)
        if same:
            raise UsageError(f"--output {output} is one of the files that are scored: give another name")


def _speak_of(pairing: Pairing, *, strict: bool) -> None:
    """Name what has no counterpart."""
    if pairing.without_reference:
        n, names = len(pairing.without_reference), named(pairing.without_reference)
        what = f"{number_of(n, 'recordings')} of the hypothesis without reference"
        if strict:
            raise UsageError(f"{what}: {names}: add references, or leave out --strict")
        print(f"beam-curator: {what}, not scored: {names}", file=sys.stderr)
    if pairing.without_hypothesis:
        n, names = len(pairing.without_hypothesis), named(pairing.without_hypothesis)
        what = f"{number_of(n, 'recordings')} of the reference without hypothesis"
        print(f"beam-curator: {what}, all speech counts as missed: {names}", file=sys.stderr)


def _scored(
    arguments: argparse.Namespace, pairing: Pairing, reference: Recordings, hypothesis: Recordings
) -> ScoreReport:
    uem = None if arguments.uem is None else read_uem(arguments.uem)
    tables = []
    for collar in dict.fromkeys(arguments.collars or [0.0]):
        conditions = Conditions(collar=collar, skip_overlap=arguments.skip_overlap)
        scores = score_recordings(pairing, reference, hypothesis, conditions, uem)
        tables.append(ScoreTable(conditions=conditions, scores=in_order(scores, arguments.sort)))
    return ScoreReport(
        reference=arguments.reference,
        hypothesis=arguments.hypothesis,
        uem=arguments.uem,
        pairing=pairing,
        tables=tuple(tables),
    )


def _deliver(report: ScoreReport, form: str, output: str | None) -> None:
    """Print the report, or put it into a file and say so."""
    text = _RENDERERS[form](report)
    if output is None:
        print(text, end="")
        return
    directory, slash, name = output.rpartition("/")
    directory = directory or slash or "."
    storage.make_directory(directory)
    write_bytes(directory, name, text.encode("utf-8"))
    for table in report.tables:
        der = weighted_rates(table.scores).der
        what = "no speech in the reference" if der is None else f"DER {der:.2f} % weighted by speech"
        print(f"{output}: {number_of(len(table.scores), 'recordings')}, {table.conditions}: {what}")


def _judged(report: ScoreReport, least: float | None) -> int:
    if least is None:
        return exit_codes.DONE
    table = report.tables[0]
    der = weighted_rates(table.scores).der
    if der is None:
        raise UsageError(
            f"--fail-under {least:g} has nothing to judge: no speech of the reference is scored with "
            f"{table.conditions}: give references with speech, or a smaller collar"
        )
    reached = round(100 - der, 6)
    if reached >= least:
        return exit_codes.DONE
    print(
        f"beam-curator: 100 - DER is {reached:.6g} %, under --fail-under {least:g} ({table.conditions}, "
        "weighted by speech)",
        file=sys.stderr,
    )
    return exit_codes.TOO_MANY_FAILURES
