"""The small Sortformer: NeMo's own classes, about a million weights, and what it is trained for."""

import itertools
from typing import Any

import torch
from conversations import N_SPEAKERS
from torch import Tensor, nn

_MELS = 64
_WIDTH, _INNER_WIDTH = 96, 64
_CLASS_SCALE = 16.0


def config() -> dict[str, Any]:
    """Return NeMo's configuration of the model; no conversation is heard twice, so nothing is dropped out."""
    part = "nemo.collections.asr"
    widths = {"fc_d_model": _WIDTH, "tf_d_model": _INNER_WIDTH}
    return {
        "sample_rate": 16000, "pil_weight": 0.5, "ats_weight": 0.5, "max_num_of_spks": N_SPEAKERS,
        "streaming_mode": True, "async_streaming": False, "model_defaults": widths,
        "preprocessor": {
            "_target_": f"{part}.modules.AudioToMelSpectrogramPreprocessor", "normalize": "NA", "window_size": 0.025,
            "window_stride": 0.01, "window": "hann", "sample_rate": 16000, "features": _MELS, "n_fft": 512,
            "frame_splicing": 1, "dither": 0.0, "pad_to": 0,
        },
        "sortformer_modules": {
            "_target_": f"{part}.modules.sortformer_modules.SortformerModules", "num_spks": N_SPEAKERS,
            "dropout_rate": 0.0, "subsampling_factor": 8, "spkcache_len": 188, "fifo_len": 0, "chunk_len": 188,
            "spkcache_update_period": 188, "chunk_left_context": 1, "chunk_right_context": 1,
            "spkcache_sil_frames_per_spk": 3, **widths,
        },
        "encoder": {
            "_target_": f"{part}.modules.ConformerEncoder", "feat_in": _MELS, "feat_out": -1, "n_layers": 4,
            "d_model": _WIDTH, "subsampling": "dw_striding", "subsampling_factor": 8, "subsampling_conv_channels": 48,
            "causal_downsampling": False, "ff_expansion_factor": 4, "self_attention_model": "rel_pos", "n_heads": 4,
            "att_context_size": [-1, -1], "att_context_style": "regular", "xscaling": True, "untie_biases": True,
            "pos_emb_max_len": 5000, "conv_kernel_size": 9, "conv_norm_type": "batch_norm", "conv_context_size": None,
            "dropout": 0.0, "dropout_pre_encoder": 0.0, "dropout_emb": 0.0, "dropout_att": 0.0,
            "stochastic_depth_drop_prob": 0.0, "stochastic_depth_mode": "linear", "stochastic_depth_start_layer": 1,
        },
        "transformer_encoder": {
            "_target_": f"{part}.modules.transformer.transformer_encoders.TransformerEncoder", "num_layers": 3,
            "hidden_size": _INNER_WIDTH, "inner_size": 4 * _INNER_WIDTH, "num_attention_heads": 4,
            "attn_score_dropout": 0.0, "attn_layer_dropout": 0.0, "ffn_dropout": 0.0, "hidden_act": "relu",
            "pre_ln": False, "pre_ln_final_layer_norm": True,
        },
        "loss": {"_target_": f"{part}.losses.bce_loss.BCELoss", "weight": None, "reduction": "mean"},
    }  # fmt: skip


def build_model() -> Any:
    """Return the model with random weights; torch's seed decides which."""
    from nemo.collections.asr.models import SortformerEncLabelModel
    from omegaconf import OmegaConf

    model = SortformerEncLabelModel(cfg=OmegaConf.create(config()), trainer=None)
    model.encoder.pre_encode.conv.to(memory_format=torch.channels_last)  # its gradients take a third of the time
    return model


def hear(model: Any, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities [n, n_frames, 4] and the encoder's frames [n, n_frames, 64] of samples [n, n_samples]."""
    with torch.no_grad():
        mel, n_mel = model.preprocessor(
            input_signal=samples, length=torch.full((len(samples),), samples.shape[1], device=samples.device)
        )
        mel = mel[:, :, : int(n_mel.max())]
    frames, n_frames = model.frontend_encoder(processed_signal=mel, processed_signal_length=n_mel)
    return model.forward_infer(frames, n_frames), frames


def diarization_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return half the sort loss and half the permutation loss, of speakers in the order of their first frames.

    Sort loss: binary cross-entropy of labels sorted by arrival. Permutation loss: that of the best order.

    Source: Park et al., "Sortformer" (2024), section 4.

    Args:
      probabilities: [n, n_frames, n_speakers].
      labels: the same shape, 0 or 1, sorted by arrival.
    """
    n_frames, n_speakers = probabilities.shape[1:]
    probabilities = probabilities.clamp(1e-6, 1 - 1e-6)
    active = torch.einsum("bti,btj->bij", probabilities.log(), labels)
    silent = torch.einsum("bti,btj->bij", (1 - probabilities).log(), 1 - labels)
    costs = -(active + silent) / (n_frames * n_speakers)
    sorted_cost = costs.diagonal(dim1=1, dim2=2).sum(1)
    orders = torch.tensor(list(itertools.permutations(range(n_speakers))), device=costs.device)
    best_cost = costs[:, torch.arange(n_speakers), orders].sum(2).amin(1)
    return (0.5 * sorted_cost + 0.5 * best_cost).mean()


class VoiceHead(nn.Module):
    """Tells voices by the encoder's frames in which one speaker talks alone; only used in training.

    It makes the encoder hear who speaks, not only that somebody else does.
    """

    def __init__(self, n_voices: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(n_voices, _INNER_WIDTH))

    def forward(self, frames: Tensor, voices: Tensor) -> Tensor:
        """Return the mean cross-entropy of frames [n, n_frames, 64]; voices [n, n_frames] are numbers, -1 for none."""
        alone = voices >= 0
        directions = nn.functional.normalize(self.directions, dim=1)
        logits = _CLASS_SCALE * nn.functional.normalize(frames[alone], dim=1) @ directions.T
        return nn.functional.cross_entropy(logits, voices[alone])
