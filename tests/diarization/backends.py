"""Backends to test the engines with: a small one in NumPy, and NeMo's own model."""

from typing import Any

import numpy as np

from beam_curator.diarization.models import (
    Encoded,
    Floats,
    Lengths,
    MelRules,
    ModelConfig,
    Normalization,
    OutOfMemoryError,
)

LOUD = 7.0
"""NumpyBackend fails on mel frames above this: talk stays below 4."""


def n_frames_of(n_samples: int) -> int:
    """Return how many frames of 80 ms a recording has: one for eight mel frames, the last of which may be missing."""
    return -(-(n_samples // 160) // 8)


class NumpyBackend:
    """Random maps with a little memory of everything heard; an item's result does not depend on its batch.

    `most_frames` frames, padding included, fit into its memory. `calls` are the numbers of items of calls to `encode`.
    """

    def __init__(
        self,
        *,
        is_streaming: bool = True,
        n_mels: int = 16,
        n_speakers: int = 4,
        most_frames: int | None = None,
        not_finite: bool = False,
    ) -> None:
        normalization: Normalization = "none" if is_streaming else "per_feature"
        self.config = ModelConfig(
            n_speakers=n_speakers,
            embedding_size=16,
            mel=MelRules(n_mels=n_mels, normalization=normalization),
            is_streaming=is_streaming,
            name="random",
        )
        random = np.random.default_rng(0)
        self.mel_filters = np.abs(random.standard_normal((n_mels, 257))).astype(np.float32)
        self.most_frames = most_frames
        self.not_finite = not_finite
        self.calls: list[int] = []
        self._inner = random.standard_normal((8 * n_mels, 16)).astype(np.float32) / np.float32(60)
        self._outer = random.standard_normal((16, n_speakers)).astype(np.float32) * np.float32(3)

    def pre_encode(self, mel: Floats, lengths: Lengths) -> tuple[Floats, Lengths]:
        n_frames = -(-lengths // 8)
        embeddings = np.full((len(mel), int(n_frames.max()), 16), 7, dtype=np.float32)
        for item, frames, length, n in zip(embeddings, mel, lengths, n_frames, strict=True):
            if (frames[:length] > LOUD).any():
                raise RuntimeError("a loud item")
            whole = np.zeros((n * 8, mel.shape[2]), dtype=np.float32)
            whole[:length] = frames[:length]
            item[:n] = np.tanh(whole.reshape(n, -1) @ self._inner)
        return embeddings, n_frames

    def encode(self, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool = False) -> Encoded:
        probabilities = self.probabilities(embeddings, lengths)
        return Encoded(probabilities, self.frames(embeddings, probabilities) if keeps_frames else None)

    def probabilities(self, embeddings: Floats, lengths: Lengths) -> Floats:
        self.calls.append(len(embeddings))
        if self.most_frames is not None and embeddings.shape[0] * embeddings.shape[1] > self.most_frames:
            raise OutOfMemoryError(f"{embeddings.shape[0]} x {embeddings.shape[1]} frames are too many")
        found = np.zeros((*embeddings.shape[:2], self.config.n_speakers), dtype=np.float32)
        for item, frames, n in zip(found, embeddings, lengths, strict=True):
            heard = frames[:n] - frames[:n].mean(axis=0)
            item[:n] = 1 / (1 + np.exp(-heard @ self._outer))
        return found * np.float32(np.nan) if self.not_finite else found

    def frames(self, embeddings: Floats, probabilities: Floats) -> Floats:
        return embeddings


class TwiceBackend(NumpyBackend):
    """The same, whose frames are twice the probabilities: each tells which row it belongs to."""

    def frames(self, embeddings: Floats, probabilities: Floats) -> Floats:
        return 2 * probabilities


class NemoBackend:
    """The two functions of a model of NeMo's."""

    def __init__(self, model: Any, *, is_streaming: bool) -> None:
        featurizer = model.preprocessor.featurizer
        self.model = model
        self.mel_filters = featurizer.fb[0].numpy()
        self.config = ModelConfig(
            n_speakers=model.sortformer_modules.n_spk,
            embedding_size=model.sortformer_modules.fc_d_model,
            mel=MelRules(n_mels=featurizer.nfilt, normalization="none" if is_streaming else "per_feature"),
            is_streaming=is_streaming,
        )

    def pre_encode(self, mel: Floats, lengths: Lengths) -> tuple[Floats, Lengths]:
        import torch

        with torch.inference_mode():
            embeddings, n_frames = self.model.encoder.pre_encode(
                x=torch.from_numpy(mel), lengths=torch.from_numpy(lengths)
            )
        return embeddings.numpy(), n_frames.numpy().astype(np.int64)

    def encode(self, embeddings: Floats, lengths: Lengths, *, keeps_frames: bool = False) -> Encoded:
        import torch

        with torch.inference_mode():
            hidden, n_hidden = self.model.frontend_encoder(
                processed_signal=torch.from_numpy(embeddings),
                processed_signal_length=torch.from_numpy(lengths),
                bypass_pre_encode=True,
            )
            probabilities = self.model.forward_infer(hidden, n_hidden).numpy()
            return Encoded(probabilities, hidden.numpy() if keeps_frames else None)


def load_nemo(path: str) -> Any:
    """Read a model as NeMo's diarize() uses it: no dither, no padding; one thread, which is quicker for a tiny one."""
    import torch
    from nemo.collections.asr.models import SortformerEncLabelModel

    torch.set_num_threads(1)
    model = SortformerEncLabelModel.restore_from(path, map_location="cpu").eval()
    featurizer = model.preprocessor.featurizer
    featurizer.dither, featurizer.pad_to = 0.0, 0
    return model


def nemo_frames(model: Any, waveform: Floats) -> Floats:
    """Return mel frames by NeMo's preprocessor, float32 [n_frames, n_mels]."""
    import torch

    with torch.inference_mode():
        mel, length = model.preprocessor(
            input_signal=torch.from_numpy(waveform)[None], length=torch.tensor([len(waveform)])
        )
    return np.ascontiguousarray(mel[0, :, : int(length)].numpy().T)
