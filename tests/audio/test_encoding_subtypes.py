from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.audio import AUDIO_FORMATS, Samples, encode_audio, open_audio
from beam_curator.audio.encoding import check_size
from beam_curator.audio_formats import SUBTYPES, kept_subtype
from beam_curator.failures import EntryError, FailureCode
from tests.audio.corpus import decode_audio, encode_pieces, in_16_bits, speech_like

ALL = [(audio_format, subtype) for audio_format, subtypes in SUBTYPES.items() for subtype in subtypes]
PLAIN = [pair for pair in ALL if pair[0] != "ogg"]
BITS = {"pcm_u8": 8, "pcm_s8": 8, "pcm_16": 16, "pcm_24": 24}


def values_of(n_bits: int) -> Samples:
    """Return values that integers of so many bits stand for: all of 8 and 16, of 24 the ends, the middle and others."""
    top = 1 << (n_bits - 1)
    numbers = np.arange(-top, top)
    if n_bits == 24:
        some = np.random.default_rng(0).integers(-top, top, 100_000)
        numbers = np.concatenate((numbers[:500], numbers[top - 70_000 : top + 70_000], numbers[-500:], some))
    return (numbers / top).astype(np.float32)[:, None]


@pytest.mark.parametrize(("audio_format", "subtype"), [pair for pair in PLAIN if pair[1] in BITS])
def test_every_value_comes_back(audio_format: str, subtype: str) -> None:
    samples = values_of(BITS[subtype])
    data = encode_audio(samples, 16000, audio_format, subtype)
    np.testing.assert_array_equal(decode_audio(data)[0], samples, strict=True)
    assert open_audio(data).info.codec == subtype


@pytest.mark.parametrize("subtype", ["float", "double"])
def test_floats_come_back_as_they_are(subtype: str) -> None:
    samples = np.array([0.1, -1.0, 1.0, 7.5, -9e30, 1e-40, -0.0, 2**-149], np.float32)[:, None]
    decoded, _ = decode_audio(encode_audio(samples, 16000, "wav", subtype))
    assert decoded.tobytes() == samples.tobytes()


def test_what_is_left_of_32_bits_comes_back() -> None:
    numbers = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, 50_000)
    samples = (numbers / 2.0**31).astype(np.float32)[:, None]
    for subtype in ("pcm_32", "float"):
        np.testing.assert_array_equal(decode_audio(encode_audio(samples, 16000, "wav", subtype))[0], samples)


def test_other_values_are_clipped_and_rounded_as_libsndfile_does() -> None:
    values = [0.5, 1.0, -1.0, 1.5, -9.0, 100.6 / (1 << 23), 100.4 / (1 << 23), -100.6 / (1 << 23)]
    samples = np.array(values, np.float32)[:, None]
    for audio_format, expected in (("wav", [100, 100, -101]), ("flac", [101, 100, -101])):
        data = encode_audio(samples, 16000, audio_format, "pcm_24")
        written, _ = soundfile.read(io.BytesIO(data), dtype="int32")
        assert (written >> 8).tolist() == [1 << 22, (1 << 23) - 1, -(1 << 23), (1 << 23) - 1, -(1 << 23), *expected]


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
def test_without_a_subtype_the_bytes_are_those_of_the_first(audio_format: str) -> None:
    samples = speech_like(20_000, 16000, 2)
    assert encode_audio(samples, 16000, audio_format) == encode_audio(
        samples, 16000, audio_format, SUBTYPES[audio_format][0]
    )


@pytest.mark.parametrize(("audio_format", "subtype"), PLAIN)
def test_the_bytes_are_those_of_a_plain_write_but_for_its_time(audio_format: str, subtype: str) -> None:
    samples = speech_like(30_000, 44100, 2)
    file = io.BytesIO()
    soundfile.write(file, samples, 44100, format=audio_format.upper(), subtype=subtype.upper())
    data, plain = encode_audio(samples, 44100, audio_format, subtype), file.getvalue()
    if subtype in {"float", "double"}:
        assert (len(data), data[:48], data[80:]) == (len(plain), plain[:48], plain[80:])
        assert (data[48:56], data[56:80]) == (b"PAD \x18\0\0\0", bytes(24))
    else:
        assert data == plain


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(PLAIN), st.lists(st.integers(0, 30_000), max_size=4), st.sampled_from([1, 2]))
def test_pieces_give_the_bytes_of_the_whole(pair: tuple[str, str], lengths: list[int], n_channels: int) -> None:
    samples = speech_like(max(1, sum(lengths)), 16000, n_channels)
    file = io.BytesIO()
    pieces = np.split(samples, np.cumsum(lengths))
    assert encode_pieces(pieces, 16000, n_channels, pair[0], file, pair[1]) == len(samples)
    assert file.getvalue() == encode_audio(samples, 16000, *pair)


