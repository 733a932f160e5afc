"""CAM++ as two ONNX graphs, from its weights: filter banks to frames, and their pooled statistics to an embedding.

The architecture is that of 3D-Speaker (models/campplus/DTDNN.py): convolutions over time and frequency, three blocks
of densely connected layers, each with a mask that is computed from its context, a pooling of statistics, and a linear
layer. Batch norms behind a linear layer are folded into its weights. The mask of a layer is the same for the 100
frames of a segment, so it is computed once for each.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_curator.diarization.models import Floats
from beam_curator.models.onnx_graphs import End, Graph
from beam_curator.models.pyannet_graph import checked_weights
from beam_curator.models.torch_tensors import Tensor

N_BANDS, WIDTH, EMBEDDING = 80, 512, 192
FRAMES_GIVEN, FRAMES_MADE = End("banks", ("n_frames", N_BANDS)), End("frames", ("n_features", WIDTH))
HEAD_GIVEN, HEAD_MADE = End("statistics", ("n_items", 2 * WIDTH)), End("embeddings", ("n_items", EMBEDDING))

_EPSILON = 1e-5
"""Of torch's batch norms."""
_SEGMENT = 100
_CHANNELS, _GROWTH, _BOTTLENECK = 32, 32, 128
_FIRST = 128
_BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers of each block, and the dilation of their convolutions."""


class _Norm(NamedTuple):
    """A batch norm in evaluation: values are multiplied by the scale, and the shift is added."""

    scale: NDArray[np.float64]
    shift: Floats


class _Times(NamedTuple):
    """Names of values that all layers need: the averages over a segment and over all, and each frame's segment."""

    averages: str
    segments: str


def campplus_graphs(given: Mapping[str, Tensor]) -> tuple[bytes, bytes]:
    """Return the graph of frames and the graph of the head.

    The first turns filter banks float32 [n_frames, 80] into [ceil(n_frames / 2), 512]; the second turns their means
    and deviations, float32 [n_items, 1024], into embeddings [n_items, 192].

    Args:
      given: weights by their names in 3D-Speaker.

    Raises:
      NotAModelError: a weight is missing or has another shape.
    """
    weights = checked_weights("CAM++", given, campplus_shapes())
    norm = _norm(weights, "xvector.dense.nonlinear.batchnorm")
    head = Graph()
    dense = (weights["xvector.dense.linear.weight"][:, :, 0] * norm.scale[:, None]).astype(np.float32)
    embeddings = head.linear(HEAD_GIVEN.name, dense, norm.shift)
    return _frames_graph(weights), head.serialized("campplus_head", [HEAD_GIVEN], {HEAD_MADE: embeddings})


