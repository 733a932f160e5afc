"""Sound of chunks: codecs, and other rates in blocks."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from beam_curator.audio import resample
from beam_curator.diarization.models import Floats
from beam_curator.live.messages import Chunk
from beam_curator.live.sound import LiveResampler, encoded_chunk, samples_of
from benchmarks.random_sortformer import talk

TALK = talk(3.03, seed=1)


def test_every_byte_of_mulaw_is_that_of_libsndfile() -> None:
    data = bytes(range(256))
    chunk = Chunk(stream_id="a", seq=0, sample_rate=8000, codec="mulaw", data=data)
    expected, _ = soundfile.read(
        io.BytesIO(data), format="RAW", subtype="ULAW", samplerate=8000, channels=1, dtype="float32"
    )
    found = samples_of(chunk, 60.0)
    assert np.array_equal(found, expected)
    # and back, but for the second of two zeros
    again = encoded_chunk(found, 8000, "mulaw")
    assert sum(a != b for a, b in zip(again, data, strict=True)) == 1


def resampled(sound: Floats, rate: int, piece: int) -> Floats:
    resampler, parts = LiveResampler(rate), []
    for start in range(0, len(sound), piece):
        n_before = resampler.n_in
        part = resampler.resample(sound[start : start + piece], is_last=start + piece >= len(sound))
        assert len(resampler.tail) <= 4 * rate // 12
        parts.append(part)
        assert resampler.n_in == n_before + len(sound[start : start + piece])
    return np.concatenate(parts)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_other_rates_come_in_blocks_and_differ_from_the_whole_by_rounding(rate: int) -> None:
    sound = resample(TALK[:, np.newaxis], 16000, rate)[:, 0]
    whole = resample(sound[:, np.newaxis], rate, 16000)[:, 0]
    found = resampled(sound, rate, 777)
    assert found.shape == whole.shape
    assert np.abs(found - whole).max() < 2e-7
    assert np.array_equal(resampled(sound, rate, 50_000), found)


def test_as_much_is_needed_as_a_step_takes() -> None:
    resampler = LiveResampler(8000)
    # three blocks of 80 ms at 16 kHz, and the one behind them
    assert resampler.n_needed(3000) == 4 * 640
    assert len(resampler.resample(np.zeros(2560, np.float32), is_last=False)) == 3 * 1280
    assert (resampler.n_needed(1), resampler.n_needed(0)) == (640, 0)
    assert LiveResampler(16000).n_needed(3000) == 3000
