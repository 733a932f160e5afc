"""A TitaNet with random weights, a tiny one, as NeMo saves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.random_sortformer import SAMPLE_RATE, quieten_nemo
from tests.sortformers import need_nemo

WIDTH = 24
"""Of its embeddings."""


def write_titanet(path: Path, sample_rate: int = SAMPLE_RATE, seed: int = 0) -> Path:
    """Write a tiny TitaNet with random weights into a `.nemo` file; one of another seed has other weights."""
    need_nemo()
    quieten_nemo()
    import torch
    from nemo.collections.asr.models import EncDecSpeakerLabelModel
    from omegaconf import OmegaConf

    torch.manual_seed(seed)
    model = EncDecSpeakerLabelModel(cfg=OmegaConf.create(_config_of(sample_rate)), trainer=None)
    model.eval()
    model.save_to(str(path))
    return path


def _config_of(sample_rate: int) -> dict[str, Any]:
    part = "nemo.collections.asr.modules"
    block = {"dilation": [1], "dropout": 0.1, "residual": True, "separable": True, "se": True, "se_context_size": -1}
    return {
        "sample_rate": sample_rate,
        "preprocessor": {
            "_target_": f"{part}.AudioToMelSpectrogramPreprocessor",
            "normalize": "per_feature", "window_size": 0.025, "window_stride": 0.01, "window": "hann",
            "sample_rate": sample_rate, "features": 80, "n_fft": 512, "frame_splicing": 1, "dither": 1e-5,
        },
        "encoder": {
            "_target_": f"{part}.ConvASREncoder", "feat_in": 80, "activation": "relu", "conv_mask": True,
            "jasper": [
                {"filters": 32, "repeat": 1, "kernel": [3], "stride": [1], **block, "residual": False},
                {"filters": 32, "repeat": 2, "kernel": [7], "stride": [1], **block},
                {"filters": 48, "repeat": 1, "kernel": [1], "stride": [1], **block, "residual": False},
            ],
        },
        "decoder": {
            "_target_": f"{part}.SpeakerDecoder", "feat_in": 48, "num_classes": 5, "pool_mode": "attention",
            "emb_sizes": WIDTH, "angular": True,
        },
        "loss": {"_target_": "nemo.collections.asr.losses.angularloss.AngularSoftmaxLoss", "scale": 30, "margin": 0.2},
    }  # fmt: skip
