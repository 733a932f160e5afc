"""A file system that is small, until it is made large."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def mount(path: Path, *options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(path)]
    return (
        shutil.which("mount") is not None and not subprocess.run(command, capture_output=True, check=False).returncode
    )


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Mount a file system of so many MB, by default 20."""
    path = tmp_path / "small"
    path.mkdir()
    if not mount(path, f"size={getattr(request, 'param', 20)}m"):
        pytest.skip("mounting a small file system is not allowed here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def more_space(small_disk: Path) -> Callable[[], None]:
    """Return what makes the small file system large."""

    def enlarge() -> None:
        assert mount(small_disk, "remount", "size=400m")

    return enlarge
