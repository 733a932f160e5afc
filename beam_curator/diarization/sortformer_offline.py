"""A Sortformer that hears a recording at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beam_curator.diarization.batches import BatchLimit, in_halves, padded
from beam_curator.diarization.mel import MelFrontEnd, as_waveform
from beam_curator.diarization.models import Backend, Encoded, Floats, encoded

_PEAK_GUARD = np.float32(1e-3)
"""Added to a recording's highest sample before it is scaled by it (NeMo, sortformer_diar_models.py: eps)."""


class OfflineSortformer:
    """Say who speaks when in whole recordings, several at once.

    Equal to NeMo's `diarize` with batches of one. NeMo scales a batch by its highest sample, so that there the results
    depend on who is in it; here each recording is scaled by its own.
    """

    def __init__(self, backend: Backend, *, keeps_frames: bool = False) -> None:
        """Take a model; `keeps_frames` returns the encoder's frames, too.

        Raises:
          ValueError: the model is one that streams.
        """
        if backend.config.is_streaming:
            raise ValueError(f"model {backend.config.name!r} streams: use StreamingSortformer, or an offline model")
        self.config = backend.config
        self._backend = backend
        self._keeps_frames = keeps_frames
        self._mel = MelFrontEnd(backend.config.mel, backend.mel_filters)
        self._limit = BatchLimit()

    def hear(self, waveforms: Sequence[Floats]) -> list[Encoded | Exception]:
        """Return the probabilities of speakers in recordings that fit in one batch, see `plan_batches`.

        Args:
          waveforms: float32 [n_samples] each, at 16 kHz.

        Returns:
          For each float32 [n_frames, n_speakers], with the frames if they are kept, or why it failed: its samples are
          not finite, or the model fails on it alone. Less than 160 samples have no frame.
        """
        results: list[Encoded | Exception] = []
        waiting: dict[int, Floats] = {}
        for waveform in waveforms:
            try:
                mel = self._mel.frames(as_waveform(_scaled(as_waveform(waveform))))
            except ValueError as err:
                results.append(err)
                continue
            if len(mel):
                waiting[len(results)] = mel
            results.append(Encoded(np.empty((0, self.config.n_speakers), dtype=np.float32)))
        for index, found in zip(waiting, in_halves(self._ask, list(waiting.values()), self._limit), strict=True):
            results[index] = found
        return results

    def _ask(self, mels: list[Floats]) -> list[Encoded]:
        embeddings, n_frames = self._backend.pre_encode(*padded([[mel] for mel in mels]))
        expected = [-(-len(mel) // self.config.subsampling_factor) for mel in mels]
        if n_frames.tolist() != expected:
            raise ValueError(f"pre_encode made {n_frames.tolist()} frames, but {expected} are expected")
        said = encoded(self._backend, embeddings, n_frames, keeps_frames=self._keeps_frames)
        return [Encoded(item.probabilities.copy(), item.frames) for item in said]


def _scaled(waveform: Floats) -> Floats:
    """Scale by the highest sample, as NeMo's process_signal: the highest, not the largest."""
    if not len(waveform):
        return waveform
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.float32(1) / (waveform.max() + _PEAK_GUARD) * waveform
