"""Models that are made once for all tests of a run, for those that ask for one; and Beam as commands start it."""

from pathlib import Path

import pytest

from beam_curator.runners.beam_memos import keep_memos
from tests.sortformers import Model, shared_model

keep_memos()


@pytest.fixture(scope="session")
def streaming_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A streaming Sortformer of NeMo's with random weights, tiny: as NeMo saves it, and exported."""
    return shared_model(tmp_path_factory, streaming=True)


@pytest.fixture(scope="session")
def offline_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A Sortformer of NeMo's that hears a recording at once, with random weights, tiny."""
    return shared_model(tmp_path_factory, streaming=False)


@pytest.fixture(scope="session")
def tiny_streaming(streaming_model: Model) -> Path:
    """The streaming one as NeMo saves it."""
    return streaming_model.nemo


@pytest.fixture(scope="session")
def tiny_offline(offline_model: Model) -> Path:
    """The other one as NeMo saves it."""
    return offline_model.nemo
