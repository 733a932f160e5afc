from __future__ import annotations

import errno
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from beam_curator.audio import AudioReader, Samples, encode_audio, open_audio
from beam_curator.failures import EntryError, FailureCode
from tests.audio.corpus import (
    EXACT,
    PACKETS,
    RECIPES,
    decode_audio,
    in_16_bits,
    n_samples_of,
    packet_file,
    sound_bytes,
    speech_like,
    without_xing,
)

LONG_SECONDS = {"opus.ogg": 5.0, "opus_stereo.opus": 1.5, "opus.webm": 3.0}
EXPECTED = {
    "u8.wav": ("wav", "pcm_u8"),
    "double.wav": ("wav", "double"),
    "extensible.wav": ("wav", "pcm_24"),
    "big.rf64": ("rf64", "pcm_16"),
    "wave64.w64": ("w64", "pcm_16"),
    "pcm24.flac": ("flac", "pcm_24"),
    "opus_stereo.opus": ("ogg", "opus"),
    "vorbis.ogg": ("ogg", "vorbis"),
    "mp3_inside.wav": ("mp3", "mp3"),
    "aac.m4a": ("m4a", "aac"),
    "alac.m4a": ("m4a", "alac"),
    "opus.webm": ("webm", "opus"),
    "flac.mka": ("mka", "flac"),
    "narrow.amr": ("amr", "amrnb"),
}
SPANS = [(0, 5), (4, 5), (1000, 3000), (900, 2500), (0, 12000), (11000, 12000), (3, 4), (5999, 11990), (0, 1)]


def assert_spans_equal_the_whole(reader: AudioReader, whole: Samples, spans: list[tuple[int, int]]) -> None:
    for start, stop in spans:
        np.testing.assert_array_equal(reader.read(start, stop), whole[start:stop], strict=True)


def test_the_corpus_has_all_kinds(corpus: dict[str, Path]) -> None:
    assert len(corpus) >= 20
    for name, path in corpus.items():
        with path.open("rb") as file, open_audio(file) as reader:
            info = reader.info
            assert (info.container, info.codec) == EXPECTED.get(name, (info.container, info.codec))
            assert (info.n_claimed, info.truncated) == (None, False), name
            if name in RECIPES and info.codec not in ("ima_adpcm", "gsm610"):
                recipe = RECIPES[name]
                assert info.n_samples == n_samples_of(recipe, 1.5)
                assert (info.sample_rate, info.n_channels) == (recipe.sample_rate, recipe.n_channels)


