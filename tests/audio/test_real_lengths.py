from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from beam_curator.audio import encode_audio, open_audio
from beam_curator.audio.checking import data_claim
from beam_curator.audio.files import as_source
from beam_curator.failures import EntryError
from tests.audio.corpus import RECIPES, Recipe, decode_audio, sound_bytes, speech_like, write_sound

SAMPLES = speech_like(24123, 16000)
WAV = encode_audio(SAMPLES, 16000, "wav")
SIZED = ["u8.wav", "pcm24.wav", "float.wav", "ulaw.wav", "eight_channels.wav", "big.rf64", "wave64.w64", "pcm16.aiff"]
SIZED += ["pcm16.au", "pcm16.caf"]
TAIL = b"LIST\4\0\0\0INFO"


def sized(data: bytes, container: str, n_bytes: int) -> bytes:
    claim = data_claim(as_source(data), container)
    assert claim is not None and claim.size_field is not None
    at, width, order = claim.size_field
    return data[:at] + (n_bytes + claim.extra).to_bytes(width, order) + data[at + width :]


@pytest.mark.parametrize("share", [0, 1, 4])
@pytest.mark.parametrize("name", SIZED)
def test_samples_behind_the_length_in_the_header_are_read(name: str, share: int, corpus: dict[str, Path]) -> None:
    data = corpus[name].read_bytes()
    container = name.rpartition(".")[2]
    claim = data_claim(as_source(data), container)
    assert claim is not None
    # a quarter of the samples, one frame of them, or none: the header was never completed
    frame = {"u8.wav": 1, "pcm24.wav": 3, "float.wav": 4, "ulaw.wav": 1, "eight_channels.wav": 16}.get(name, 2)
    stale = sized(data, container, {0: 0, 1: frame, 4: claim.declared // 4 // frame * frame}[share])
    # nothing tells the byte that fills up an odd chunk from a sample of one byte
    n_padding = (len(data) - claim.start - claim.declared) // frame
    with open_audio(stale) as reader:
        whole = decode_audio(data)[0]
        assert (reader.info.container, reader.info.n_claimed, reader.info.truncated) == (container, None, False)
        assert reader.info.n_samples == len(whole) + n_padding
        np.testing.assert_array_equal(reader.read()[: len(whole)], whole)


@pytest.mark.parametrize("name", ["ima_adpcm.wav", "gsm.wav"])
def test_blocks_of_a_codec_behind_the_length_are_read(name: str, corpus: dict[str, Path]) -> None:
    data = corpus[name].read_bytes()
    claim = data_claim(as_source(data), "wav")
    assert claim is not None
    whole = decode_audio(data)[0]
    stale = sized(data, "wav", claim.declared // 2 // 260 * 260)
    np.testing.assert_array_equal(decode_audio(stale)[0], whole)


@pytest.mark.parametrize(
    "tail",
    [
        b"", b"\0", TAIL, TAIL + b"id3 \3\0\0\0abc", b"LIST\5\0\0\0INFOx\0", b"bext\x50\0\0\0cut", b"TAG" + bytes(125),
        b"ID3\4\0\0\0\0\0\0", b"APETAGEX" + bytes(24), bytes(512), bytes(65536), b"my  \2\0\0\0ab",
    ],
)  # fmt: skip
def test_chunks_tags_and_padding_behind_the_samples_are_none(tail: bytes) -> None:
    with open_audio(WAV + tail) as reader:
        assert reader.info.n_samples == 24123
        np.testing.assert_array_equal(reader.read(), decode_audio(WAV)[0])


def test_more_zeros_than_padding_are_silence() -> None:
    with open_audio(WAV + bytes(65538)) as reader:
        assert reader.info.n_samples == 24123 + 32769


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (WAV, "another wav file begins behind the samples, at byte 48290"),
        (encode_audio(SAMPLES, 16000, "flac"), "another flac file begins behind the samples, at byte 48290"),
        (b"<html>502 Bad Gateway</html>\n", "a text follows the samples, at byte 48290: 29 bytes"),
        (TAIL + b"data\2\0\0\0ab", "a second chunk of samples follows behind byte 48290"),
    ],
)
def test_other_things_behind_the_samples_are_refused(tail: bytes, message: str) -> None:
    with pytest.raises(EntryError) as caught:
        open_audio(WAV + tail)
    assert (caught.value.code, caught.value.message) == ("not_audio", message)


def test_sphere_says_its_length_in_words() -> None:
    data = write_sound(SAMPLES, Recipe("NIST", "PCM_16"))
    whole = decode_audio(data)[0]
    for count, tail, n_claimed in ((b"12345", b"", None), (b"30000", b"", 30000), (b"24123", bytes(100), None)):
        with open_audio(data.replace(b"-i 24123", b"-i " + count) + tail) as reader:
            assert (reader.info.n_samples, reader.info.n_claimed) == (24123, n_claimed)
            np.testing.assert_array_equal(reader.read(), whole)


def test_sphere_without_numbers_claims_nothing() -> None:
    assert data_claim(as_source(b"NIST_1A\n   1024\nsample_count -s3 abc\nend_head\n"), "nist") is None


def sparse(folder: Path, header: bytes, n_bytes: int, tail: bytes = b"") -> BinaryIO:
    """Write a header, samples that are 0 but for 1 s at 100 s, and a tail; the zeros take no room on the disk."""
    file = open(folder / "sparse", "w+b")  # noqa: SIM115
    file.write(header)
    file.seek(len(header) + 100 * 32000)
    file.write(np.full(16000, 16384, "<i2").tobytes())
    file.truncate(len(header) + n_bytes)
    file.seek(0, io.SEEK_END)
    file.write(tail)
    return file


BEYOND = (1 << 32) + 6 * 32000


@pytest.mark.parametrize(
    ("size", "tail", "n_bytes"),
    [
        (BEYOND % (1 << 32), b"", BEYOND),
        (BEYOND % (1 << 32), TAIL, BEYOND),
        # not wrapped: a chunk cannot be told from samples then
        (5 * 32000, TAIL, BEYOND + len(TAIL)),
        (0xFFFFFFFF, b"", BEYOND),
        (0, b"", BEYOND),
        (0x7FFFF000, b"", BEYOND),
    ],
)
def test_a_length_that_wraps_beyond_4_gib(size: int, tail: bytes, n_bytes: int, tmp_path: Path) -> None:
    header = WAV[:40] + struct.pack("<I", size)
    with sparse(tmp_path, header, BEYOND, tail) as file:
        tracemalloc.start()
        with open_audio(file) as reader:
            assert (reader.info.container, reader.info.n_samples, reader.info.n_claimed) == ("wav", n_bytes // 2, None)
            samples = reader.read(100 * 16000 - 1, 101 * 16000 + 1)
            assert reader.read(n_bytes // 2 - 10).shape == (10, 1)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()
    assert (samples[0, 0], samples[1, 0], samples[-2, 0], samples[-1, 0]) == (0, 0.5, 0.5, 0)


def test_au_beyond_4_gib_and_aiff_that_cannot_say_it(tmp_path: Path) -> None:
    au = struct.pack(">4sIIIII", b".snd", 24, BEYOND % (1 << 32), 3, 16000, 1)
    with sparse(tmp_path, au, BEYOND) as file, open_audio(file) as reader:
        assert reader.info.n_samples == BEYOND // 2
    aiff = sound_bytes(RECIPES["pcm16.aiff"])[:54]
    with sparse(tmp_path, sized(aiff, "aiff", BEYOND % (1 << 32)), BEYOND) as file:
        with pytest.raises(EntryError) as caught:
            open_audio(file)
        assert caught.value.message.startswith("the header says 192000 bytes of samples, and 4295159296 are there")
