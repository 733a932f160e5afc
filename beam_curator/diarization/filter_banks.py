"""Logarithms of energies in Kaldi's filter banks: how models of speakers hear a waveform at 16 kHz."""

from __future__ import annotations

from functools import cache

import numpy as np

from beam_curator.diarization.mel import BLOCK, GROUP, band_energies, overlapping_frames
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats

FRAME_LENGTH, FRAME_STEP = 400, 160
"""Samples of a frame, and between two of them: 25 and 10 ms."""

N_BANDS = 80
_N_FFT = 512
_LOWEST_HZ, _HIGHEST_HZ = 20.0, MODEL_SAMPLE_RATE / 2
_PREEMPHASIS = 0.97
_LEAST_ENERGY = np.float32(np.finfo(np.float32).eps)


def n_filter_banks(n_samples: int) -> int:
    """Return the number of frames that lie within so many samples.

    Example:
      >>> n_filter_banks(399), n_filter_banks(400), n_filter_banks(16000)
      (0, 1, 98)
    """
    return max(0, (n_samples - FRAME_LENGTH) // FRAME_STEP + 1)


def filter_banks(samples: Floats, *, centred: bool = False) -> Floats:
    """Return the filter banks of a waveform, as Kaldi's `compute-fbank-feats` without dither.

    Frame k is computed from samples [160 k, 160 k + 400) alone; frames that would reach beyond the end are left out
    (snip-edges). In each the mean is subtracted, then pre-emphasis, Povey's window and the power spectrum follow.

    Args:
      samples: float32 [n_samples] at 16 kHz, within -1 and 1, contiguous.
      centred: subtract the mean of each band over all frames.

    Returns:
      float32 [n_filter_banks(n_samples), 80].
    """
    n_frames = n_filter_banks(len(samples))
    banks = np.empty((n_frames, N_BANDS), dtype=np.float32)
    for low in range(0, n_frames, GROUP):
        high = min(low + GROUP, n_frames)
        banks[low:high] = _group(samples[low * FRAME_STEP :], high - low)
    return centred_banks(banks) if centred else banks


def centred_banks(banks: Floats) -> Floats:
    """Return filter banks, float32 [n_frames, n_bands], less the mean of each band over the frames."""
    return banks - banks.mean(axis=0, dtype=np.float64).astype(np.float32) if len(banks) else banks


def _group(samples: Floats, n_frames: int) -> Floats:
    """Return the first frames of a waveform."""
    # the last block is filled up with frames of zeros
    heard = np.zeros((-(-n_frames // BLOCK) * BLOCK, _N_FFT), dtype=np.float32)
    frames = overlapping_frames(samples, n_frames, FRAME_LENGTH, FRAME_STEP)
    steady = frames - frames.mean(axis=1, keepdims=True)
    inner = heard[:n_frames, :FRAME_LENGTH]
    # Kaldi takes the first sample of a frame for the one before it, too
    np.subtract(steady[:, 1:], np.float32(_PREEMPHASIS) * steady[:, :-1], out=inner[:, 1:])
    inner[:, 0] = np.float32(1 - _PREEMPHASIS) * steady[:, 0]
    inner *= _povey_window()
    energies = band_energies(heard, _filters())[:n_frames]
    return np.log(np.maximum(energies, _LEAST_ENERGY, out=energies), out=energies)


@cache
def _povey_window() -> Floats:
    """Return Povey's window, float32 [FRAME_LENGTH]: like Hamming's, but zero at its ends."""
    angles = 2 * np.pi * np.arange(FRAME_LENGTH) / (FRAME_LENGTH - 1)
    return ((0.5 - 0.5 * np.cos(angles)) ** 0.85).astype(np.float32)


@cache
def _filters() -> Floats:
    """Return triangles on the mel scale, float32 [_N_FFT // 2 + 1, N_BANDS]; Kaldi leaves the last frequency out."""
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), N_BANDS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    mels = _mel(np.arange(_N_FFT // 2) * (MODEL_SAMPLE_RATE / _N_FFT))[:, None]
    rising, falling = (mels - low) / (centre - low), (high - mels) / (high - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.concatenate([triangles, np.zeros((1, N_BANDS))]).astype(np.float32)


def _mel(hz: float | np.ndarray) -> np.ndarray:
    return np.asarray(1127 * np.log1p(np.asarray(hz) / 700))
