"""Channels to one, and other sample rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_curator.audio.spans import Samples
from beam_curator.audio_formats import Channels

_QUALITY = "HQ"
_FRAME_SAMPLES = 1024
# shares: of the power that the mean of unrelated channels has, and of the energy of a recording
_CANCELLED_POWER, _CANCELLED_ENERGY = 0.02, 0.1
# energies are added as whole numbers, so that a sum does not depend on its order
_ENERGY_UNITS, _MOST_ENERGY = 1 << 20, 1 << 30


def mix_channels(samples: Samples, how: Channels) -> Samples:
    """Bring channels to one, or keep them.

    Args:
      samples: float32 [n_samples, n_channels].
      how: "mix" takes the mean of the channels in float32 (a dead channel halves the level of a stereo recording),
        "first" the first channel, a number that one, from 0, "keep" returns the samples as they are.

    Returns:
      float32 [n_samples, 1], or [n_samples, n_channels] for "keep".

    Example:
      >>> mix_channels(np.float32([[0.5, 0.0], [0.25, 0.75]]), "mix").tolist()
      [[0.25], [0.5]]
    """
    n_channels = samples.shape[1]
    if isinstance(how, int):
        if not 0 <= how < n_channels:
            raise ValueError(f"channel {how} of {n_channels}: count them from 0")
        return np.ascontiguousarray(samples[:, how : how + 1])
    if how not in ("mix", "first", "keep"):
        raise ValueError(f"how {how!r} is not known: choose mix, first, keep, or the number of a channel")
    if how == "keep" or n_channels == 1:
        return samples
    if how == "first":
        return mix_channels(samples, 0)
    return samples.mean(axis=1, dtype=np.float32, keepdims=True)


class MixMeter:
    """Finds out whether the mean of several channels cancels their sound, as where one of them is upside down.

    Frames of 1024 samples are compared, counted from the first sample. The mean cancels a frame where it keeps less
    than a fiftieth of the power that it would have if the channels had nothing to do with each other; `cancels` says
    whether such frames hold a tenth of the energy or more. The result does not depend on how the samples are cut.

    Args:
      n_channels: number of channels.

    Example:
      >>> meter = MixMeter(2)
      >>> meter.add(np.float32([[0.5, -0.25], [-0.5, 0.25]]))
      >>> meter.cancels, meter.loudest
      (False, 0)
    """

    def __init__(self, n_channels: int) -> None:
        self._rest = np.empty((0, n_channels), np.float32)
        self._energies = [0] * n_channels
        self._n_cancelled = 0

    def add(self, samples: Samples) -> None:
        """Take the next samples, float32 [n, n_channels]."""
        held = np.concatenate([self._rest, samples])
        stop = len(held) // _FRAME_SAMPLES * _FRAME_SAMPLES
        self._rest = held[stop:]
        self._measure(held[:stop].reshape(-1, _FRAME_SAMPLES, held.shape[1]))

    def _measure(self, frames: NDArray[np.float32]) -> None:
        n_channels = frames.shape[2]
        each = np.square(frames, dtype=np.float64).sum(axis=1)
        mixed = np.square(frames.mean(axis=2, dtype=np.float64)).sum(axis=1)
        cancelled = mixed * n_channels**2 < _CANCELLED_POWER * each.sum(axis=1)
        units = np.rint(np.minimum(each, _MOST_ENERGY) * _ENERGY_UNITS).astype(np.int64)
        self._energies = [before + int(more) for before, more in zip(self._energies, units.sum(axis=0), strict=True)]
        self._n_cancelled += int(units[cancelled].sum())

    def _finish(self) -> None:
        """Measure the samples behind the last whole frame."""
        rest, self._rest = self._rest, self._rest[:0]
        if len(rest):
            self._measure(rest[np.newaxis])

    @property
    def cancels(self) -> bool:
        """Whether the mean of the channels loses sound."""
        self._finish()
        return self._n_cancelled > 0 and self._n_cancelled >= _CANCELLED_ENERGY * sum(self._energies)

    @property
    def loudest(self) -> int:
        """The channel with the most energy, of equal ones the first."""
        self._finish()
        return self._energies.index(max(self._energies))


def n_resampled(n_samples: int, sample_rate: int, new_sample_rate: int) -> int:
    """Return how many samples `resample` makes of `n_samples`: n / (old / new) in double precision, rounded as by soxr.

    Example:
      >>> n_resampled(1001, 16000, 8000), n_resampled(48000, 48000, 16000), n_resampled(240, 48000, 44100)
      (501, 16000, 220)
    """
    # the quotient of the rates is rounded first, so that 220.5 may be a little less: soxr.c, soxr_output
    return int(n_samples / (sample_rate / new_sample_rate) + 0.5)


def resample(samples: Samples, sample_rate: int, new_sample_rate: int) -> Samples:
    """Resample a whole clip with soxr's HQ (20 bit, linear phase); the same rate returns the samples as they are.

    Args:
      samples: float32 [n_samples, n_channels].
      sample_rate: their rate in Hz.
      new_sample_rate: the rate wanted in Hz.

    Returns:
      float32 [n_resampled(n_samples, sample_rate, new_sample_rate), n_channels].
    """
    if sample_rate == new_sample_rate:
        return samples
    return Resampler(sample_rate, new_sample_rate, n_channels=samples.shape[1]).resample(samples, last=True)


class Resampler:
    """Resamples a long clip piece by piece, with flat memory.

    The pieces that it returns, put together, equal `resample` of the whole clip bit for bit, however the clip is cut.
    Between pieces soxr holds some samples back, so that a piece may come out empty, and the last one longer.

    Args:
      sample_rate: rate of the pieces in Hz.
      new_sample_rate: the rate wanted in Hz.
      n_channels: number of channels.

    Example:
      >>> resampler = Resampler(16000, 8000, n_channels=1)
      >>> parts = [resampler.resample(np.zeros((1000, 1), np.float32), last=last) for last in (False, True)]
      >>> sum(map(len, parts))
      1000
    """

    def __init__(self, sample_rate: int, new_sample_rate: int, *, n_channels: int) -> None:
        self._n_channels = n_channels
        self._stream: Any = None
        if sample_rate != new_sample_rate:
            import soxr

            self._stream = soxr.ResampleStream(
                sample_rate, new_sample_rate, n_channels, dtype="float32", quality=_QUALITY
            )

    def resample(self, samples: Samples, *, last: bool) -> Samples:
        """Resample the next piece; return the samples that are ready by now.

        Args:
          samples: float32 [n_samples, n_channels]; may be empty.
          last: no other piece follows.

        Returns:
          float32 [n, n_channels].
        """
        if self._stream is None:
            return samples
        made: Samples = self._stream.resample_chunk(np.ascontiguousarray(samples), last=last)
        return made.reshape(-1, self._n_channels)
