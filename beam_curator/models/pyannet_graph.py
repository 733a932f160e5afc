"""PyanNet as two ONNX graphs, from its weights: who of up to three speakers talks when within 10 s.

The architecture is that of pyannote.audio (models/segmentation/PyanNet.py, models/blocks/sincnet.py): band-pass
filters of learnt edges, two convolutions, four bidirectional LSTM, two linear layers and a classifier.
"""

from collections.abc import Mapping

import numpy as np

from beam_curator.diarization.models import Floats, NotAModelError
from beam_curator.models.onnx_graphs import End, Graph
from beam_curator.models.torch_tensors import Tensor

_SAMPLE_RATE, _STRIDE = 16000, 10
_LEAST_HZ, _LEAST_BAND = 50.0, 50.0
_N_LAYERS, _N_LINEAR, _HIDDEN = 4, 2, 128
_POOLED = 3
_EPSILON = 1e-5
"""Of torch's instance norms."""
_LEAK = 0.01
_FILTERS = "sincnet.conv1d.0.filterbank."

_BANDS = ("n_windows", 80, "n_pools")
SAMPLES = End("samples", ("n_samples",))
POOLS = (End("highest", (80, "n_pools")), End("lowest", (80, "n_pools")))
POOLS_GIVEN = (End("highest", _BANDS), End("lowest", _BANDS), End("moments", ("n_windows", 2)))
MADE = End("log_probabilities", ("n_windows", "n_frames", 7))


def pyannet_graphs(given: Mapping[str, Tensor]) -> tuple[bytes, bytes]:
    """Return the graph of filters, and that of windows.

    The first turns samples float32 [n_samples] at 16 kHz into the highest and the lowest values of each filter in
    each 30 samples, [80, n_pools]: audio that several windows share goes through it once. The second turns those of
    windows, and the mean and variance of the samples of each, into logarithms [n_windows, n_frames, 7].

    PyanNet brings a window to mean 0 and deviation 1 first: x becomes gain * x + offset. A filter f then gives
    gain * f(x) + offset * sum(f), and PyanNet takes the largest absolute value of three of these, which is that of
    the highest or of the lowest f(x) of the three. So the filters can come first, without any loss. The norms behind
    them depend on all of a window: nothing later can be shared by two.

    Args:
      given: weights by their names in pyannote.audio.

    Raises:
      NotAModelError: a weight is missing or has another shape.
    """
    weights = checked_weights("PyanNet", given, pyannet_shapes())
    filters = band_pass_filters(*(weights[f"{_FILTERS}{name}"] for name in ("low_hz_", "band_hz_", "window_")))
    return _filter_graph(filters), _window_graph(weights, filters)


def _filter_graph(filters: Floats) -> bytes:
    graph = Graph()
    waves = graph.node("Unsqueeze", SAMPLES.name, graph.constant([0, 1]))
    filtered = graph.node("Conv", waves, graph.constant(filters), strides=[_STRIDE])
    highest, negative = (_pooled(graph, values) for values in (filtered, graph.node("Neg", filtered)))
    values = [graph.node("Squeeze", value, graph.constant([0])) for value in (highest, graph.node("Neg", negative))]
    return graph.serialized("pyannet_filters", [SAMPLES], dict(zip(POOLS, values, strict=True)))


