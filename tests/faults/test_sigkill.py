"""SIGKILL at many moments of a real job, the same command again, and the same set comes out.

BEAM_CURATOR_SLOW=1 gives 30 moments of a job of at least 10 s; otherwise there are a few of a shorter one.
"""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.jobs import COMMAND, SLOW, expected_names, finish, kill, kill_when, names_in, start, write_talks

pytestmark = pytest.mark.slow

FLAGS = ("--layout", "spans")
N_ENTRIES = 60_000 if SLOW else 9_000
MIN_SECONDS = 10.0 if SLOW else 2.0
N_MOMENTS = 27 if SLOW else 4
N_STRAYS = 20_000


@dataclass(frozen=True)
class Baseline:
    manifest: Path
    text: bytes
    seconds: float
    first_output: float


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    """Run the job undisturbed, with as many rows as it takes to last long enough."""
    folder = tmp_path_factory.mktemp("baseline")
    n_entries = N_ENTRIES
    for _ in range(5):
        measured = measure(folder, n_entries)
        if measured.seconds >= MIN_SECONDS:
            return measured
        n_entries = int(n_entries * 1.2 * MIN_SECONDS / measured.seconds)
    raise AssertionError(f"the job takes only {measured.seconds:.1f} s")


def measure(folder: Path, n_entries: int) -> Baseline:
    """Run the job once, and note when its first output byte came."""
    manifest, output = folder / "talks.jsonl", folder / "out"
    shutil.rmtree(output, ignore_errors=True)
    write_talks(manifest, n_entries)
    begin = time.monotonic()
    process = start(manifest, output, *FLAGS)
    while process.poll() is None and not (output.exists() and any("windows-" in name for name in names_in(output))):
        time.sleep(0.01)
    first_output = time.monotonic() - begin
    code, text = finish(process)
    assert code == 0, text
    return Baseline(manifest, (output / "_MANIFEST.json").read_bytes(), time.monotonic() - begin, first_output)


def run_again(baseline: Baseline, output: Path) -> str:
    """Run the same command to its end and check that the set is whole, the same, and alone."""
    code, text = finish(start(baseline.manifest, output, *FLAGS))
    assert code == 0, text
    assert (output / "_MANIFEST.json").read_bytes() == baseline.text
    verified = subprocess.run([COMMAND, "verify", str(output)], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stderr
    return text


@pytest.mark.parametrize("moment", range(N_MOMENTS))
def test_the_same_command_finishes_a_killed_job(baseline: Baseline, tmp_path: Path, moment: int) -> None:
    seconds = 0.85 * baseline.seconds * (moment + 0.5) / N_MOMENTS  # runs differ: none should end before its moment
    output = tmp_path / "out"
    process = start(baseline.manifest, output, *FLAGS)
    time.sleep(seconds)
    ended = process.poll() is not None
    kill(process)
    when = "after the end" if ended else "after" if seconds > baseline.first_output else "before"
    print(f"killed at {seconds:.2f} s of {baseline.seconds:.2f} s, {when} the first output byte")
    run_again(baseline, output)
    assert names_in(output) == expected_names(output)
    shutil.rmtree(output)


def _sweeping(output: Path) -> Callable[[], bool]:
    return lambda: len(list(output.glob(".stray*"))) < N_STRAYS


def _writing(output: Path) -> Callable[[], bool]:
    return lambda: any(name.startswith("._MANIFEST") for name in names_in(output))


def _written(output: Path) -> Callable[[], bool]:
    return (output / "_MANIFEST.json").exists


@pytest.mark.parametrize("inside", [_sweeping, _writing, _written])
def test_the_same_command_finishes_a_job_killed_in_its_commit(
    baseline: Baseline, tmp_path: Path, inside: Callable[[Path], Callable[[], bool]]
) -> None:
    output = tmp_path / "out"
    for _attempt in range(5):  # the moment lasts milliseconds: it may be missed
        shutil.rmtree(output, ignore_errors=True)
        process = start(baseline.manifest, output, *FLAGS)
        while process.poll() is None and not (output / "_RUN.json").exists():
            time.sleep(0.01)
        for number in range(N_STRAYS if inside is _sweeping else 0):
            (output / f".stray{number}.beam_curator.tmp").touch()
        if kill_when(process, inside(output)):
            break
    print(f"killed in the commit, {inside.__name__}; left: {len(names_in(output))} files")
    assert (output / "_RUN.json").exists(), "the job had ended before it could be killed"
    run_again(baseline, output)
    assert names_in(output) == expected_names(output)


def test_a_finished_job_is_left_alone_until_its_input_changes(baseline: Baseline, tmp_path: Path) -> None:
    manifest, output = tmp_path / "talks.jsonl", tmp_path / "out"
    write_talks(manifest, 50)
    assert finish(start(manifest, output, *FLAGS))[0] == 0
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    code, text = finish(start(manifest, output, *FLAGS))
    assert (code, "already complete" in text) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in output.iterdir()} == before

    manifest.write_bytes(manifest.read_bytes().replace(b"0.wav", b"9.wav", 1))
    code, text = finish(start(manifest, output, *FLAGS))
    assert (code, f"{manifest} has changed" in text, "--overwrite" in text) == (2, True, True)
    assert {path: path.stat().st_mtime_ns for path in output.iterdir()} == before
    assert finish(start(manifest, output, *FLAGS, "--overwrite"))[0] == 0
    assert names_in(output) == expected_names(output)
