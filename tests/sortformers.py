"""Sortformers with random weights, tiny ones: as NeMo saves them and exported, made once for all tests of a run."""

from __future__ import annotations

import fcntl
import os
import pickle
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from beam_curator.models.onnx_export import ExportedModel, export_sortformer
from benchmarks.random_sortformer import make_sortformer

REQUIRED = os.environ.get("BEAM_CURATOR_REQUIRE_NEMO") == "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A Sortformer with random weights: as NeMo saves it, and exported."""

    nemo: Path
    onnx: Path
    exported: ExportedModel


def need_nemo() -> None:
    """Skip where NeMo is missing; fail where the environment says that it may not be."""
    if find_spec("nemo") is not None:
        return
    if REQUIRED:
        pytest.fail("BEAM_CURATOR_REQUIRE_NEMO=1, but NeMo is not installed: pip install 'beam-curator[nemo]'")
    pytest.skip("NeMo is not installed: pip install 'beam-curator[nemo]'")


def shared_model(factory: pytest.TempPathFactory, *, streaming: bool) -> Model:
    """Return a tiny model that is made once for a run: of the workers of pytest-xdist one makes it, others wait.

    Args:
      factory: of this session; folders of workers lie side by side in that of the run.
      streaming: which family.
    """
    need_nemo()
    own = factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    directory = folder / f"sortformer_{'streaming' if streaming else 'offline'}"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "made").exists():
            made = made_model(directory, streaming=streaming)
            (directory / "made").write_bytes(pickle.dumps(made))
        model: Model = pickle.loads((directory / "made").read_bytes())
    return model


def made_model(directory: Path, *, streaming: bool) -> Model:
    """Make a tiny model in a directory, and export it."""
    path = directory / "model.nemo"
    make_sortformer("tiny", streaming=streaming).save_to(str(path))
    return exported_model(path)


def exported_model(nemo: Path) -> Model:
    """Export a model that NeMo has saved, beside it."""
    onnx = nemo.with_name("onnx")
    return Model(nemo=nemo, onnx=onnx, exported=export_sortformer(str(nemo), str(onnx)))
