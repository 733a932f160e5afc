"""SIGKILL at many moments of a long job, the same command again, and the same set comes out.

There are 10 moments of a job of at least 10 s, fewer for tars; BEAM_CURATOR_KILLS=30 gives as many as it says. Moments
that last milliseconds are looked for in short jobs. `test_moments.py` has the quick tests.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.faults.jobs import (
    COMMAND,
    check_kept,
    expected_names,
    files_in,
    finish,
    kill,
    kill_when,
    names_in,
    start,
    state_of,
)
from tests.faults.works import WORKS, Work, write_talks

MIN_SECONDS = 10.0
N_KILLS = int(os.environ.get("BEAM_CURATOR_KILLS", "10"))
N_MOMENTS = dict.fromkeys(WORKS, N_KILLS) | {"extract into tars": min(N_KILLS, 6)}
N_STRAYS = 20_000


@dataclass(frozen=True)
class Baseline:
    work: Work
    manifest: Path
    text: bytes
    seconds: float

    def start(self, output: Path) -> "subprocess.Popen[str]":
        return start(self.work.command, self.manifest, output, *self.work.options(self.manifest))


@pytest.fixture(scope="module")
def baseline_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Baseline]:
    """Return what runs a job undisturbed, once, of an input as large as it takes to last long enough."""

    @cache
    def find(name: str) -> Baseline:
        folder = tmp_path_factory.mktemp("baseline")
        size = WORKS[name].slow_size
        for _ in range(5):
            measured = measure(WORKS[name], folder, size)
            if measured.seconds >= MIN_SECONDS:
                return measured
            size = int(size * 1.2 * MIN_SECONDS / measured.seconds)
        raise AssertionError(f"the job takes only {measured.seconds:.1f} s")

    return find


@pytest.fixture(scope="module")
def short_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Baseline]:
    """Return what runs a short job undisturbed, once."""
    return cache(lambda name: measure(WORKS[name], tmp_path_factory.mktemp("short"), WORKS[name].size))


def measure(work: Work, folder: Path, size: int) -> Baseline:
    """Run the job once, and note how long it takes."""
    output = folder / "out"
    shutil.rmtree(output, ignore_errors=True)
    manifest = work.write(folder, size)
    begin = time.monotonic()
    process = start(work.command, manifest, output, *work.options(manifest))
    code, text = finish(process)
    seconds = time.monotonic() - begin
    assert code == 0, text
    assert files_in(output) == expected_names(output)
    return Baseline(work, manifest, (output / "_MANIFEST.json").read_bytes(), seconds)


def run_again(baseline: Baseline, output: Path, damaged: Sequence[str] = ()) -> str:
    """Run the same command to its end and check that the set is whole, the same, and alone; say what stayed.

    Nothing that was there is written again but what is damaged.
    """
    before = state_of(output) if output.exists() else {}
    code, text = finish(baseline.start(output))
    assert code == 0, text
    assert (output / "_MANIFEST.json").read_bytes() == baseline.text
    verified = subprocess.run([COMMAND, "verify", str(output)], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stderr
    assert files_in(output) == expected_names(output)
    return check_kept(baseline.work, before, state_of(output), damaged)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "moment"), [(name, moment) for name in WORKS for moment in range(N_MOMENTS[name])])
def test_the_same_command_finishes_a_killed_job(
    name: str, moment: int, baseline_of: Callable[[str], Baseline], tmp_path: Path
) -> None:
    baseline = baseline_of(name)
    seconds = 0.85 * baseline.seconds * (moment + 0.5) / N_MOMENTS[name]  # runs differ: none should end before it
    output = tmp_path / "out"
    process = baseline.start(output)
    time.sleep(seconds)
    ended = process.poll() is not None
    kill(process)
    written = baseline.work.n_kept(files_in(output))
    when = "after the end" if ended else f"{'after' if written else 'before'} the first output byte"
    print(f"killed at {seconds:.2f} s of {baseline.seconds:.2f} s, {when}")
    print(run_again(baseline, output))
    shutil.rmtree(output)


def _stray(number: int) -> str:
    return f".stray{number}.beam_curator.tmp"


def _sweeping(output: Path) -> Callable[[], bool]:
    some = [output / _stray(number) for number in range(0, N_STRAYS, N_STRAYS // 20)]  # to list all takes too long
    return lambda: not all(path.exists() for path in some)


def _writing(output: Path) -> Callable[[], bool]:
    return lambda: any(name.startswith("._MANIFEST") for name in os.listdir(output))


def _written(output: Path) -> Callable[[], bool]:
    return (output / "_MANIFEST.json").exists


@pytest.mark.slow
@pytest.mark.parametrize("name", ["windows", "extract", "diarize", "separate"])
@pytest.mark.parametrize("inside", [_sweeping, _writing, _written])
def test_the_same_command_finishes_a_job_killed_in_its_commit(
    name: str, inside: Callable[[Path], Callable[[], bool]], short_of: Callable[[str], Baseline], tmp_path: Path
) -> None:
    baseline, output = short_of(name), tmp_path / "out"
    for _attempt in range(8):  # the moment lasts milliseconds: it may be missed
        shutil.rmtree(output, ignore_errors=True)
        process = baseline.start(output)
        while process.poll() is None and not (output / "_RUN.json").exists():
            time.sleep(0.01)
        for number in range(N_STRAYS if inside is _sweeping else 0):
            (output / _stray(number)).touch()
        if kill_when(process, inside(output)) and (output / "_RUN.json").exists():
            break
    print(f"killed in the commit, {inside.__name__}; left: {len(names_in(output))} files")
    assert (output / "_RUN.json").exists(), "the job had ended before it could be killed"
    print(run_again(baseline, output))


def test_clips_that_a_crash_of_the_machine_damaged_are_cut_again(
    short_of: Callable[[str], Baseline], tmp_path: Path
) -> None:
    baseline, output = short_of("extract"), tmp_path / "out"
    process = baseline.start(output)
    assert kill_when(process, lambda: len(list(output.glob(".clips-*"))) > 5)
    part = next(path for path in output.glob(".clips-*.part.beam_curator.tmp") if path.read_bytes().count(b"\n") > 3)
    shorter, changed, gone, *_ = [
        output / json.loads(line)["extracted_path"] for line in part.read_text().splitlines()[1:]
    ]
    shorter.write_bytes(shorter.read_bytes()[:-100])
    changed.write_bytes(bytes(changed.stat().st_size))
    gone.unlink()
    print(run_again(baseline, output, [shorter.name, changed.name]))
    assert gone.exists()


def test_a_finished_job_is_left_alone_until_its_input_changes(tmp_path: Path) -> None:
    output, flags = tmp_path / "out", ("--layout", "spans")
    manifest = write_talks(tmp_path, 50)
    assert finish(start("windows", manifest, output, *flags))[0] == 0
    before = state_of(output)
    code, text = finish(start("windows", manifest, output, *flags))
    assert (code, "already complete" in text) == (0, True)
    assert state_of(output) == before

    manifest.write_bytes(manifest.read_bytes().replace(b"0.wav", b"9.wav", 1))
    code, text = finish(start("windows", manifest, output, *flags))
    assert (code, f"{manifest} has changed" in text, "--overwrite" in text) == (2, True, True)
    assert state_of(output) == before
    assert finish(start("windows", manifest, output, *flags, "--overwrite"))[0] == 0
    assert files_in(output) == expected_names(output)
