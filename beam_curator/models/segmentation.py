"""Speakers within windows of 10 s by pyannote's segmentation model, on onnxruntime."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from beam_curator.diarization.models import Floats, Lengths
from beam_curator.models.onnx_sessions import EndNames, open_session, run_session
from beam_curator.models.pyannet_graph import MADE, POOLS, POOLS_GIVEN, SAMPLES

SEGMENTATION, SEGMENTATION_FILTERS = "segmentation.onnx", "segmentation_filters.onnx"

WINDOW_SAMPLES, WINDOW_FRAMES, N_CLASSES = 160_000, 589, 7
FRAME_SAMPLES = 270
"""Samples between frames."""
FIRST_CENTRE = 495
"""Sample in the middle of those that frame 0 hears, 991."""
START_STEP = 30
"""Windows of the same audio share the work of its filters where they start at multiples of so many samples."""

_POOL_SAMPLES = 271
"""Samples that a value of the filters hears."""
_POOLS = (WINDOW_SAMPLES - _POOL_SAMPLES) // START_STEP + 1
_POOLS_AT_ONCE = 800
"""These stay in the cache of a core: all 5,325 of a window at once take longer."""
_WINDOWS_AT_ONCE = 4
"""More take longer; each window has the same bytes in any number."""


class Segmentation:
    """A segmentation model. Threads may share it.

    Args:
      filters: session of the graph of filters.
      windows: session of the graph of windows.
    """

    def __init__(self, filters: Any, windows: Any) -> None:
        self._filters = filters
        self._windows = windows

    def log_probabilities(self, windows: Floats) -> Floats:
        """Hear windows that share no audio; of windows that overlap, `log_probabilities_at` takes less time.

        Args:
          windows: float32 [n_windows, 160000] at 16 kHz.

        Returns:
          float32 [n_windows, 589, 7], logarithms of the probabilities of nobody, of speakers 0, 1 and 2, and of
          speakers 0 and 1, 0 and 2, 1 and 2 at once. Frame k has its centre at sample 495 + 270 k.

        Raises:
          ValueError: the windows have another length.
          OutOfMemoryError: memory is lacking.
        """
        if windows.ndim != 2 or windows.shape[1] != WINDOW_SAMPLES:
            raise ValueError(f"windows are {list(windows.shape)}, expected [n_windows, {WINDOW_SAMPLES}]: pad them")
        heard = [self.log_probabilities_at(window, [0]) for window in windows]
        return np.concatenate([np.empty((0, WINDOW_FRAMES, N_CLASSES), np.float32), *heard])

    def log_probabilities_at(self, samples: Floats, starts: Sequence[int] | Lengths) -> Floats:
        """Hear windows of one piece of audio, which goes through the filters once.

        Args:
          samples: float32 [n_samples] at 16 kHz; each second needs 0.4 MB.
          starts: first samples of the windows, multiples of 30: all of a window lies within the samples.

        Returns:
          float32 [n_windows, 589, 7]: as `log_probabilities` of the windows, to some roundings.

        Raises:
          ValueError: a window starts elsewhere.
          OutOfMemoryError: memory is lacking.
        """
        last = len(samples) - WINDOW_SAMPLES
        for start in starts:
            if start % START_STEP or not 0 <= start <= last:
                raise ValueError(
                    f"a window starts at sample {start} of {len(samples)}, expected a multiple of {START_STEP} up to "
                    f"{last}: pad the samples"
                )
        pools = self._filtered(samples)
        made = np.empty((len(starts), WINDOW_FRAMES, N_CLASSES), np.float32)
        # new memory for each few windows would take longer than to fill it
        heard = [np.empty((_WINDOWS_AT_ONCE, len(some), _POOLS), np.float32) for some in pools]
        for low in range(0, len(starts), _WINDOWS_AT_ONCE):
            some = [int(start) for start in starts[low : low + _WINDOWS_AT_ONCE]]
            for whole, windows in zip(pools, heard, strict=True):
                for place, start in enumerate(some):
                    windows[place] = whole[:, start // START_STEP : start // START_STEP + _POOLS]
            moments = np.stack([_moments(samples[start : start + WINDOW_SAMPLES]) for start in some])
            ends = zip(POOLS_GIVEN, (*(windows[: len(some)] for windows in heard), moments), strict=True)
            made[low : low + len(some)] = run_session(
                self._windows, (MADE.name,), {end.name: values for end, values in ends}
            )[0]
        return made

    def _filtered(self, samples: Floats) -> tuple[Floats, Floats]:
        """Return the highest and the lowest values of filters, float32 [80, n_pools] each."""
        n_pools = max(0, (len(samples) - _POOL_SAMPLES) // START_STEP + 1)
        made = [np.empty((int(end.shape[0]), n_pools), np.float32) for end in POOLS]
        for low in range(0, n_pools, _POOLS_AT_ONCE):
            high = min(low + _POOLS_AT_ONCE, n_pools)
            heard = samples[low * START_STEP : (high - 1) * START_STEP + _POOL_SAMPLES]
            for whole, some in zip(made, run_session(self._filters, _names(POOLS), {SAMPLES.name: heard}), strict=True):
                whole[:, low:high] = some
        return made[0], made[1]


def load_segmentation(folder: str, n_threads: int = 1) -> Segmentation:
    """Load the model from a folder with its graphs. Nothing is hashed: see `check_made`.

    Raises:
      NotAModelError: a file is no graph, or another one.
      OutOfMemoryError: the model does not fit into memory.
    """
    filters, windows = (
        open_session(os.path.join(folder, name), EndNames(given, made), n_threads, ["CPUExecutionProvider"], _CURE)
        for name, given, made in (
            (SEGMENTATION_FILTERS, (SAMPLES.name,), _names(POOLS)),
            (SEGMENTATION, _names(POOLS_GIVEN), (MADE.name,)),
        )
    )
    return Segmentation(filters, windows)


_CURE = "install it again: beam-curator models install cascade"


def _names(ends: Sequence[Any]) -> tuple[str, ...]:
    return tuple(end.name for end in ends)


def _moments(samples: Floats) -> Floats:
    """Return the mean and the variance of samples, float32 [2]."""
    return np.array([samples.mean(dtype=np.float64), samples.var(dtype=np.float64)], np.float32)
