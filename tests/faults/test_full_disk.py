"""A disk that is full, and a limit on the size of files: the job fails and leaves no manifest."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.faults.jobs import COMMAND, expected_names, files_in, finish, names_in, start, state_of
from tests.faults.works import WORKS, write_talks


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    return write_talks(tmp_path, 3_000)


def test_a_full_disk_fails_the_job_and_leaves_no_manifest(talks: Path, small_disk: Path) -> None:
    output = small_disk / "out"
    code, text = finish(start("windows", talks, output))
    assert code == 1
    assert f"No space left on device: '{output}/windows-" in text
    assert "Traceback" not in text
    assert "_MANIFEST.json" not in names_in(output)

    code, text = finish(start("windows", talks, output, "--layout", "spans"))
    assert (code, "--overwrite" in text) == (2, True)
    code, text = finish(start("windows", talks, output, "--layout", "spans", "--overwrite"))
    assert code == 0, text
    assert files_in(output) == expected_names(output)


@pytest.mark.parametrize("small_disk", [10], indirect=True)
@pytest.mark.parametrize("name", ["extract", pytest.param("extract into tars", marks=pytest.mark.slow)])
def test_extraction_goes_on_once_there_is_space(
    name: str, tmp_path: Path, small_disk: Path, more_space: Callable[[], None]
) -> None:
    work, undisturbed, output = WORKS[name], tmp_path / "out", small_disk / "out"
    manifest = work.write(tmp_path, work.size // 2)
    code, text = finish(start("extract", manifest, undisturbed, *work.flags))
    assert code == 0, text

    code, text = finish(start("extract", manifest, output, *work.flags))
    assert code == 1
    assert "No space left on device" in text
    assert "Traceback" not in text
    assert "_MANIFEST.json" not in names_in(output)
    before = state_of(output)
    assert work.n_kept(set(before)) > 1
    assert not any(name.endswith(".tmp") and ".part." not in name for name in before)

    more_space()
    code, text = finish(start("extract", manifest, output, *work.flags))
    assert (code, "going on" in text) == (0, True), text
    assert (output / "_MANIFEST.json").read_bytes() == (undisturbed / "_MANIFEST.json").read_bytes()
    assert files_in(output) == expected_names(output)
    after = state_of(output)
    stayed = [name for name in before if work.keeps(name) and after[name] == before[name]]
    print(f"disk full with {work.n_kept(set(before))} files in place; {len(stayed)} of them not written again")
    if name == "extract":
        assert len(stayed) == work.n_kept(set(before))


def test_a_full_disk_for_a_long_clip_is_no_fault_of_the_clip(tmp_path: Path, small_disk: Path) -> None:
    manifest, output = tmp_path / "long.jsonl", tmp_path / "out"
    soundfile.write(tmp_path / "long.wav", np.zeros(18_000_000, np.int16), 16_000)
    manifest.write_text('{"original_file": "long.wav", "original_end_ms": 1125000}\n')
    elsewhere = {**os.environ, "TMPDIR": str(small_disk)}
    code, text = finish(start("extract", manifest, output, env=elsewhere))
    assert (code, f"No space left on device: '{small_disk}'" in text) == (1, True), text
    assert not list(output.glob("*failures*"))
    assert "_MANIFEST.json" not in names_in(output)

    assert finish(start("extract", manifest, output))[0] == 0
    assert files_in(output) == expected_names(output)
    assert not list(output.glob("failures*"))


def test_a_limit_on_files_fails_the_job_and_leaves_no_manifest(tmp_path: Path) -> None:
    talks, output = write_talks(tmp_path, 1_000), tmp_path / "out"
    command = f"ulimit -f 1000; exec {COMMAND} windows {talks} --output {output} --tolerate 100%"
    process = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    code, text = finish(process)
    assert code == 1
    assert "File too large" in text
    assert "_MANIFEST.json" not in names_in(output)

    assert finish(start("windows", talks, output))[0] == 0
    assert files_in(output) == expected_names(output)
