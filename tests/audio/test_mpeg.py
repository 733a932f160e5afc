from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from beam_curator.audio import open_audio
from beam_curator.audio.files import as_source
from beam_curator.audio.mpeg import FrameHeader, count_frames, frame_header, mpeg_stream
from beam_curator.failures import EntryError
from tests.audio.corpus import RECIPES, decode_audio, packet_bytes, sound_bytes, speech_like, without_xing

CONSTANT = sound_bytes(RECIPES["constant.mp3"])
VARIABLE = sound_bytes(RECIPES["variable.mp3"])
ID3 = b"ID3\x04\0\0\0\0\x02\x01" + bytes(257)


def read_frames(data: bytes) -> np.ndarray:
    """Read an mp3 with libsndfile alone, from one end to the other."""
    with soundfile.SoundFile(io.BytesIO(data)) as sound:
        return sound.read(sound.frames, dtype="float32", always_2d=True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fffb9064", FrameHeader(417, 1152, 3, 32)),  # MPEG-1 layer III, 128 kb/s, 44.1 kHz: 144 * 128000 // 44100
        ("fffb9264", FrameHeader(418, 1152, 3, 32)),  # with padding
        ("fffb90c4", FrameHeader(417, 1152, 3, 17)),  # mono
        ("fff380c4", FrameHeader(208, 576, 3, 9)),  # MPEG-2, 64 kb/s, 22.05 kHz: 72 * 64000 // 22050
        ("ffe380c4", FrameHeader(417, 576, 3, 9)),  # MPEG-2.5, 64 kb/s, 11.025 kHz
        ("fffd8004", FrameHeader(417, 1152, 2, 32)),  # MPEG-1 layer II, 128 kb/s, 44.1 kHz
        ("ffff1004", FrameHeader(32, 384, 1, 32)),  # MPEG-1 layer I, 32 kb/s: 12 * 32000 // 44100 slots of 4 bytes
        ("fffb0064", FrameHeader(0, 1152, 3, 32)),  # free bit rate
        ("fffbf064", None),
        ("fffb9c64", None),
        ("ffeb9064", None),
        ("fff19064", None),  # AAC in ADTS
        ("fe", None),
    ],
)
def test_frame_headers(header: str, expected: FrameHeader | None) -> None:
    assert frame_header(bytes.fromhex(header)) == expected


@pytest.mark.parametrize("data", [CONSTANT, VARIABLE])
def test_without_a_xing_header_nothing_is_lost(data: bytes) -> None:
    bare = without_xing(data)
    header = frame_header(bare[:4])
    assert header is not None
    n_frames = count_frames(as_source(bare))
    samples, _ = decode_audio(bare)
    assert len(samples) == n_frames * header.n_samples
    plain = read_frames(bare)
    n_both = min(len(plain), len(samples))
    assert n_both > 6000
    np.testing.assert_allclose(samples[:n_both], plain[:n_both], atol=2e-7)


def test_libsndfile_alone_loses_some() -> None:
    bare = without_xing(VARIABLE)
    assert len(read_frames(bare)) != len(decode_audio(bare)[0])


@pytest.mark.parametrize("tail", [b"", b"TAG".ljust(128), b"\xff\xfb" * 500, b"\xff" * 40])
@pytest.mark.parametrize("front", [b"", ID3, ID3 + bytes(100)])
def test_tags_around_change_nothing(front: bytes, tail: bytes) -> None:
    for data in (CONSTANT, without_xing(CONSTANT)):
        expected, _ = decode_audio(data)
        np.testing.assert_array_equal(decode_audio(front + data + tail)[0], expected)


@pytest.mark.parametrize("data", [CONSTANT, VARIABLE])
def test_joined_files_are_read_to_the_end(data: bytes) -> None:
    one, _ = decode_audio(data)
    both, _ = decode_audio(data + data)
    assert len(read_frames(data + data)) == len(one)
    assert 2 * len(one) - 2400 < len(both) < 2 * len(one) + 4 * 1152
    np.testing.assert_allclose(both[: len(one) - 2000], one[: len(one) - 2000], atol=2e-7)


def as_vbri(data: bytes, n_frames: int) -> bytes:
    """Put a VBRI header in place of the Xing header."""
    header = frame_header(data[:4])
    assert header is not None
    vbri = b"VBRI" + struct.pack(">HHHII", 1, 0, 75, len(data), n_frames)
    return (data[:4] + bytes(32) + vbri).ljust(header.n_bytes, b"\0") + data[header.n_bytes :]


def test_a_vbri_header_is_read() -> None:
    bare = without_xing(VARIABLE)
    n_frames = count_frames(as_source(bare))
    expected, _ = decode_audio(bare)
    data = as_vbri(VARIABLE, n_frames)
    np.testing.assert_array_equal(decode_audio(data)[0], expected)
    with open_audio(data[:-1000]) as reader:
        assert (reader.info.truncated, reader.info.n_claimed) == (True, n_frames * 1152)
        assert reader.info.n_samples < n_frames * 1152


def test_a_last_frame_that_is_cut_does_not_count() -> None:
    bare = without_xing(CONSTANT)
    assert count_frames(as_source(bare[:-1])) == count_frames(as_source(bare)) - 1
    assert count_frames(as_source(bare + bare[:3])) == count_frames(as_source(bare))


def test_a_claim_without_bytes_is_compared_with_the_frames() -> None:
    header = frame_header(CONSTANT[:4])
    assert header is not None
    at = 4 + header.side_info_bytes
    assert CONSTANT[at : at + 4] in (b"Xing", b"Info")
    flags, n_frames = struct.unpack_from(">II", CONSTANT, at + 4)
    assert flags & 3 == 3
    more = CONSTANT[: at + 8] + struct.pack(">I", n_frames + 100) + b"\xff\xff\xff\xff" + CONSTANT[at + 16 :]
    with open_audio(more) as reader:
        assert (reader.info.truncated, reader.info.n_claimed) == (True, reader.info.n_claimed)
        assert reader.info.n_claimed is not None
        assert len(reader.read()) == reader.info.n_samples


def test_frames_of_layer_2_are_read() -> None:
    data = packet_bytes(speech_like(44100, 44100), 44100, "mp2", "mp2")
    n_frames = count_frames(as_source(data))
    with open_audio(data) as reader:
        assert (reader.info.codec, reader.info.n_samples) == ("mp2", n_frames * 1152)
        assert len(reader.read()) == n_frames * 1152


def test_no_frames_are_no_audio() -> None:
    assert mpeg_stream(as_source(b"\xff\xfb\x90\x64" + bytes(1000))) is None
    with pytest.raises(EntryError, match="not_audio: no two MPEG frames follow each other"):
        open_audio(ID3 + bytes(5000))
