"""Log-mel frames of a waveform, whole or in pieces, with the same bits whatever the cutting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats, MelRules

BLOCK = 8
"""Frames that go through the filter bank at once. BLAS rounds by the shape that it is given, so the shape is always
this, and frame k is always row k % 8 of it."""

GROUP = 128
"""Frames whose spectra are held at once: a quarter of a megabyte, which stays in the cache of a core."""

_LEAST_DEVIATION = 1e-5
"""Added to a band's deviation (NeMo, features.py: CONSTANT)."""


def as_waveform(samples: NDArray[np.floating]) -> Floats:
    """Return samples as float32 [n_samples], contiguous; not copied if they are so already.

    Raises:
      ValueError: not one channel, not of a floating type, or not all finite.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(
            f"samples are {samples.dtype} {list(samples.shape)}: give float32 [n_samples], one channel within -1 and 1"
        )
    # a float64 sample beyond float32 becomes infinite, and is refused below
    with np.errstate(over="ignore"):
        waveform = np.ascontiguousarray(samples, dtype=np.float32)
    if not np.isfinite(waveform).all():
        position = int(np.argmin(np.isfinite(waveform)))
        raise ValueError(f"sample {position} is {samples[position]}: finite samples are expected; decode again")
    return waveform


class MelFrontEnd:
    """Turn samples at 16 kHz into the log-mel frames that a model hears.

    Equal to NeMo's `AudioToMelSpectrogramPreprocessor` in evaluation, without dither and padding (features.py:
    FilterbankFeatures.forward): pre-emphasis, zeros around the recording, a symmetric Hann window centred on
    sample k * hop_length for frame k, power spectrum, filter bank, log(x + log_guard). Frame k hears nothing but the
    samples within half a window of its centre, and one before.
    """

    def __init__(self, rules: MelRules, filters: Floats) -> None:
        """Take the rules and the filter bank of a model.

        Args:
          rules: the model's rules.
          filters: float32 [n_mels, n_fft // 2 + 1].

        Raises:
          ValueError: the filter bank does not fit the rules.
        """
        expected = (rules.n_mels, rules.n_fft // 2 + 1)
        if filters.shape != expected:
            raise ValueError(f"mel filters are {list(filters.shape)}, but the rules ask for {list(expected)}")
        if not 0 < rules.win_length <= rules.n_fft:
            raise ValueError(f"win_length {rules.win_length} does not lie within n_fft {rules.n_fft}")
        self.rules = rules
        self._filters = np.ascontiguousarray(filters.T, dtype=np.float32)
        self._left = (rules.n_fft - rules.win_length) // 2
        self._before = rules.n_fft // 2 - self._left
        self._hann = _hann(rules.win_length)

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames a recording of `n_samples` has."""
        return n_samples // self.rules.hop_length

    def first_sample(self, first: int) -> int:
        """Return the first sample that frame `first` hears; audio before it is not needed any more."""
        return max(0, first * self.rules.hop_length - self._before - 1)

    def stop_sample(self, stop: int) -> int:
        """Return how many samples of a recording must be there for its frames before `stop`."""
        return (stop - 1) * self.rules.hop_length - self._before + self.rules.win_length

    def frames(self, samples: Floats) -> Floats:
        """Return the frames of a whole recording, normalized if the rules say so.

        Args:
          samples: float32 [n_samples], finite.

        Returns:
          float32 [n_samples // hop_length, n_mels].
        """
        frames = self.piece(samples, 0, 0, self.n_frames(len(samples)))
        if self.rules.normalization == "per_feature" and len(frames):
            return _normalized(frames)
        return frames

    def piece(self, audio: Floats, start: int, first: int, stop: int, out: Floats | None = None) -> Floats:
        """Return some frames of a recording, not normalized.

        Args:
          audio: float32 [n]: its samples [start, start + n). What lies outside counts as zeros, so only the
            recording's own start and end may be missing: see `first_sample` and `stop_sample`.
          start: first sample of `audio`.
          first: first frame.
          stop: one past the last frame.
          out: float32 [stop - first, n_mels] to write to; None for a new array.

        Returns:
          float32 [stop - first, n_mels].
        """
        if out is None:
            out = np.empty((stop - first, self.rules.n_mels), dtype=np.float32)
        # from a multiple of BLOCK, so that a frame has the same row of its block whatever the cutting
        for low in range(first - first % BLOCK, stop, GROUP):
            high = min(low + GROUP, stop)
            begin = max(low, first)
            out[begin - first : high - first] = self._group(audio, start, low, high)[begin - low : high - low]
        return out

    def _group(self, audio: Floats, start: int, low: int, high: int) -> Floats:
        """Return frames [low, high), and the frames after them that fill the last block; `low` begins a block."""
        rules = self.rules
        # rounded up to whole blocks; what is too much is cut off by the caller
        n_frames = -(-(high - low) // BLOCK) * BLOCK
        begin = low * rules.hop_length - self._before
        sound = self._emphasised(audio, start, begin, begin + (n_frames - 1) * rules.hop_length + rules.win_length)
        heard = np.zeros((n_frames, rules.n_fft), dtype=np.float32)
        inner = heard[:, self._left : self._left + rules.win_length]
        np.multiply(overlapping_frames(sound, n_frames, rules.win_length, rules.hop_length), self._hann, out=inner)
        bands = band_energies(heard, self._filters)
        bands += np.float32(rules.log_guard)
        return np.log(bands, out=bands)

    def _emphasised(self, audio: Floats, start: int, low: int, high: int) -> Floats:
        """Return samples [low, high) after pre-emphasis, zeros where there is no audio."""
        sound = np.zeros(high - low, dtype=np.float32)
        begin, stop = max(low, start), min(high, start + len(audio))
        if stop <= begin:
            return sound
        sound[begin - low : stop - low] = audio[begin - start : stop - start]
        # the first sample of a recording has none before it and stays as it is
        before = max(begin - 1, start)
        sound[before + 1 - low : stop - low] -= (
            np.float32(self.rules.preemphasis) * audio[before - start : stop - 1 - start]
        )
        return sound


def overlapping_frames(sound: Floats, n_frames: int, length: int, hop_length: int) -> Floats:
    """Return a view of contiguous samples in which frames overlap, float32 [n_frames, length]. It is only to read."""
    step = sound.itemsize
    return np.ndarray((n_frames, length), np.float32, sound, 0, (hop_length * step, step))


def band_energies(heard: Floats, filters: Floats) -> Floats:
    """Return the energies of frames in the bands of a filter bank.

    Args:
      heard: float32 [n_frames, n_fft], after the window; n_frames is a multiple of `BLOCK`.
      filters: float32 [n_fft // 2 + 1, n_bands].

    Returns:
      float32 [n_frames, n_bands].
    """
    spectrum = np.fft.rfft(heard, axis=1)
    # NumPy before 2 transforms in float64
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
    return np.matmul(power.reshape(-1, BLOCK, power.shape[1]), filters).reshape(len(heard), -1)


def _hann(n_samples: int) -> Floats:
    """Return a symmetric Hann window, rounded step by step as torch.hann_window: the steps cost 2e-7."""
    if n_samples == 1:
        return np.ones(1, dtype=np.float32)
    angles = np.arange(n_samples, dtype=np.float32) * np.float32(2 * np.pi / (n_samples - 1))
    return np.cos(angles.astype(np.float64)).astype(np.float32) * np.float32(-0.5) + np.float32(0.5)


def _normalized(frames: Floats) -> Floats:
    """Bring each band to mean 0 and deviation 1 over time (NeMo, features.py: normalize_batch, per_feature)."""
    mean = frames.mean(axis=0, dtype=np.float64)
    squares = np.square(frames - mean).sum(axis=0)
    # NeMo divides by n - 1
    deviation = np.sqrt(squares / (len(frames) - 1)) if len(frames) > 1 else np.zeros_like(mean)
    return ((frames - mean) / (deviation + _LEAST_DEVIATION)).astype(np.float32)
