"""UEM: which parts of a recording are scored.

The format is that of NIST's evaluations (Un-partitioned Evaluation Map, in the RT-09 evaluation plan): a line is
`<recording> <channel> <start> <end>`, in seconds, comments begin with `;;`.
"""

from __future__ import annotations

from beam_curator.diarization.rttm import LATEST, LineError, seconds_in, unescape_field
from beam_curator.intervals import Span, united


def parse_uem(text: str) -> dict[str, tuple[Span, ...]]:
    """Read a UEM, strictly: the inverse of `beam_curator.diarization.rttm.render_uem`.

    Blank lines and comments are skipped. Parts of a recording that overlap or touch become one, channels are not told
    apart.

    Returns:
      Names of recordings, unescaped, in the order of the text, each with its parts in order of time.

    Raises:
      LineError: a line has not four fields, a time that is no number of seconds, an end not behind its start, or one
        behind `beam_curator.diarization.rttm.LATEST`.

    Example:
      >>> parse_uem(";; two parts\\na 1 8.000 12.500\\na 1 0.000 5.000")
      {'a': ((0.0, 5.0), (8.0, 12.5))}
    """
    parts: dict[str, list[Span]] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        fields = line.split()
        if fields and not fields[0].startswith(";;"):
            parts.setdefault(unescape_field(fields[0]), []).append(_span(fields, number))
    return {name: tuple(united(spans)) for name, spans in parts.items()}


def _span(fields: list[str], number: int) -> Span:
    if len(fields) != 4:
        what = f"{len(fields)} fields, expected 4: recording, channel, start, end"
        cure = "mend the line, and escape blanks in names as %20" if len(fields) > 4 else "mend the line"
        raise LineError(number, what, cure)
    start, end = (seconds_in(fields[place], what, number) for place, what in ((2, "start"), (3, "end")))
    if end <= start:
        raise LineError(number, f"end {fields[3]}, expected more than the start {fields[2]}", "mend the line")
    if end > LATEST:
        raise LineError(number, f"end {fields[3][:40]}, expected {LATEST:g} s or less", "mend the line")
    return start, end
