"""What all tests share: slow ones are left out unless asked for, models are made once, Beam is as commands start it."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from beam_curator.files.beam_imports import leave_out_model_manager
from beam_curator.runners.beam_memos import keep_memos
from tests.sortformers import Model, shared_model

leave_out_model_manager()
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


SLOW = os.environ.get("BEAM_CURATOR_SLOW") == "1"
_N_LEFT_OUT = pytest.StashKey[int]()
_N_MODULES = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that are marked slow, unless BEAM_CURATOR_SLOW=1; put heavy ones first.

    Each process of pytest-xdist begins with an equal part of the tests, in their order: so one process loads NeMo.
    """
    slow = [] if SLOW else [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    config.stash[_N_LEFT_OUT] = len(slow)
    items.sort(key=lambda item: item.get_closest_marker("heavy") is None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep what is loaded by now out of the collections of garbage, which would walk over it a thousand times."""
    session.config.stash[_N_MODULES] = len(sys.modules)
    gc.freeze()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Do the same once a test has loaded much."""
    if len(sys.modules) > item.config.stash[_N_MODULES] + 300:
        pytest_collection_finish(item.session)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that started this one, if there is one, how many were left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["n_left_out"] = session.config.stash[_N_LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the number from a process of pytest-xdist; each of them has looked at all tests."""
    node.config.stash[_N_LEFT_OUT] = getattr(node, "workeroutput", {}).get("n_left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many were left out."""
    n_left_out = config.stash.get(_N_LEFT_OUT, 0)
    if n_left_out:
        terminalreporter.write_line(f"{n_left_out} slow tests left out: make test-all runs them, too")
