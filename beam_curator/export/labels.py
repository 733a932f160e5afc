"""Text for Pillow's own font, which has plain letters only."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

MAX_CHARACTERS = 80


def plain_label(text: str, number: int | None) -> str:
    """Return a text in printable ASCII: without accents, and with code points in place of other characters.

    Args:
      text: what to show.
      number: put in front as `#<number>` where the text had to be changed, so that no two become alike.

    Example:
      >>> plain_label("speaker_0", 1), plain_label("José", 2), plain_label("张三", 3), plain_label("", 4)
      ('speaker_0', '#2 Jose', '#3 U+5F20 U+4E09', '#4 no label')
    """
    words: list[str] = []
    plain = ""
    for character in unicodedata.normalize("NFKD", text[:MAX_CHARACTERS]):
        if character.isascii() and character.isprintable():
            plain += character
        elif not unicodedata.combining(character):
            words += [plain, f"U+{ord(character):04X}"]
            plain = ""
    shown = " ".join(word.strip() for word in [*words, plain] if word.strip())
    if number is None or (shown and shown == text):
        return shown
    return f"#{number} {shown or 'no label'}"


def fit_text(text: str, room: float, length_of: Callable[[str], float]) -> str:
    """Shorten a text to a length, with dots at its end where something is left out.

    Args:
      text: what to show.
      room: the greatest length.
      length_of: how long a text is, such as the font measures it.

    Example:
      >>> fit_text("speaker_0", 9, len), fit_text("speaker_0", 8, len), fit_text("speaker_0", 2, len)
      ('speaker_0', 'speak...', '')
    """
    if length_of(text) <= room:
        return text
    fitting = (f"{text[:kept]}..." for kept in range(len(text) - 1, -1, -1))
    return next((short for short in fitting if length_of(short) <= room), "")
