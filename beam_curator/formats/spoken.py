"""Who says what, in one text, as labels and subtitles have it: `ana: hello`."""

from __future__ import annotations

import re

from beam_curator.formats.annotations import one_line

_SAID = re.compile(r"([^:\n]{0,200}):(?: +(.*))?", re.DOTALL)
_COLON = "\ua789"
"""A letter that looks like a colon, and stands for one in names, which a colon ends."""


def said(speaker: str, text: str) -> str:
    """Return a speaker and a text as one line.

    Example:
      >>> said("ana", "hello"), said("ana", ""), said("", "hello"), said("", "note: hello")
      ('ana: hello', 'ana:', 'hello', ': note: hello')
    """
    name, words = name_in_front(speaker), one_line(text)
    if name:
        return f"{name}: {words}".rstrip()
    return f": {words}" if _SAID.fullmatch(words) else words


def name_in_front(speaker: str) -> str:
    """Return the name of a speaker as it stands before the colon."""
    return one_line(speaker).replace(":", _COLON)


def name_behind(name: str) -> str:
    """Return the name of a speaker of which `name_in_front` made this one."""
    return one_line(name).replace(_COLON, ":")


def speaker_and_text(line: str) -> tuple[str, str]:
    """Take a line apart into the speaker, "" for none, and the text: the inverse of `said`.

    Example:
      >>> speaker_and_text("ana: hello"), speaker_and_text("ana:"), speaker_and_text("at 10:30"), speaker_and_text("hi")
      (('ana', 'hello'), ('ana', ''), ('', 'at 10:30'), ('', 'hi'))
    """
    match = _SAID.fullmatch(line.strip())
    if match is None:
        return "", one_line(line)
    return name_behind(match[1]), one_line(match[2] or "")
