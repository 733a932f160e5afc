from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from beam_curator.audio import encode_audio, open_audio
from beam_curator.audio.checking import data_claim
from beam_curator.audio.files import as_source
from beam_curator.audio.formats import container_of
from beam_curator.failures import EntryError
from tests.audio.corpus import decode_audio, speech_like

SAMPLES = speech_like(24123, 16000)
WAV = encode_audio(SAMPLES, 16000, "wav")
CHUNKED = [
    "u8.wav", "pcm16.wav", "pcm24.wav", "float.wav", "ulaw.wav", "extensible.wav", "eight_channels.wav",
    "big.rf64", "wave64.w64", "pcm16.aiff", "pcm16.au",
]  # fmt: skip


def sized(n_bytes: int, tail: bytes = b"") -> bytes:
    return WAV[:40] + struct.pack("<I", n_bytes) + WAV[44:] + tail


@pytest.mark.parametrize("name", CHUNKED)
def test_a_file_cut_in_the_middle_is_found_out(name: str, corpus: dict[str, Path]) -> None:
    data = corpus[name].read_bytes()
    whole, _ = decode_audio(data)
    with open_audio(data[: len(data) * 2 // 3]) as reader:
        info = reader.info
        assert (info.truncated, info.n_claimed) == (True, len(whole))
        assert abs(info.n_samples - len(whole) * 2 // 3) < 30
        np.testing.assert_array_equal(reader.read(), whole[: info.n_samples])
        with pytest.raises(EntryError, match="truncated_audio"):
            reader.read(0, len(whole))


def test_a_caf_cut_in_the_middle_is_refused(corpus: dict[str, Path]) -> None:
    data = corpus["pcm16.caf"].read_bytes()
    with pytest.raises(EntryError) as caught:
        open_audio(data[:34894])
    assert caught.value.code == "truncated_audio"
    assert caught.value.message == "the header claims 48246 bytes of samples, and 30798 are there"


def test_adpcm_and_gsm_cut_in_the_middle_are_found_out(corpus: dict[str, Path]) -> None:
    for name in ("ima_adpcm.wav", "gsm.wav"):
        data = corpus[name].read_bytes()
        n_samples = len(decode_audio(data)[0])
        with open_audio(data[: len(data) * 2 // 3]) as reader:
            assert reader.info.truncated
            assert reader.info.n_claimed is not None
            assert abs(reader.info.n_claimed - n_samples) < 2000


@pytest.mark.parametrize("n_bytes", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x7FFFEFFE])
def test_a_stream_that_was_never_finished_claims_nothing(n_bytes: int) -> None:
    with open_audio(sized(n_bytes)) as reader:
        assert (reader.info.n_samples, reader.info.truncated, reader.info.n_claimed) == (24123, False, None)
        np.testing.assert_array_equal(reader.read(), decode_audio(WAV)[0])


@pytest.mark.parametrize(
    ("tail", "n_samples"),
    [
        (b"LIST\4\0\0\0INFO", None),
        (b"LIST\3\0\0\0INF\0", None),
        (b"LIST\3\0\0\0INF", None),
        (b"LIST\5\0\0\0INF", None),
        (b"List\5\0\0\0INF", 6),
    ],
)
def test_no_samples_before_other_chunks_are_no_samples(tail: bytes, n_samples: int | None) -> None:
    data = WAV[:40] + bytes(4) + tail
    if n_samples is None:
        with pytest.raises(EntryError, match="empty_audio"):
            open_audio(data)
    else:
        with open_audio(data) as reader:
            assert reader.info.n_samples == len(tail) // 2


def test_chunks_behind_the_samples_are_no_samples() -> None:
    with open_audio(sized(2 * 24123, b"LIST\4\0\0\0INFO")) as reader:
        assert (reader.info.n_samples, reader.info.truncated) == (24123, False)


def test_rf64_takes_its_length_from_ds64() -> None:
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 0, 100_000, 50_000, 0)
    data = b"RF64\xff\xff\xff\xffWAVE" + ds64 + WAV[12:36] + b"data\xff\xff\xff\xff" + WAV[44:]
    claim = data_claim(as_source(data), "rf64")
    assert claim is not None
    assert (claim.claimed, claim.there, claim.cut) == (100_000, 48246, True)
    with open_audio(data) as reader:
        assert (reader.info.n_samples, reader.info.n_claimed) == (24123, 50_000)


def test_big_endian_riff_too() -> None:
    fmt = b"fmt " + struct.pack(">IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    data = b"RIFX" + struct.pack(">I", 236) + b"WAVE" + fmt + b"data" + struct.pack(">I", 200) + bytes(100)
    with open_audio(data) as reader:
        assert (reader.info.n_samples, reader.info.n_claimed) == (50, 100)


def test_endless_chunks_come_to_an_end() -> None:
    assert data_claim(as_source(WAV[:12] + b"junk\0\0\0\0" * 20_000), "wav") is None
    assert data_claim(as_source(WAV[:12]), "wav") is None
    assert data_claim(as_source(b"fLaC"), "flac") is None


def test_flac_that_does_not_know_its_length_is_counted() -> None:
    flac = encode_audio(SAMPLES, 16000, "flac")
    streamed = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]
    with open_audio(streamed) as reader:
        assert (reader.info.n_samples, reader.info.truncated) == (24123, False)
        np.testing.assert_array_equal(reader.read(5, 20000), decode_audio(flac)[0][5:20000])
    with open_audio(b"ID3\x04\0\0\0\0\0\x05....." + flac) as reader:
        assert (reader.info.container, reader.info.n_samples) == ("flac", 24123)


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"RIFF....WAVE", "wav"),
        (b"RIFF....AVI ", None),
        (b"RF64....WAVE", "rf64"),
        (b"FORM....AIFC", "aiff"),
        (b".snd", "au"),
        (b"....ftypisom", "mp4"),
        (b"....ftypM4A ", "m4a"),
        (b"....ftypqt  ", "mov"),
        (b"....ftyp3gp4", "3gp"),
        (b"\x1a\x45\xdf\xa3....webm", "webm"),
        (b"\x1a\x45\xdf\xa3....matroska", "mka"),
        (b"#!AMR-WB\n", "amr"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xfe<\0", None),  # UTF-16 text
        (b"\xff\xd8\xff\xe0", None),  # JPEG
        (b"\xff", None),
        (b"", None),
    ],
)
def test_a_container_is_known_by_its_first_bytes(head: bytes, container: str | None) -> None:
    assert container_of(head) == container


@pytest.mark.parametrize("size", [(1 << 63) - 1, 1 << 62, (1 << 64) - 2])
@pytest.mark.parametrize("name", ["wave64.w64", "pcm16.caf"])
def test_a_claim_beyond_any_file_is_no_offset(name: str, size: int, corpus: dict[str, Path]) -> None:
    data = corpus[name].read_bytes()
    claim = data_claim(as_source(data), name.rpartition(".")[2])
    assert claim is not None
    at, n_bytes, order = claim.size_field
    try:
        with open_audio(data[:at] + size.to_bytes(n_bytes, order) + data[at + n_bytes :]) as reader:
            assert reader.info.n_samples == 24123
    except EntryError as err:
        assert err.code in ("truncated_audio", "not_audio", "empty_audio")
