from __future__ import annotations

import errno
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_curator.audio import AUDIO_FORMATS, Samples, encode_audio
from beam_curator.failures import EntryError, FailureCode
from tests.audio.corpus import decode_audio, encode_pieces, in_16_bits, speech_like

ALL_16_BIT_VALUES = (np.arange(-32768, 32768, dtype=np.float32) / 32768)[:, None]


def cut(samples: Samples, lengths: list[int]) -> list[Samples]:
    return np.split(samples, np.cumsum(lengths))


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_every_16_bit_value_comes_back(audio_format: str) -> None:
    samples, sample_rate = decode_audio(encode_audio(ALL_16_BIT_VALUES, 16000, audio_format))
    np.testing.assert_array_equal(samples, ALL_16_BIT_VALUES, strict=True)
    assert sample_rate == 16000


@pytest.mark.parametrize(
    ("audio_format", "expected"),
    [
        ("wav", [16384, 32767, -32768, 32767, -32768, 100, 100, -101]),
        ("flac", [16384, 32767, -32768, 32767, -32768, 101, 100, -101]),
    ],
)
def test_other_values_are_clipped_and_rounded_as_libsndfile_does(audio_format: str, expected: list[int]) -> None:
    samples = np.float32([0.5, 1.0, -1.0, 1.5, -9.0, 100.6 / 32768, 100.4 / 32768, -100.6 / 32768])[:, None]
    written, _ = soundfile.read(io.BytesIO(encode_audio(samples, 16000, audio_format)), dtype="int16")
    assert written.tolist() == expected


def test_wav_has_the_numbers_of_libsndfile() -> None:
    numbers = (np.arange(-32768, 32768) / 32768).astype(np.float32)
    beside = [np.nextafter(numbers, np.float32(way)) for way in (-2, 2)]
    random = np.random.default_rng(0)
    noise = [random.standard_normal(50_000).astype(np.float32) * scale for scale in (3, 0.1, 1e-4, 1e-9)]
    samples = np.concatenate([numbers, *beside, *noise])[:, None]
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format="WAV", subtype="PCM_16")
    assert encode_audio(samples, 16000, "wav") == file.getvalue()


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
@pytest.mark.parametrize("n_samples", [1, 2, 577, 80000, 300000])
def test_the_same_samples_give_the_same_bytes(audio_format: str, n_samples: int) -> None:
    samples = speech_like(n_samples, 16000)
    data = encode_audio(samples, 16000, audio_format)
    assert data == encode_audio(samples.copy(), 16000, audio_format)
    decoded, _ = decode_audio(data)
    assert decoded.shape == samples.shape
    if n_samples > 1000:
        assert np.corrcoef(decoded[:, 0], samples[:, 0])[0, 1] > 0.95


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_the_bytes_are_those_of_a_plain_write(audio_format: str) -> None:
    samples = speech_like(80000, 44100, 2)
    file = io.BytesIO()
    soundfile.write(file, samples, 44100, format=audio_format.upper(), subtype="PCM_16")
    assert encode_audio(samples, 44100, audio_format) == file.getvalue()


def test_wav_is_a_plain_header_and_the_samples() -> None:
    data = encode_audio(np.float32([[0.5], [-0.5]]), 16000, "wav")
    assert data.hex(" ", -4) == (
        "52494646 28000000 57415645 666d7420 10000000 01000100 803e0000 007d0000 02001000 64617461 04000000 004000c0"
    )


LENGTHS = st.lists(st.integers(0, 40000), max_size=6)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(AUDIO_FORMATS), LENGTHS, st.sampled_from([1, 2]))
def test_pieces_give_the_bytes_of_the_whole(audio_format: str, lengths: list[int], n_channels: int) -> None:
    samples = speech_like(max(1, sum(lengths)), 16000, n_channels)
    file = io.BytesIO()
    assert encode_pieces(cut(samples, lengths), 16000, n_channels, audio_format, file) == len(samples)
    assert file.getvalue() == encode_audio(samples, 16000, audio_format)


