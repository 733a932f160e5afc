"""Recognition of a file's format by its first bytes, never by its name."""

from __future__ import annotations

SOUND_FILES = frozenset({"wav", "rf64", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3", "nist", "voc"})
"""Containers that libsndfile opens."""

DEMUXERS = {
    "m4a": "mov",
    "mp4": "mov",
    "mov": "mov",
    "3gp": "mov",
    "webm": "matroska",
    "mka": "matroska",
    "amr": "amr",
    "aac": "aac",
    "wma": "asf",
    "wav": "wav",
    "aiff": "aiff",
    "caf": "caf",
    "ogg": "ogg",
}
"""FFmpeg's demuxer for each container: named, never guessed, so that no playlist among them can send it elsewhere."""

HEAD_BYTES = 4096
"""Number of bytes that `container_of` wants to see."""

_FIRST_BYTES = [
    (b"RF64", "rf64"),
    (b"riff\x2e\x91\xcf\x11", "w64"),
    (b".snd", "au"),
    (b"caff", "caf"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"NIST_1A", "nist"),
    (b"Creative Voice File", "voc"),
    (b"#!AMR", "amr"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wma"),
]
_CHUNKED = {
    (b"RIFF", b"WAVE"): "wav",
    (b"RIFX", b"WAVE"): "wav",
    (b"FORM", b"AIFF"): "aiff",
    (b"FORM", b"AIFC"): "aiff",
}
_BRANDS = {b"M4A ": "m4a", b"M4B ": "m4a", b"qt  ": "mov", b"3gp": "3gp", b"3g2": "3gp"}


def container_of(head: bytes) -> str | None:
    """Name the container that begins with these bytes, None where they are no audio that is known here.

    Args:
      head: the first bytes of the file, behind an ID3v2 tag if there is one; HEAD_BYTES of them are enough.

    Example:
      >>> container_of(b"RIFF....WAVEfmt "), container_of(b"....ftypM4A "), container_of(b"<html>")
      ('wav', 'm4a', None)
    """
    for magic, container in _FIRST_BYTES:
        if head.startswith(magic):
            return container
    if (head[:4], head[8:12]) in _CHUNKED:
        return _CHUNKED[head[:4], head[8:12]]
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12]) or _BRANDS.get(head[8:11], "mp4")
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        # both are EBML; the document type follows within the first element
        return "webm" if b"webm" in head[:64] else "mka"
    # old QuickTime files have no ftyp box
    return "mov" if head[4:8] in (b"moov", b"mdat") else _mpeg_stream(head)


def _mpeg_stream(head: bytes) -> str | None:
    """Tell an MPEG audio frame (layer bits 1-3) from one of AAC in ADTS (layer bits 0), both behind 11 bits of sync."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "aac"
    # reserved versions, layers, bit rates and sample rates: bytes that only look like a frame
    known = head[1] & 0x18 != 0x08 and head[1] & 0x06 and head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C
    return "mp3" if known else None


def id3_bytes(head: bytes) -> int:
    """Return the length of the ID3v2 tag that a file begins with, 0 where there is none (ID3v2.4, section 3.1).

    Example:
      >>> id3_bytes(b"ID3" + bytes([4, 0, 0, 0, 0, 2, 1])), id3_bytes(b"fLaC")
      (267, 0)
    """
    # each byte of the length carries seven bits, so that it never looks like a sync word
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
        return 0
    footer = 10 if head[5] & 0x10 else 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer
