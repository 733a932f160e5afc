import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_curator.runners import progress
from beam_curator.transforms.jobs.manifests import ReadManifests
from tests.manifests import write_mixed


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what each command sets up for its own process."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    yield
    root.handlers[:], threading.excepthook = handlers, hook
    root.setLevel(level)


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the line that a job logs every half minute out of what tests compare: a slow machine takes that long."""
    monkeypatch.setattr(progress, "_LOG_EVERY", float("inf"))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be of 2,000 bytes: two or three rows, where a real block holds thousands."""
    defaults = ReadManifests.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "block_bytes", 2000)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a manifest of 40 good rows of 30 recordings, with bad lines here and there."""
    return write_mixed(tmp_path / "in" / "mixed.jsonl")
