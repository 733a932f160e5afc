from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_curator.models.onnx_backend import UNMASKED, checksums_of, load_onnx
from beam_curator.models.onnx_unmasking import without_masks, write_unmasked_graphs
from beam_curator.models.resolving import packaged_folder
from tests.fakes_models import write_band_model
from tests.models.conftest import embeddings_of, mel_of

onnx = pytest.importorskip("onnx")

DEMO = Path(packaged_folder("demo"))

MASKED = """
    <ir_version: 8, opset_import: ["": 17]>
    masked (float[n, t, 2] data, int64[n] lengths) => (float[n, t, 2] result)
    <int64 zero = {0}, int64 one = {1}, float nothing = {0}, int64[1] second = {1}, int64[1] third = {2}>
    {
        shape = Shape<start = 1, end = 2>(data)
        most = Squeeze(shape)
        numbers = Range(zero, most, one)
        limits = Unsqueeze(lengths, second)
        inside = Less(numbers, limits)
        mask = Unsqueeze(inside, third)
        outside = Not(mask)
        doubled = Add(data, data)
        left = Where(outside, nothing, doubled)
        ones = Cast<to = 1>(mask)
        kept = Mul(left, ones)
        positive = Greater(kept, nothing)
        chosen = Where(positive, kept, nothing)
        result = Mul(chosen, chosen)
    }
    """
"""Two masks, and a choice and a product that depend on the data."""


def weights_of(name: str) -> list[Any]:
    """Return the weights of a graph of the demo model."""
    return list(onnx.load(DEMO / name).graph.initializer)


def test_masks_go_and_what_depends_on_data_stays() -> None:
    graph = without_masks(onnx.parser.parse_model(MASKED)).graph
    assert [node.op_type for node in graph.node] == ["Add", "Greater", "Where", "Mul"]
    assert [list(node.input) for node in graph.node] == [
        ["data", "data"],
        ["doubled", "nothing"],
        ["positive", "doubled", "nothing"],
        ["chosen", "chosen"],
    ]
    assert [weight.name for weight in graph.initializer] == ["nothing"]
    assert [item.name for item in graph.input] == ["data", "lengths"]


def test_the_graph_that_is_given_does_not_change() -> None:
    model = onnx.parser.parse_model(MASKED)
    without_masks(model)
    assert model == onnx.parser.parse_model(MASKED)


def test_the_demo_model_is_exported_with_both_pairs(tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "demo")
    for name in UNMASKED.values():
        (tmp_path / "demo" / name).unlink()
    write_unmasked_graphs(str(tmp_path / "demo"))
    assert checksums_of(str(tmp_path / "demo")) == (DEMO / "SHA256SUMS").read_text(encoding="utf-8")
    n_nodes = {name: len(onnx.load(DEMO / name).graph.node) for pair in UNMASKED.items() for name in pair}
    assert n_nodes["pre_encode_unmasked.onnx"] < n_nodes["pre_encode.onnx"] / 5
    assert n_nodes["encode_unmasked.onnx"] < n_nodes["encode.onnx"]
    for name, unmasked in UNMASKED.items():
        weights, same = ({weight.name: weight for weight in weights_of(file)} for file in (name, unmasked))
        assert all(weights[key].raw_data == weight.raw_data for key, weight in same.items())
        assert (DEMO / unmasked).stat().st_size < 300_000


@pytest.mark.parametrize(("n_items", "n_frames"), [(1, 1), (1, 8), (1, 1200), (2, 777)])
def test_bytes_are_those_with_masks(n_items: int, n_frames: int, tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "demo")
    for name in UNMASKED.values():
        (tmp_path / "demo" / name).unlink()
    (tmp_path / "demo" / "SHA256SUMS").write_text(checksums_of(str(tmp_path / "demo")), encoding="utf-8")
    old, new = (load_onnx(str(folder), n_threads=1, device="cpu") for folder in (tmp_path / "demo", DEMO))
    mel, lengths = mel_of(64, *[n_frames] * n_items)
    (expected, n_expected), (embeddings, n_embeddings) = old.pre_encode(mel, lengths), new.pre_encode(mel, lengths)
    assert (embeddings == expected).all()
    assert (n_embeddings == n_expected).all()
    assert (
        new.encode(embeddings, n_embeddings).probabilities == old.encode(embeddings, n_embeddings).probabilities
    ).all()


def test_batches_of_mixed_lengths_go_through_the_graph_with_masks() -> None:
    backend = load_onnx(str(DEMO), n_threads=1, device="cpu")
    embeddings, lengths = embeddings_of(96, 60, 21)
    together = backend.encode(embeddings, lengths).probabilities
    alone = backend.encode(embeddings[1:, :21], lengths[1:]).probabilities
    assert (together[1, 21:] == 0).all()
    assert np.abs(together[1, :21] - alone[0]).max() <= 1e-5


def test_a_missing_graph_is_told(tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "demo")
    (tmp_path / "demo" / "encode_unmasked.onnx").unlink()
    with pytest.raises(ValueError, match=r"is no exported model, encode_unmasked\.onnx missing: export the model"):
        load_onnx(str(tmp_path / "demo"), device="cpu")


def test_a_model_without_these_graphs_runs(tmp_path: Path) -> None:
    folder = write_band_model(tmp_path / "model")
    assert not any((folder / name).exists() for name in UNMASKED.values())
    backend = load_onnx(str(folder), n_threads=1, device="cpu")
    assert backend.pre_encode(np.zeros((1, 16, 5), np.float32), np.array([16]))[1].tolist() == [2]
