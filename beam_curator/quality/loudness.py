"""Loudness as ITU-R BS.1770 defines it, of one channel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats

_BLOCK = 0.4
"""Seconds whose power is compared with the gates; a new block begins after a quarter of it."""
_STEP = 0.25
_SETTLED = 0.25
"""Seconds after which the weighting filter has forgotten everything before."""
_PIECE = 1 << 19
_OFFSET, _ABSOLUTE_GATE, _RELATIVE_GATE = -0.691, -70.0, -10.0


def integrated_loudness(samples: Floats, sample_rate: int) -> float | None:
    """Return the loudness of a sound in LUFS, -infinity of silence; None where it is shorter than a block of 0.4 s.

    Weights and gates are those of `pyloudnorm`, to less than 0.0001 dB.

    Args:
      samples: float32 [n_samples].
      sample_rate: Hz.

    Example:
      >>> tone = np.sin(2 * np.pi * 997 * np.arange(96000) / 48000).astype(np.float32)
      >>> round(integrated_loudness(tone, 48000), 2), integrated_loudness(tone[:19000], 48000)
      (-3.05, None)
    """
    if len(samples) < _BLOCK * sample_rate:
        return None
    powers = _block_powers(samples, sample_rate)
    with np.errstate(divide="ignore"):
        levels = _OFFSET + 10 * np.log10(powers)
        heard = powers[levels >= _ABSOLUTE_GATE]
        if not len(heard):
            return -np.inf
        gate = max(_OFFSET + 10 * np.log10(heard.mean()) + _RELATIVE_GATE, _ABSOLUTE_GATE)
        return float(_OFFSET + 10 * np.log10(powers[levels > gate].mean()))


def _block_powers(samples: Floats, rate: int) -> NDArray[np.float64]:
    """Return the mean weighted power of each block."""
    n_blocks = int(np.round((len(samples) / rate - _BLOCK) / (_BLOCK * _STEP))) + 1
    firsts = [int(_BLOCK * (block * _STEP) * rate) for block in range(n_blocks)]
    stops = [int(_BLOCK * (block * _STEP + 1) * rate) for block in range(n_blocks)]
    edges = np.unique(np.minimum([*firsts, *stops, len(samples)], len(samples)))
    sums = np.zeros(len(edges))
    for first, squares in _weighted_squares(samples, rate):
        within = np.clip(edges, first, first + len(squares)) - first
        sums += np.concatenate([[0.0], np.cumsum(squares)])[within]
    starts, ends = (np.searchsorted(edges, np.minimum(of, len(samples))) for of in (firsts, stops))
    return (sums[ends] - sums[starts]) / (_BLOCK * rate)


def _weighted_squares(samples: Floats, rate: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the squares of the weighted samples piece by piece, each with its first sample.

    A filter that forgets is a product of spectra, given what it still remembers before each piece.
    """
    n_before = int(_SETTLED * rate)
    size = _PIECE - n_before if n_before < _PIECE // 2 else _PIECE
    n_spectrum = size + n_before
    response = _response(rate, n_spectrum)
    for first in range(0, len(samples), size):
        before = max(0, first - n_before)
        piece = np.zeros(n_spectrum)
        given = samples[before : first + size]
        piece[n_before - (first - before) :][: len(given)] = given
        weighted = np.fft.irfft(np.fft.rfft(piece) * response, n_spectrum)[n_before:]
        yield first, np.square(weighted[: len(samples) - first])


def _response(rate: int, n_spectrum: int) -> NDArray[np.complex128]:
    """Return the response of the weighting filter: a shelf of 4 dB from 1.5 kHz on, and a high pass at 38 Hz."""
    delay = np.exp(-2j * np.pi * np.arange(n_spectrum // 2 + 1) / n_spectrum)
    powers = np.stack([np.ones_like(delay), delay, np.square(delay)])
    response = np.ones_like(delay)
    for above, below in (_shelf(rate), _high_pass(rate)):
        response *= (above @ powers) / (below @ powers)
    return response


def _shelf(rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    gain, angle = 10 ** (4.0 / 40), 2 * np.pi * 1500.0 / rate
    cos, width = np.cos(angle), np.sqrt(2 * gain) * np.sin(angle)
    more, less = gain + 1, gain - 1
    above = gain * np.array([more + less * cos + width, -2 * (less + more * cos), more + less * cos - width])
    return above, np.array([more - less * cos + width, 2 * (less - more * cos), more - less * cos - width])


def _high_pass(rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    angle = 2 * np.pi * 38.0 / rate
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([1 + cos, -2 * (1 + cos), 1 + cos]) / 2, np.array([1 + sin, -2 * cos, 1 - sin])