def test_long_pieces_too() -> None:
    samples = speech_like(600_001, 16000)
    for audio_format in ("wav", "flac"):
        file = io.BytesIO()
        encode_pieces(cut(samples, [1, 300_000, 70_000]), 16000, 1, audio_format, file)
        assert file.getvalue() == encode_audio(samples, 16000, audio_format)


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
def test_a_file_is_written_from_its_position_on_and_need_not_be_readable(audio_format: str, tmp_path: Path) -> None:
    samples = speech_like(20000, 16000)
    with (tmp_path / "clip").open("wb") as file:
        file.write(b"before")
        encode_pieces([samples], 16000, 1, audio_format, file)
        assert not file.closed
    assert (tmp_path / "clip").read_bytes() == b"before" + encode_audio(samples, 16000, audio_format)


def test_vorbis_of_noise_and_of_many_samples_does_not_overflow() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (400_000, 2)).astype(np.float32)
    assert decode_audio(encode_audio(noise, 48000, "ogg"))[0].shape == noise.shape


@pytest.mark.parametrize(
    ("audio_format", "sample_rate", "n_channels", "message"),
    [
        ("flac", 16000, 9, "flac does not hold 9 channels: at least 1 and at most 8"),
        ("flac", 655_351, 1, "flac does not hold 655351 Hz: at least 1 and at most 655350"),
        ("wav", 16000, 0, "wav does not hold 0 channels: at least 1 and at most 1024"),
        ("wav", 0, 1, "wav does not hold 0 Hz: at least 1 and at most 655350"),
        ("ogg", 16000, 256, "ogg does not hold 256 channels: at least 1 and at most 255"),
        ("ogg", 200_001, 1, "ogg does not hold 200001 Hz: at least 1 and at most 200000"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    audio_format: str, sample_rate: int, n_channels: int, message: str
) -> None:
    with pytest.raises(EntryError) as caught:
        encode_audio(np.zeros((9, n_channels), np.float32), sample_rate, audio_format)
    assert (caught.value.code, caught.value.message) == (FailureCode.NOT_ENCODABLE, message)


@pytest.mark.parametrize(("audio_format", "sample_rate"), [("ogg", 200_000), ("ogg", 1), ("flac", 655_350), ("wav", 1)])
def test_the_limits_themselves_hold(audio_format: str, sample_rate: int) -> None:
    samples = in_16_bits(speech_like(1000, 16000))
    decoded, decoded_rate = decode_audio(encode_audio(samples, sample_rate, audio_format))
    assert (decoded.shape, decoded_rate) == (samples.shape, sample_rate)


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
@pytest.mark.parametrize(("value", "text"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_samples_that_are_not_finite_are_refused(audio_format: str, value: float, text: str) -> None:
    samples = np.zeros((50, 2), np.float32)
    samples[9, 1] = value
    with pytest.raises(EntryError) as caught:
        encode_pieces([samples[:4], samples[4:]], 16000, 2, audio_format, io.BytesIO())
    assert caught.value.code == FailureCode.NON_FINITE
    assert caught.value.message == f"sample 9 is [0.0, {text}], expected finite numbers"


@pytest.mark.parametrize("pieces", [[], [np.zeros((0, 1), np.float32)]])
def test_no_samples_are_refused(pieces: list[Samples]) -> None:
    with pytest.raises(EntryError) as caught:
        encode_pieces(pieces, 16000, 1, "wav", io.BytesIO())
    assert caught.value.code == FailureCode.EMPTY_AUDIO


@pytest.mark.parametrize("samples", [np.zeros(5, np.float32), np.zeros((5, 2), np.float32), np.zeros((5, 1))])
def test_other_arrays_are_a_mistake_of_the_caller(samples: Samples) -> None:
    with pytest.raises(ValueError, match=r"give float32 \[n_samples, 1\]"):
        encode_pieces([samples], 16000, 1, "wav", io.BytesIO())


def test_other_formats_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="audio format 'mp3' is not known: choose one of wav, flac, ogg"):
        encode_audio(np.zeros((5, 1), np.float32), 16000, "mp3")


class FullDisk(io.BytesIO):
    """Holds only so many bytes."""

    def __init__(self, n_bytes: int) -> None:
        super().__init__()
        self.n_bytes = n_bytes

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        if self.tell() + len(data) > self.n_bytes:
            raise OSError(errno.ENOSPC, "no space left on device")
        return super().write(data)


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_full_disk_is_an_error_of_the_disk(
    audio_format: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    samples = speech_like(40000, 16000)
    disk = FullDisk(int(share * len(encode_audio(samples, 16000, audio_format))))
    with pytest.raises(OSError, match="no space left on device"):
        encode_pieces([samples], 16000, 1, audio_format, disk)
    assert capfd.readouterr().err == ""
