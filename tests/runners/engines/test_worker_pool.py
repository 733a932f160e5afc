import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from apache_beam.portability.api import beam_fn_api_pb2 as fn_api
from apache_beam.portability.api import endpoints_pb2

from beam_curator.runners.engines.job_servers import free_port
from beam_curator.runners.engines.worker_pool import WorkerPool, serve, worker_environment
from tests.engines.cluster import is_running, wait_until

CONTEXT = Mock()
SAY_AND_SLEEP = "import os, sys, time; open(sys.argv[1], 'a').write(str(os.getpid()) + '\\n'); time.sleep(600)"
SAY_AND_END = "import os, sys; open(sys.argv[1], 'a').write(str(os.getpid()) + '\\n')"


def start_request(name: str = "1-1", control: str = "localhost:1") -> fn_api.StartWorkerRequest:
    return fn_api.StartWorkerRequest(worker_id=name, control_endpoint=endpoints_pb2.ApiServiceDescriptor(url=control))


def pids_in(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[WorkerPool]:
    pool = WorkerPool([sys.executable, "-c", SAY_AND_SLEEP, str(tmp_path / "pids")])
    yield pool
    pool.stop_all()


def test_a_worker_is_told_who_it_is_and_where_its_engine_listens() -> None:
    environment = worker_environment(start_request("3-1", "localhost:12345"))
    assert environment["WORKER_ID"] == "3-1"
    assert environment["CONTROL_API_SERVICE_DESCRIPTOR"].split() == ["url:", '"localhost:12345"']
    assert "PIPELINE_OPTIONS" not in environment
    assert environment["PATH"] == os.environ["PATH"]


def test_an_engine_that_does_not_answer_is_told_so(pool: WorkerPool) -> None:
    request = start_request()
    request.provision_endpoint.url = f"localhost:{free_port()}"
    assert pool.StartWorker(request, CONTEXT).error.startswith("the engine does not say what the job's options are")


def test_workers_of_one_name_are_not_taken_for_each_other(pool: WorkerPool, tmp_path: Path) -> None:
    """Two task managers number their workers each for itself: the end of one must not end the other."""
    for _ in range(2):
        assert pool.StartWorker(start_request("1-1"), CONTEXT).error == ""
    wait_until(lambda: len(pids_in(tmp_path / "pids")) == 2, 10, "two workers")
    pool.StopWorker(fn_api.StopWorkerRequest(worker_id="1-1"), CONTEXT)
    assert all(map(is_running, pids_in(tmp_path / "pids")))
    pool.stop_all()
    assert not any(map(is_running, pids_in(tmp_path / "pids")))


def test_a_worker_that_does_not_end_is_killed(
    pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_curator.runners.engines.worker_pool._END_WITHIN", 0.1)
    pool.StartWorker(start_request(), CONTEXT)
    wait_until(lambda: len(pids_in(tmp_path / "pids")) == 1, 10, "a worker")
    pool.StopWorker(fn_api.StopWorkerRequest(worker_id="1-1"), CONTEXT)
    (pid,) = pids_in(tmp_path / "pids")
    wait_until(lambda: not is_running(pid), 10, "its end")


def test_one_that_has_ended_or_was_never_there_is_no_matter(tmp_path: Path) -> None:
    pool = WorkerPool([sys.executable, "-c", SAY_AND_END, str(tmp_path / "pids")])
    pool.StartWorker(start_request(), CONTEXT)
    wait_until(lambda: len(pids_in(tmp_path / "pids")) == 1, 10, "a worker")
    pool.StopWorker(fn_api.StopWorkerRequest(worker_id="1-1"), CONTEXT)
    pool.StopWorker(fn_api.StopWorkerRequest(worker_id="2-1"), CONTEXT)


def test_a_port_that_is_taken_is_an_error() -> None:
    port = free_port()
    server, _ = serve(port)
    try:
        with pytest.raises(OSError, match=f"port {port} of localhost is taken: choose another --port"):
            serve(port)
    finally:
        server.stop(0)


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_command_serves_until_it_is_asked_to_end(asked: int, code: int) -> None:
    command = [sys.executable, "-m", "beam_curator.runners.cli", "worker-pool", "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("worker pool at localhost:")
        process.send_signal(asked)
        assert process.wait(15) == code
