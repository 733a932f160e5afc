"""Ogg pages: checking those of a file, and writing them with a fixed serial number (RFC 3533)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from beam_curator.audio.files import SourceFile, WritableFile

SERIAL_NUMBER = 0x62636C70
"""The serial number of every Ogg stream that is written here; libsndfile draws one at random."""

_HEADER_BYTES = 27
_READ_BYTES = 1 << 18
# 255 segments of 255 bytes each, and their table of lengths
_LARGEST_PAGE = _HEADER_BYTES + 255 + 255 * 255
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def page_checksum(page: bytes) -> int:
    """Return the checksum of an Ogg page whose checksum field (bytes 22-25) counts as zero.

    Ogg's CRC has the polynomial 0x04C11DB7, starts from 0 and is not reflected; zlib's has the same polynomial, starts
    from all ones, is reflected, and inverts its result. So each byte is mirrored, zlib is made to start from 0, and the
    result is mirrored back: no loop over bytes in Python.

    Example:
      >>> f"{page_checksum(b'OggS' + bytes(23)):08x}"
      '9ea1a511'
    """
    mirrored = (page[:22] + b"\0\0\0\0" + page[26:]).translate(_REVERSED)
    crc = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_REVERSED), "big")


@dataclass(slots=True, kw_only=True)
class OggLayout:
    """The layout of an Ogg file, as its pages give it.

    Attributes:
      chained: another stream follows the first one, as in radio recordings; libsndfile reads the first alone.
      ended: every stream has its last page, and the file ends behind a whole page.
      damage: what is wrong between the pages, or with one of them; None where nothing is.
    """

    chained: bool = False
    ended: bool = False
    damage: str | None = None
    _open: set[bytes] = field(default_factory=set)
    _data_seen: bool = False
    _numbers: dict[bytes, int] = field(default_factory=dict)


def ogg_layout(source: SourceFile) -> OggLayout:
    """Go through the pages of an Ogg file once and check them; stop at the first damage.

    libogg leaves a page out whose checksum is wrong, and libsndfile goes on behind it without a word.
    """
    layout = OggLayout()
    here = 0
    for page in _pages(source):
        layout.damage = _page_damage(page, layout, here)
        if layout.damage is not None:
            return layout
        here += len(page)
    rest = source.read_at(here, _LARGEST_PAGE)
    # a page that begins and does not end is a file that was cut, not damage
    cut_page = rest.startswith(b"OggS") and len(rest) < _LARGEST_PAGE
    layout.ended = not layout._open and not cut_page
    # behind the last page there may be anything, such as a tag
    if layout._open and rest and not cut_page:
        layout.damage = f"no page begins at byte {here}"
    return layout


def _page_damage(page: bytes, layout: OggLayout, here: int) -> str | None:
    """Check one page and note its place in the stream; return the damage found, None where there is none."""
    if int.from_bytes(page[22:26], "little") != page_checksum(page):
        return f"the page at byte {here} does not match its checksum"
    serial, begins, ends = page[14:18], page[5] & 2, page[5] & 4
    number = int.from_bytes(page[18:22], "little")
    if begins:
        # streams that begin before any data are multiplexed; one that begins later is chained
        layout.chained = layout.chained or layout._data_seen
        layout._open.add(serial)
    elif number != layout._numbers.get(serial, number):
        return f"page {layout._numbers[serial]} of the stream is absent before byte {here}"
    layout._data_seen = layout._data_seen or not begins
    layout._numbers[serial] = number + 1
    if ends:
        layout._open.discard(serial)
    return None


def _pages(source: SourceFile) -> Iterator[bytes]:
    """Yield the whole pages of a file up to the first bytes that begin none."""
    buffer = b""
    at = 0
    while data := source.read_at(at, _READ_BYTES):
        at += len(data)
        buffer += data
        here = 0
        while page := _page_at(buffer, here):
            yield page
            here += len(page)
        buffer = buffer[here:]
        # an incomplete page may have fewer than four bytes so far, which must agree with its mark
        if len(buffer) > _LARGEST_PAGE or not b"OggS".startswith(buffer[:4]):
            return


def _page_at(buffer: bytes, here: int) -> bytes:
    """Return the whole page that begins there, nothing where there is none yet."""
    if buffer[here : here + 4] != b"OggS" or len(buffer) < here + _HEADER_BYTES:
        return b""
    # byte 26 counts the segments; a byte for the length of each follows
    n_segments = buffer[here + 26]
    body = here + _HEADER_BYTES + n_segments
    end = body + sum(buffer[here + _HEADER_BYTES : body])
    # a table of segments that is cut short sums up to less: hence the second bound
    return buffer[here:end] if len(buffer) >= max(end, body) else b""


class FixedSerialFile:
    """A file to which an encoder writes Ogg pages, one behind the other; their serial number becomes a fixed one."""

    def __init__(self, file: WritableFile) -> None:
        self._file = file
        self._waiting = b""
        self._position = 0

    def tell(self) -> int:
        """Return the number of bytes taken so far."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Stay where the pages are: an Ogg encoder never goes back."""
        if whence != 0 or offset != self._position:
            raise OSError(f"Ogg pages are written one behind the other, not from byte {offset}: open a new file")
        return self._position

    def write(self, data: bytes) -> int:
        """Take bytes; whole pages go on to the file."""
        self._position += len(data)
        self._waiting += data
        here = 0
        while page := _page_at(self._waiting, here):
            self._file.write(_with_serial_number(page))
            here += len(page)
        self._waiting = self._waiting[here:]
        return len(data)

    def finish(self) -> None:
        """Check that nothing is left of a page.

        Raises:
          OSError: what was written last is not a whole page.
        """
        if self._waiting:
            raise OSError(f"{len(self._waiting)} bytes behind the last Ogg page are no page: report this as a bug")


def _with_serial_number(page: bytes) -> bytes:
    page = page[:14] + SERIAL_NUMBER.to_bytes(4, "little") + page[18:]
    # the checksum covers the serial number, so it has to be computed anew
    return page[:22] + page_checksum(page).to_bytes(4, "little") + page[26:]
