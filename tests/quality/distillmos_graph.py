"""DistillMOS (MIT) as a graph of a user's: from the weights of its package to an ONNX that keeps to a contract."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from beam_curator.diarization.models import Floats

N_SAMPLES = 122_880
"""Samples that it hears, at 16 kHz."""
_FRAME, _HOP = 320, 160


def model_of() -> Any:
    """Return the model of the package; torchaudio, which it imports for its command line, may be missing."""
    sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
    from distillmos import ConvTransformerSQAModel  # type: ignore[import-not-found]

    return ConvTransformerSQAModel(segmenting_in_forward=False).eval()


def write_distillmos(path: Path, model: Any) -> Path:
    """Write it as a graph of a wave of any length, of which it hears the first 7.68 s, filled up with zeros."""
    import torch

    class Heard(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            # no exporter has the spectra of torch; a convolution gives them
            turns = 2 * np.pi * np.outer(np.arange(_FRAME // 2 + 1), np.arange(_FRAME)) / _FRAME
            hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME)
            kernels = np.concatenate([np.cos(turns) * hann, -np.sin(turns) * hann])[:, np.newaxis]
            self.register_buffer("kernels", torch.tensor(kernels, dtype=torch.float32))

        def forward(self, wave: Any) -> Any:
            wave = torch.nn.functional.pad(wave, (0, N_SAMPLES))[:, :N_SAMPLES]
            wave = wave / (wave.abs().amax(dim=1, keepdim=True) + 1e-8)
            around = (_FRAME - _HOP) // 2
            padded = torch.nn.functional.pad(wave[:, None], (around, around), mode="reflect")
            spectra = torch.nn.functional.conv1d(padded, self.kernels, stride=_HOP)
            spectra = spectra.unflatten(1, (2, _FRAME // 2 + 1))
            magnitude = spectra.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-12)
            heard = self.model.cnn.cnn(magnitude**-0.7 * spectra).flatten(1, -2)
            return 1 + 4 * self.model.transformer_pool_attn(heard.permute(0, 2, 1))

    # no exporter has the fused layers of a transformer
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad():
        torch.onnx.export(
            Heard().eval(), (torch.zeros(1, 160_000),), path, input_names=["wave"], output_names=["score"],
            dynamic_axes={"wave": {1: "n_samples"}}, opset_version=17, dynamo=False,
        )  # fmt: skip
    return path


def score_by_torch(model: Any, samples: Floats) -> float:
    """Return the model's own score of 7.68 s."""
    import torch

    with torch.no_grad():
        return float(model(torch.from_numpy(samples[np.newaxis, :N_SAMPLES])))
