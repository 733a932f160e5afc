"""Errors of turns beside a reference: when speech was missed, claimed where there is none, or given to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_curator.intervals import Seconds, Span, united
from beam_curator.report.shown_rows import Turn
from beam_curator.scoring.measuring import matched_speakers, score_recording
from beam_curator.scoring.pairing import Recordings, Speakers
from beam_curator.scoring.scores import Conditions

DER = "DER %"
"""The score to sort by, the worst first."""
MISSED, FALSE_ALARM, CONFUSED = "missed", "false alarm", "confused"

ErrorSpan = tuple[Seconds, Seconds, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The turns of a recording beside those of a reference: scores, the reference's turns, and the errors."""

    scores: dict[str, float]
    reference: list[Turn]
    errors: list[ErrorSpan]

    def details(self) -> dict[str, Any]:
        """Return the parts of the picture; times are rounded to milliseconds."""
        return {
            "reference": [[round(start, 3), round(end, 3), speaker] for start, end, speaker in self.reference],
            "errors": [[round(start, 3), round(end, 3), kind] for start, end, kind in self.errors],
        }


def compare(name: str, turns: Sequence[Turn], reference: Recordings) -> Compared | None:
    """Score the turns of a recording without a collar; None where the reference lacks it.

    Raises:
      ModuleNotFoundError: pyannote.metrics is not installed.
    """
    true = reference.get(name)
    if true is None:
        return None
    said = speakers_of(turns)
    score = score_recording(name, true, said, conditions=Conditions())
    scores = {f"{MISSED} s": score.missed, f"{FALSE_ALARM} s": score.false_alarm, f"{CONFUSED} s": score.confused}
    if score.rates.der is not None:
        scores[DER] = round(score.rates.der, 2)
    return Compared(
        scores={kind: round(value, 3) for kind, value in scores.items()},
        reference=sorted((start, end, speaker) for speaker, spans in true.items() for start, end in spans),
        errors=errors_of(true, said, matched_speakers(true, said)),
    )


def speakers_of(turns: Iterable[Turn]) -> Speakers:
    """Group turns by speaker, those that overlap or touch as one.

    Example:
      >>> speakers_of([(0.0, 2.0, "a"), (1.0, 3.0, "a"), (5.0, 6.0, "b")])
      {'a': ((0.0, 3.0),), 'b': ((5.0, 6.0),)}
    """
    spans: dict[str, list[Span]] = {}
    for start, end, speaker in turns:
        if start < end:
            spans.setdefault(speaker, []).append((start, end))
    return {speaker: tuple(united(of)) for speaker, of in spans.items()}


def errors_of(reference: Speakers, said: Speakers, matched: Mapping[str, str]) -> list[ErrorSpan]:
    """Return when and how turns differ from a reference; where two talk at once, errors may lie over each other.

    Args:
      reference, said: who speaks when.
      matched: speakers of the second side, with the speaker of the first that each stands for.

    Returns:
      Spans of each kind of error, sorted; one that happens to several speakers at once is listed for each of them.

    Example:
      >>> errors_of({"ann": ((0.0, 8.0),), "bob": ((8.0, 10.0),)}, {"x": ((0.0, 7.0),), "y": ((7.0, 11.0),)},
      ...           {"x": "ann", "y": "bob"})
      [(7.0, 8.0, 'confused'), (10.0, 11.0, 'false alarm')]
    """
    found: dict[tuple[str, int], list[Span]] = {}
    for span, true, claimed in _stretches(reference, said):
        n_right = len(true & {matched.get(speaker, "") for speaker in claimed})
        n_errors = {
            MISSED: len(true) - len(claimed),
            FALSE_ALARM: len(claimed) - len(true),
            CONFUSED: min(len(true), len(claimed)) - n_right,
        }
        for kind, n in n_errors.items():
            for number in range(n):
                found.setdefault((kind, number), []).append(span)
    return sorted((start, end, kind) for (kind, _), spans in found.items() for start, end in united(spans))


def _stretches(reference: Speakers, said: Speakers) -> Iterator[tuple[Span, set[str], set[str]]]:
    """Yield spans in which nobody begins or ends to talk, with those who do on either side."""
    changes = sorted(
        (time, is_start, side, speaker)
        for side, speakers in enumerate((reference, said))
        for speaker, spans in speakers.items()
        for span in spans
        for time, is_start in ((span[0], True), (span[1], False))
    )
    talking: tuple[set[str], set[str]] = set(), set()
    since = 0.0
    for time, is_start, side, speaker in changes:
        if time > since and (talking[0] or talking[1]):
            yield (since, time), set(talking[0]), set(talking[1])
        since = time
        (talking[side].add if is_start else talking[side].discard)(speaker)
