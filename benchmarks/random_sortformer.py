"""Make Sortformer models with random weights: NeMo's own classes, in the sizes that NVIDIA publishes or tiny.

What such a model says of a recording means nothing, but it says something: its last layer is set so that probabilities
swing between 0 and 1 on talk-like sound, so that thresholds, turns and the speaker cache have something to do.

    python benchmarks/random_sortformer.py --size full --family streaming model.nemo
"""

import argparse
import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Widths and depths of the two encoders."""

    conformer_width: int
    conformer_layers: int
    transformer_width: int
    transformer_layers: int
    inner_width: int
    n_heads: int
    subsampling_channels: int


SIZES = {
    "full": Size(conformer_width=512, conformer_layers=17, transformer_width=192, transformer_layers=18,
                 inner_width=768, n_heads=8, subsampling_channels=256),
    "tiny": Size(conformer_width=64, conformer_layers=2, transformer_width=32, transformer_layers=2,
                 inner_width=64, n_heads=4, subsampling_channels=32),
}  # fmt: skip


def talk(seconds: float, seed: int = 0, level: float = 0.3) -> NDArray[np.float32]:
    """Make something like talk: bursts of voiced sound at three pitches, pauses, and a noise floor.

    Returns:
      float32 [n_samples] at 16 kHz.
    """
    random = np.random.default_rng(seed)
    n_samples = int(seconds * SAMPLE_RATE)
    samples = 0.003 * random.standard_normal(n_samples)
    position, number = 0.0, 0
    while position < seconds:
        length, pause = float(random.uniform(0.5, 4.0)), float(random.uniform(0.0, 1.0))
        start, stop = int(position * SAMPLE_RATE), min(n_samples, int((position + length) * SAMPLE_RATE))
        times = np.arange(start, stop) / SAMPLE_RATE
        pitch = (110.0, 210.0, 160.0)[number % 3] * float(random.uniform(0.95, 1.05))
        voice = sum(np.sin(2 * np.pi * pitch * k * times) / k for k in range(1, 20))
        samples[start:stop] += level * voice * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * times)) / 3
        position, number = position + length + pause, number + 1
    return np.clip(samples, -1, 1).astype(np.float32)


def config_of(size: Size, *, streaming: bool) -> dict[str, Any]:
    """Return NeMo's configuration of a Sortformer: the streaming family hears 128 mel bands, the offline one 80."""
    n_mels = 128 if streaming else 80
    part = "nemo.collections.asr"
    widths = {"fc_d_model": size.conformer_width, "tf_d_model": size.transformer_width}
    return {
        "sample_rate": SAMPLE_RATE,
        "pil_weight": 0.5,
        "ats_weight": 0.5,
        "max_num_of_spks": 4,
        "streaming_mode": streaming,
        "async_streaming": False,
        "model_defaults": widths,
        "preprocessor": {
            "_target_": f"{part}.modules.AudioToMelSpectrogramPreprocessor",
            "normalize": "NA" if streaming else "per_feature",
            "window_size": 0.025, "window_stride": 0.01, "window": "hann", "sample_rate": SAMPLE_RATE,
            "features": n_mels, "n_fft": 512, "frame_splicing": 1, "dither": 1e-5,
        },
        "sortformer_modules": {
            "_target_": f"{part}.modules.sortformer_modules.SortformerModules",
            "num_spks": 4, "dropout_rate": 0.5, "subsampling_factor": 8, **widths,
            **({"spkcache_len": 188, "fifo_len": 0, "chunk_len": 188, "spkcache_update_period": 188,
                "chunk_left_context": 1, "chunk_right_context": 1, "spkcache_sil_frames_per_spk": 3}
               if streaming else {}),
        },
        "encoder": {"_target_": f"{part}.modules.ConformerEncoder", **_conformer(size, n_mels)},
        "transformer_encoder": {
            "_target_": f"{part}.modules.transformer.transformer_encoders.TransformerEncoder",
            "num_layers": size.transformer_layers, "hidden_size": size.transformer_width,
            "inner_size": size.inner_width, "num_attention_heads": size.n_heads, "attn_score_dropout": 0.5,
            "attn_layer_dropout": 0.5, "ffn_dropout": 0.5, "hidden_act": "relu", "pre_ln": False,
            "pre_ln_final_layer_norm": True,
        },
        "loss": {"_target_": f"{part}.losses.bce_loss.BCELoss", "weight": None, "reduction": "mean"},
    }  # fmt: skip


