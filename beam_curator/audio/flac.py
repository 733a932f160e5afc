"""The number of samples that a FLAC header claims beside its frames: libsndfile reads no more (RFC 9639)."""

from __future__ import annotations

from beam_curator.audio.checking import MAX_CHUNKS
from beam_curator.audio.files import SourceFile

# in bytes from the beginning of the file: sizes of blocks, the largest frame, and 36 bits that count samples
_BLOCK_SIZES, _LARGEST_FRAME, _N_SAMPLES = (8, 4), (15, 3), (21, 5)
_COUNT_BITS = (1 << 36) - 1
_TAIL_BYTES = 1 << 17


def flac_without_frames(source: SourceFile) -> bool:
    """Say whether a FLAC file ends with its metadata, or within it (RFC 9639, section 8.1)."""
    # behind the four bytes fLaC
    here = 4
    for _ in range(MAX_CHUNKS):
        header = source.read_at(here, 4)
        if len(header) < 4:
            return True
        here += 4 + int.from_bytes(header[1:], "big")
        # the highest bit marks the last metadata block
        if header[0] & 0x80:
            return here >= source.size
    return False


def with_all_frames(source: SourceFile) -> SourceFile:
    """Return a FLAC file with frames behind the samples that it claims as one that claims these, too."""
    at, width = _N_SAMPLES
    number = _number(source, _N_SAMPLES)
    claimed = number & _COUNT_BITS
    # 0 says that the number is not known
    there = _last_sample(source) if claimed else 0
    if there <= claimed:
        return source
    mended = (number - claimed + there).to_bytes(width, "big")
    return source.behind(at + width, source.read_at(0, at) + mended)


def _number(source: SourceFile, field: tuple[int, int]) -> int:
    return int.from_bytes(source.read_at(*field), "big")


def _last_sample(source: SourceFile) -> int:
    """Return the number of the sample behind the last frame, 0 where no frame is found near the end of the file."""
    n_bytes = max(_TAIL_BYTES, 3 * _number(source, _LARGEST_FRAME))
    tail = source.read_at(max(0, source.size - n_bytes), n_bytes)
    block_size = _number(source, _BLOCK_SIZES) & 0xFFFF
    ends, last = {0}, 0
    here = tail.find(b"\xff")
    while here >= 0:
        span = frame_span(tail[here : here + 16], block_size)
        if span is not None:
            # bytes may look like a frame by chance, but hardly like one that begins where another ends
            last = max(last, span[1]) if span[0] in ends else last
            ends.add(span[1])
        here = tail.find(b"\xff", here + 1)
    return last


def frame_span(header: bytes, block_size: int) -> tuple[int, int] | None:
    """Return the samples `[first, stop)` of a frame, None where these bytes begin none (RFC 9639, section 9.1).

    Args:
      header: 16 bytes, the longest header there is.
      block_size: samples of each frame but the last, in a file of blocks of one size.

    Example:
      >>> frame_span(bytes.fromhex("fff8c51805 23") + bytes(10), 4096)
      (20480, 24576)
    """
    if len(header) < 16 or header[0] != 0xFF or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    # a number of up to 36 bits, written as UTF-8 writes characters
    n_more = max(0, 7 - (header[4] ^ 0xFF).bit_length())
    if header[4] == 0xFF or header[4] & 0xC0 == 0x80 or not size_code or rate_code == 15:
        return None
    number = header[4] & (0x7F if not n_more else (1 << 6 - n_more) - 1)
    for byte in header[5 : 5 + n_more]:
        number = number << 6 | byte & 0x3F
    here = 5 + n_more
    n_size, n_rate = {6: 1, 7: 2}.get(size_code, 0), {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    end = here + n_size + n_rate
    if _crc8(header[:end]) != header[end]:
        return None
    n_samples = int.from_bytes(header[here : here + n_size], "big") + 1 if n_size else _block_of(size_code)
    # blocks of several sizes number their samples, those of one size their frames
    first = number if header[1] & 1 else number * block_size
    return first, first + n_samples


def _block_of(code: int) -> int:
    return 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc
