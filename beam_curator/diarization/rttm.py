"""Turns as text that scorers read: RTTM, the UEM beside it, and a view of the overlaps.

RTTM is NIST's Rich Transcription Time Marked format (RT-09 evaluation plan, appendix A); UEM and CTM are those of the
same evaluations. Fields are separated by blanks, so what a field cannot hold is escaped, reversibly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from beam_curator.diarization.turns import Overlap, Turn
from beam_curator.intervals import Seconds, Span, united

LATEST: Seconds = 1e9
"""Latest time that is read, 31 years: a sum of times beyond it has no milliseconds left, or is no number."""

T = TypeVar("T")

_MOST_TOLD = 20
"""Lines that one error names; further ones are counted."""

_EMPTY = "%"
"""Stands for an empty field: no other text is escaped to it."""

_UNSAFE = re.compile(
    '[\\s"%\x00-\x1f\x7f-\xa0\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]|^[;#]'
)
_ESCAPES = re.compile("(?:%[0-9A-Fa-f]{2})+")

_MISSING_FOR_PANDAS = re.compile(r"#NA?(/A)?|-?1\.#(IND|QNAN)|-?(NaN|nan)|<NA>|NA|N/A|n/a|NULL|null|None")
"""Words that pandas, with which pyannote.database reads RTTM, takes for a missing value; it then drops the line."""

_OTHER_TYPES = re.compile("SEGMENT|NOSCORE|NO_RT_METADATA|LEXEME|NON-LEX|NON-SPEECH|FILLER|EDIT|IP|SU|CB|A/P|SPKR-INFO")


class LineError(ValueError):
    """A line of an RTTM or a UEM that cannot be read: value, expectation and cure, with its number, from 1."""

    def __init__(self, line_number: int, message: str, cure: str) -> None:
        super().__init__(line_number, message, cure)
        self.line_number = line_number

    def __str__(self) -> str:
        number, message, cure = self.args
        return f"line {number}: {message}: {cure}"


class LinesError(LineError):
    """Several lines that cannot be read, as one error, which stands at the first of them."""

    def __init__(self, errors: Sequence[LineError]) -> None:
        super().__init__(*errors[0].args)
        self.args = (tuple(errors),)

    def __str__(self) -> str:
        (errors,) = self.args
        told = [str(error) for error in errors[:_MOST_TOLD]]
        more = [f"and {len(errors) - len(told):,} more"] if len(errors) > len(told) else []
        return f"{len(errors):,} lines cannot be read: {'; '.join([*told, *more])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RttmTurn:
    """A SPEAKER line: who speaks in which recording, half-open, in seconds; names are unescaped.

    `end` is `start` where a line has no duration: such a turn says nothing, and no scorer counts it.

    Attributes:
      channel: as the line has it, commonly a number from 1.
    """

    recording_id: str
    start: Seconds
    end: Seconds
    speaker: str
    channel: str = field(default="1", repr=False)


NamedTurn = tuple[Seconds, Seconds, str] | tuple[Seconds, Seconds, str, int | None]
"""Start, end, name of the speaker, and perhaps the channel, from 0."""


def render_rttm(recording_id: str, turns: Iterable[Turn | NamedTurn]) -> str:
    """Render turns as RTTM, sorted by (start, end, speaker), times with three decimals.

    Channels are counted from 1, as NIST's evaluations do: that of `turn.channel` 0 is 1, and so is the mean of all.
    Starts and ends are rounded to milliseconds and the duration is their difference, so that turns that touch still
    touch. A turn without length after rounding is left out. No turns give an empty text.

    Args:
      recording_id: the second field of each line, escaped.
      turns: in any order.

    Raises:
      ValueError: a time is negative or not finite, or an end comes before its start.

    Example:
      >>> print(render_rttm("my talk", [(0.5, 2.0, "speaker_0")]), end="")
      SPEAKER my%20talk 1 0.500 1.500 <NA> <NA> speaker_0 <NA> <NA>
    """
    lines = []
    for start, end, speaker, channel in map(_named, turns):
        first, last = _milliseconds_of(start, end)
        if first < last:
            lines.append((first, last, escape_field(speaker), channel))
    name = escape_field(recording_id)
    return "".join(
        f"SPEAKER {name} {channel} {_seconds(first)} {_seconds(last - first)} <NA> <NA> {speaker} <NA> <NA>\n"
        for first, last, speaker, channel in sorted(lines)
    )


def render_uem(recording_id: str, spans: Iterable[Span], channels: Sequence[int | None] = (None,)) -> str:
    """Render the parts of a recording that are scored as UEM: `<id> 1 <start> <end>`, sorted.

    Args:
      recording_id: the first field of each line, escaped.
      spans: the parts, in any order.
      channels: that were heard, from 0, each of which has lines of its own; None for the mean of all, which is 1 here.

    Raises:
      ValueError: a time is negative or not finite, or an end comes before its start.

    Example:
      >>> print(render_uem("a", [(0, 12.5)]), end="")
      a 1 0.000 12.500
    """
    name = escape_field(recording_id)
    times = sorted(_milliseconds_of(start, end) for start, end in spans)
    return "".join(
        f"{name} {channel_field(channel)} {_seconds(first)} {_seconds(last)}\n"
        for channel in channels
        for first, last in times
        if first < last
    )


def render_overlap_ctm(recording_id: str, overlaps: Iterable[Overlap]) -> str:
    """Render where several speakers talk at once, in the columns of a CTM, sorted by time.

    A line is `<id> 1 <start> <duration> <speakers> <n>`: in the place of the word the speakers joined by `+`, in that
    of the confidence their number. The channel is that of the first speaker. Regions without length after rounding to
    milliseconds are left out.

    Raises:
      ValueError: a time is negative or not finite, or an end comes before its start.

    Example:
      >>> print(render_overlap_ctm("a", [Overlap(start=8, end=10, speakers=(0, 1))]), end="")
      a 1 8.000 2.000 speaker_0+speaker_1 2
    """
    name = escape_field(recording_id)
    lines = sorted(
        (*_milliseconds_of(one.start, one.end), one.speakers, one.labels, channel_field(one.channel))
        for one in overlaps
    )
    return "".join(
        f"{name} {channel} {_seconds(first)} {_seconds(last - first)} {'+'.join(labels)} {len(labels)}\n"
        for first, last, _, labels, channel in lines
        if first < last
    )


def channel_field(channel: int | None) -> str:
    """Return a channel as RTTM, UEM and CTM have it: counted from 1; the mean of all is 1, too.

    Example:
      >>> channel_field(0), channel_field(3), channel_field(None)
      ('1', '4', '1')
    """
    return str(1 if channel is None else channel + 1)


def parse_rttm(text: str) -> list[RttmTurn]:
    """Read the SPEAKER lines of an RTTM, strictly, in the order of the text.

    Blank lines, comments (`;;`) and the other line types of the format are skipped.

    Raises:
      LineError: a line has another type or number of fields (8 to 10), a time that is no number of seconds, or an end
        behind `LATEST`; a LinesError where there are several such lines.

    Example:
      >>> parse_rttm("SPEAKER a 1 0.500 1.500 <NA> <NA> bob <NA> <NA>")
      [RttmTurn(recording_id='a', start=0.5, end=2.0, speaker='bob')]
    """
    return [turn for turn in parsed_lines(text, turn_of_fields) if turn is not None]


def turn_of_fields(fields: list[str], number: int) -> RttmTurn | None:
    """Return the turn of a line, None where it is of a type that has none.

    Args:
      fields: of the line.
      number: of the line, from 1, for messages.

    Raises:
      LineError: see `parse_rttm`.
    """
    if _OTHER_TYPES.fullmatch(fields[0]):
        return None
    if fields[0] != "SPEAKER":
        raise LineError(number, f"type {fields[0][:40]!r}, expected SPEAKER", "give an RTTM, or start comments with ;;")
    if not 8 <= len(fields) <= 10:
        cure = "escape blanks in names as %20" if len(fields) > 10 else "mend the line"
        raise LineError(number, f"{len(fields)} fields, expected 10", cure)
    start = seconds_in(fields[3], "start", number)
    duration = seconds_in(fields[4], "duration", number)
    if not start + duration <= LATEST:
        what = f"start {fields[3][:40]} and duration {fields[4][:40]}, expected an end at {LATEST:g} s or before"
        raise LineError(number, what, "mend the line")
    return RttmTurn(
        recording_id=unescape_field(fields[1]),
        start=start,
        end=round(start + duration, 6),
        speaker=unescape_field(fields[7]),
        channel=fields[2],
    )


def name_of(recording_id: str, channel: str, *, by_channel: bool) -> str:
    """Return the name under which turns are scored: that of the recording, by channel with the channel behind it.

    Example:
      >>> name_of("call", "2", by_channel=True), name_of("call", "2", by_channel=False)
      ('call:2', 'call')
    """
    # a colon in the channel could make two names one
    return f"{recording_id}:{channel.replace(':', '%3A')}" if by_channel else recording_id


def parse_uem(text: str, *, by_channel: bool = False) -> dict[str, tuple[Span, ...]]:
    """Read a UEM, strictly: the inverse of `render_uem`.

    Blank lines and comments are skipped. Parts of a recording that overlap or touch become one.

    Args:
      text: of the file.
      by_channel: tell the channels of a recording apart; see `name_of`.

    Returns:
      Names of recordings, unescaped, in the order of the text, each with its parts in order of time.

    Raises:
      LineError: a line has not four fields, a time that is no number of seconds, an end not behind its start, or one
        behind `LATEST`; a LinesError where there are several such lines.

    Example:
      >>> parse_uem(";; two parts\\na 1 8.000 12.500\\na 1 0.000 5.000")
      {'a': ((0.0, 5.0), (8.0, 12.5))}
    """
    parts: dict[str, list[Span]] = {}
    for (recording_id, channel), span in parsed_lines(text, _uem_part):
        name = name_of(recording_id, channel, by_channel=by_channel)
        parts.setdefault(name, []).append(span)
    return {name: tuple(united(spans)) for name, spans in parts.items()}


def _uem_part(fields: list[str], number: int) -> tuple[tuple[str, str], Span]:
    if len(fields) != 4:
        what = f"{len(fields)} fields, expected 4: recording, channel, start, end"
        cure = "mend the line, and escape blanks in names as %20" if len(fields) > 4 else "mend the line"
        raise LineError(number, what, cure)
    start, end = (seconds_in(fields[place], what, number) for place, what in ((2, "start"), (3, "end")))
    if end <= start:
        raise LineError(number, f"end {fields[3]}, expected more than the start {fields[2]}", "mend the line")
    if end > LATEST:
        raise LineError(number, f"end {fields[3][:40]}, expected {LATEST:g} s or less", "mend the line")
    return (unescape_field(fields[0]), fields[1]), (start, end)


def parsed_lines(text: str, parse: Callable[[list[str], int], T]) -> list[T]:
    """Parse the fields of each line that is neither blank nor a comment; `parse` takes its number, from 1, too.

    Raises:
      LineError: that of the one line that cannot be read, or a LinesError of all of them.
    """
    parsed: list[T] = []
    errors: list[LineError] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        fields = line.split()
        try:
            if fields and not fields[0].startswith(";;"):
                parsed.append(parse(fields, number))
        except LineError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else LinesError(errors)
    return parsed


def seconds_in(field: str, what: str, number: int) -> Seconds:
    """Return the seconds that a field of a line holds; `what` is its name in messages.

    Raises:
      LineError: it is no number of seconds, or below 0.
    """
    try:
        value = math.nan if "_" in field else float(field)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise LineError(number, f"{what} {field[:40]!r}, expected seconds, 0 or more", "mend the line")
    return value


def escape_field(text: str) -> str:
    """Make a text one field that parsers of RTTM agree on; `unescape_field` gives it back.

    Letters of any script stay. Percent escapes of the UTF-8 bytes stand for whitespace, control, direction and other
    invisible characters, lone surrogates, `%`, `"` (pandas quotes with it), `;` or `#` at the start (comments), and
    the first character of words such as `NA` (pandas takes them for missing). An empty text becomes `%`.

    Example:
      >>> escape_field("Gespräch 1"), escape_field(";x"), escape_field("NA"), escape_field("")
      ('Gespräch%201', '%3Bx', '%4EA', '%')
    """
    if not text:
        return _EMPTY
    if _MISSING_FOR_PANDAS.fullmatch(text):
        return _percent(text[0]) + text[1:]
    return _UNSAFE.sub(lambda match: _percent(match[0]), text)


def unescape_field(field: str) -> str:
    """Return the text that `escape_field` made a field of; a `%` that begins no escape of UTF-8 stands for itself.

    Example:
      >>> unescape_field("my%20talk"), unescape_field("100%_mix"), unescape_field("%")
      ('my talk', '100%_mix', '')
    """
    return "" if field == _EMPTY else _ESCAPES.sub(_decoded, field)


def _decoded(match: re.Match[str]) -> str:
    try:
        return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return match[0]


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _named(turn: Turn | NamedTurn) -> tuple[Seconds, Seconds, str, str]:
    if isinstance(turn, Turn):
        return turn.start, turn.end, turn.label, channel_field(turn.channel)
    start, end, speaker, *channel = turn
    return start, end, speaker, channel_field(channel[0] if channel else None)


def _milliseconds_of(start: Seconds, end: Seconds) -> tuple[int, int]:
    if not (0 <= start <= end < math.inf):
        raise ValueError(f"times {start!r}-{end!r}, expected 0 <= start <= end: mend the turn")
    return round(round(start, 3) * 1000), round(round(end, 3) * 1000)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"
