"""A disk that is full, and a limit on the size of files: the job fails and leaves no manifest."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.jobs import COMMAND, expected_names, finish, names_in, start, write_talks

pytestmark = pytest.mark.slow


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "talks.jsonl"
    write_talks(path, 3_000)
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 20 MB."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = (
        shutil.which("mount") is not None
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(path)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a small file system is not allowed here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_fails_the_job_and_leaves_no_manifest(manifest: Path, small_disk: Path) -> None:
    output = small_disk / "out"
    code, text = finish(start(manifest, output))
    assert code == 1
    assert "No space left on device" in text
    assert "Traceback" not in text
    assert "_MANIFEST.json" not in names_in(output)

    code, text = finish(start(manifest, output, "--layout", "spans"))
    assert (code, "--overwrite" in text) == (2, True)
    code, text = finish(start(manifest, output, "--layout", "spans", "--overwrite"))
    assert code == 0, text
    assert names_in(output) == expected_names(output)


def test_a_limit_on_files_fails_the_job_and_leaves_no_manifest(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = f"ulimit -f 1000; exec {COMMAND} windows {manifest} --output {output} --tolerate 100%"
    process = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    code, text = finish(process)
    assert code == 1
    assert "File too large" in text
    assert "_MANIFEST.json" not in names_in(output)

    assert finish(start(manifest, output))[0] == 0
    assert names_in(output) == expected_names(output)
