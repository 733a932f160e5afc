"""Names of recordings and speakers that are safe in any file system, and marks that tell equal ones apart."""

from __future__ import annotations

import json
import unicodedata
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from beam_curator.recordings.channel_files import channel_files
from beam_curator.recordings.tar_members import split_locator

MAX_STEM_BYTES = 120


MAX_LABEL_BYTES = 40


MARK_DIGITS = 16
"""Hex digits that tell recordings of one stem apart: ten thousand of them meet with a chance of 3 in 10^12."""


UNKNOWN = "unknown"
"""Label of a speaker who is not known, as in the reference."""


_HASH_DIGITS = 8


_PUNCTUATION = frozenset("._-+=@#,()[]&'! ")


_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)
"""Letters and marks that show nothing (Unicode: Default_Ignorable_Code_Point): names would look alike."""


def stem_of(recording: str) -> str:
    """Return the file name of a recording without its last extension, as Python's `Path.stem` does.

    Of channels in files of their own it is that of the first, with the number of the others.

    Example:
      >>> stem_of("/talks/a.b.wav"), stem_of("gs://bucket/talk.flac"), stem_of("/x/shard.tar::y/z.wav")
      ('a.b', 'talk', 'z')
      >>> stem_of('["/talks/a_0.wav", "/talks/a_1.wav"]')
      'a_0+1'
    """
    first, *others = channel_files(recording)
    path, member = split_locator(first)
    name = (path if member is None else member).rstrip("/").rpartition("/")[2]
    dot = name.rfind(".")
    stem = name[:dot] if 0 < dot < len(name) - 1 else name
    return f"{stem}+{len(others)}" if others else stem


def safe_stem(name: str) -> str:
    """Return the stem of file names for a recording: NFC text of at most 120 bytes of UTF-8, safe in any file system.

    Letters, digits and their marks in any script stay, and so do spaces inside and `._-+=@#,()[]&'!`. All else becomes
    `_`: separators, wildcards, control, bidi and other invisible characters, a dot or blank at the beginning, a blank
    at the end. What had to be changed or cut ends in `~` and a hash of the text as it was, which no other name does.

    Example:
      >>> safe_stem("interview 3 (final)"), safe_stem("../../etc/passwd")
      ('interview 3 (final)', '_._.._etc_passwd~830a08e2')
    """
    return _safe(name, MAX_STEM_BYTES)


def safe_label(speaker_id: Any) -> str:
    """Return the label of a speaker in file names: at most 40 bytes, by the rules of `safe_stem`.

    As in the reference every `speaker_` is taken out of a text. null is "unknown"; other values are their JSON text,
    where the reference fails.

    Example:
      >>> safe_label("speaker_0"), safe_label("Ana"), safe_label(None), safe_label(1), safe_label(True), safe_label(1.5)
      ('0', 'Ana', 'unknown', '1', 'true', '1.5')
    """
    if speaker_id is None:
        return UNKNOWN
    text = speaker_text(speaker_id).replace("speaker_", "")
    return _safe(text, MAX_LABEL_BYTES) if text else ""


def speaker_text(speaker_id: Any) -> str:
    """Return a speaker id as text: itself where it is one, else compact JSON.

    Example:
      >>> speaker_text("ana"), speaker_text(["ana", 2]), speaker_text(False)
      ('ana', '["ana",2]', 'false')
    """
    if isinstance(speaker_id, str):
        return speaker_id
    return json.dumps(speaker_id, ensure_ascii=False, separators=(",", ":"), default=str)


def stem_with_mark(stem: str, recording: str) -> str:
    """Return a stem that no other recording has: with `~` and a hash of the recording's path behind it.

    Example:
      >>> stem_with_mark("talk", "/monday/talk.wav"), stem_with_mark("talk", "/friday/talk.wav")
      ('talk~3d6fbda23a2c7fa9', 'talk~cf67fdbe966068b9')
    """
    return f"{stem}~{_hash(recording, MARK_DIGITS)}"


@lru_cache(maxsize=4096)
def _safe(text: str, max_bytes: int) -> str:
    composed = unicodedata.normalize("NFC", text)
    safe = "".join(character if _is_safe(character) else "_" for character in composed)
    # a combining mark in front would join whatever stands before the name
    if not safe or safe[0] in ". " or unicodedata.category(safe[0])[0] == "M":
        safe = "_" + safe[1:]
    if safe[-1] == " ":
        safe = safe[:-1] + "_"
    if safe == composed and len(safe.encode()) <= max_bytes:
        return safe
    # errors=ignore drops a character that the cut has split
    kept = safe.encode()[: max_bytes - _HASH_DIGITS - 1].decode(errors="ignore")
    return f"{kept}~{_hash(text, _HASH_DIGITS)}"


def _is_safe(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in _PUNCTUATION
    letter_or_mark = character.isalnum() or unicodedata.category(character) in {"Mn", "Mc"}
    return letter_or_mark and character not in _INVISIBLE


def _hash(text: str, n_digits: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=n_digits // 2).hexdigest()


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """Return text as file systems compare it that ignore case (Unicode: canonical caseless matching, D145)."""
    if text.isascii():
        return text.lower()
    # folded where it is decomposed, and composed again, so that equal names are equal strings
    folded = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFC", folded)
