"""Sounds for the cascade with its real weights: the synthetic voices of the round table, cut out and put together."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from beam_curator.diarization.models import Floats
from beam_curator.diarization.rttm import parse_rttm

SAMPLE_RATE = 16000
_EXAMPLES = Path(__file__).parents[1] / "examples"


@cache
def speech_of(voice: int) -> Floats:
    """Return all that a voice of the round table says alone, one turn after the other."""
    samples, _ = soundfile.read(_EXAMPLES / "round_table.opus", dtype="float32")
    turns = parse_rttm((_EXAMPLES / "round_table.rttm").read_text(encoding="utf-8"))
    talks = np.zeros((3, len(samples)), bool)
    for turn in turns:
        talks[int(turn.speaker[-1]), round(turn.start * SAMPLE_RATE) : round(turn.end * SAMPLE_RATE)] = True
    alone: Floats = samples[talks[voice] & (talks.sum(0) == 1)]
    return alone / np.sqrt((alone**2).mean()) * np.float32(0.05)


def seconds(voice: int, start: float, stop: float) -> Floats:
    """Return some seconds of the speech of a voice."""
    return speech_of(voice)[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]


def silence(length: float) -> Floats:
    """Return some seconds of hardly any noise."""
    return np.float32(np.random.default_rng(0).normal(0, 1e-4, round(length * SAMPLE_RATE)))


def music(length: float) -> Floats:
    """Return chords of a few strings: harmonics that die away, another chord each half second."""
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    beats = []
    for root in (220.0, 261.6, 293.7, 246.9) * round(length / 2):
        notes = [root * ratio * harmonic for ratio in (1, 1.25, 1.5) for harmonic in (1, 2, 3)]
        beats.append(sum(np.sin(2 * np.pi * note * time) / note for note in notes) * 8 * np.exp(-4 * time))
    return np.float32(np.concatenate(beats))
