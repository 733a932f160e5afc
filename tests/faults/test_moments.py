"""SIGKILL at counted moments of small jobs, the same command again, and the same set comes out.

`test_sigkill.py` does the same at random moments of long jobs.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.faults import dying_job
from tests.faults.jobs import check_kept, expected_names, files_in, state_of
from tests.faults.works import WORKS, Work
from tests.manifests import run

START = ("marking", "planning")
MOMENTS = ("planning", "first_file", "middle_file", "last_file", "merge", "sweep", "manifest", "committed")
EVERYWHERE = ("middle_file", "merge", "manifest")
"""Moments at which each command is killed; at the others it is a job of blocks and one of recordings, or where slow."""

CASES = [
    pytest.param(name, moment, marks=() if name in ("windows", "extract") or moment in EVERYWHERE else pytest.mark.slow)
    for name, moment in [("windows", "marking"), *((name, moment) for name in WORKS for moment in MOMENTS)]
    # files of blocks have their names at once; where only hidden files are kept, it is their number that tells moments
    if (name, moment) not in {("windows", "merge"), ("filter", "merge")}
    and not (WORKS[name].n_parts and moment in ("merge", "sweep", "manifest", "committed"))
]


PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([dying_job.__name__])
"""Processes of their own that find Beam loaded, as they are copies of one that has done nothing else."""


@dataclass(frozen=True)
class Undisturbed:
    """A job that nobody disturbed.

    Attributes:
      text: its manifest.
      n_kept: how many files it leaves that the same command keeps.
    """

    work: Work
    manifest: Path
    text: bytes
    n_kept: int

    def arguments(self, output: Path) -> list[str]:
        options = self.work.options(self.manifest)
        return [self.work.command, str(self.manifest), "--output", str(output), "--tolerate", "100%", *options]


@pytest.fixture(scope="module")
def undisturbed_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Undisturbed]:
    """Return what runs a job in this process, once, and says what it left."""

    @cache
    def find(name: str) -> Undisturbed:
        folder, work = tmp_path_factory.mktemp("undisturbed"), WORKS[name]
        output = folder / "out"
        job = Undisturbed(work, work.write(folder, work.least_size), b"", 0)
        assert run(*job.arguments(output)) == 0
        text = (output / "_MANIFEST.json").read_bytes()
        return Undisturbed(work, job.manifest, text, work.n_parts or work.n_kept(files_in(output)))

    return find


@pytest.mark.parametrize(("name", "moment"), CASES)
def test_the_same_command_finishes_a_job_killed_at(
    moment: str, name: str, undisturbed_of: Callable[[str], Undisturbed], tmp_path: Path
) -> None:
    job, output = undisturbed_of(name), tmp_path / "out"
    middle = job.n_kept // 2
    said = tmp_path / "said"
    dying = PROCESSES.Process(
        target=dying_job.run_and_die, args=(moment, job.work.kept, middle, job.arguments(output), said)
    )
    dying.start()
    dying.join(120)
    assert dying.exitcode == -signal.SIGKILL, said.read_text()
    before = state_of(output)
    assert job.work.n_kept(set(before)) == expected_files(moment, middle, job.n_kept)
    assert ("_MANIFEST.json" in before) == (moment == "committed")

    assert run(*job.arguments(output)) == 0
    assert (output / "_MANIFEST.json").read_bytes() == job.text
    assert run("verify", output) == 0
    assert files_in(output) == expected_names(output)
    print(check_kept(job.work, before, state_of(output)))


def expected_files(moment: str, middle: int, n_kept: int) -> int:
    """Return how many files that stay are in place at a moment."""
    if moment in (*START, "first_file"):
        return 0
    return {"middle_file": middle - 1, "last_file": 2 * middle}.get(moment, n_kept)
