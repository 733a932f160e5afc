"""Subtitles with speakers: WebVTT, which has voices, and SRT, where a line begins with the name: `ana: hello`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape

from beam_curator.diarization.rttm import LineError
from beam_curator.formats.annotations import Annotation, Segment, checked_span, in_units, one_line
from beam_curator.formats.spoken import name_behind, said, speaker_and_text

DIGITS = 3

Voices = Callable[[str], list[tuple[str, str]]]
"""Gives the speakers in the payload of a cue, each with what they say."""

_TIMING = re.compile(r"\s*(\S+)\s*-->\s*(\S+)(?:\s.*)?")
_TIME = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})")
_NO_CUES = ("NOTE", "STYLE", "REGION")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?(?:\s+([^>]*))?>", re.IGNORECASE)
_VTT_TAGS = re.compile(r"</?[a-z0-9][^>]*>", re.IGNORECASE)
_SRT_TAGS = re.compile(r"</?(?:b|i|u|s|font)(?:\s[^>]*)?>|\{\\[^}]*\}", re.IGNORECASE)
_WRITE = "write cues as 00:00:01{}500 --> 00:00:03{}000, with a blank line between"


def read_vtt(text: str) -> tuple[str, list[Segment]]:
    """Read the cues of a WebVTT file: the voice of a cue, or a name in front of its text, is its speaker.

    Returns:
      No name of the recording, and its segments.

    Raises:
      LineError: the file does not begin with WEBVTT, or a cue has no times.
    """
    if not re.match(r"WEBVTT(?:[ \t\n]|\Z)", text):
        begin = text.partition("\n")[0][:40]
        raise LineError(1, f"the file begins with {begin!r}, expected WEBVTT", "write WEBVTT as its first line")
    header = text.partition("\n\n")[0]
    return "", list(_cues(text[len(header) :], header.count("\n"), _voices, "."))


def read_srt(text: str) -> tuple[str, list[Segment]]:
    """Read the cues of an SRT file: a name in front of the text is the speaker. Tags for looks are left out.

    Returns:
      No name of the recording, and its segments.

    Raises:
      LineError: a cue has no times.
    """
    return "", list(_cues(text, 0, _name_in_front, ","))


def _cues(text: str, n_before: int, voices: Voices, point: str) -> Iterator[Segment]:
    """Yield the segments of the blocks of a text; `n_before` lines stand in front of it."""
    number = n_before + 1
    for block in re.split(r"(\n(?:[ \t]*\n)+)", text):
        lines = block.split("\n")
        filled = [place for place, line in enumerate(lines) if line.strip()]
        if filled and lines[filled[0]].split()[0] not in _NO_CUES:
            yield from _cue(lines[filled[0] :], number + filled[0], voices, point)
        number += len(lines) - 1


def _cue(lines: list[str], number: int, voices: Voices, point: str) -> Iterator[Segment]:
    # a cue may begin with its number or its name
    place = 0 if "-->" in lines[0] else 1
    match = _TIMING.fullmatch(lines[place]) if place < len(lines) else None
    if match is None:
        cure = _WRITE.format(point, point)
        raise LineError(
            number + place, f"{''.join(lines[place : place + 1])[:40]!r}, expected the times of a cue", cure
        )
    start, end = (_seconds(match[group], number + place, point) for group in (1, 2))
    start, end = checked_span(start, end, number + place)
    for speaker, words in voices("\n".join(lines[place + 1 :])) if start < end else ():
        yield Segment(start=start, end=end, speaker=speaker, text=words)


def _seconds(time: str, number: int, point: str) -> float:
    match = _TIME.fullmatch(time)
    if match is None:
        raise LineError(number, f"time {time[:40]!r}, expected hours:minutes:seconds", _WRITE.format(point, point))
    hours, minutes, seconds, fraction = match.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _voices(payload: str) -> list[tuple[str, str]]:
    """Return the voices of a cue of WebVTT, each with its text."""
    before, *spoken = _VOICE.split(payload)
    parts = list(zip(spoken[::2], spoken[1::2], strict=True))
    plain = one_line(unescape(_VTT_TAGS.sub("", before)))
    found = [(name_behind(unescape(name or "")), one_line(unescape(_VTT_TAGS.sub("", part)))) for name, part in parts]
    return [*([speaker_and_text(plain)] if plain or not found else []), *found]


def _name_in_front(payload: str) -> list[tuple[str, str]]:
    return [speaker_and_text(_SRT_TAGS.sub("", payload))]


def render_vtt(annotation: Annotation) -> str:
    """Render a recording as WebVTT, times to milliseconds; each segment is a cue with a voice."""
    cues = [
        f"\n{_time(first, '.')} --> {_time(last, '.')}\n{_vtt_payload(segment)}\n"
        for first, last, segment in in_units(annotation.segments, 1000)
    ]
    return "".join(["WEBVTT\n", *cues])


def _vtt_payload(segment: Segment) -> str:
    if not segment.speaker:
        return _escaped(said("", segment.text))
    return f"<v {_escaped(one_line(segment.speaker))}>{_escaped(one_line(segment.text))}</v>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def render_srt(annotation: Annotation) -> str:
    """Render a recording as SRT, times to milliseconds; each segment is a cue, `ana: hello`."""
    cues = [
        f"{number}\n{_time(first, ',')} --> {_time(last, ',')}\n{said(segment.speaker, segment.text)}\n"
        for number, (first, last, segment) in enumerate(in_units(annotation.segments, 1000), start=1)
    ]
    return "\n".join(cues)


def _time(milliseconds: int, point: str) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{fraction:03d}"
