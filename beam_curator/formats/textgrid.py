"""TextGrid of Praat: a tier of intervals for each speaker. The long and the short form are read, the long one written.

Praat reads of such a file the numbers that stand free, texts in quotes and flags in angle brackets, and takes all else
for remarks, so that both forms are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from beam_curator.diarization.rttm import LineError
from beam_curator.formats.annotations import (
    Annotation,
    Segment,
    by_speaker,
    checked_span,
    decimal,
    in_units,
    layers,
    line_at,
    one_line,
)

DIGITS = 6

_TOKENS = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"|(?P<flag><(?:exists|absent)>)|(?<!\S)(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)'
    r"|(?<!\S)![^\n]*"
)
_SAVE = "save it in Praat as a text file: Save as text file…"
_SLACK = 1e-6


class _Token(NamedTuple):
    kind: str
    value: str
    position: int


class _Tokens:
    """The numbers, texts and flags of a file, taken one after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = self._all()
        self.position = 0

    def _all(self) -> Iterator[_Token]:
        for match in _TOKENS.finditer(self._text):
            if match.lastgroup is not None:
                yield _Token(match.lastgroup, match[match.lastgroup], match.start())

    @property
    def line(self) -> int:
        """Number of the line of the last token, from 1."""
        return line_at(self._text, self.position)

    def take(self, kind: str, what: str) -> str:
        """Take the next token, which has to be of a kind.

        Raises:
          LineError: it is of another, or there is none.
        """
        token = next(self._found, None)
        if token is None:
            end = line_at(self._text, len(self._text))
            raise LineError(end, f"the file ends before {what}", f"{_SAVE}, or fetch it again")
        self.position = token.position
        if token.kind != kind:
            raise LineError(self.line, f"{token.value[:40]!r}, expected {what}", _SAVE)
        return token.value

    def seconds(self, what: str) -> float:
        """Take a number."""
        return float(self.take("number", what))

    def string(self, what: str) -> str:
        """Take a text, with its quotes undone."""
        return self.take("text", what).replace('""', '"')

    def count(self, what: str) -> int:
        """Take a number of things."""
        value = self.seconds(what)
        if value < 0 or value != int(value):
            raise LineError(self.line, f"{value:g}, expected {what}", _SAVE)
        return int(value)


def read_textgrid(text: str) -> tuple[str, list[Segment]]:
    """Read the intervals of all tiers; the name of a tier is that of a speaker.

    An interval without a label is silence. A label that is the speaker's name, as `render_textgrid` writes it, says no
    text. Tiers of points are passed over. Tiers of one name are one speaker's.

    Returns:
      No name of the recording, and its segments.

    Raises:
      LineError: the file is damaged or none, or intervals of a tier overlap.
    """
    if text.startswith("ooBinaryFile"):
        raise LineError(1, "a binary TextGrid", _SAVE)
    tokens = _Tokens(text)
    if not tokens.string("the type of the file").startswith("ooTextFile") or tokens.string("the class") != "TextGrid":
        raise LineError(tokens.line, "the file holds another object of Praat, expected a TextGrid", _SAVE)
    tokens.seconds("xmin")
    tokens.seconds("xmax")
    segments: list[Segment] = []
    if tokens.take("flag", "<exists>") == "<exists>":
        for _ in range(tokens.count("the number of tiers")):
            segments += _tier(tokens)
    return "", segments


def _tier(tokens: _Tokens) -> Iterator[Segment]:
    kind = tokens.string("the class of a tier")
    if kind not in ("IntervalTier", "TextTier"):
        raise LineError(tokens.line, f"a tier of class {kind[:40]!r}, expected IntervalTier or TextTier", _SAVE)
    name = tokens.string("the name of a tier")
    tokens.seconds("xmin of a tier")
    tokens.seconds("xmax of a tier")
    before = 0.0
    for _ in range(tokens.count("the number of intervals")):
        start = tokens.seconds("the time of a point" if kind == "TextTier" else "xmin of an interval")
        if kind == "TextTier":
            tokens.string("a mark")
            continue
        line = tokens.line
        end = tokens.seconds("xmax of an interval")
        label = tokens.string("the text of an interval").strip()
        if not label:
            continue
        start, end = checked_span(start, end, line)
        if start < before - _SLACK:
            what = f"an interval of tier {name!r} begins at {start:g} s, before the one in front of it ends at"
            raise LineError(line, f"{what} {before:g} s", "move one of them to another tier of the same name")
        before = max(before, end)
        if start < end:
            yield Segment(start=start, end=end, speaker=name, text="" if label == _label(name, "") else label)


def render_textgrid(annotation: Annotation) -> str:
    """Render a recording in the long form, times to microseconds.

    The label of an interval is what is said, or the name of the speaker where that is not known. Where turns of one
    speaker overlap, a further tier has the same name.
    """
    grouped = by_speaker(annotation.segments)
    pieces = {speaker: list(in_units(said, 10**DIGITS)) for speaker, said in grouped.items()}
    end = max([round((annotation.duration or 0) * 10**DIGITS), *(last for of in pieces.values() for _, last, _ in of)])
    tiers = [
        _rendered_tier(speaker, [(first, last, _label(speaker, segment.text)) for first, last, segment in layer], end)
        for speaker, spans in pieces.items()
        for layer in layers(spans)
    ]
    last = decimal(end, DIGITS)
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n' + f"xmin = 0 \nxmax = {last} \n"
    if not tiers:
        return f"{head}tiers? <absent> \n"
    body = "".join(f"    item [{number}]:\n{tier}" for number, tier in enumerate(tiers, start=1))
    return f"{head}tiers? <exists> \nsize = {len(tiers)} \nitem []: \n{body}"


def _label(speaker: str, text: str) -> str:
    return one_line(text) or one_line(speaker) or "speech"


def _rendered_tier(name: str, labelled: list[tuple[int, int, str]], end: int) -> str:
    intervals: list[tuple[int, int, str]] = []
    before = 0
    for first, last, label in labelled:
        if first > before:
            intervals.append((before, first, ""))
        intervals.append((first, last, label))
        before = last
    if before < end:
        intervals.append((before, end, ""))
    lines = [f'        class = "IntervalTier" \n        name = {_quoted(name)} \n        xmin = 0 \n']
    lines.append(f"        xmax = {decimal(end, DIGITS)} \n        intervals: size = {len(intervals)} \n")
    for number, (first, last, label) in enumerate(intervals, start=1):
        lines.append(
            f"        intervals [{number}]:\n            xmin = {decimal(first, DIGITS)} \n"
            f"            xmax = {decimal(last, DIGITS)} \n            text = {_quoted(label)} \n"
        )
    return "".join(lines)


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""'))
