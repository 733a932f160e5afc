"""The published models of the cascade in torch, function by function, and files of weights as torch writes them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beam_curator.diarization.models import Floats
from beam_curator.models.torch_tensors import Tensor

_TYPES = {"float32": b"FloatStorage", "int64": b"LongStorage"}


def random_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return weights of these shapes that keep values of a model near 1."""
    random = np.random.default_rng(0)
    made = {}
    for name, shape in shapes.items():
        size = float(np.prod(shape[1:])) if len(shape) > 1 else 16.0
        values = random.standard_normal(shape) / np.sqrt(size)
        if name.endswith(("running_var", "norm.weight", "window_")):
            values = random.uniform(0.5, 1.5, shape)
        elif name.endswith(("low_hz_", "band_hz_")):
            values = random.uniform(50, 3000, shape)
        made[name] = values.astype(np.float32)
    return made


def text(value: str) -> bytes:
    """Return the opcode of a text in a pickle."""
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    """Return the opcode of an integer in a pickle."""
    return b"J" + struct.pack("<i", value)


def numbers(values: Sequence[int]) -> bytes:
    """Return the opcodes of a tuple of integers in a pickle."""
    return b"(" + b"".join(map(number, values)) + b"t"


def described(
    key: str, n_items: int, sizes: Sequence[int], strides: Sequence[int], offset: int = 0, kind: bytes = b"FloatStorage"
) -> bytes:
    """Return the opcodes of a tensor in a pickle."""
    storage = b"(" + text("storage") + b"ctorch\n" + kind + b"\n" + text(key) + text("cpu") + number(n_items) + b"tQ"
    view = number(offset) + numbers(sizes) + numbers(strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + b"\x89ccollections\nOrderedDict\n)RtR"


def torch_zip(pickled: bytes, storages: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a file as torch writes it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", b"little")
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return stream.getvalue()


def torch_file(tensors: Mapping[str, Tensor]) -> bytes:
    """Return a file with a dictionary of tensors, as torch writes it."""
    pickled, storages = b"\x80\x02}(", {}
    for key, (name, values) in enumerate(tensors.items()):
        strides = [stride // values.itemsize for stride in values.strides]
        pickled += text(name) + described(str(key), values.size, values.shape, strides, 0, _TYPES[values.dtype.name])
        storages[str(key)] = values.tobytes()
    return torch_zip(pickled + b"u.", storages)


def pyannet_in_torch(given: Mapping[str, Tensor], windows: Floats) -> Floats:
    """Return the answers of PyanNet to windows, float32 [n_windows, n_samples]."""
    import torch
    from torch.nn import functional

    weights = {name: torch.from_numpy(values) for name, values in given.items()}

    def pair(name: str) -> tuple[Any, Any]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    lstm = torch.nn.LSTM(60, 128, num_layers=4, bidirectional=True, batch_first=True)
    parts = {name.removeprefix("lstm."): values for name, values in weights.items() if name.startswith("lstm.")}
    lstm.load_state_dict(parts)
    with torch.no_grad():
        low, band, window = (
            weights[f"sincnet.conv1d.0.filterbank.{name}"] for name in ("low_hz_", "band_hz_", "window_")
        )
        values = torch.from_numpy(windows)[:, None]
        values = functional.instance_norm(values, None, None, *pair("sincnet.wav_norm1d"))
        values = functional.conv1d(values, _sinc_filters(low, band, window), stride=10).abs()
        for layer in range(3):
            if layer:
                values = functional.conv1d(values, *pair(f"sincnet.conv1d.{layer}"))
            values = functional.max_pool1d(values, 3)
            values = functional.leaky_relu(
                functional.instance_norm(values, None, None, *pair(f"sincnet.norm1d.{layer}"))
            )
        values, _ = lstm(values.transpose(1, 2))
        for layer in range(2):
            values = functional.leaky_relu(functional.linear(values, *pair(f"linear.{layer}")))
        made: Floats = functional.linear(values, *pair("classifier")).log_softmax(-1).numpy()
    return made


def _sinc_filters(low_hz: Any, band_hz: Any, window: Any) -> Any:
    """Return the filters as asteroid-filterbanks makes them: differences of two low-pass filters, and odd ones."""
    import torch

    low = 50 + low_hz.abs()
    high = (low + 50 + band_hz.abs()).clamp(50, 8000)
    times = 2 * torch.pi * (torch.arange(-125, 0.0) / 16000)[None]
    even = (torch.sin(high @ times) - torch.sin(low @ times)) / (times / 2) * window
    odd = (torch.cos(low @ times) - torch.cos(high @ times)) / (times / 2) * window
    width = 2 * (high - low)
    filters = [torch.cat([even, width, even.flip(1)], 1), torch.cat([odd, 0 * width, -odd.flip(1)], 1)]
    return (torch.cat(filters) / torch.cat([width, width]))[:, None]


class CamplusInTorch:
    """CAM++ in torch, step by step as 3D-Speaker describes it."""

    def __init__(self, given: Mapping[str, Tensor]) -> None:
        import torch

        self._weights = {name: torch.from_numpy(values) for name, values in given.items()}

    def __call__(self, banks: Floats) -> Floats:
        """Return the embedding, float32 [192], of filter banks, float32 [n_frames, 80]."""
        import torch

        with torch.no_grad():
            values = self._image(torch.from_numpy(banks).T[None, None])
            values = self._norm(
                self._conv1d(values, "xvector.tdnn.linear", stride=2, padding=2), "xvector.tdnn.nonlinear.batchnorm"
            ).relu()
            for block, n_layers, dilation in ((1, 12, 1), (2, 24, 2), (3, 16, 2)):
                for layer in range(1, n_layers + 1):
                    new = self._dense_layer(values, f"xvector.block{block}.tdnnd{layer}", dilation)
                    values = torch.cat([values, new], dim=1)
                transit = f"xvector.transit{block}"
                values = self._conv1d(self._norm(values, f"{transit}.nonlinear.batchnorm").relu(), f"{transit}.linear")
            values = self._norm(values, "xvector.out_nonlinear.batchnorm").relu()
            deviation = values.std(-1) if values.shape[-1] > 1 else torch.full_like(values[..., 0], 0.01)
            statistics = torch.cat([values.mean(-1), deviation], dim=1)[..., None]
            values = self._norm(self._conv1d(statistics, "xvector.dense.linear"), "xvector.dense.nonlinear.batchnorm")
            made: Floats = values[0, :, 0].numpy()
        return made

    def _norm(self, values: Any, name: str) -> Any:
        from torch.nn import functional

        parts = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(values, *(self._weights.get(f"{name}.{part}") for part in parts))

    def _conv1d(self, values: Any, name: str, **options: int) -> Any:
        from torch.nn import functional

        weights = self._weights
        return functional.conv1d(values, weights[f"{name}.weight"], weights.get(f"{name}.bias"), **options)

    def _conv2d(self, values: Any, kernel: str, norm: str, stride: int = 1) -> Any:
        from torch.nn import functional

        weight = self._weights[f"{kernel}.weight"]
        made = functional.conv2d(values, weight, stride=(stride, 1), padding=weight.shape[2] // 2)
        return self._norm(made, norm)

    def _image(self, values: Any) -> Any:
        values = self._conv2d(values, "head.conv1", "head.bn1").relu()
        for name, stride in (("layer1.0", 2), ("layer1.1", 1), ("layer2.0", 2), ("layer2.1", 1)):
            at = f"head.{name}"
            inner = self._conv2d(values, f"{at}.conv1", f"{at}.bn1", stride).relu()
            inner = self._conv2d(inner, f"{at}.conv2", f"{at}.bn2")
            if stride == 2:
                values = self._conv2d(values, f"{at}.shortcut.0", f"{at}.shortcut.1", stride)
            values = (inner + values).relu()
        values = self._conv2d(values, "head.conv2", "head.bn2", 2).relu()
        return values.reshape(1, 320, -1)

    def _dense_layer(self, values: Any, name: str, dilation: int) -> Any:
        from torch.nn import functional

        values = self._conv1d(self._norm(values, f"{name}.nonlinear1.batchnorm").relu(), f"{name}.linear1")
        values = self._norm(values, f"{name}.nonlinear2.batchnorm").relu()
        local = self._conv1d(values, f"{name}.cam_layer.linear_local", dilation=dilation, padding=dilation)
        segments = functional.avg_pool1d(values, 100, 100, ceil_mode=True).repeat_interleave(100, dim=-1)
        context = values.mean(-1, keepdim=True) + segments[..., : values.shape[-1]]
        context = self._conv1d(context, f"{name}.cam_layer.linear1").relu()
        return local * self._conv1d(context, f"{name}.cam_layer.linear2").sigmoid()
