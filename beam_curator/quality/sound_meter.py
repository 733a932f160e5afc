"""How loud sound is, how much of it is clipped, and how far speech stands out of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from beam_curator.audio import Samples
from beam_curator.diarization.clipping import ClippingMeter, clipped_ratio, full_scale_of
from beam_curator.diarization.crosstalk import LevelMeter
from beam_curator.intervals import Span
from beam_curator.quality.signal_to_noise import snr_of

_DIGITS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """Measures of sound, of all its channels together.

    Attributes:
      rms_dbfs: root mean square in dB, where 0 is that of a square wave at full scale, and a sine's is -3.01; None for
        digital silence.
      peak_dbfs: largest sample in dB of full scale; None for digital silence.
      clipped_ratio: share of clipped samples, 0 to 1: see `diarization.clipping`.
      snr_db: speech over the rest in dB: see `snr_of`; None where it is not known.
    """

    rms_dbfs: float | None
    peak_dbfs: float | None
    clipped_ratio: float
    snr_db: float | None


class SoundMeter:
    """Measures sound that comes in pieces; how it is cut changes nothing, not a bit.

    Memory is that of the levels: 0.4 MB for an hour of one channel.

    Args:
      sample_rate: Hz.
      n_channels: of the sound.
      codec: that it was stored in, which tells where full scale is.

    Example:
      >>> meter = SoundMeter(16000, 1)
      >>> meter.add(np.tile(np.float32([[0.5], [-0.5]]), (8000, 1)))
      >>> meter.sound()
      Sound(rms_dbfs=-6.02, peak_dbfs=-6.02, clipped_ratio=0.0, snr_db=None)
    """

    def __init__(self, sample_rate: int, n_channels: int, codec: str = "pcm_16") -> None:
        self._levels = LevelMeter(sample_rate, n_channels)
        self._clipping = ClippingMeter()
        self._full_scale = full_scale_of(codec)
        self._n_channels = n_channels
        self._frame = round(self._levels.frame_step * sample_rate)
        self._peak = 0.0

    def add(self, samples: Samples) -> None:
        """Take the next samples, float32 [n, n_channels]."""
        if not samples.size:
            return
        self._levels.add(samples)
        self._clipping.add(samples, self._full_scale)
        self._peak = max(self._peak, float(samples.max()), -float(samples.min()))

    def sound(self, speech: Sequence[Span] = ()) -> Sound:
        """Return the measures of all samples; no others may follow.

        Args:
          speech: spans in which anybody speaks, in seconds from the first sample.
        """
        powers = np.mean(np.square(self._levels.levels()), axis=1)
        clipped = self._clipping.clipped
        share = clipped_ratio([clipped]) if clipped.n_samples else None
        return Sound(
            rms_dbfs=_decibels(math.sqrt(_mean(powers, self._frame, clipped.n_samples // self._n_channels))),
            peak_dbfs=_decibels(self._peak),
            clipped_ratio=0.0 if share is None else share,
            snr_db=snr_of(powers, self._levels.frame_step, speech),
        )


def _mean(powers: np.ndarray[tuple[int], np.dtype[np.float64]], frame: int, n_samples: int) -> float:
    """Return the mean power of all samples; the last frame may have fewer."""
    if not n_samples:
        return 0.0
    n_last = n_samples - (len(powers) - 1) * frame
    return float(powers[:-1].sum() * frame + powers[-1] * n_last) / n_samples


def _decibels(ratio: float) -> float | None:
    # -0.0 would be another text than 0.0
    return round(20 * math.log10(ratio), _DIGITS) + 0.0 if ratio > 0 else None
