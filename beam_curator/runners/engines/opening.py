"""From an engine's name and options to a runner that is ready to take a job."""

import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
)

from beam_curator.runners.engines.flink_rest import job_name
from beam_curator.runners.engines.local_workers import direct_runner
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import LOCAL_MASTERS, Engine

POOL_COMMAND = ("-m", "beam_curator.runners.cli", "worker-pool")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEngine:
    """An engine whose programs are there; nothing runs yet.

    Attributes:
      engine: as resolved.
      options: Beam's form of its options.
      program: path of its server, where it has one; empty where one runs already (--job_endpoint).
      workers_here: whether the workers share this machine's disk.
      own_pool: whether the job starts the worker pool itself.
    """

    engine: Engine
    options: PipelineOptions
    program: str | None = None
    workers_here: bool = False
    own_pool: bool = False

    @contextlib.contextmanager
    def opened(
        self, scratch: str, *, jobs: int, verbose: bool, run: str = "", earlier: str | None = None
    ) -> Iterator[Any]:
        """Start the processes that the engine needs and give the runner; they end with the body.

        Args:
          scratch: a local directory that the workers of this machine share.
          jobs: worker processes of the direct runner.
          verbose: pass the logs of the engine's servers on.
          run: token of the run; the job is named after it.
          earlier: token of the run that this one replaces; its job is cancelled if it is still running.
        """
        names = self.options.view_as(GoogleCloudOptions)
        names.job_name = names.job_name or job_name(run)
        if self.engine.name == "direct":
            yield direct_runner(jobs, scratch)
        elif self.program is None:
            with temporary_folder():
                yield self.engine.beam_class
        else:
            with temporary_folder() as folder, contextlib.ExitStack() as stack:
                pool = stack.enter_context(_pool(self.options, folder, verbose)) if self.own_pool else _nothing
                runner = stack.enter_context(_server_runner(self, self.program, folder, verbose, pool))
                if earlier is not None:
                    # a job on a cluster survives its driver, and would write into the same set
                    _cancel(self, runner, job_name(earlier))
                try:
                    yield runner
                except BaseException:
                    _cancel(self, runner, names.job_name)
                    raise


def _cancel(found: FoundEngine, runner: Any, name: str) -> None:
    if found.engine.name == "flink":
        runner.cancel(found.options.view_as(FlinkRunnerOptions).flink_master, name)


@contextlib.contextmanager
def temporary_folder() -> Iterator[str]:
    """Keep Beam's temporary files in a folder of our own, and remove it at the end."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="beam_curator-", ignore_cleanup_errors=True) as folder:
        # Beam asks tempfile for its folders and takes no option for them
        tempfile.tempdir = folder
        try:
            yield folder
        finally:
            tempfile.tempdir = before


@contextlib.contextmanager
def _server_runner(
    found: FoundEngine, program: str, folder: str, verbose: bool, wait_for_workers: Callable[[], None]
) -> Iterator[Any]:
    """Give a runner that hands jobs to a server of its own, and end that server."""
    from beam_curator.runners.engines import job_servers

    serve = functools.partial(
        job_servers.GuardedJobServer,
        folder=os.path.join(folder, "server"),
        verbose=verbose,
        wait_for_workers=wait_for_workers,
    )
    is_flink = found.engine.name == "flink"
    if not is_flink and not verbose:
        job_servers.keep_tracebacks_in()
    kind = job_servers.GuardedFlinkRunner if is_flink else job_servers.GuardedPrismRunner
    runner = kind(program, serve)
    try:
        yield runner
    finally:
        if runner.server is not None:
            runner.server.stop()


def _nothing() -> None:
    """Stand for a wait that is not needed."""


@contextlib.contextmanager
def _pool(options: PipelineOptions, folder: str, verbose: bool) -> Iterator[Callable[[], None]]:
    """Start a worker pool on this machine and point the job at it; give a function that waits until it answers."""
    from beam_curator.runners.engines.job_servers import GuardedProcess, free_port

    port = free_port()
    command = [sys.executable, *POOL_COMMAND, "--port", str(port)]
    pool = GuardedProcess(command, os.path.join(folder, "pool"), verbose=verbose)
    try:
        options.view_as(PortableOptions).environment_config = f"localhost:{port}"
        # waited for later, so that the pool and the job server start at the same time
        yield lambda: pool.wait_for(f"localhost:{port}").close()
    finally:
        pool.stop()


def find_engine(engine: Engine) -> FoundEngine:
    """Find the programs that an engine needs, before anything is written or started.

    Raises:
      UsageError: something is missing, or its options cannot work; the message says how to cure it.
    """
    options = PipelineOptions(engine.arguments())
    if engine.name == "prism":
        return _find_prism(engine, options)
    if engine.name == "flink":
        return _find_flink(engine, options)
    return FoundEngine(engine=engine, options=options, workers_here=engine.name == "direct")


def _find_prism(engine: Engine, options: PipelineOptions) -> FoundEngine:
    from beam_curator.runners.engines.binaries import prism_binary

    given = options.view_as(PrismRunnerOptions).prism_location
    program = "" if engine.value("job_endpoint") else prism_binary(given)
    here = engine.value("environment_type") == "LOOPBACK"
    return FoundEngine(engine=engine, options=options, program=program, workers_here=here)


def _find_flink(engine: Engine, options: PipelineOptions) -> FoundEngine:
    from beam_curator.runners.engines.binaries import flink_job_server

    master = options.view_as(FlinkRunnerOptions).flink_master
    needs_pool = engine.value("environment_type") == "EXTERNAL" and engine.value("environment_config") is None
    here = master in LOCAL_MASTERS or _is_this_machine(master)
    if needs_pool and not here:
        raise UsageError(
            f"--flink-master {master} is another machine: start 'beam-curator worker-pool --port 50000' beside each of "
            "its task managers and add --environment_config=localhost:50000, or give another --environment_type"
        )
    return FoundEngine(
        engine=engine,
        options=options,
        program="" if engine.value("job_endpoint") else flink_job_server(options),
        workers_here=here and (needs_pool or engine.value("environment_type") == "LOOPBACK"),
        own_pool=needs_pool,
    )


def _is_this_machine(master: str) -> bool:
    host = master.rpartition("://")[2].rpartition(":")[0]
    return host in ("localhost", "127.0.0.1", "[::1]")
