"""Leave the masks out of an exported graph, for batches of which all items have the same length.

A mask is computed from the lengths alone. If all items are as long as the batch, each mask keeps every value: its
`Where` chooses one side everywhere, its `Mul` multiplies by ones. Graphs without them give the same bytes sooner.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from beam_curator.diarization.models import Floats, Lengths
from beam_curator.models import onnx_backend
from beam_curator.models.onnx_sessions import imported_onnxruntime

_TRIED_SHAPES = ((1, 1200), (1, 777), (2, 150))
"""Items and frames of the batches that show which masks do nothing."""

_LEAST_SHARED_BYTES = 1024


def write_unmasked_graphs(directory: str) -> None:
    """Write, beside the two graphs of an exported model, those for batches of items of the same length.

    Their weights stay in the files of the two graphs, so that a large model is not stored twice.

    Raises:
      ModuleNotFoundError: onnx is not installed.
    """
    import onnx

    for name, unmasked in onnx_backend.UNMASKED.items():
        path = os.path.join(directory, name)
        model = without_masks(onnx.load(path))
        with open(path, "rb") as stream:
            content = stream.read()
        for weight in model.graph.initializer:
            if len(weight.raw_data) >= _LEAST_SHARED_BYTES:
                _refer(weight, name, content.index(weight.raw_data))
        with open(os.path.join(directory, unmasked), "wb") as stream:
            stream.write(model.SerializeToString(deterministic=True))


def _refer(weight: Any, name: str, offset: int) -> None:
    """Leave the numbers of a weight in another file, from `offset` on."""
    import onnx

    place = {"location": name, "offset": offset, "length": len(weight.raw_data)}
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.extend(onnx.StringStringEntryProto(key=key, value=str(at)) for key, at in place.items())


def without_masks(model: Any) -> Any:
    """Return a copy of a graph that is right for batches of items of the same length, and for no others.

    Args:
      model: `onnx.ModelProto` with the inputs data, float32 [n_items, n_frames, width], and lengths, int64 [n_items].
    """
    import onnx

    unmasked = onnx.ModelProto()
    unmasked.CopyFrom(model)
    graph = unmasked.graph
    replaced = _replacements(model)
    for node in graph.node:
        for index in range(len(node.input)):
            while node.input[index] in replaced:
                node.input[index] = replaced[node.input[index]]
    nodes, used = _needed_nodes(graph)
    weights = [weight for weight in graph.initializer if weight.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
    return unmasked


def _needed_nodes(graph: Any) -> tuple[list[Any], set[str]]:
    """Return the nodes that the outputs depend on, in their order, and the names of all that is used."""
    used = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            nodes.append(node)
            used.update(node.input)
    return nodes[::-1], used


def _replacements(model: Any) -> dict[str, str]:
    """Return, by the name of each value that a mask leaves as it is, the name of the value before the mask."""
    masks = [
        (node, place) for node in model.graph.node for place in _mask_places(node, _values_of_lengths(model.graph))
    ]
    tried = list(_mask_values(model, sorted({node.input[place] for node, place in masks})))
    replaced = {}
    for node, place in masks:
        values = [batch[node.input[place]] for batch in tried]
        if node.op_type == "Where" and all((value == values[0].flat[0]).all() for value in values):
            replaced[node.output[0]] = node.input[1 if values[0].flat[0] else 2]
        elif node.op_type == "Mul" and all(value.size > 1 and (value == 1).all() for value in values):
            replaced[node.output[0]] = node.input[1 - place]
    return replaced


def _mask_places(node: Any, of_lengths: set[str]) -> list[int]:
    """Return which inputs of a node can be masks."""
    places = {"Where": [0], "Mul": [0, 1]}.get(node.op_type, [])
    return [] if of_lengths.issuperset(node.output) else [at for at in places if node.input[at] in of_lengths]


def _values_of_lengths(graph: Any) -> set[str]:
    """Return the names of values that depend on the lengths and the shape of the data alone."""
    weights = {weight.name for weight in graph.initializer}
    known = {*weights, graph.input[1].name, ""}
    for node in graph.node:
        if node.op_type == "Shape" or known.issuperset(node.input):
            known.update(node.output)
    return known - weights


def _mask_values(model: Any, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Run a graph on batches of items of the same length; yield the values of masks, by name."""
    import onnx

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    onnxruntime = imported_onnxruntime()
    options = onnxruntime.SessionOptions()
    # the optimizer would remove the values that are asked for
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    data, lengths = (item.name for item in session.get_inputs())
    width = session.get_inputs()[0].shape[-1]
    for n_items, n_frames in _TRIED_SHAPES:
        batch: dict[str, Floats | Lengths] = {
            data: np.random.default_rng(0).standard_normal((n_items, n_frames, width), dtype=np.float32),
            lengths: np.full(n_items, n_frames, np.int64),
        }
        yield dict(zip(names, session.run(list(names), batch), strict=True))
