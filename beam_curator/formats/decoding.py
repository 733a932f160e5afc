"""Bytes of text files to text: UTF-8, or UTF-16 with a mark, as Praat writes it."""

from __future__ import annotations

import codecs

from beam_curator.failures import EntryError, FailureCode

_UTF_16 = (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)


def text_of(raw: bytes) -> str:
    r"""Decode a file; lines end in `\n` then, whatever they ended in.

    Raises:
      EntryError: it is in another encoding, such as a code page of Windows, whose letters nothing tells.

    Example:
      >>> text_of("\ufeffä\r\n".encode("utf-16-le")), text_of(b"\xef\xbb\xbfa\rb")
      ('ä\n', 'a\nb')
    """
    encoding = "utf-16" if raw.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as err:
        found = f"byte {raw[err.start]:#04x} at position {err.start}"
        raise EntryError(
            FailureCode.BAD_UTF8,
            f"{found} is not {'UTF-16' if encoding == 'utf-16' else 'UTF-8'}",
            "save the file as UTF-8, or convert it: iconv -f WINDOWS-1252 -t UTF-8 FILE",
        ) from err
    if "\0" in text:
        raise EntryError(
            FailureCode.BAD_UTF8,
            f"byte 0x00 at character {text.index(chr(0))}, expected text",
            "save the file as UTF-8, or as UTF-16 with a byte order mark",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")
