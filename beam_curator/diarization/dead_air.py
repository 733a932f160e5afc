"""Dead air: stretches of a recording where nothing moves. Models hear speakers there now and then.

That is digital silence, a constant (DC), as of a broken cable, or clipping without a swing. Room noise moves.
"""

from __future__ import annotations

import numpy as np

from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats
from beam_curator.intervals import Seconds, Span

_FRAME = 1280
"""Samples: 80 ms."""

_LEAST_RMS = 1e-4
"""80 dB below full scale: more than the noise of 16 bits, less than any room."""

_MIN_FRAMES, _EDGE_FRAMES = 13, 3
"""A stretch lasts 1 s or more; 0.24 s of it beside sound are left to the model, whose frames reach that far."""


class DeadAirMeter:
    """Finds dead air in samples that come in pieces; however they are cut, the result is the same.

    Example:
      >>> meter = DeadAirMeter()
      >>> meter.add(np.full(2 * MODEL_SAMPLE_RATE, 0.5, np.float32))
      >>> meter.spans()
      ((0.0, 2.0),)
    """

    def __init__(self) -> None:
        self._rest = np.empty(0, np.float32)
        self._n_frames = 0
        self._begin: int | None = None
        self._found: list[Span] = []

    def add(self, samples: Floats) -> None:
        """Take the next samples, float32 [n] at 16 kHz."""
        held = np.concatenate([self._rest, samples])
        stop = len(held) // _FRAME * _FRAME
        self._rest = held[stop:]
        for is_dead in _are_dead(held[:stop].reshape(-1, _FRAME)):
            self._take(bool(is_dead))

    def _take(self, is_dead: bool) -> None:
        if is_dead and self._begin is None:
            self._begin = self._n_frames
        elif not is_dead:
            self._close(self._n_frames - _EDGE_FRAMES)
        self._n_frames += 1

    def _close(self, end: float) -> None:
        begin, self._begin = self._begin, None
        if begin is None or self._n_frames - begin < _MIN_FRAMES:
            return
        first = begin + _EDGE_FRAMES if begin else 0
        self._found.append((first * _FRAME / MODEL_SAMPLE_RATE, end * _FRAME / MODEL_SAMPLE_RATE))

    def spans(self) -> tuple[Span, ...]:
        """Return the dead air, in seconds from the first sample; no samples may follow."""
        rest, self._rest = self._rest, self._rest[:0]
        is_dead = not len(rest) or bool(_are_dead(rest[np.newaxis])[0])
        if not is_dead:
            self._take(False)
        self._close(self._n_frames + len(rest) / _FRAME)
        return tuple(self._found)


def _are_dead(frames: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    # without the mean of each frame, so that a constant counts as nothing
    return frames.std(axis=1, dtype=np.float64) < _LEAST_RMS


def without_dead_air(probabilities: Floats, frame_step: Seconds, spans: tuple[Span, ...]) -> Floats:
    """Return probabilities in which nobody talks in frames that lie in dead air.

    Args:
      probabilities: float32 [n_frames, n_speakers].
      frame_step: seconds from one frame to the next.
      spans: of dead air, in seconds.

    Example:
      >>> without_dead_air(np.float32([[0.9], [0.8], [0.7]]), 0.5, ((0.5, 1.2),)).tolist()
      [[0.8999999761581421], [0.0], [0.699999988079071]]
    """
    gated = probabilities.copy()
    for start, end in spans:
        # a hundredth of a frame is rounding
        gated[int(np.ceil(start / frame_step - 0.01)) : int(end / frame_step + 0.01)] = 0
    return gated
