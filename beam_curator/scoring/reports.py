"""Reports of scores: a table for people, JSON and CSV for programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from beam_curator.clips.tables import csv_text
from beam_curator.diarization.rttm import escape_field
from beam_curator.intervals import sum_left_to_right
from beam_curator.scoring.pairing import Pairing
from beam_curator.scoring.scores import (
    Conditions,
    Rates,
    RecordingScore,
    macro_rates,
    speaker_counts,
    weighted_rates,
)

TABLE_COLUMNS = 120
"""Widest line of a table; names of recordings are shortened to it."""

_SHORTEST_NAME = 12
_NO_UEM = "no UEM: all from the first to the last turn of either side"
_COUNT_COLUMNS = ("speaker_count_accuracy", "speaker_count_mean_error")
_HEAD = (
    "recording",
    "scored s",
    "speech s",
    "DER %",
    "miss %",
    "false alarm %",
    "confusion %",
    "JER %",
    "speakers",
    "off by",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Scores of all recordings under the same conditions; at least one."""

    conditions: Conditions
    scores: tuple[RecordingScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """Everything that is said about a hypothesis.

    Attributes:
      reference, hypothesis: what was compared, as it was given; a table escapes what cannot be printed in a line.
      uem: what says which parts are scored; None for all of each recording.
      pairing: which recordings there are.
      tables: one for each of several conditions.
      empty_turns: turns without length that were left out of reference and hypothesis.
    """

    reference: str
    hypothesis: str
    uem: str | None
    pairing: Pairing
    tables: tuple[ScoreTable, ...]
    empty_turns: tuple[int, int] = (0, 0)


def in_order(scores: Iterable[RecordingScore], order: str) -> tuple[RecordingScore, ...]:
    """Sort scores by "name", or by "der", the worst first and those without one last."""
    by_name = sorted(scores, key=lambda score: score.recording_id)
    if order == "name":
        return tuple(by_name)
    return tuple(sorted(by_name, key=lambda score: -score.rates.der if score.rates.der is not None else 1.0))


def render_report_table(report: ScoreReport) -> str:
    """Render a report for people: the two sides; per condition a table, its totals and how speakers were counted.

    A column "speakers" has those of the reference and those of the hypothesis; a dash stands for no hypothesis at all,
    and for a rate where the reference has no speech.
    """
    head = f"reference {_in_a_line(report.reference)}, hypothesis {_in_a_line(report.hypothesis)}\n"
    for side, n in zip(("reference", "hypothesis"), report.empty_turns, strict=True):
        head += f"left out of the {side}: {n:,} turn{'s' if n != 1 else ''} without length\n" if n else ""
    return head + "\n\n".join(_table_text(table, report.uem) for table in report.tables) + "\n"


def _in_a_line(path: str) -> str:
    return path if path.isprintable() else ascii(path)


def _table_text(table: ScoreTable, uem: str | None) -> str:
    n, counts = len(table.scores), speaker_counts(table.scores)
    where = _NO_UEM if uem is None else f"UEM {_in_a_line(uem)}"
    lines = [f"{n:,} recording{'s' if n != 1 else ''}, {table.conditions}, {where}"]
    lines += _aligned([_HEAD, *map(_cells, table.scores)], _totals(table.scores))
    lines.append(
        f"number of speakers right in {counts.n_right:,} of {n:,} ({counts.accuracy:.1f} %), "
        f"off by {counts.mean_error:.2f} on average"
    )
    return "\n".join(lines)


def _cells(score: RecordingScore) -> tuple[str, ...]:
    n_said = score.n_hypothesis_speakers if score.has_hypothesis else "-"
    return (
        escape_field(score.recording_id),
        f"{score.scored:,.2f}",
        f"{score.speech:,.2f}",
        *_rate_cells(score.rates, score.false_alarm),
        f"{score.n_reference_speakers}/{n_said}",
        f"{score.count_error:+d}" if score.count_error else "0",
    )


def _rate_cells(rates: Rates, false_alarm: float | None) -> tuple[str, ...]:
    """Show rates; where there is none, false alarms are shown in seconds."""
    cells = [_rate(rate) for rate in (rates.der, rates.missed, rates.false_alarm, rates.confused, rates.jer)]
    if rates.false_alarm is None and false_alarm is not None:
        cells[2] = f"{false_alarm:,.2f} s"
    return tuple(cells)


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.2f}"


def _totals(scores: Sequence[RecordingScore]) -> list[tuple[str, ...]]:
    seconds = _seconds_fields(scores)
    scored, speech = (f"{seconds[f'{what}_seconds']:,.2f}" for what in ("scored", "speech"))
    weighted = _rate_cells(weighted_rates(scores), seconds["false_alarm_seconds"])
    return [
        ("mean of recordings", "", "", *_rate_cells(macro_rates(scores), None), "", ""),
        ("weighted by speech", scored, speech, *weighted, "", ""),
    ]