@pytest.mark.parametrize(("audio_format", "subtype"), [("wav", "vorbis"), ("flac", "float"), ("ogg", "pcm_16")])
def test_other_subtypes_are_a_mistake_of_the_caller(audio_format: str, subtype: str) -> None:
    with pytest.raises(ValueError, match=f"subtype '{subtype}' is not one of {audio_format}: choose one of "):
        encode_audio(np.zeros((5, 1), np.float32), 16000, audio_format, subtype)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 7])
@pytest.mark.parametrize("subtype", SUBTYPES["wav"])
def test_a_wav_file_may_be_as_long_as_its_sizes_go(subtype: str, n_channels: int) -> None:
    sizes = [len(encode_audio(np.zeros((n, n_channels), np.float32), 8000, "wav", subtype)) for n in (1, 3)]
    frame_bytes = (sizes[1] - sizes[0]) // 2
    if subtype in {"pcm_u8", "pcm_24"} and n_channels % 2:
        assert sizes[1] % 2 == 0  # a byte of padding
    header_bytes = sizes[1] - 3 * frame_bytes - (3 * frame_bytes) % 2
    longest = ((1 << 32) - 1 - header_bytes) // frame_bytes
    while header_bytes + longest * frame_bytes + (longest * frame_bytes) % 2 >= 1 << 32:
        longest -= 1
    check_size(longest, n_channels, "wav", subtype)
    with pytest.raises(EntryError, match="its sizes have 32 bits") as caught:
        check_size(longest + 1, n_channels, "wav", subtype)
    assert caught.value.code == FailureCode.NOT_ENCODABLE


@pytest.mark.parametrize(
    ("codec", "wav", "flac"),
    [
        ("pcm_u8", "pcm_u8", "pcm_s8"),
        ("pcm_s8", "pcm_u8", "pcm_s8"),
        ("pcm_16", "pcm_16", "pcm_16"),
        ("pcm_24", "pcm_24", "pcm_24"),
        ("pcm_32", "float", "pcm_24"),
        ("float", "float", "pcm_24"),
        ("double", "float", "pcm_24"),
        ("ulaw", "pcm_16", "pcm_16"),
        ("vorbis", "pcm_16", "pcm_16"),
        ("aac", "pcm_16", "pcm_16"),
        ("alac", "pcm_24", "pcm_24"),
        ("pcm_s24le", "pcm_24", "pcm_24"),
        ("something new", "pcm_16", "pcm_16"),
    ],
)
def test_the_depth_of_a_recording_is_kept(codec: str, wav: str, flac: str) -> None:
    assert [kept_subtype(codec, audio_format) for audio_format in AUDIO_FORMATS] == [wav, flac, "vorbis"]


def test_another_format_keeps_nothing() -> None:
    with pytest.raises(ValueError, match="audio format 'mp3' is not known"):
        kept_subtype("pcm_16", "mp3")


@pytest.mark.parametrize(("source", "subtype"), [("WAV", "ULAW"), ("WAV", "ALAW"), ("AIFF", "PCM_S8")])
def test_companded_and_signed_samples_fit_into_what_they_are_kept_as(source: str, subtype: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, in_16_bits(speech_like(9000, 8000)), 8000, format=source, subtype=subtype)
    with open_audio(file.getvalue()) as reader:
        samples, codec = reader.read(), reader.info.codec
    for audio_format in ("wav", "flac"):
        data = encode_audio(samples, 8000, audio_format, kept_subtype(codec, audio_format))
        np.testing.assert_array_equal(decode_audio(data)[0], samples)
