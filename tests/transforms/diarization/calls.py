"""Calls with a voice on each channel: tones whose loudness rises and falls, of which one is heard on the other side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from beam_curator.audio import Samples, encode_audio
from tests.fakes_models import Speech, sound_of

ANA: list[Speech] = [(0.8, 2.4, 3), (5.6, 7.2, 3)]
"""On channel 0."""

BO: list[Speech] = [(3.2, 4.8, 2), (6.4, 8.0, 2)]
"""On channel 1; the second turn begins while the other talks."""

ECHO: list[Speech] = ANA[:1]
"""The turn of channel 0 that channel 1 has, too, 8 dB down."""

SECONDS = 9.6


def voice(speech: list[Speech], pace: float, sample_rate: int) -> Samples:
    """Return float32 [n_samples] of somebody who talks louder and softer so many times a second."""
    times = np.arange(round(SECONDS * sample_rate)) / sample_rate
    loudness = (0.7 + 0.3 * np.sin(2 * np.pi * pace * times)).astype(np.float32)
    quiet: Samples = sound_of(SECONDS, speech, sample_rate)[:, 0] * loudness
    return quiet


def call_of(sample_rate: int = 8000) -> Samples:
    """Return float32 [n_samples, 2] of the call."""
    left = voice(ANA, 2.3, sample_rate)
    right = voice(BO, 3.7, sample_rate) + np.float32(0.4) * voice(ECHO, 2.3, sample_rate)
    return np.stack((left, right), axis=1)


def write_call(path: Path, sample_rate: int = 8000) -> Path:
    """Write the call as wav or flac, by the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_audio(call_of(sample_rate), sample_rate, path.suffix[1:]))
    return path
