"""How many live streams a model hears in real time on this machine, measured."""

import time
from typing import NamedTuple

import numpy as np

from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats
from beam_curator.diarization.sortformer_streaming import StreamingSortformer
from beam_curator.intervals import Seconds

_MOVES_BEFORE = 2
"""Frames that left the fifo so often have filled it, and the speaker cache: later steps cost the same."""


class MeasuredSteps(NamedTuple):
    """Steps of a model that were measured.

    Attributes:
      n_steps: how many.
      sound: seconds of sound that they decided.
      seconds: that they took, of the clock.
    """

    n_steps: int
    sound: Seconds
    seconds: Seconds

    @property
    def n_streams(self) -> int:
        """Streams that would be heard in real time, if nothing else had to be done.

        Example:
          >>> MeasuredSteps(n_steps=10, sound=20.0, seconds=0.5).n_streams
          40
        """
        return int(self.sound / self.seconds)


def measure_steps(engine: StreamingSortformer, seconds: Seconds = 10.0, n_at_once: int = 1) -> MeasuredSteps:
    """Measure steps of streams that have gone on for a while.

    Args:
      engine: the model.
      seconds: how long to measure; at least two steps are.
      n_at_once: streams in a step.
    """
    random = np.random.default_rng(0)
    states = [engine.new_state() for _ in range(n_at_once)]

    def step() -> None:
        pieces = [_noise(random, engine.samples_missing(state)) for state in states]
        for found in engine.push(states, pieces, [False] * n_at_once):
            if isinstance(found, Exception):
                raise found

    while states[0].n_moves < _MOVES_BEFORE:
        step()
    begin, n_steps, before = time.monotonic(), 0, states[0].position
    while n_steps < 2 or time.monotonic() - begin < seconds:
        step()
        n_steps += 1
    took = time.monotonic() - begin
    decided = (states[0].position - before) * engine.config.frame_step * n_at_once
    return MeasuredSteps(n_steps=n_steps, sound=decided, seconds=took)


def _noise(random: np.random.Generator, n_samples: int) -> Floats:
    """Return something that comes and goes, five times a second."""
    loudness = np.abs(np.sin(np.arange(n_samples) * (2.5 * np.pi / MODEL_SAMPLE_RATE)))
    return (0.1 * loudness * random.standard_normal(n_samples)).astype(np.float32)