def _aligned(rows: Sequence[tuple[str, ...]], totals: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in (*rows, *totals)) for column in range(1, len(rows[0]))]
    room = max(_SHORTEST_NAME, TABLE_COLUMNS - sum(widths) - 2 * len(widths))
    names = [shortened(row[0], room) for row in (*rows, *totals)]
    first = max(map(_columns_of, names))
    lines = [
        "  ".join(
            [name + " " * (first - _columns_of(name)), *(c.rjust(w) for c, w in zip(row[1:], widths, strict=True))]
        ).rstrip()
        for name, row in zip(names, (*rows, *totals), strict=True)
    ]
    rule = "  ".join("-" * width for width in (first, *widths))
    return [lines[0], rule, *lines[1 : len(rows)], rule, *lines[len(rows) :]]


def shortened(name: str, columns: int) -> str:
    """Shorten a name in its middle to so many columns of a terminal, at least three.

    Example:
      >>> shortened("meeting-2024-05-17-room-4", 12), shortened("short", 12)
      ('meetin…oom-4', 'short')
    """
    text, kept = name, min(len(name), columns)
    while _columns_of(text) > columns:
        kept -= 1
        text = f"{name[: (kept + 1) // 2]}…{name[len(name) - kept // 2 :]}"
    return text


def _columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a character of Chinese, none for a combining one."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _percent_fields(rates: Rates) -> dict[str, float | None]:
    percent = {
        "der": rates.der,
        "miss": rates.missed,
        "false_alarm": rates.false_alarm,
        "confusion": rates.confused,
        "jer": rates.jer,
    }
    return {name: None if rate is None else round(rate, 6) for name, rate in percent.items()}


def _seconds_fields(scores: Sequence[RecordingScore]) -> dict[str, float]:
    return {
        "scored_seconds": round(sum_left_to_right(score.scored for score in scores), 6),
        "speech_seconds": round(sum_left_to_right(score.speech for score in scores), 6),
        "missed_seconds": round(sum_left_to_right(score.missed for score in scores), 6),
        "false_alarm_seconds": round(sum_left_to_right(score.false_alarm for score in scores), 6),
        "confusion_seconds": round(sum_left_to_right(score.confused for score in scores), 6),
    }


def _recording_fields(score: RecordingScore) -> dict[str, Any]:
    return {
        "recording_id": score.recording_id,
        **_seconds_fields([score]),
        **_percent_fields(score.rates),
        "reference_speakers": score.n_reference_speakers,
        "hypothesis_speakers": score.n_hypothesis_speakers,
        "speaker_count_error": score.count_error,
        "has_hypothesis": score.has_hypothesis,
    }


def _table_fields(table: ScoreTable) -> dict[str, Any]:
    counts = speaker_counts(table.scores)
    return {
        "collar_seconds": table.conditions.collar,
        "skip_overlap": table.conditions.skip_overlap,
        "recordings": [_recording_fields(score) for score in table.scores],
        "macro": _percent_fields(macro_rates(table.scores)),
        "weighted": _seconds_fields(table.scores) | _percent_fields(weighted_rates(table.scores)),
        "speaker_count_accuracy": round(counts.accuracy, 6),
        "speaker_count_mean_error": round(counts.mean_error, 6),
    }


def render_report_json(report: ScoreReport) -> str:
    """Render a report as one JSON object: seconds, and rates in percent, null where there is none.

    A character that UTF-8 cannot carry is written as its escape.
    """
    fields = {
        "reference": report.reference,
        "hypothesis": report.hypothesis,
        "uem": report.uem,
        "n_recordings": len(report.pairing.scored),
        "without_hypothesis": list(report.pairing.without_hypothesis),
        "without_reference": list(report.pairing.without_reference),
        "empty_turns": dict(zip(("reference", "hypothesis"), report.empty_turns, strict=True)),
        "tables": [_table_fields(table) for table in report.tables],
    }
    text = json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def render_report_csv(report: ScoreReport) -> str:
    """Render a report as CSV: a row for each recording and condition, and two of totals: "macro" and "weighted".

    How well speakers were counted is in the rows of totals.
    """
    rows: list[dict[str, Any]] = []
    compared = {"reference": report.reference, "hypothesis": report.hypothesis, "uem": report.uem}
    for table in report.tables:
        fields = _table_fields(table)
        same = compared | {key: fields[key] for key in ("collar_seconds", "skip_overlap")}
        counts = {key: fields[key] for key in _COUNT_COLUMNS}
        rows += [{"row": "recording"} | same | recording for recording in fields["recordings"]]
        rows += [{"row": name} | same | fields[name] | counts for name in ("macro", "weighted")]
    return b"".join(csv_text([*rows[0], *_COUNT_COLUMNS], rows)).decode("utf-8")
