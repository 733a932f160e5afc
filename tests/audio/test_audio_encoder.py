from __future__ import annotations

import io

import numpy as np
import pytest

from beam_curator.audio import AUDIO_FORMATS, AudioEncoder, encode_audio
from beam_curator.audio.encoding import block_bytes
from beam_curator.failures import EntryError, FailureCode
from tests.audio.corpus import speech_like


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
def test_many_are_written_at_once_from_one_array_that_changes(audio_format: str) -> None:
    clips = [speech_like(300_000, 16000, 2, seed) for seed in range(3)]
    files = [io.BytesIO() for _ in clips]
    encoders = [AudioEncoder(16000, 2, audio_format, file) for file in files]
    piece = np.empty((7001, 2), np.float32)
    for start in range(0, 300_000, 7001):
        for clip, encoder in zip(clips, encoders, strict=True):
            taken = clip[start : start + 7001]
            piece[: len(taken)] = taken
            encoder.write(piece[: len(taken)])
    assert [encoder.finish() for encoder in encoders] == [300_000] * 3
    assert [file.getvalue() for file in files] == [encode_audio(clip, 16000, audio_format) for clip in clips]


@pytest.mark.parametrize("n_samples", [0, 1, 400_000])
def test_one_that_is_given_up_lets_go_of_its_file(n_samples: int) -> None:
    file = io.BytesIO()
    encoder = AudioEncoder(8000, 1, "flac", file)
    encoder.write(np.zeros((n_samples, 1), np.float32))
    encoder.close()
    encoder.close()
    assert not file.closed


def test_a_clip_without_samples_is_refused() -> None:
    encoder = AudioEncoder(8000, 1, "wav", io.BytesIO())
    encoder.write(np.zeros((0, 1), np.float32))
    with pytest.raises(EntryError) as caught:
        encoder.finish()
    assert caught.value.code is FailureCode.EMPTY_AUDIO


def test_what_cannot_be_is_refused_before_anything_is_written() -> None:
    with pytest.raises(EntryError, match="9 channels"):
        AudioEncoder(8000, 9, "flac", io.BytesIO())
    with pytest.raises(ValueError, match="audio format 'mp3' is not known"):
        AudioEncoder(8000, 1, "mp3", io.BytesIO())
    file = io.BytesIO()
    encoder = AudioEncoder(8000, 1, "wav", file)
    with pytest.raises(ValueError, match="samples are float64"):
        encoder.write(np.zeros((3, 1)))  # type: ignore[arg-type]  # that is the mistake
    assert file.getvalue() == b""


def test_a_block_of_ogg_is_smaller() -> None:
    assert [block_bytes(1, audio_format) for audio_format in AUDIO_FORMATS] == [1 << 20, 1 << 20, 1 << 16]
