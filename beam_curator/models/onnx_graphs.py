"""ONNX graphs put together node by node from arrays, to the same bytes every time."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_OPSET, _IR_VERSION = 17, 8
"""Fixed, so that a newer onnx writes the same bytes and onnxruntime 1.20 reads them."""


class End(NamedTuple):
    """An input or output of a graph, float32: its name, and its shape with a name for each size that is free."""

    name: str
    shape: tuple[int | str, ...]


class Graph:
    """A graph in the making. Values are called by names, which its methods return.

    Example:
      >>> graph = Graph()
      >>> doubled = graph.node("Mul", "x", graph.constant(np.float32(2)))
      >>> len(graph.serialized("double", [End("x", ("n",))], {End("y", ("n",)): doubled})) > 50
      True
    """

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy_helper = helper, numpy_helper
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, values: NDArray[Any] | np.generic | Sequence[int]) -> str:
        """Add an array; a sequence of int becomes int64."""
        name = f"constant_{len(self._constants)}"
        array = np.ascontiguousarray(values) if np.ndim(values) else np.asarray(values)
        self._constants.append(self._numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operation with one output."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def linear(self, value: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """Add a linear layer over the last axis: weight is float32 [n_outputs, n_inputs]."""
        return self.node("Add", self.node("MatMul", value, self.constant(weight.T)), self.constant(bias))

    def serialized(self, title: str, given: Sequence[End], made: Mapping[End, str]) -> bytes:
        """Return the graph as a file.

        Args:
          title: name of the graph.
          given: its inputs.
          made: its outputs, each with the name of its value.
        """
        self._nodes += [self._helper.make_node("Identity", [value], [end.name]) for end, value in made.items()]
        inputs, outputs = (
            [self._helper.make_tensor_value_info(end.name, 1, end.shape) for end in some] for some in (given, made)
        )
        graph = self._helper.make_graph(self._nodes, title, inputs, outputs, self._constants)
        opset = self._helper.make_opsetid("", _OPSET)
        model = self._helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))
