"""Clipped sound: samples that stand at full scale one after the other, since the sound was louder than that.

The definition is that of Audacity's analyzer "Find Clipping": three samples or more in a row at full scale, which is
the largest number of 16 bits. One or two may be the crest of a wave. Sound that is only loud, or was turned down after
it had been clipped, is not found.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_curator.audio import Samples

_MIN_RUN = 3
_REACH = _MIN_RUN - 1
"""How far the run reaches that a sample may be in."""

_Flags = NDArray[np.bool_]
_FULL_SCALE = 32767 / 32768
_FULL_SCALE_OF = {
    **dict.fromkeys(("pcm_u8", "pcm_s8", "pcm_s8_planar"), 127 / 128),
    **dict.fromkeys(("ulaw", "pcm_mulaw"), 32124 / 32768),
    **dict.fromkeys(("alaw", "pcm_alaw"), 32256 / 32768),
    **dict.fromkeys(("gsm610", "gsm", "gsm_ms"), 32760 / 32768),
}
"""Codecs that hold less than 16 bits reach their largest number earlier."""


def full_scale_of(codec: str) -> float:
    """Return the level from which on a codec's samples are at full scale.

    Example:
      >>> full_scale_of("pcm_u8"), full_scale_of("ulaw")
      (0.9921875, 0.9803466796875)
    """
    return _FULL_SCALE_OF.get(codec, _FULL_SCALE)


class Clipped(NamedTuple):
    """How many samples were heard, all channels, and how many of them are clipped."""

    n_clipped: int = 0
    n_samples: int = 0


NOT_HEARD = Clipped()


class ClippingMeter:
    """Counts clipped samples in pieces of a recording; however they are cut, the result is the same.

    Example:
      >>> meter = ClippingMeter()
      >>> for piece in ([[0.5], [1.0], [1.0]], [[1.0], [0.5], [-1.0], [-1.0]]):
      ...     meter.add(np.float32(piece), full_scale_of("pcm_16"))
      >>> meter.clipped
      Clipped(n_clipped=3, n_samples=7)
    """

    def __init__(self) -> None:
        self._n_clipped = self._n_samples = 0
        # the last samples that are decided, and those that wait for the next: bool [2, 2 * _REACH, n_channels]
        self._held: _Flags | None = None

    def add(self, samples: Samples, full_scale: float) -> None:
        """Take the next samples, float32 [n, n_channels]; `full_scale` is the same each time."""
        if not samples.size:
            return
        if samples.max() >= full_scale or samples.min() <= -full_scale:
            flags = np.stack([samples >= full_scale, samples <= -full_scale])
        else:
            # so few decide about those that wait
            flags = np.zeros((2, min(len(samples), 2 * _REACH), samples.shape[1]), np.bool_)
        held = self._held if self._held is not None else np.zeros_like(flags, shape=(2, 2 * _REACH, samples.shape[1]))
        flags = np.concatenate([held, flags], axis=1)
        self._n_clipped += _n_in_runs(flags)
        self._n_samples += samples.size
        self._held = flags[:, -2 * _REACH :]

    @property
    def clipped(self) -> Clipped:
        """How much is clipped among the samples so far, as if no other followed."""
        left = 0 if self._held is None else _n_in_runs(np.pad(self._held, ((0, 0), (0, _REACH), (0, 0))))
        return Clipped(self._n_clipped + left, self._n_samples)


def _n_in_runs(flags: _Flags) -> int:
    """Count the flags that stand in a row of `_MIN_RUN`, but for the first and last `_REACH`, whose rows are not known.

    Args:
      flags: bool [2, n, n_channels], rows along the second axis.
    """
    begins = flags[:, :-2] & flags[:, 1:-1] & flags[:, 2:]
    return int(np.count_nonzero(begins[:, 2:] | begins[:, 1:-1] | begins[:, :-2]))


def clipped_ratio(streams: list[Clipped]) -> float | None:
    """Return the share of clipped samples in all that was heard of a recording; None where there are none.

    Example:
      >>> clipped_ratio([Clipped(3, 1000), Clipped(0, 1000)]), clipped_ratio([Clipped(0, 1000)])
      (0.0015, None)
    """
    n_clipped, n_samples = (sum(numbers) for numbers in zip(*streams, strict=True))
    return float(f"{n_clipped / n_samples:.6g}") if n_clipped else None