def _frames_graph(weights: Mapping[str, Floats]) -> bytes:
    graph = Graph()
    image = graph.node("Transpose", FRAMES_GIVEN.name, perm=[1, 0])
    image = graph.node("Unsqueeze", image, graph.constant([0, 1]))
    image = _relu(graph, _convolved(graph, weights, image, "head.conv1", "head.bn1"))
    for block in ("head.layer1", "head.layer2"):
        image = _residual(graph, weights, _residual(graph, weights, image, f"{block}.0", 2), f"{block}.1", 1)
    image = _relu(graph, _convolved(graph, weights, image, "head.conv2", "head.bn2", 2))
    values = graph.node("Reshape", image, graph.constant([1, _CHANNELS * N_BANDS // 8, -1]))
    values = _relu(
        graph, _folded(graph, weights, values, "xvector.tdnn.linear", "xvector.tdnn.nonlinear.batchnorm", 2, 1, 2)
    )
    times = _times(graph, values)
    for number, (n_layers, dilation) in enumerate(_BLOCKS, start=1):
        for layer in range(1, n_layers + 1):
            new = _dense_layer(graph, weights, values, f"xvector.block{number}.tdnnd{layer}", dilation, times)
            values = graph.node("Concat", values, new, axis=1)
        transit = f"xvector.transit{number}"
        values = _activated(graph, weights, values, f"{transit}.nonlinear.batchnorm")
        values = graph.node("Conv", values, graph.constant(weights[f"{transit}.linear.weight"]))
    values = _activated(graph, weights, values, "xvector.out_nonlinear.batchnorm")
    rows = graph.node("Transpose", graph.node("Squeeze", values, graph.constant([0])), perm=[1, 0])
    return graph.serialized("campplus_frames", [FRAMES_GIVEN], {FRAMES_MADE: rows})


def _norm(weights: Mapping[str, Floats], name: str) -> _Norm:
    deviation = np.sqrt(weights[f"{name}.running_var"].astype(np.float64) + _EPSILON)
    none = np.array([1, 0], np.float32)
    scale = weights.get(f"{name}.weight", none[:1]) / deviation
    shift = weights.get(f"{name}.bias", none[1:]) - weights[f"{name}.running_mean"] * scale
    return _Norm(scale, shift.astype(np.float32))


def _relu(graph: Graph, value: str) -> str:
    return graph.node("Relu", value)


def _activated(graph: Graph, weights: Mapping[str, Floats], value: str, name: str) -> str:
    """Add a batch norm that cannot be folded, as it comes before the linear layer, and its activation."""
    parts = [graph.constant(weights[f"{name}.{part}"]) for part in ("weight", "bias", "running_mean", "running_var")]
    return _relu(graph, graph.node("BatchNormalization", value, *parts, epsilon=_EPSILON))


def _scaled(weights: Mapping[str, Floats], kernel: str, norm: str) -> tuple[Floats, Floats]:
    """Return the weights of a convolution, and its bias, with the batch norm behind it folded in."""
    folded, values = _norm(weights, norm), weights[f"{kernel}.weight"]
    scale = folded.scale.reshape(-1, *[1] * (values.ndim - 1))
    return (values * scale).astype(np.float32), folded.shift


def _convolved(graph: Graph, weights: Mapping[str, Floats], value: str, kernel: str, norm: str, stride: int = 1) -> str:
    """Add a convolution over frequency and time, with the stride over frequency."""
    values, bias = _scaled(weights, kernel, norm)
    pads = [values.shape[2] // 2] * 4
    parts = (graph.constant(values), graph.constant(bias))
    return graph.node("Conv", value, *parts, strides=[stride, 1], pads=pads)


def _residual(graph: Graph, weights: Mapping[str, Floats], value: str, name: str, stride: int) -> str:
    inner = _relu(graph, _convolved(graph, weights, value, f"{name}.conv1", f"{name}.bn1", stride))
    inner = _convolved(graph, weights, inner, f"{name}.conv2", f"{name}.bn2")
    if stride != 1:
        value = _convolved(graph, weights, value, f"{name}.shortcut.0", f"{name}.shortcut.1", stride)
    return _relu(graph, graph.node("Add", inner, value))


def _folded(
    graph: Graph,
    weights: Mapping[str, Floats],
    value: str,
    kernel: str,
    norm: str,
    stride: int,
    dilation: int,
    pad: int,
) -> str:
    values, bias = _scaled(weights, kernel, norm)
    parts = (graph.constant(values), graph.constant(bias))
    return graph.node("Conv", value, *parts, strides=[stride], dilations=[dilation], pads=[pad, pad])


def _times(graph: Graph, value: str) -> _Times:
    """Add the matrix that averages over segments and over all frames; it is the same for all layers."""
    n_frames = graph.node("Squeeze", graph.node("Shape", value, start=2, end=3), graph.constant([0]))
    zero, one, length = (graph.constant(np.int64(number)) for number in (0, 1, _SEGMENT))
    segments = graph.node("Div", graph.node("Range", zero, n_frames, one), length)
    last = graph.node("Add", n_frames, graph.constant(np.int64(_SEGMENT - 1)))
    columns = graph.node("Range", zero, graph.node("Div", last, length), one)
    member = graph.node("Equal", graph.node("Unsqueeze", segments, graph.constant([1])), columns)
    member = graph.node("Cast", member, to=1)
    within = graph.node("Div", member, graph.node("ReduceSum", member, graph.constant([0]), keepdims=1))
    overall = graph.node("Reciprocal", graph.node("Cast", n_frames, to=1))
    return _Times(graph.node("Add", within, overall), segments)


def _dense_layer(
    graph: Graph, weights: Mapping[str, Floats], value: str, name: str, dilation: int, times: _Times
) -> str:
    """Add a layer: [1, n_channels, n_features] to [1, growth, n_features]."""
    inner = _activated(graph, weights, value, f"{name}.nonlinear1.batchnorm")
    inner = _relu(graph, _folded(graph, weights, inner, f"{name}.linear1", f"{name}.nonlinear2.batchnorm", 1, 1, 0))
    kernel = graph.constant(weights[f"{name}.cam_layer.linear_local.weight"])
    local = graph.node("Conv", inner, kernel, dilations=[dilation], pads=[dilation, dilation])
    mask = graph.node("MatMul", inner, times.averages)
    for part, operator in (("linear1", "Relu"), ("linear2", "Sigmoid")):
        parts = (graph.constant(weights[f"{name}.cam_layer.{part}.{end}"]) for end in ("weight", "bias"))
        mask = graph.node(operator, graph.node("Conv", mask, *parts))
    return graph.node("Mul", local, graph.node("Gather", mask, times.segments, axis=2))


def campplus_shapes() -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the weights."""
    return {**_image_shapes(), **_vector_shapes()}


def _norm_shapes(name: str, size: int, *, affine: bool = True) -> dict[str, tuple[int, ...]]:
    parts = ("running_mean", "running_var", *(("weight", "bias") if affine else ()))
    return {f"{name}.{part}": (size,) for part in parts}


def _image_shapes() -> dict[str, tuple[int, ...]]:
    size = _CHANNELS
    shapes: dict[str, tuple[int, ...]] = {"head.conv1.weight": (size, 1, 3, 3), "head.conv2.weight": (size, size, 3, 3)}
    shapes |= _norm_shapes("head.bn1", size) | _norm_shapes("head.bn2", size)
    for block in ("head.layer1.0", "head.layer1.1", "head.layer2.0", "head.layer2.1"):
        for at in (1, 2):
            shapes |= {f"{block}.conv{at}.weight": (size, size, 3, 3), **_norm_shapes(f"{block}.bn{at}", size)}
        if block.endswith("0"):
            shapes |= {f"{block}.shortcut.0.weight": (size, size, 1, 1), **_norm_shapes(f"{block}.shortcut.1", size)}
    return shapes


def _vector_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"xvector.tdnn.linear.weight": (_FIRST, _CHANNELS * N_BANDS // 8, 5)}
    shapes |= _norm_shapes("xvector.tdnn.nonlinear.batchnorm", _FIRST)
    n_channels = _FIRST
    for number, (n_layers, _) in enumerate(_BLOCKS, start=1):
        for layer in range(1, n_layers + 1):
            shapes |= _layer_shapes(f"xvector.block{number}.tdnnd{layer}", n_channels)
            n_channels += _GROWTH
        transit = f"xvector.transit{number}"
        shapes |= _norm_shapes(f"{transit}.nonlinear.batchnorm", n_channels)
        shapes[f"{transit}.linear.weight"] = (n_channels // 2, n_channels, 1)
        n_channels //= 2
    shapes |= _norm_shapes("xvector.out_nonlinear.batchnorm", WIDTH)
    shapes |= _norm_shapes("xvector.dense.nonlinear.batchnorm", EMBEDDING, affine=False)
    return shapes | {"xvector.dense.linear.weight": (EMBEDDING, 2 * WIDTH, 1)}


def _layer_shapes(name: str, n_channels: int) -> dict[str, tuple[int, ...]]:
    inner, half, cam = _BOTTLENECK, _BOTTLENECK // 2, f"{name}.cam_layer"
    return {
        **_norm_shapes(f"{name}.nonlinear1.batchnorm", n_channels),
        **_norm_shapes(f"{name}.nonlinear2.batchnorm", inner),
        f"{name}.linear1.weight": (inner, n_channels, 1),
        f"{cam}.linear_local.weight": (_GROWTH, inner, 3),
        **{f"{cam}.linear1.weight": (half, inner, 1), f"{cam}.linear1.bias": (half,)},
        **{f"{cam}.linear2.weight": (_GROWTH, half, 1), f"{cam}.linear2.bias": (_GROWTH,)},
    }
