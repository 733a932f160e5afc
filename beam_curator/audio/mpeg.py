"""MPEG audio frames: how many samples an mp3 holds, which its header may not say, or say wrongly.

Sources: ISO/IEC 11172-3 and 13818-3 (frame header); the Xing, Info and VBRI headers as LAME and Fraunhofer write them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from beam_curator.audio.files import SourceFile

_READ_BYTES = 1 << 20
_MAX_LEADING_BYTES = 1 << 16
# tags behind the last frame (ID3v1, APE, lyrics) may be that long without meaning a wrong claim
_SLACK_BYTES = 2048
_SMALLEST_FRAME = 24

_V1_KBPS = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_V2_KBPS = {
    1: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The first four bytes of an MPEG audio frame, read.

    Attributes:
      n_bytes: length of the frame, header included; 0 where it is free (bit rate index 0).
      n_samples: samples a channel that it decodes to.
      layer: 1, 2 or 3.
      side_info_bytes: length of the side information of layer 3.
    """

    n_bytes: int
    n_samples: int
    layer: int
    side_info_bytes: int


def frame_header(header: bytes) -> FrameHeader | None:
    """Read a frame header, None where these four bytes are none.

    Example:
      >>> frame_header(bytes.fromhex("fffb9444"))
      FrameHeader(n_bytes=384, n_samples=1152, layer=3, side_info_bytes=32)
    """
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    # version: 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5, 1 is reserved
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    kbps_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or kbps_index == 15 or rate_index == 3:
        return None
    kbps = (_V1_KBPS if version == 3 else _V2_KBPS)[layer][kbps_index]
    n_samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    slot = 4 if layer == 1 else 1
    n_slots = n_samples // (8 * slot) * kbps * 1000 // _RATES[version][rate_index] + padding
    mono = header[3] >> 6 == 3
    # the Xing header lies behind the side information, whose length depends on these two
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return FrameHeader(n_slots * slot if kbps else 0, n_samples, layer, side)


@dataclass(frozen=True, slots=True, kw_only=True)
class MpegStream:
    """The view of an mp3 that libsndfile is given, and the number of samples to expect from it.

    Attributes:
      view: the file as libsndfile should see it.
      n_samples: samples that are there, where they were counted; None where libsndfile's number holds.
      n_claimed: samples that a VBRI header claims, which libsndfile does not read; None without one.
      doubtful: libsndfile's number may be wrong, so the samples have to be counted by decoding.
      claims: libsndfile's number is what a header says.
    """

    view: SourceFile
    n_samples: int | None = None
    n_claimed: int | None = None
    doubtful: bool = False
    claims: bool = False


def mpeg_stream(source: SourceFile) -> MpegStream | None:
    """Find the frames of an mp3 and make sure that libsndfile will read all of them; None where there are none.

    Without a Xing header, libsndfile takes the number of samples from the size of the file and the first bit rate, and
    reads no further: of a variable bit rate, half may be lost without a word. So the frames are counted here, and a
    Xing header with that number is put in front, with a silent frame whose samples stand in for the decoder delay that
    libsndfile then leaves out; what is left of them is skipped by the reader. Where a Xing header claims less than the
    file holds (files that were joined), its number is mended.
    """
    start = _first_frame(source)
    if start is None:
        return None
    frames = source.behind(start)
    first = frames.read_at(0, 4)
    header = frame_header(first)
    if header is None or header.layer != 3 or not header.n_bytes:
        return MpegStream(view=frames, doubtful=True)
    tag = frames.read_at(0, header.n_bytes)
    claim = _claim_of(tag, header)
    if claim is None:
        return _with_counted_frames(frames, first, header)
    n_frames, n_bytes, vbri = claim
    if vbri:
        counted = _with_counted_frames(frames.behind(len(tag)), first, header)
        return replace(counted, n_claimed=n_frames * header.n_samples)
    # the claim exceeds the file, even with the smallest frames there are
    too_much = frames.size < n_bytes or frames.size < n_frames * _SMALLEST_FRAME
    if not too_much and (not n_bytes or frames.size > n_bytes + _SLACK_BYTES):
        return _with_mended_claim(frames, tag, header, n_frames)
    return MpegStream(view=frames, doubtful=too_much, claims=True)


def _with_mended_claim(frames: SourceFile, tag: bytes, header: FrameHeader, n_frames: int) -> MpegStream:
    """Count the frames behind a Xing header; where there are more than it claims, put their number into it."""
    counted = count_frames(frames.behind(len(tag)))
    # encoders differ in whether the frame of the Xing header counts itself
    if counted <= n_frames + 1:
        return MpegStream(view=frames, doubtful=counted < n_frames, claims=True)
    # behind the frame header come side information, the four letters and four bytes of flags
    at = 4 + header.side_info_bytes + 8
    mended = tag[:at] + counted.to_bytes(4, "big") + tag[at + 4 :]
    return MpegStream(view=frames.behind(len(tag), mended), doubtful=True)


