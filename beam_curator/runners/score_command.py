"""`beam-curator score`: how near turns are to those of a reference."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from beam_curator.intervals import Span
from beam_curator.runners import exit_codes
from beam_curator.runners.options import UsageError
from beam_curator.runners.output_files import check_output_file, write_output_file
from beam_curator.runners.score_inputs import read_turns, read_uem
from beam_curator.runners.stages import number_of
from beam_curator.scoring.measuring import score_recordings
from beam_curator.scoring.pairing import Pairing, Recordings, named, pair_recordings, with_silent_channels
from beam_curator.scoring.reports import (
    ScoreReport,
    ScoreTable,
    in_order,
    render_report_csv,
    render_report_json,
    render_report_table,
)
from beam_curator.scoring.scores import Conditions, weighted_rates

EVAL = "pip install 'beam-curator[eval]'"
_RENDERERS = {"table": render_report_table, "json": render_report_json, "csv": render_report_csv}


def run_score_command(arguments: argparse.Namespace) -> int:
    """Score, print or write the report, and return the exit code.

    Raises:
      UsageError: something is missing, broken or not installed.
      OSError: the report cannot be written.
    """
    by_channel = arguments.by_channel
    reference, reference_files, n_empty = read_turns(arguments.reference, by_channel=by_channel)
    hypothesis, hypothesis_files, n_empty_hypothesis = read_turns(arguments.hypothesis, by_channel=by_channel)
    uem, uem_files = (None, []) if arguments.uem is None else read_uem(arguments.uem, by_channel=by_channel)
    if by_channel:
        heard = hypothesis if uem is None else {name: turns for name, turns in hypothesis.items() if name in uem}
        reference = dict(with_silent_channels(reference, heard))
    if arguments.output is not None:
        check_output_file(arguments.output, [*reference_files, *hypothesis_files, *uem_files])
    try:
        pairing = pair_recordings(reference, hypothesis)
        _speak_of(pairing, strict=arguments.strict)
        report = _scored(arguments, pairing, reference, hypothesis, uem)
        report = replace(report, empty_turns=(n_empty, n_empty_hypothesis))
    except ModuleNotFoundError as err:
        package = err.name or "something of it"
        raise UsageError(f"score needs pyannote.metrics, and {package} is not installed: {EVAL}") from err
    except ValueError as err:
        raise UsageError(str(err)) from err
    _deliver(report, arguments.format, arguments.output)
    return _judged(report, arguments.fail_under)


def _speak_of(pairing: Pairing, *, strict: bool) -> None:
    """Name the recordings without reference or hypothesis."""
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
    arguments: argparse.Namespace,
    pairing: Pairing,
    reference: Recordings,
    hypothesis: Recordings,
    uem: Mapping[str, Sequence[Span]] | None,
) -> ScoreReport:
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
        print(_json_printable(text) if form == "json" else _printable(text), end="")
        return
    write_output_file(output, text.encode("utf-8"))
    for table in report.tables:
        der = weighted_rates(table.scores).der
        what = "no speech in the reference" if der is None else f"DER {der:.2f} % weighted by speech"
        print(_printable(f"{output}: {number_of(len(table.scores), 'recordings')}, {table.conditions}: {what}"))


def _printable(text: str) -> str:
    """Escape the characters that the encoding of standard output lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _json_printable(text: str) -> str:
    """Do likewise with JSON, whose escapes are its own."""
    return text if _printable(text) == text else json.dumps(json.loads(text), indent=1) + "\n"


def _judged(report: ScoreReport, least: float | None) -> int:
    if least is None:
        return exit_codes.DONE
    table = report.tables[0]
    der = weighted_rates(table.scores).der
    if der is None:
        raise UsageError(
            f"--fail-under {least:g} has nothing to judge: no speech of the reference is scored with "
            f"{table.conditions}{'' if report.uem is None else f', UEM {report.uem}'}: {_cure_of_silence(report)}"
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


def _cure_of_silence(report: ScoreReport) -> str:
    conditions = report.tables[0].conditions
    cures = ["give references with speech"]
    cures += ["a UEM with some of it"] if report.uem is not None else []
    cures += ["a smaller collar"] if conditions.collar else []
    cures += ["leave out --skip-overlap"] if conditions.skip_overlap else []
    return ", or ".join(cures)
