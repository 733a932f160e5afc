"""The envelope of a waveform: its least and greatest sample in each column of a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_curator.failures import EntryError, FailureCode

N_COLUMNS = 4096
"""Columns of an envelope; more than a picture is wide, so that it need not be known how wide that will be."""

Levels = NDArray[np.float32]
"""One level for each column, float32 [n_columns]."""


class Envelope:
    """Least and greatest sample of each of `n_columns` equal parts of a clip, gathered piece by piece.

    Channels are mixed (their mean). Column c of C covers the samples from c*n//C up to (c+1)*n//C, at least one.

    Attributes:
      n_samples: length of the clip in samples of each channel.
      n_added: samples seen so far.

    Args:
      n_samples: as above.
      n_columns: as above.

    Raises:
      EntryError: the clip has no samples.

    Example:
      >>> envelope = Envelope(4, n_columns=2)
      >>> envelope.add(np.float32([[0.5], [-0.25], [0.125]]))
      >>> envelope.add(np.float32([[-1.0]]))
      >>> envelope.levels()
      (array([-0.25, -1.  ], dtype=float32), array([0.5  , 0.125], dtype=float32))
    """

    def __init__(self, n_samples: int, n_columns: int = N_COLUMNS) -> None:
        if n_samples < 1:
            raise EntryError(FailureCode.EMPTY_AUDIO, f"the clip has {n_samples} samples", "cut a longer piece")
        self.n_samples = n_samples
        self.n_added = 0
        self._starts = column_starts(n_samples, n_columns)
        self._stops = np.maximum(np.append(self._starts[1:], n_samples), self._starts + 1)
        self._minima = np.full(n_columns, np.inf, np.float32)
        self._maxima = np.full(n_columns, -np.inf, np.float32)

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next piece of the clip.

        Args:
          samples: float32 [n_samples, n_channels], full scale at 1.

        Raises:
          EntryError: a sample is NaN or infinite.
          ValueError: there are more samples than the clip was said to have.
        """
        first, stop = self.n_added, self.n_added + len(samples)
        if stop > self.n_samples:
            raise ValueError(f"{stop} samples are more than the {self.n_samples} of the clip: give the real number")
        if not len(samples):
            return
        mixed = mix(samples)
        low, high = np.searchsorted(self._stops, first, side="right"), np.searchsorted(self._starts, stop)
        within = np.maximum(self._starts[low:high] - first, 0)
        columns = slice(low, high)
        self._minima[columns] = np.minimum(self._minima[columns], np.minimum.reduceat(mixed, within))
        self._maxima[columns] = np.maximum(self._maxima[columns], np.maximum.reduceat(mixed, within))
        if not (np.isfinite(self._minima[columns]).all() and np.isfinite(self._maxima[columns]).all()):
            raise EntryError(
                FailureCode.NON_FINITE,
                f"a sample from {first} to {stop} is NaN or infinite, expected finite samples",
                "decode the recording again, or leave it out",
            )
        self.n_added = stop

    def levels(self, n_columns: int | None = None) -> tuple[Levels, Levels]:
        """Return least and greatest level of each column, 0 where nothing was added.

        Args:
          n_columns: fewer or more columns than were gathered, if given.

        Returns:
          Two arrays, float32 [n_columns].
        """
        seen = self._maxima >= self._minima
        minima, maxima = np.where(seen, self._minima, 0), np.where(seen, self._maxima, 0)
        if n_columns is None:
            return minima, maxima
        starts = column_starts(len(minima), n_columns)
        return np.minimum.reduceat(minima, starts), np.maximum.reduceat(maxima, starts)


def column_starts(n_samples: int, n_columns: int) -> NDArray[np.int64]:
    """Return the first sample of each column, int64 [n_columns]; several columns share one where samples are fewer.

    Example:
      >>> column_starts(10, 4), column_starts(2, 4)
      (array([0, 2, 5, 7]), array([0, 0, 1, 1]))
    """
    return np.arange(n_columns) * n_samples // n_columns


def mix(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of all channels.

    Args:
      samples: float32 [n_samples, n_channels].

    Returns:
      float32 [n_samples].

    Example:
      >>> mix(np.float32([[1.0, 0.0], [0.5, 0.5]]))
      array([0.5, 0.5], dtype=float32)
    """
    n_channels = samples.shape[1]
    if n_channels == 1:
        return samples[:, 0]
    mixed = samples[:, 0] + samples[:, 1]
    for channel in range(2, n_channels):
        mixed += samples[:, channel]
    mixed /= np.float32(n_channels)
    return mixed