def _window_graph(weights: Mapping[str, Floats], filters: Floats) -> bytes:
    graph = Graph()
    values = _activated(graph, weights, 0, _scaled(graph, weights, filters))
    for layer in (1, 2):
        name = f"sincnet.conv1d.{layer}"
        kernel, bias = (graph.constant(weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        values = _activated(graph, weights, layer, _pooled(graph, graph.node("Conv", values, kernel, bias)))
    values = graph.node("Transpose", values, perm=[2, 0, 1])
    for layer in range(_N_LAYERS):
        values = _lstm(graph, weights, layer, values)
    values = graph.node("Transpose", values, perm=[1, 0, 2])
    for layer in range(_N_LINEAR):
        values = graph.linear(values, *(weights[f"linear.{layer}.{part}"] for part in ("weight", "bias")))
        values = graph.node("LeakyRelu", values, alpha=_LEAK)
    values = graph.linear(values, weights["classifier.weight"], weights["classifier.bias"])
    return graph.serialized("pyannet", POOLS_GIVEN, {MADE: graph.node("LogSoftmax", values, axis=-1)})


def band_pass_filters(low_hz: Floats, band_hz: Floats, window: Floats) -> Floats:
    """Return the filters of a SincNet: an even and an odd band-pass for each band.

    Args:
      low_hz: float32 [n_bands, 1], the learnt lower edges, without the least.
      band_hz: float32 [n_bands, 1], the learnt widths, without the least.
      window: float32 [n_taps // 2], the first half of the window.

    Returns:
      float32 [2 n_bands, 1, n_taps]: cosines, then sines.
    """
    half = len(window)
    low = _LEAST_HZ + np.abs(low_hz.astype(np.float64))
    high = np.clip(low + _LEAST_BAND + np.abs(band_hz.astype(np.float64)), _LEAST_HZ, _SAMPLE_RATE / 2)
    times = 2 * np.pi * np.arange(-half, 0.0) / _SAMPLE_RATE
    scale = window / (times / 2)
    even = (np.sin(high * times) - np.sin(low * times)) * scale
    odd = (np.cos(low * times) - np.cos(high * times)) * scale
    width = 2 * (high - low)
    filters = [
        np.concatenate([even, width, even[:, ::-1]], axis=1),
        np.concatenate([odd, np.zeros_like(width), -odd[:, ::-1]], axis=1),
    ]
    return np.concatenate([some / width for some in filters])[:, None].astype(np.float32)


def pyannet_shapes() -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the weights."""
    gates, width = 4 * _HIDDEN, 2 * _HIDDEN
    expected: dict[str, tuple[int, ...]] = {
        **{f"{_FILTERS}{name}": (40, 1) for name in ("low_hz_", "band_hz_")},
        f"{_FILTERS}window_": (125,),
        **{f"sincnet.wav_norm1d.{part}": (1,) for part in ("weight", "bias")},
        **{
            f"sincnet.norm1d.{at}.{part}": (size,)
            for at, size in enumerate((80, 60, 60))
            for part in ("weight", "bias")
        },
        **{f"sincnet.conv1d.{at}.weight": (60, size, 5) for at, size in ((1, 80), (2, 60))},
        **{f"sincnet.conv1d.{at}.bias": (60,) for at in (1, 2)},
        **{"linear.0.weight": (_HIDDEN, width), "linear.1.weight": (_HIDDEN, _HIDDEN)},
        **{"linear.0.bias": (_HIDDEN,), "linear.1.bias": (_HIDDEN,)},
        **{"classifier.weight": (7, _HIDDEN), "classifier.bias": (7,)},
    }
    for layer in range(_N_LAYERS):
        for end in (f"_l{layer}", f"_l{layer}_reverse"):
            expected |= {f"lstm.weight_ih{end}": (gates, width if layer else 60), f"lstm.weight_hh{end}": (gates, 128)}
            expected |= {f"lstm.bias_ih{end}": (gates,), f"lstm.bias_hh{end}": (gates,)}
    return expected


def checked_weights(
    title: str, given: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]
) -> dict[str, Floats]:
    """Return the weights of a model, all of them float32.

    Args:
      title: of the model, for people.
      given: weights by name; others are left out.
      expected: their shapes.

    Raises:
      NotAModelError: one is missing or has another type or shape.
    """
    weights = {}
    for name, shape in expected.items():
        found = given.get(name)
        if found is None or found.shape != shape or found.dtype != np.float32:
            shown = "nothing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise NotAModelError(
                f"weight {name} of a {title} is {shown}, expected float32 {list(shape)}: give a file of that model"
            )
        weights[name] = found.astype(np.float32, copy=False)
    return weights


def _scaled(graph: Graph, weights: Mapping[str, Floats], filters: Floats) -> str:
    """Add the norm of the samples of a window, behind the filters: the largest absolute values [n_windows, 80, n]."""
    highest, lowest, moments = (end.name for end in POOLS_GIVEN)
    weight, bias = (graph.constant(weights[f"sincnet.wav_norm1d.{part}"]) for part in ("weight", "bias"))
    columns = (graph.node("Gather", moments, graph.constant([at]), axis=1) for at in (0, 1))
    mean, variance = (graph.node("Unsqueeze", column, graph.constant([2])) for column in columns)
    deviation = graph.node("Sqrt", graph.node("Add", variance, graph.constant(np.array([_EPSILON], np.float32))))
    gain = graph.node("Div", weight, deviation)
    offset = graph.node("Sub", bias, graph.node("Mul", gain, mean))
    shift = graph.node("Mul", offset, graph.constant(filters.sum(axis=2, dtype=np.float64).astype(np.float32)))
    ends = [graph.node("Add", graph.node("Mul", values, gain), shift) for values in (highest, lowest)]
    return graph.node("Max", *(graph.node("Abs", end) for end in ends))


def _pooled(graph: Graph, values: str) -> str:
    return graph.node("MaxPool", values, kernel_shape=[_POOLED], strides=[_POOLED])


def _activated(graph: Graph, weights: Mapping[str, Floats], layer: int, values: str) -> str:
    """Add the norm of each channel over the window, and its activation."""
    parts = (graph.constant(weights[f"sincnet.norm1d.{layer}.{part}"]) for part in ("weight", "bias"))
    normalized = graph.node("InstanceNormalization", values, *parts, epsilon=_EPSILON)
    return graph.node("LeakyRelu", normalized, alpha=_LEAK)


def _lstm(graph: Graph, weights: Mapping[str, Floats], layer: int, values: str) -> str:
    """Add a bidirectional layer: [n_frames, n_windows, n_inputs] to [n_frames, n_windows, 2 * hidden]."""
    ends = (f"_l{layer}", f"_l{layer}_reverse")
    inner, outer = (
        graph.constant(np.stack([_gates(weights[f"lstm.weight_{kind}{end}"]) for end in ends])) for kind in ("ih", "hh")
    )
    biases = [[_gates(weights[f"lstm.bias_{kind}{end}"]) for kind in ("ih", "hh")] for end in ends]
    bias = graph.constant(np.stack([np.concatenate(both) for both in biases]))
    made = graph.node("LSTM", values, inner, outer, bias, direction="bidirectional", hidden_size=_HIDDEN)
    by_window = graph.node("Transpose", made, perm=[0, 2, 1, 3])
    return graph.node("Reshape", by_window, graph.constant([0, 0, 2 * _HIDDEN]))


def _gates(rows: Floats) -> Floats:
    """Bring torch's order of gates (input, forget, cell, output) into that of ONNX (input, output, forget, cell)."""
    entry, forget, cell, out = np.split(rows, 4)
    return np.concatenate([entry, out, forget, cell])
