"""Label tracks of Audacity: start, end and label of each piece, separated by tabs."""

from __future__ import annotations

import re

from beam_curator.diarization.rttm import LineError
from beam_curator.formats.annotations import Annotation, Segment, checked_span, decimal, in_units, one_line
from beam_curator.formats.spoken import name_behind, name_in_front, said, speaker_and_text

DIGITS = 6

_TIME = r"(-?\d+(?:[.,]\d+)?)"
_LABEL = re.compile(rf"{_TIME}\t{_TIME}(?:\t(.*))?")
_FREQUENCIES = "\\\t"
"""Begins the line of a label that is about some frequencies only."""


def looks_like_labels(text: str) -> bool:
    r"""Tell whether a text begins as a label track does: with two times in seconds, with decimals, and a tab between.

    Example:
      >>> looks_like_labels("0.500000\t2.000000\tana\n"), looks_like_labels("1\t2"), looks_like_labels('{"a": 1}')
      (True, False, False)
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    match = _LABEL.fullmatch(first)
    return match is not None and all(re.search("[.,]", match[group]) is not None for group in (1, 2))


def read_labels(text: str) -> tuple[str, list[Segment]]:
    """Read the labels with a length: the name of a speaker, or a name and a text, `ana: hello`.

    Returns:
      No name of the recording, and its segments.

    Raises:
      LineError: a line is no label.
    """
    segments = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith(_FREQUENCIES):
            continue
        match = _LABEL.fullmatch(line)
        if match is None:
            cure = "export the labels from Audacity: File, Export, Export Labels"
            raise LineError(number, f"{line[:40]!r}, expected start, end and label with tabs between", cure)
        start, end = (float(match[group].replace(",", ".")) for group in (1, 2))
        start, end = checked_span(start, end, number)
        label = one_line(match[3] or "")
        speaker, words = speaker_and_text(label)
        if (speaker, words) == ("", label):
            speaker, words = name_behind(label), ""
        if start < end:
            segments.append(Segment(start=start, end=end, speaker=speaker, text=words))
    return "", segments


def render_labels(annotation: Annotation) -> str:
    """Render a recording as a label track, times to microseconds; a label is `ana`, or `ana: hello`."""
    return "".join(
        f"{decimal(first, DIGITS)}\t{decimal(last, DIGITS)}\t{_label(segment)}\n"
        for first, last, segment in in_units(annotation.segments, 10**DIGITS)
    )


def _label(segment: Segment) -> str:
    if not segment.text:
        return name_in_front(segment.speaker)
    return said(segment.speaker, segment.text) if segment.speaker else f": {one_line(segment.text)}"