@pytest.mark.parametrize("name", sorted(EXACT))
def test_16_bit_samples_are_those_that_were_written(name: str, corpus: dict[str, Path]) -> None:
    recipe = RECIPES[name]
    expected = in_16_bits(speech_like(n_samples_of(recipe, 1.5), recipe.sample_rate, recipe.n_channels))
    samples, sample_rate = decode_audio(corpus[name].read_bytes())
    np.testing.assert_array_equal(samples, expected, strict=True)
    assert sample_rate == recipe.sample_rate


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_whole_is_what_libsndfile_reads(name: str, corpus: dict[str, Path]) -> None:
    with soundfile.SoundFile(corpus[name]) as sound:
        expected = sound.read(sound.frames, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(decode_audio(corpus[name].read_bytes())[0], expected, strict=True)


def test_spans_equal_the_whole_in_any_order(corpus: dict[str, Path]) -> None:
    for path in corpus.values():
        whole, _ = decode_audio(path.read_bytes())
        n_samples = len(whole)
        inside = [(a, b) for a, b in SPANS if b <= n_samples]
        with path.open("rb") as file, open_audio(file) as reader:
            assert_spans_equal_the_whole(reader, whole, [*inside, *sorted(inside), *reversed(inside)])
            assert_spans_equal_the_whole(reader, whole, [(n_samples - 1, n_samples), (0, n_samples)])


@pytest.mark.parametrize("name", ["vorbis.ogg", "opus.ogg", "constant.mp3", "variable.mp3", "no_xing.mp3", *PACKETS])
def test_long_recordings_of_lossy_codecs_too(name: str) -> None:
    data = _long(name)
    whole, _ = decode_audio(data)
    random = np.random.default_rng(3)
    starts = [int(start) for start in random.integers(0, len(whole) - 20000, 12)]
    spans = [(start, start + int(random.integers(1, 20000))) for start in starts]
    with open_audio(data) as reader:
        assert_spans_equal_the_whole(reader, whole, [*sorted(spans), *spans])
        np.testing.assert_array_equal(np.concatenate(list(reader.pieces(70, None, 9999))), whole[70:])
    with open_audio(data) as reader:
        assert_spans_equal_the_whole(reader, whole, [spans[0]])


def _long(name: str) -> bytes:
    seconds = LONG_SECONDS.get(name, 9.0)
    if name in PACKETS:
        return packet_file(name, seconds)
    if name == "no_xing.mp3":
        return without_xing(sound_bytes(RECIPES["variable.mp3"], seconds))
    return sound_bytes(RECIPES[name], seconds)


def test_pieces_are_no_longer_than_asked() -> None:
    data = encode_audio(np.zeros((1000, 2), np.float32), 8000, "wav")
    with open_audio(data) as reader:
        assert [piece.shape for piece in reader.pieces(100, 800, 300)] == [(300, 2), (300, 2), (100, 2)]
        assert [len(piece) for piece in reader.pieces()] == [1000]
    with open_audio(encode_audio(np.zeros((20000, 500), np.float32), 8000, "wav")) as reader:
        assert [len(piece) for piece in reader.pieces()] == [8388, 8388, 3224]  # 2^22 values // 500


@pytest.mark.parametrize(
    ("start", "stop"), [(-1, 5), (0, 101), (5, 5), (6, 5), (100, None), (100, 101), (200, 300), (-5, -1), (0, 0)]
)
@pytest.mark.parametrize("audio_format", ["wav", "flac", "ogg"])
def test_a_span_outside_is_refused(start: int, stop: int | None, audio_format: str) -> None:
    with open_audio(encode_audio(np.zeros((100, 1), np.float32), 8000, audio_format)) as reader:
        for read in (reader.read, lambda a, b: next(reader.pieces(a, b))):
            with pytest.raises(EntryError) as caught:
                read(start, stop)
            assert caught.value.code == FailureCode.OUT_OF_RANGE
            expected = f"samples {start} to {100 if stop is None else stop} of a recording of 100 samples"
            assert caught.value.message == expected
        assert reader.read(99).shape == (1, 1)


def test_the_file_stays_open_and_may_be_moved_between_reads(corpus: dict[str, Path]) -> None:
    whole, _ = decode_audio(corpus["vorbis.ogg"].read_bytes())
    with corpus["vorbis.ogg"].open("rb") as file:
        with open_audio(file) as reader, open_audio(file) as other:
            for start in range(0, 20000, 5000):
                file.seek(start % 7)
                np.testing.assert_array_equal(reader.read(start, start + 100), whole[start : start + 100])
                np.testing.assert_array_equal(other.read(start, start + 99), whole[start : start + 99])
        assert not file.closed


def test_what_a_reader_returns_is_the_callers() -> None:
    with open_audio(sound_bytes(RECIPES["vorbis.ogg"], 0.5)) as reader:
        before = reader.read(100, 200).copy()
        reader.read(100, 200)[:] = 7
        np.testing.assert_array_equal(reader.read(100, 200), before)


class BrokenDisk(io.BytesIO):
    """Fails once some bytes have been read."""

    def __init__(self, data: bytes, n_bytes: int) -> None:
        super().__init__(data)
        self.left = n_bytes

    def _take(self, n_bytes: int) -> None:
        self.left -= n_bytes
        if self.left < 0:
            raise OSError(errno.EIO, "the disk broke")

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._take(len(data))
        return data

    def readinto(self, buffer: object, /) -> int:
        n_read = super().readinto(buffer)  # type: ignore[arg-type]
        self._take(n_read)
        return n_read


@pytest.mark.parametrize("name", ["pcm16.wav", "pcm24.flac", "vorbis.ogg", "constant.mp3", "no_xing.mp3", "aac.m4a"])
@pytest.mark.parametrize("share", [0.0, 0.6, 1.05])
def test_a_disk_that_fails_is_no_failure_of_the_data(name: str, share: float, corpus: dict[str, Path]) -> None:
    data = corpus[name].read_bytes()
    read_twice = name not in ("pcm16.wav", "pcm24.flac")
    if share > 1 and not read_twice:
        share = 0.9
    with pytest.raises(OSError, match="the disk broke"):
        decode_audio(BrokenDisk(data, int(len(data) * share)))


class NoReadinto:
    """A file of a cloud client: read, seek and tell, few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.seek, self.tell = self._file.seek, self._file.tell

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 1000) if size >= 0 else 1000)


@pytest.mark.parametrize("name", ["pcm16.wav", "vorbis.ogg", "variable.mp3", "aac.m4a"])
def test_any_file_that_reads_and_seeks_will_do(name: str, corpus: dict[str, Path]) -> None:
    data = corpus[name].read_bytes()
    samples, _ = decode_audio(NoReadinto(data))  # type: ignore[arg-type]
    np.testing.assert_array_equal(samples, decode_audio(data)[0])


def test_importing_loads_no_decoder() -> None:
    script = "import sys, beam_curator.audio; print([m for m in ('soundfile', 'soxr', 'av') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
