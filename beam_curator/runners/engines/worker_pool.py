"""A pool of worker processes for engines elsewhere: they ask it to start workers, each a process of its own.

Run as `beam-curator worker-pool --port N` beside each task manager of a cluster, with `--environment_type=EXTERNAL`
and `--environment_config=localhost:N` on the job; for clusters on this machine the job starts one by itself. Unlike
Beam's own pool it starts this Python (not whatever `python` is in PATH) and hands the job's options to its workers.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format

_ANSWER_WITHIN = 30.0
_END_WITHIN = 10.0
_WORKER = "import sys; from beam_curator.runners.engines.worker import work; work(int(sys.argv[1]))"


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts and stops worker processes as an engine asks for them.

    Args:
      command: what starts a worker, before the pool's process id; by default this Python and `work`.
    """

    def __init__(self, command: list[str] | None = None) -> None:
        self._command = command if command is not None else [sys.executable, "-c", _WORKER]
        self._workers: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._lock = threading.Lock()

    def start(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a worker of these variables."""
        return subprocess.Popen([*self._command, str(os.getpid())], env=environment, stdin=subprocess.DEVNULL)

    def StartWorker(  # noqa: N802  # named by Beam's protocol
        self, request: beam_fn_api_pb2.StartWorkerRequest, context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """Start a worker that connects to the engine."""
        del context
        try:
            environment = worker_environment(request)
        except grpc.RpcError as err:
            return beam_fn_api_pb2.StartWorkerResponse(
                error=f"the engine does not say what the job's options are: {err}"
            )
        worker = self.start(environment)
        print(f"worker {request.worker_id} is process {worker.pid}", flush=True)
        with self._lock:
            self._workers.setdefault(request.worker_id, []).append(worker)
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(  # noqa: N802  # named by Beam's protocol
        self, request: beam_fn_api_pb2.StopWorkerRequest, context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StopWorkerResponse:
        """Make sure that a worker ends.

        Task managers number their workers each for itself, so two workers may have one name, and the request does not
        tell which is meant. A worker ends when its engine closes the line; one that has a name of its own and does not
        is killed.
        """
        del context
        with self._lock:
            alive = [worker for worker in self._workers.get(request.worker_id, []) if worker.poll() is None]
            self._workers[request.worker_id] = alive
        if len(alive) == 1:
            try:
                alive[0].wait(_END_WITHIN)
            except subprocess.TimeoutExpired:
                alive[0].kill()
        return beam_fn_api_pb2.StopWorkerResponse()

    def stop_all(self) -> None:
        """End all workers."""
        with self._lock:
            workers = [worker for named in self._workers.values() for worker in named]
            self._workers.clear()
        for worker in workers:
            worker.kill()
            worker.wait()


def worker_environment(request: beam_fn_api_pb2.StartWorkerRequest) -> dict[str, str]:
    """Return the variables that Beam's worker starts from; the job's options come from the engine."""
    environment = {
        **os.environ,
        "WORKER_ID": request.worker_id,
        "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(request.control_endpoint.url),
        "LOGGING_API_SERVICE_DESCRIPTOR": _descriptor(request.logging_endpoint.url),
    }
    if request.provision_endpoint.url:
        with grpc.insecure_channel(request.provision_endpoint.url) as channel:
            answer = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel).GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                metadata=(("worker_id", request.worker_id),),
                timeout=_ANSWER_WITHIN,
            )
        environment["PIPELINE_OPTIONS"] = json.dumps(json_format.MessageToDict(answer.info.pipeline_options))
        environment["RUNNER_CAPABILITIES"] = " ".join(answer.info.runner_capabilities)
    return environment


def _descriptor(url: str) -> str:
    return str(text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url)))


def serve(port: int, host: str = "localhost", pool: WorkerPool | None = None) -> tuple[grpc.Server, WorkerPool]:
    """Start a pool that listens.

    Raises:
      OSError: the port is taken.
    """
    # with so_reuseport, two pools on one port would share its requests instead of failing
    server = grpc.server(ThreadPoolExecutor(), options=[("grpc.so_reuseport", 0)])
    pool = pool if pool is not None else WorkerPool()
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    # grpc raises in new versions and returns 0 in old ones
    except RuntimeError:
        bound = 0
    if not bound:
        raise OSError(f"worker pool: port {port} of {host} is taken: choose another --port")
    server.start()
    return server, pool


def run_pool(port: int, host: str) -> None:
    """Serve until somebody asks to end."""
    server, pool = serve(port, host)
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    print(f"worker pool at {host}:{port}, process {os.getpid()}", flush=True)
    try:
        asked.wait()
    finally:
        pool.stop_all()
        server.stop(0)
