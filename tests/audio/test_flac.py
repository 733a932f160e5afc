from __future__ import annotations

import numpy as np
import pytest

from beam_curator.audio import encode_audio, open_audio
from beam_curator.audio.files import as_source
from beam_curator.audio.flac import flac_without_frames, frame_span
from tests.audio.corpus import decode_audio, packet_bytes, speech_like

SAMPLES = speech_like(24123, 16000)
FLAC = encode_audio(SAMPLES, 16000, "flac")


def claiming(flac: bytes, n_samples: int) -> bytes:
    return flac[:22] + n_samples.to_bytes(4, "big") + flac[26:]


def test_flac_of_metadata_alone() -> None:
    first_frame = FLAC.index(b"\xff\xf8")
    assert not flac_without_frames(as_source(FLAC[: first_frame + 1]))
    for n_bytes in (4, 6, 42, first_frame):
        assert flac_without_frames(as_source(FLAC[:n_bytes]))


@pytest.mark.parametrize("n_claimed", [1, 8192, 20480, 24122])
def test_frames_behind_the_samples_that_are_claimed_are_read(n_claimed: int) -> None:
    with open_audio(claiming(FLAC, n_claimed) + b"TAG" + bytes(125)) as reader:
        assert (reader.info.n_samples, reader.info.n_claimed, reader.info.truncated) == (24123, None, False)
        np.testing.assert_array_equal(reader.read(20000), decode_audio(FLAC)[0][20000:])


def test_frames_with_numbers_of_two_bytes_and_another_encoder() -> None:
    samples = speech_like(600_000, 16000)
    long = encode_audio(samples, 16000, "flac")
    other = packet_bytes(samples[:99_999], 44100, "flac", "flac")
    for flac, n_samples in ((long, 600_000), (other, 99_999)):
        with open_audio(claiming(flac, 50_000)) as reader:
            assert reader.info.n_samples == n_samples


# by hand: blocks of 4096 (0xc), 192 (0x1), 100 as one byte (0x6: 99 follows); number 5, or 300 as two bytes of UTF-8;
# 0xf9 has blocks of several sizes, which number their samples
@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("fff8c51805", (20480, 24576)),
        ("fff8c518c4ac", (1228800, 1232896)),
        ("fff915180a", (10, 202)),
        ("fff865180563", (20480, 20580)),
    ],
)
def test_a_frame_tells_its_samples(header: str, span: tuple[int, int]) -> None:
    # a checksum of the right value is the one among 256 that is taken
    spans = {frame_span(bytes.fromhex(header) + bytes([crc]) + bytes(12), 4096) for crc in range(256)}
    assert spans == {None, span}
    assert frame_span(bytes.fromhex("7f" + header[2:]) + bytes(12), 4096) is None
