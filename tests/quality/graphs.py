"""Small graphs that keep to the contracts of scorers, or do not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")
from onnx import TensorProto, helper, save


def write_graph(path: Path, nodes: Sequence[Any], given: Sequence[Any], made: Sequence[Any], opset: int = 17) -> Path:
    """Write a graph of nodes between tensors, each `(name, shape)` or `(name, shape, type)`."""
    ends = [[helper.make_tensor_value_info(end[0], _kind(end), end[1]) for end in some] for some in (given, made)]
    axes = [helper.make_tensor(f"axis{axis}", TensorProto.INT64, [1], [axis]) for axis in (1, 2, 3)]
    graph = helper.make_graph(list(nodes), "scores", *ends, initializer=axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
    return path


_LOUDNESS = (
    helper.make_node("Abs", ["wave"], ["magnitude"]),
    helper.make_node("ReduceMean", ["magnitude"], ["loudness"], axes=[1], keepdims=0),
)


def _kind(end: Sequence[Any]) -> int:
    return int(end[2]) if len(end) > 2 else TensorProto.FLOAT


def write_loudness(path: Path, scale: float = 1.0) -> Path:
    """Write a graph of a wave: its mean magnitude, as UTMOS gives a score, [n]."""
    nodes = [
        *_LOUDNESS,
        helper.make_node("Constant", [], ["scale"], value_float=scale),
        helper.make_node("Mul", ["loudness", "scale"], ["score"]),
    ]
    return write_graph(path, nodes, [("wave", ["n", "t"])], [("score", ["n"])])


def write_failing(path: Path, most: float) -> Path:
    """Write a graph of a wave that gives the root of a number less its mean magnitude: NaN for what is louder."""
    nodes = [
        *_LOUDNESS,
        helper.make_node("Constant", [], ["most"], value_float=most),
        helper.make_node("Sub", ["most", "loudness"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["score"]),
    ]
    return write_graph(path, nodes, [("wave", ["n", "t"])], [("score", ["n"])])


def write_spectral(path: Path) -> Path:
    """Write a graph of spectra as SIGMOS has them: the mean of each plane, and four numbers more, [1, 7]."""
    nodes = [
        helper.make_node("ReduceMean", ["spectra"], ["planes"], axes=[2, 3], keepdims=0),
        helper.make_node("Concat", ["planes", "planes"], ["six"], axis=1),
        helper.make_node("ReduceSum", ["planes", "axis1"], ["sum"], keepdims=1),
        helper.make_node("Concat", ["six", "sum"], ["scores"], axis=1),
    ]
    return write_graph(path, nodes, [("spectra", [1, 3, "t", 481])], [("scores", [1, 7])])
