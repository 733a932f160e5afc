import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.random_sortformer import make_sortformer

REQUIRED = os.environ.get("BEAM_CURATOR_REQUIRE_NEMO") == "1"


def _need_nemo() -> None:
    """Skip where NeMo is missing; fail where the environment says that it may not be."""
    if find_spec("nemo") is not None:
        return
    if REQUIRED:
        pytest.fail("BEAM_CURATOR_REQUIRE_NEMO=1, but NeMo is not installed: pip install 'beam-curator[nemo]'")
    pytest.skip("NeMo is not installed: pip install 'beam-curator[nemo]'")


@pytest.fixture(scope="session")
def tiny_streaming(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A streaming Sortformer of NeMo's with random weights."""
    return _made(tmp_path_factory, "tiny_streaming.nemo", streaming=True)


@pytest.fixture(scope="session")
def tiny_offline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Sortformer of NeMo's that hears a recording at once, with random weights."""
    return _made(tmp_path_factory, "tiny_offline.nemo", streaming=False)


def _made(tmp_path_factory: pytest.TempPathFactory, name: str, *, streaming: bool) -> Path:
    _need_nemo()
    path = tmp_path_factory.mktemp("models") / name
    make_sortformer("tiny", streaming=streaming).save_to(str(path))
    return path