def _first_frame(source: SourceFile) -> int | None:
    """Return where the first frame begins that another one follows, or the end of the file."""
    head = source.read_at(0, _MAX_LEADING_BYTES)
    here = head.find(b"\xff")
    while here >= 0:
        header = frame_header(head[here : here + 4])
        if header is not None:
            behind = here + header.n_bytes
            if not header.n_bytes or behind == source.size or frame_header(source.read_at(behind, 4)) is not None:
                return here
        here = head.find(b"\xff", here + 1)
    return None


def _claim_of(frame: bytes, header: FrameHeader) -> tuple[int, int, bool] | None:
    """Return the frames and bytes (0: not said) that a Xing, Info or VBRI header claims, and whether it is VBRI."""
    at = 4 + header.side_info_bytes
    if frame[at : at + 4] in (b"Xing", b"Info"):
        flags = int.from_bytes(frame[at + 4 : at + 8], "big")
        if flags & 1:
            n_bytes = int.from_bytes(frame[at + 12 : at + 16], "big") if flags & 2 else 0
            return int.from_bytes(frame[at + 8 : at + 12], "big"), n_bytes, False
    # VBRI has a fixed place: 32 bytes behind the frame header, whatever the side information
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big"), int.from_bytes(frame[46:50], "big"), True
    return None


def _with_counted_frames(frames: SourceFile, first: bytes, header: FrameHeader) -> MpegStream:
    """Put a Xing header with the number of frames in front, and a silent frame."""
    counted = count_frames(frames)
    quiet, n_bytes = _quiet_frame(first, 64 + header.side_info_bytes)
    # the silent frame counts, the one of the header does not
    xing = quiet + bytes(header.side_info_bytes) + b"Xing" + (1).to_bytes(4, "big") + (counted + 1).to_bytes(4, "big")
    prefix = xing.ljust(n_bytes, b"\0") + quiet.ljust(n_bytes, b"\0")
    return MpegStream(view=frames.behind(0, prefix), n_samples=counted * header.n_samples)


def _quiet_frame(first: bytes, at_least: int) -> tuple[bytes, int]:
    """Return the header of a frame like the first one that has room for some bytes, and the length of that frame."""
    for kbps_index in range(1, 15):
        # the lowest bit says that no checksum follows; private and padding bits are cleared
        quiet = bytes([0xFF, first[1] | 1, first[2] & 0x0C | kbps_index << 4, first[3]])
        found = frame_header(quiet)
        if found is not None and found.n_bytes >= at_least:
            return quiet, found.n_bytes
    raise AssertionError(f"no MPEG frame like {first.hex()} holds {at_least} bytes: report this as a bug")


class _FrameSizes:
    """The lengths of frames of one version, layer and sample rate, by the first three bytes of their headers."""

    def __init__(self, first: bytes) -> None:
        self._kind = self._kind_of(first)
        self._sizes: dict[bytes, int] = {}

    def of(self, header: bytes) -> int:
        """Return the length in bytes, 0 where these four bytes are no header of this kind."""
        # the fourth byte (channel mode) does not affect the length
        size = self._sizes.get(header[:3])
        if size is None:
            found = frame_header(header) if self._kind_of(header) == self._kind else None
            size = self._sizes[header[:3]] = found.n_bytes if found is not None else 0
        return size

    @staticmethod
    def _kind_of(header: bytes) -> tuple[int, ...]:
        return tuple(byte & mask for byte, mask in zip(header, (0xFF, 0xFE, 0x0C), strict=False))


def count_frames(source: SourceFile) -> int:
    """Count the whole frames of a file that begins with one; bytes between them, such as tags, are passed over.

    Behind such bytes a frame counts only where another one, or the end of the file, follows it.
    """
    sizes = _FrameSizes(source.read_at(0, 4))
    n_frames = here = at = 0
    buffer, in_step = b"", True
    while here + 4 <= source.size:
        # a header that straddles the buffer's end is read again as a whole
        if not at <= here <= at + len(buffer) - 4:
            buffer, at = source.read_at(here, _READ_BYTES), here
            if len(buffer) < 4:
                break
        position = here - at
        size = sizes.of(buffer[position : position + 4])
        if size and (in_step or here + size == source.size or sizes.of(source.read_at(here + size, 4))):
            # the last frame may be cut off
            n_frames += here + size <= source.size
            here += size
            in_step = True
        else:
            found = buffer.find(b"\xff", position + 1)
            here = at + (found if found >= 0 else len(buffer))
            in_step = False
    return n_frames
