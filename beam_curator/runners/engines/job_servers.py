"""The servers that Prism and Flink jobs are handed to, under guard: they end with this process, whatever ends it."""

import collections
import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

import grpc
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
    PrismRunnerOptions,
)
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability import flink_runner, job_server, prism_runner
from apache_beam.runners.worker import sdk_worker

from beam_curator.runners.engines.flink_rest import cancel_jobs
from beam_curator.runners.engines.guard import FOLDER, ServerFailedError, guarded
from beam_curator.runners.presets import LOCAL_MASTERS

_START_WITHIN = 120.0
_LAST_LINES = 30
_OUT_OF_RANGE = range(20_000, 32_768)
"""Ports below those of connections: Linux gives these 32768 to 60999, and 49152 and above are IANA's (RFC 6335)."""


class GuardedProcess:
    """A command under guard, its output in a short memory.

    Args:
      command: `{folder}` in it stands for its temporary folder.
      folder: that folder, inside the driver's own.
      verbose: pass its output on to standard error.
    """

    def __init__(self, command: Sequence[str], folder: str, *, verbose: bool = False) -> None:
        self.last_lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        self._verbose = verbose
        self._process = subprocess.Popen(
            guarded(command, folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.last_lines.append(line.rstrip())
            if self._verbose:
                os.write(2, line.encode())

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """End the command and its folder."""
        if not self.ended:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def wait_for(self, address: str) -> grpc.Channel:
        """Wait until it answers, and return an open channel.

        Raises:
          ServerFailedError: it ended, or did not answer in time; with its last words.
        """
        channel = grpc.insecure_channel(address, options=_CHANNEL)
        ready = grpc.channel_ready_future(channel)
        deadline = time.monotonic() + _START_WITHIN
        while time.monotonic() < deadline and not self.ended:
            try:
                # short waits, to notice early when the process ends
                ready.result(timeout=0.1)
            except grpc.FutureTimeoutError:
                continue
            return channel
        self.stop()
        words = "\n  ".join(self.last_lines) or "nothing"
        raise ServerFailedError(f"a server of the engine did not start at {address}; it said:\n  {words}")


# no limits: the description of a pipeline may exceed the usual 4 MiB
_CHANNEL = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class GuardedJobServer(job_server.JobServer):
    """One of Beam's job servers, as a process under guard.

    Args:
      command: starts it.
      endpoint: where it will answer.
      folder: for its temporary files.
      verbose: pass its log on.
      wait_for_workers: called before a job is handed over.
    """

    def __init__(
        self,
        command: Sequence[object],
        endpoint: str,
        *,
        folder: str,
        verbose: bool,
        wait_for_workers: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._command = [str(part) for part in command]
        self._endpoint = endpoint
        self._verbose = verbose
        self._wait_for_workers = wait_for_workers
        self._process: GuardedProcess | None = None

    def start(self) -> beam_job_api_pb2_grpc.JobServiceStub:
        """Start the server and return a client of its job service, once the workers' pool answers too."""
        if self._process is None:
            self._process = GuardedProcess(self._command, self._folder, verbose=self._verbose)
        channel = self._process.wait_for(self._endpoint)
        self._wait_for_workers()
        return beam_job_api_pb2_grpc.JobServiceStub(channel)

    def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.stop()
            self._process = None


def _say_nothing(*_: object, **__: object) -> None:
    """Stand for `print` in Beam's worker, which in this process prints tracebacks past all logging."""


Serve = Callable[[Sequence[object], str], GuardedJobServer]
"""Makes a server of its command and endpoint."""


class _Guarded:
    """The part that Beam's runners share here: a server under guard.

    Args:
      program: path of the server.
      serve: makes the server.
    """

    def __init__(self, program: str, serve: Serve) -> None:
        super().__init__()
        self._program = program
        self._serve = serve
        self.server: GuardedJobServer | None = None


class GuardedPrismRunner(_Guarded, prism_runner.PrismRunner):
    """Beam's PrismRunner with its server under guard."""

    def default_job_server(self, options: PipelineOptions) -> job_server.JobServer:
        """Return the server that the job is handed to."""
        options.view_as(PrismRunnerOptions).prism_location = self._program
        servers = options.view_as(JobServerOptions)
        servers.job_port = servers.job_port or free_port()
        self.server = self._serve(*prism_runner.PrismJobServer(options).subprocess_cmd_and_endpoint())
        return self.server


def keep_tracebacks_in() -> None:
    """Stop Beam's worker from printing tracebacks past all logging: with Prism it is a thread of this process."""
    # a global of this name comes before the builtin, in that module alone
    vars(sdk_worker)["print"] = _say_nothing


class GuardedFlinkRunner(_Guarded, flink_runner.FlinkRunner):
    """Beam's FlinkRunner with its job server under guard."""

    def default_job_server(self, options: PipelineOptions) -> job_server.JobServer:
        """Return the server that the job is handed to; its temporary files go with it."""
        flink = options.view_as(FlinkRunnerOptions)
        if flink.flink_submit_uber_jar:
            return super().default_job_server(options)  # type: ignore[no-untyped-call]  # Beam's
        flink.flink_master = self.add_http_scheme(flink.flink_master)  # type: ignore[no-untyped-call]  # Beam's
        flink.flink_job_server_jar = self._program
        servers = options.view_as(JobServerOptions)
        servers.job_port = servers.job_port or free_port()
        servers.artifacts_dir = servers.artifacts_dir or os.path.join(FOLDER, "artifacts")
        servers.job_server_jvm_properties = [f"-Djava.io.tmpdir={FOLDER}", *(servers.job_server_jvm_properties or [])]
        self.server = self._serve(*flink_runner.FlinkJarJobServer(options).subprocess_cmd_and_endpoint())
        return self.server

    def cancel(self, master: str, name: str) -> None:
        """End a job on a real cluster, which would go on without us; a small one inside the server ends with it."""
        if master not in LOCAL_MASTERS:
            cancel_jobs(self.add_http_scheme(master), name)  # type: ignore[no-untyped-call]  # Beam's


def free_port() -> int:
    """Return a port of this machine that nobody listens on.

    A server needs seconds until it listens. Out of the range that the system gives to connections, none takes the port
    meanwhile; where there is no such port, the system chooses one.
    """
    for port in [*random.sample(_OUT_OF_RANGE, 100), 0]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return int(probe.getsockname()[1])
    raise ServerFailedError("no port of this machine is free: end other servers")
