"""Relative paths of recordings: where the documents of a recording lie below their directory."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from beam_curator.failures import EntryError, FailureCode, readable_name
from beam_curator.recordings.channel_files import channel_files

MAX_COMPONENT_BYTES = 176
"""Longest part of a relative path in UTF-8; with a chunk number and `.json` behind it, it stays below 200."""

MAX_PATH_BYTES = 800
"""Longest relative path in UTF-8; object stores take 1024 bytes for the whole name of an object."""

_SAFE_ASCII = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9 _.,;=+@()&'!-]*", re.ASCII)
_EXTENSION = re.compile(r"(.+)(\.[A-Za-z0-9]{1,10})", re.ASCII | re.DOTALL)
_SAFE_MARKS = frozenset(" _.,;=+@()&'!-")


def relative_path(recording: str, input_path: str, *, distinct: bool = False) -> str:
    """Return the path of a recording below the input, made safe to be a path below the output.

    What a careful person calls a file stays as it is, as with the reference: letters and digits of any script (in
    Unicode's form NFC), blanks and `_.,;=+@()&'!-`. In any other part of the path unsafe characters become "_" and
    `~` with eight hexadecimal digits of the part's BLAKE2b follows: before the extension of the file, at the end of a
    folder. So are marked: parts that are empty, start with ".", "-" or a blank, end with "." or a blank, or are longer
    than `MAX_COMPONENT_BYTES` (these are shortened too), and folders that end with ".json", which would be in the way
    of the document of a recording. The folders of a path longer than `MAX_PATH_BYTES` become one mark. Since "~"
    itself is unsafe, two recordings in `input_path` share a path only where 32 bits of a hash agree as well.

    Of channels in files of their own it is the path of the first, with the number of the others; all must lie in
    `input_path`.

    Names that differ in case alone stay different here, but not on every file system: see `claim_key`.

    Args:
      recording: path or URI of the recording, as the entry writes it.
      input_path: folder or URI that it must lie in, compared as text and part by part. "" holds all: "/" in front is
        left out then, as with the reference, so that "/a.wav" and "a.wav" share a path; `claim_key` shows it.
      distinct: mark the last part whatever its name, by a hash of the whole recording.

    Returns:
      A relative path: parts joined by "/", none of them empty, "." or "..".

    Raises:
      EntryError: the recording does not lie in `input_path`, or its path holds ".." or a NUL.

    Example:
      >>> relative_path("/in/talks/a.wav", "/in"), relative_path("gs://b/in/a:b.wav", "gs://b/in/")
      ('talks/a.wav', 'a_b~02cfc8e5.wav')
    """
    parts, *others = [_parts_below(file, input_path) for file in channel_files(recording)]
    folders = [_folder(part) for part in parts[:-1]]
    name = _with_others(parts[-1], len(others)) if others else parts[-1]
    last = _file(name, recording if distinct else None)
    path = "/".join([*folders, last])
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"long path{_mark('/'.join(parts[:-1]))}/{last}"
    return path


def claim_key(relative: str) -> str:
    """Return a text that two relative paths share if some file system may take them for one.

    Such file systems ignore case and Unicode's forms of composition (APFS, NTFS, HFS+). A name follows from its own
    recording alone, so it cannot avoid the other's: group recordings by this key. In a group of more than one
    recording all take `relative_path(..., distinct=True)`, which is unlike the others and does not depend on order.

    Example:
      >>> claim_key("Talks/A.wav") == claim_key("talks/a.WAV"), claim_key("a.wav") == claim_key("b.wav")
      (True, False)
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", relative).casefold())


def name_bytes(name: str) -> bytes:
    """Encode the name of a file: UTF-8, with bytes that are no UTF-8 (Python's surrogate escapes) as they were.

    Raises:
      EntryError: the name holds a lone surrogate that stands for no byte.

    Example:
      >>> name_bytes("é"), name_bytes("talk-\\udcff")
      (b'\\xc3\\xa9', b'talk-\\xff')
    """
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as err:
        raise EntryError(
            FailureCode.BAD_UNICODE,
            f"the path holds the lone surrogate U+{ord(name[err.start]):04X}, expected text",
            "write the name of the file as it is",
        ) from err


def _parts_below(recording: str, input_path: str) -> list[str]:
    """Split the rest of a recording's path after `input_path` into its parts; refuse a recording outside of it."""
    name_bytes(recording)
    shown = readable_name(recording)[:200]
    prefix = input_path if input_path.endswith("/") or not input_path else f"{input_path}/"
    rest = recording[len(prefix) :]
    if not prefix:
        rest = rest.removeprefix("/").replace("://", ":/", 1)
    if not rest or not recording.startswith(prefix):
        raise EntryError(
            FailureCode.PATH_OUTSIDE_ROOT,
            f"recording {shown!r} does not lie in input_path {input_path[:200]!r}",
            "give an input_path that is a folder of every recording",
        )
    parts = rest.split("/")
    if ".." in parts or "\0" in rest:
        raise EntryError(
            FailureCode.PATH_OUTSIDE_ROOT,
            f"the path of recording {shown!r} holds {'a NUL' if chr(0) in rest else '..'}, expected names of files",
            "write the path without it",
        )
    return parts


def _with_others(name: str, n_others: int) -> str:
    match = _EXTENSION.fullmatch(name)
    return f"{match[1]}+{n_others}{match[2]}" if match else f"{name}+{n_others}"


def _folder(part: str) -> str:
    if _is_safe(part) and not claim_key(part).endswith(".json"):
        return part
    return _cleaned(part, _mark(part))


def _file(part: str, hashed: str | None) -> str:
    """Return the last part, marked by a hash of `hashed`, or where that is None only if it must be, by its own."""
    if hashed is None and _is_safe(part):
        return part
    match = _EXTENSION.fullmatch(part)
    stem, extension = (match[1], match[2]) if match else (part, "")
    return _cleaned(stem, _mark(part if hashed is None else hashed) + extension)


def _is_safe(part: str) -> bool:
    if part[:1] in {"", ".", "-", " "} or part[-1] in ". " or len(part.encode(errors="replace")) > MAX_COMPONENT_BYTES:
        return False
    return bool(_SAFE_ASCII.fullmatch(part)) or (
        all(map(_is_safe_character, part)) and unicodedata.is_normalized("NFC", part)
    )


def _is_safe_character(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in _SAFE_MARKS
    return unicodedata.category(character)[0] in "LMN"


def _mark(hashed: str) -> str:
    return f"~{hashlib.blake2b(name_bytes(hashed), digest_size=4).hexdigest()}"


def _cleaned(name: str, ending: str) -> str:
    """Replace the unsafe characters in a name, and shorten it until, with its ending, it fits into a part of a path."""
    composed = unicodedata.normalize("NFC", name)
    clean = "".join(character if _is_safe_character(character) else "_" for character in composed)
    if clean[:1] in {"", ".", "-", " "}:
        clean = f"_{clean[1:]}"
    return clean.encode()[: MAX_COMPONENT_BYTES - len(ending)].decode(errors="ignore") + ending
