from pathlib import Path

import pytest

from beam_curator.runners.cli import parser_of
from beam_curator.runners.cores import BLOCKS_A_PROCESS, usable_cores, worker_processes
from beam_curator.runners.jobs import kind_of_job
from beam_curator.sets.blocks import BLOCK_BYTES, InputFile


def jobs_of(command: str, *flags: str, n_blocks: int) -> str:
    """Return the number of worker processes that a job takes for a manifest of so many blocks."""
    kind = kind_of_job(command)
    job = kind.of(parser_of(command).parse_args(["a.jsonl", *flags]), [], None)
    return job.sized([InputFile(name="a.jsonl", size=n_blocks * BLOCK_BYTES)]).run.jobs


@pytest.mark.parametrize("command", ["windows", "extract", "export", "separate"])
def test_a_large_input_gets_the_cores_unless_jobs_says_otherwise(command: str) -> None:
    assert jobs_of(command, n_blocks=2 * BLOCKS_A_PROCESS) == "1"
    assert jobs_of(command, n_blocks=1000) == str(worker_processes(1000)) == str(usable_cores())
    assert jobs_of(command, "--jobs", "1", n_blocks=1000) == "1"


def test_a_model_uses_the_cores_by_itself() -> None:
    assert jobs_of("diarize", n_blocks=1000) == "auto"


def test_an_engine_elsewhere_has_its_own_workers() -> None:
    assert jobs_of("windows", "--runner", "prism", n_blocks=1000) == "auto"


def test_a_quota_of_a_container_counts(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("150000 100000\n")
    assert usable_cores(str(quota)) == 1
    quota.write_text("50000 100000\n")
    assert usable_cores(str(quota)) == 1
    quota.write_text("max 100000\n")
    assert usable_cores(str(quota)) == usable_cores(str(tmp_path / "none")) >= 1
