"""Dead air: stretches of a recording where nothing moves. Models hear speakers there now and then.

That is digital silence, a constant (DC), as of a broken cable, or clipping without a swing. Room noise moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
        self._found.append(_span(begin, end))

    def spans(self) -> tuple[Span, ...]:
        """Return the dead air, in seconds from the first sample; no samples may follow."""
        rest, self._rest = self._rest, self._rest[:0]
        is_dead = not len(rest) or bool(_are_dead(rest[np.newaxis])[0])
        if not is_dead:
            self._take(False)
        self._close(self._n_frames + len(rest) / _FRAME)
        return tuple(self._found)

    def spans_so_far(self) -> tuple[Span, ...]:
        """Return the dead air among the samples so far, but for 0.24 s at their end, beside which sound may begin."""
        begin, stop = self._begin, self._n_frames
        is_open = begin is not None and stop - begin >= _MIN_FRAMES
        return (*self._found, *([_span(begin, stop - _EDGE_FRAMES)] if begin is not None and is_open else []))

    @property
    def known_until(self) -> Seconds:
        """Seconds of which it is known whether they are dead air."""
        begin, stop = self._begin, self._n_frames
        if begin is not None:
            is_long = stop - begin >= _MIN_FRAMES
            stop = stop - _EDGE_FRAMES if is_long else min(stop, begin + _EDGE_FRAMES if begin else 0)
        return stop * _FRAME / MODEL_SAMPLE_RATE

    def forget(self, before: Seconds) -> None:
        """Forget dead air that ends before a time."""
        self._found = [span for span in self._found if span[1] > before]

    def to_dict(self) -> dict[str, Any]:
        """Return the values that are needed to go on, as JSON has them, but for the samples of `rest`."""
        return {"n_frames": self._n_frames, "begin": self._begin, "found": self._found}

    @property
    def rest(self) -> Floats:
        """The samples behind the last whole frame."""
        return self._rest

    def restore(self, kept: Mapping[str, Any], rest: Floats) -> None:
        """Go on from the values that `to_dict` returned, and the samples of `rest`."""
        self._rest, self._n_frames, self._begin = rest, kept["n_frames"], kept["begin"]
        self._found = [(start, end) for start, end in kept["found"]]


def _span(begin: int, end: float) -> Span:
    first = begin + _EDGE_FRAMES if begin else 0
    return first * _FRAME / MODEL_SAMPLE_RATE, end * _FRAME / MODEL_SAMPLE_RATE


def dead_air_of(pieces: Iterable[Floats]) -> tuple[tuple[Span, ...], int]:
    """Return the dead air of samples in seconds from the first, and how many samples there are.

    Args:
      pieces: float32 [n] at 16 kHz, in order.

    Example:
      >>> dead_air_of([np.zeros(24000, np.float32), np.zeros(8000, np.float32)])
      (((0.0, 2.0),), 32000)
    """
    meter, n_samples = DeadAirMeter(), 0
    for piece in pieces:
        meter.add(piece)
        n_samples += len(piece)
    return meter.spans(), n_samples


class DeadAirGate:
    """Lets nobody talk in dead air while a stream goes on: frames wait until it is known whether they lie in it.

    That takes 1 s in a pause, and no time in sound. The frames are those of `without_dead_air` for the whole stream,
    however it is cut.

    Args:
      n_speakers: slots of the model.
      frame_step: seconds from one frame to the next.

    Example:
      >>> gate = DeadAirGate(n_speakers=1, frame_step=0.08)
      >>> gate.hear(np.zeros(8000, np.float32))
      >>> len(gate.gated(np.ones((6, 1), np.float32)))
      0
      >>> gate.hear(np.zeros(9000, np.float32))
      >>> gate.gated(np.ones((7, 1), np.float32), is_last=True).sum()
      np.float32(0.0)
    """

    def __init__(self, n_speakers: int, frame_step: Seconds) -> None:
        self.meter = DeadAirMeter()
        self.held = np.empty((0, n_speakers), np.float32)
        self.n_given = 0
        self._frame_step = frame_step

    def hear(self, samples: Floats) -> None:
        """Take the next samples, float32 [n] at 16 kHz: before the frames that are decided from them."""
        self.meter.add(samples)

    def gated(self, frames: Floats, *, is_last: bool = False) -> Floats:
        """Take the next frames, float32 [n_frames, n_speakers]; return those that are settled, in their order."""
        held = np.concatenate([self.held, frames])
        spans = self.meter.spans() if is_last else self.meter.spans_so_far()
        # a hundredth of a frame is rounding
        n_known = len(held) if is_last else int(self.meter.known_until / self._frame_step + 0.01) - self.n_given
        begin, known = self.n_given * self._frame_step, held[: max(0, n_known)]
        spans = tuple((max(0.0, start - begin), max(0.0, end - begin)) for start, end in spans)
        self.held = held[len(known) :].copy()
        self.n_given += len(known)
        self.meter.forget(self.n_given * self._frame_step)
        return without_dead_air(known, self._frame_step, spans)


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