def _conformer(size: Size, n_mels: int) -> dict[str, Any]:
    return {
        "feat_in": n_mels, "feat_out": -1, "n_layers": size.conformer_layers, "d_model": size.conformer_width,
        "subsampling": "dw_striding", "subsampling_factor": 8,
        "subsampling_conv_channels": size.subsampling_channels, "causal_downsampling": False,
        "ff_expansion_factor": 4, "self_attention_model": "rel_pos", "n_heads": size.n_heads,
        "att_context_size": [-1, -1], "att_context_style": "regular", "xscaling": True, "untie_biases": True,
        "pos_emb_max_len": 5000, "conv_kernel_size": 9, "conv_norm_type": "batch_norm", "conv_context_size": None,
        "dropout": 0.1, "dropout_pre_encoder": 0.1, "dropout_emb": 0.0, "dropout_att": 0.1,
        "stochastic_depth_drop_prob": 0.0, "stochastic_depth_mode": "linear", "stochastic_depth_start_layer": 1,
    }  # fmt: skip


def make_sortformer(size: str, *, streaming: bool, seed: int = 0) -> Any:
    """Make a model of NeMo's with random weights, ready to be used, its last layer set on a minute of `talk`."""
    quieten_nemo()
    import torch
    from nemo.collections.asr.models import SortformerEncLabelModel
    from omegaconf import OmegaConf

    torch.manual_seed(seed)
    torch.set_num_threads(1)  # sums come out the same on every machine, and so do the weights of the last layer
    model = SortformerEncLabelModel(cfg=OmegaConf.create(config_of(SIZES[size], streaming=streaming)), trainer=None)
    model.eval()
    featurizer = model.preprocessor.featurizer
    featurizer.dither, featurizer.pad_to = 0.0, 0
    _spread(model)
    return model


def quieten_nemo() -> None:
    """Keep NeMo's start-up chatter off the terminal."""
    warnings.filterwarnings("ignore")
    logging.getLogger("nv_one_logger").setLevel(logging.CRITICAL)
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    from nemo.utils import logging as nemo_logging

    nemo_logging.setLevel(logging.ERROR)


def _spread(model: Any, deviation: float = 3.0) -> None:
    """Set the last layer to the four directions in which its input varies most, with logits of this deviation."""
    import torch

    layer = model.sortformer_modules.single_hidden_to_spks
    seen: list[Any] = []
    hook = layer.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    with torch.inference_mode():
        samples = torch.from_numpy(talk(60.0, seed=7))[None]
        mel, n_mel = model.preprocessor(input_signal=samples, length=torch.tensor([samples.shape[1]]))
        hidden, n_hidden = model.frontend_encoder(
            processed_signal=mel[:, :, : n_mel.max()], processed_signal_length=n_mel
        )
        model.forward_infer(hidden, n_hidden)
    hook.remove()
    states = seen[0][0].clone().double()
    mean = states.mean(0)
    _, scales, directions = torch.linalg.svd(states - mean, full_matrices=False)
    with torch.no_grad():
        for speaker in range(layer.weight.shape[0]):
            weight = directions[speaker] * deviation / (scales[speaker] / len(states) ** 0.5)
            layer.weight[speaker].copy_(weight.float())
            layer.bias[speaker].copy_((-(weight @ mean)).float() - 0.7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="file to write, .nemo")
    parser.add_argument("--size", choices=tuple(SIZES), default="tiny")
    parser.add_argument("--family", choices=("streaming", "offline"), default="streaming")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = make_sortformer(arguments.size, streaming=arguments.family == "streaming", seed=arguments.seed)
    model.save_to(arguments.output)
    print(f"{arguments.output}: {sum(weight.numel() for weight in model.parameters()):,} random weights")


if __name__ == "__main__":
    main()
