from __future__ import annotations

import numpy as np
import pytest

from beam_curator.audio import AudioInfo, encode_audio, mix_channels, open_audio, resample
from beam_curator.diarization.hearing import PIECE_SECONDS, heard_pieces, samples_asked
from beam_curator.failures import EntryError, FailureCode


def noise(n_samples: int, n_channels: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-0.9, 0.9, (n_samples, n_channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("rate", "n_channels", "seconds"), [(8000, 1, 70), (44100, 2, 65), (16000, 8, 61), (11025, 1, 0.01)]
)
def test_pieces_are_the_whole(rate: int, n_channels: int, seconds: float) -> None:
    data = encode_audio(noise(round(seconds * rate), n_channels), rate, "wav")
    with open_audio(data) as reader:
        pieces = list(heard_pieces(reader, 0, reader.info.n_samples))
    with open_audio(data) as reader:
        whole = resample(mix_channels(reader.read(), "mix"), rate, 16000)[:, 0]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert all(len(piece) == PIECE_SECONDS * 16000 for piece in pieces[:-1])
    assert all(piece.dtype == np.float32 and piece.ndim == 1 for piece in pieces)


def test_a_span_and_the_first_channel() -> None:
    samples = noise(32000, 2)
    with open_audio(encode_audio(samples, 16000, "wav")) as reader:
        pieces = list(heard_pieces(reader, 800, 1600, "first"))
    assert np.abs(np.concatenate(pieces) - samples[800:1600, 0]).max() < 1e-4


def test_of_a_recording_that_was_cut_off_only_what_is_there_is_heard() -> None:
    info = AudioInfo(
        sample_rate=8000,
        n_samples=16005,
        n_channels=1,
        container="wav",
        codec="pcm_16",
        n_claimed=80000,
        truncated=True,
    )
    assert samples_asked(info, 0.0, 2.0) == (0, 16000)
    for end in (None, 2.01):
        with pytest.raises(EntryError, match=r"the recording was cut off behind 2\.000 s") as raised:
            samples_asked(info, 0.0, end)
        assert raised.value.code == FailureCode.TRUNCATED_AUDIO


@pytest.mark.parametrize(("start", "end"), [(2.0, None), (3.0, 4.0), (1.0, 1.0)])
def test_a_piece_outside_is_refused(start: float, end: float | None) -> None:
    info = AudioInfo(sample_rate=16000, n_samples=32000, n_channels=1, container="wav", codec="pcm_16")
    with pytest.raises(EntryError) as raised:
        samples_asked(info, start, end)
    assert raised.value.code == FailureCode.OUT_OF_RANGE
