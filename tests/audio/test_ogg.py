from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.audio import encode_audio
from beam_curator.audio.files import as_source
from beam_curator.audio.ogg import SERIAL_NUMBER, FixedSerialFile, ogg_layout, page_checksum
from tests.audio.corpus import speech_like

OGG = encode_audio(speech_like(60000, 16000), 16000, "ogg")


def checksum_bit_by_bit(page: bytes) -> int:
    """The definition in RFC 3533: a remainder, bit by bit, the checksum's own bytes counted as zero."""
    remainder = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x04C11DB7 if remainder & 0x80000000 else 0)) & 0xFFFFFFFF
    return remainder


def pages(data: bytes) -> list[bytes]:
    found = []
    while data:
        body = 27 + data[26]
        end = body + sum(data[27:body])
        found.append(data[:end])
        data = data[end:]
    return found


@given(st.binary(min_size=27, max_size=300))
def test_the_checksum_is_that_of_the_definition(page: bytes) -> None:
    assert page_checksum(page) == checksum_bit_by_bit(page)


def test_the_checksum_is_that_which_libogg_writes() -> None:
    file = io.BytesIO()
    soundfile.write(file, speech_like(60000, 16000), 16000, format="OGG", subtype="VORBIS")
    written = pages(file.getvalue())
    assert len(written) > 3
    assert [page_checksum(page) for page in written] == [struct.unpack_from("<I", page, 22)[0] for page in written]


def test_every_page_has_the_fixed_serial_number() -> None:
    assert {page[14:18] for page in pages(OGG)} == {SERIAL_NUMBER.to_bytes(4, "little")}
    assert [page_checksum(page) for page in pages(OGG)] == [
        struct.unpack_from("<I", page, 22)[0] for page in pages(OGG)
    ]
    assert soundfile.read(io.BytesIO(OGG))[0].shape == (60000,)


def test_pages_may_come_in_any_pieces() -> None:
    for step in (1, 26, 27, 28, 1000, len(OGG)):
        file = io.BytesIO()
        writer = FixedSerialFile(file)
        for here in range(0, len(OGG), step):
            writer.write(OGG[here : here + step])
        writer.finish()
        assert file.getvalue() == OGG
        assert writer.tell() == len(OGG)


def test_half_a_page_at_the_end_is_an_error() -> None:
    writer = FixedSerialFile(io.BytesIO())
    writer.write(OGG[:-1])
    with pytest.raises(OSError, match="behind the last Ogg page"):
        writer.finish()
    with pytest.raises(OSError, match="not from byte 0"):
        writer.seek(0)


def with_number(page: bytes, number: int) -> bytes:
    page = page[:18] + struct.pack("<I", number) + page[22:]
    return page[:22] + struct.pack("<I", page_checksum(page)) + page[26:]


PAGES = pages(OGG)
OTHER = pages(encode_audio(np.zeros((9000, 1), np.float32), 16000, "ogg"))
LOST = f"page {len(PAGES) - 2} of the stream is absent before byte {len(b''.join(PAGES[:-2]))}"


@pytest.mark.parametrize(
    ("data", "chained", "ended", "damage"),
    [
        (OGG, False, True, None),
        (OGG[:-1], False, False, None),
        (OGG[:-100], False, False, None),
        (b"".join(PAGES[:-1]), False, False, None),
        (OGG + b"TAG".ljust(128), False, True, None),  # an ID3v1 tag behind the end does no harm
        (OGG + b"".join(OTHER), True, True, None),
        (b"".join(PAGES[:-2] + PAGES[-1:]), False, False, LOST),
        (
            b"".join(PAGES[:2]) + b"junk" + b"".join(PAGES[2:]),
            False,
            False,
            f"no page begins at byte {len(PAGES[0] + PAGES[1])}",
        ),
        (PAGES[0] + PAGES[1][:-1] + b"\xfe", False, False, "the page at byte 58 does not match its checksum"),
        (
            b"".join([*PAGES[:-1], with_number(PAGES[-1], 0)]),
            False,
            False,
            f"page {len(PAGES) - 1} of the stream is absent before byte {len(OGG) - len(PAGES[-1])}",
        ),
    ],
)
def test_what_pages_say(data: bytes, chained: bool, ended: bool, damage: str | None) -> None:
    layout = ogg_layout(as_source(data))
    assert (layout.chained, layout.ended, layout.damage) == (chained, ended, damage)
