"""CTM and STM of NIST: a line for each word, and a line for each segment."""

from __future__ import annotations

from collections.abc import Iterator

from beam_curator.diarization.rttm import (
    LineError,
    channel_field,
    escape_field,
    seconds_in,
    turn_of_fields,
    unescape_field,
)
from beam_curator.formats.annotations import Annotation, Segment, checked_span, decimal, in_units, one_line

DIGITS = 3

_BLANK = "%20"
"""Stands in a field of a CTM for a blank, which would end it."""


def rttm_segment(fields: list[str], number: int) -> tuple[str, Segment] | None:
    """Return the recording and the segment of a line of an RTTM; None where it has no turn.

    Raises:
      LineError: see `parse_rttm`.
    """
    turn = turn_of_fields(fields, number)
    return None if turn is None else (turn.recording_id, Segment(start=turn.start, end=turn.end, speaker=turn.speaker))


def ctm_segment(fields: list[str], number: int) -> tuple[str, Segment]:
    """Return the recording and the word of a line of a CTM: `recording channel start duration word [confidence]`.

    Raises:
      LineError: it has fewer or more fields, or a time that is none.
    """
    if not 5 <= len(fields) <= 8:
        what = f"{len(fields)} fields, expected 5 or 6: recording, channel, start, duration, word, confidence"
        raise LineError(number, what, "mend the line, and write one word a line")
    start = seconds_in(fields[2], "start", number)
    span = checked_span(start, start + seconds_in(fields[3], "duration", number), number)
    return unescape_field(fields[0]), Segment(start=span[0], end=span[1], text=fields[4].replace(_BLANK, " "))


def stm_segment(fields: list[str], number: int) -> tuple[str, Segment]:
    """Return the recording and the segment of a line of an STM: `recording channel speaker start end [<label>] text`.

    Raises:
      LineError: it has fewer fields, or a time that is none.
    """
    if len(fields) < 5:
        what = f"{len(fields)} fields, expected 5 or more: recording, channel, speaker, start, end, text"
        raise LineError(number, what, "mend the line")
    start, end = (seconds_in(fields[place], name, number) for place, name in ((3, "start"), (4, "end")))
    span = checked_span(start, end, number)
    text = fields[5:]
    if text and text[0].startswith("<") and text[0].endswith(">"):
        del text[0]
    speaker = unescape_field(fields[2])
    words = " ".join("" if word == "IGNORE_TIME_SEGMENT_IN_SCORING" else word for word in text).strip()
    return unescape_field(fields[0]), Segment(start=span[0], end=span[1], speaker=speaker, text=words)


def render_ctm(annotation: Annotation) -> str:
    """Render the words of a recording, times to milliseconds; a segment whose words have no times is one line."""
    return "".join(
        f"{escape_field(annotation.name)} {channel_field(one.channel)} {decimal(first, 3)} {decimal(last - first, 3)} "
        + one_line(one.text).replace(" ", _BLANK)
        + "\n"
        for first, last, one in in_units(_words(annotation), 1000)
        if one.text
    )


def _words(annotation: Annotation) -> Iterator[Segment]:
    for segment in annotation.segments:
        if not segment.words:
            yield segment
        for word in segment.words:
            yield Segment(start=word.start, end=word.end, text=word.word, channel=segment.channel)


def render_stm(annotation: Annotation) -> str:
    """Render a recording with a line for each segment, times to milliseconds."""
    name = escape_field(annotation.name)
    return "".join(
        f"{name} {channel_field(one.channel)} {escape_field(one.speaker)} {decimal(first, 3)} {decimal(last, 3)} "
        f"{_stm_text(one.text)}".rstrip()
        + "\n"
        for first, last, one in in_units(annotation.segments, 1000)
    )


def _stm_text(text: str) -> str:
    words = text.split()
    # what stands in angle brackets in front of a text is the label of a category
    is_label = bool(words) and words[0].startswith("<") and words[0].endswith(">")
    return " ".join(["<>", *words] if is_label else words)
