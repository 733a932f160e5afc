"""Processes of all kinds are killed while a job runs on an engine; the set comes out the same, nothing beside it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_curator.runners.engines.job_servers import free_port
from beam_curator.runners.engines.worker_pool import serve
from tests.engines.cluster import FlinkCluster, wait_until
from tests.engines.crashing_worker import KINDS, CrashingPool
from tests.engines.jobs import EngineJobs, check_names, expected_manifest, on_flink
from tests.engines.recordings import write_meetings, write_pieces, write_talks
from tests.fakes_models import write_band_model
from tests.manifests import line_of, speech, write_lines, write_mixed

BLOCK_BYTES = 400_000
N_ENTRIES = 4000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest of 4,000 rows of 98 windows each, with a broken line in the middle: some seconds of work."""
    lines = [line_of(speech(100, f"{number}.wav")) for number in range(N_ENTRIES)]
    folder = tmp_path_factory.mktemp("large")
    return write_lines(folder / "large.jsonl", [*lines[: N_ENTRIES // 2], b"{broken", *lines[N_ENTRIES // 2 :]])


FLAGS = ["--layout", "spans"]


@pytest.fixture(scope="module")
def expected(large: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the manifest of a job that nobody disturbed, on the direct runner."""
    return expected_manifest(large, tmp_path_factory.mktemp("expected"), *FLAGS, block_bytes=BLOCK_BYTES)


def n_written(output: Path) -> int:
    return sum(name.startswith("windows-") for name in os.listdir(output)) if output.exists() else 0


def wait_for_rows(process: "subprocess.Popen[str]", output: Path) -> None:
    """Wait until the job has written some of its files, and is far from its end."""
    wait_until(lambda: n_written(output) >= 3 or process.poll() is not None, 120, f"rows in {output}")
    assert process.poll() is None, process.communicate()[0]
    assert not (output / "_MANIFEST.json").exists()


def test_a_task_manager_is_killed_in_the_middle_of_the_job(
    large: Path, expected: bytes, flink: FlinkCluster, jobs: EngineJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(flink.jobs())
    output = jobs.folder / "out"
    process = jobs.start(large, output, *FLAGS, *on_flink(flink), block_bytes=BLOCK_BYTES)
    wait_for_rows(process, output)
    (job,) = set(flink.jobs()) - before
    victim = next(iter(flink.task_managers))
    flink.kill_task_manager(victim)
    files = n_written(output)
    flink.start_task_manager()
    jobs.finish(process)
    assert (output / "_MANIFEST.json").read_bytes() == expected
    check_names(output, expected)
    assert flink.jobs()[job] == "FINISHED"
    n_restarts = flink.n_restarts(job)
    assert n_restarts >= 1
    with capsys.disabled():
        print(f"\n  {victim} killed with {files} files written; Flink restarted tasks of job {job} {n_restarts} times")
        print(f"  after {flink.failures(job)}; same set")


ALWAYS = {
    ("extract", "in_the_middle_of_a_recording"),
    ("extract", "in_the_index"),
    ("separate", "before_the_manifest"),
    ("diarize", "after_the_manifest"),
}
"""One moment of each phase; the others are slow, as a job takes Flink ten seconds and more.

In the middle of a block of windows a TaskManager is killed.
"""

MOMENTS = [
    pytest.param(case, marks=() if case in ALWAYS else pytest.mark.slow, id=" ".join(case))
    for case in ((command, kind.__name__) for command, kinds in KINDS.items() for kind in kinds)
]


@pytest.fixture(params=MOMENTS)
def crashing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path, int]]:
    """Serve a pool of workers of which one kills itself; give the command, its flag file and port."""
    command, moment = request.param
    flag = tmp_path / "died"
    port = free_port()
    server, pool = serve(port, "localhost", CrashingPool(moment, str(flag)))
    try:
        yield command, flag, port
    finally:
        pool.stop_all()
        server.stop(0)


def work_of(command: str, folder: Path) -> tuple[Path, list[str]]:
    """Write the input of a job; return it and the job's options."""
    shards = ["--shards", "4"]
    if command == "windows":
        return write_mixed(folder / "in/mixed.jsonl"), shards
    if command == "extract":
        return write_pieces(folder / "in"), [*shards, "--output-format", "flac"]
    if command == "separate":
        return write_meetings(folder / "in"), [*shards, "--output-format", "flac"]
    return write_talks(folder / "in"), [*shards, "--model-path", str(write_band_model(folder / "model"))]


def test_a_worker_kills_itself_once(
    crashing: tuple[str, Path, int], tmp_path: Path, flink: FlinkCluster, jobs: EngineJobs
) -> None:
    command, flag, port = crashing
    manifest, options = work_of(command, tmp_path)
    expected = expected_manifest(manifest, tmp_path / "expected", *options, block_bytes=2000, command=command)
    before = set(flink.jobs())
    external = ["--environment_type=EXTERNAL", f"--environment_config=localhost:{port}"]
    flags = [*options, *on_flink(flink, worker_dies=True), *external]
    assert jobs.manifest_of(manifest, "out", *flags, block_bytes=2000, command=command) == expected
    assert flag.exists()
    check_names(jobs.folder / "out", expected)
    (job,) = set(flink.jobs()) - before
    assert flink.n_restarts(job) >= 1


@pytest.mark.parametrize("runner", ["prism", "flink"])
def test_the_driver_is_killed_and_the_command_given_again(
    runner: str, large: Path, expected: bytes, jobs: EngineJobs, request: pytest.FixtureRequest
) -> None:
    flags = on_flink(request.getfixturevalue("flink"), own_server=True) if runner == "flink" else ["--runner", "prism"]
    output = jobs.folder / "out"
    process = jobs.start(large, output, *FLAGS, *flags, block_bytes=BLOCK_BYTES)
    wait_for_rows(process, output)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    jobs.check_nothing_is_left()
    assert not (output / "_MANIFEST.json").exists()
    text = jobs.finish(jobs.start(large, output, *FLAGS, *flags, block_bytes=BLOCK_BYTES))
    assert "holds an unfinished run of this job: going on" in text
    assert (output / "_MANIFEST.json").read_bytes() == expected
    check_names(output, expected)


def test_ctrl_c_cancels_the_job_on_the_cluster(large: Path, flink: FlinkCluster, jobs: EngineJobs) -> None:
    # in many files, so that the job is far from its end when the signal comes
    before = set(flink.jobs())
    output = jobs.folder / "out"
    process = jobs.start(large, output, *FLAGS, *on_flink(flink, own_server=True), block_bytes=BLOCK_BYTES // 20)
    wait_for_rows(process, output)
    (job,) = set(flink.jobs()) - before
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "interrupted; the same command goes on" in text
    wait_until(lambda: flink.jobs()[job] == "CANCELED", 30, f"the end of job {job}")
