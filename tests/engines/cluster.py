"""A Flink cluster of separate processes on loopback: a JobManager, TaskManagers that come and go, and a job server."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beam_curator.runners.engines.job_servers import free_port

OPENED = ("lang", "util", "nio", "time", "net", "lang.reflect", "util.concurrent", "text")
"""Packages of java.base that Flink 1.19 reaches into."""

MEMORY = {
    "taskmanager.cpu.cores": "1",
    "taskmanager.memory.task.heap.size": "384mb",
    "taskmanager.memory.managed.size": "192mb",
    "taskmanager.memory.network.min": "128mb",
    "taskmanager.memory.network.max": "128mb",
    "taskmanager.memory.task.off-heap.size": "64mb",
    "taskmanager.memory.framework.heap.size": "128mb",
    "taskmanager.memory.framework.off-heap.size": "128mb",
    "taskmanager.memory.jvm-metaspace.size": "256mb",
    "taskmanager.memory.jvm-overhead.min": "192mb",
    "taskmanager.memory.jvm-overhead.max": "192mb",
}
"""What Flink's shell scripts would work out: a TaskManager that is started without them needs all of it."""

QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For processes that live for minutes and share two cores."""


class FlinkCluster:
    """A cluster that is started from the job server's jar, which holds Flink.

    Args:
      jar: the job server.
      folder: for configuration, logs and temporary files.
      n_task_managers: how many to begin with, of one slot each.
    """

    def __init__(self, jar: str, folder: Path, n_task_managers: int = 2) -> None:
        self._jar = jar
        self.folder = folder
        self._started = 0
        self.task_managers: dict[str, subprocess.Popen[bytes]] = {}
        self.port, rpc_port = free_port(), free_port()
        self.address = f"localhost:{self.port}"
        self._configure(rpc_port)
        self._servers = [
            self._java(
                "jobmanager",
                "-Xmx400m",
                "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
                *("--configDir", str(self.folder / "conf"), "--executionMode", "cluster"),
            )
        ]
        self.job_endpoint = self._start_job_server()
        # a TaskManager that does not find the JobManager looks again after 10 s
        wait_until(lambda: self.get("/overview") is not None, 60, f"an answer at {self.address}")
        for _ in range(n_task_managers):
            self.start_task_manager()
        wait_until(lambda: self.n_slots() == n_task_managers, 60, f"{n_task_managers} slots at {self.address}")

    def _configure(self, rpc_port: int) -> None:
        (self.folder / "conf").mkdir(parents=True)
        (self.folder / "tmp").mkdir()
        settings = {
            "rest.address": "localhost",
            "rest.bind-address": "localhost",
            "rest.port": self.port,
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": rpc_port,
            "jobmanager.bind-host": "localhost",
            "taskmanager.host": "localhost",
            "taskmanager.bind-host": "localhost",
            "taskmanager.numberOfTaskSlots": 1,
            "io.tmp.dirs": self.folder / "tmp",
            "classloader.resolve-order": "parent-first",  # Beam is here already, and stays loaded from job to job
            "heartbeat.interval": 3000,  # a beat each second takes as long as all the jobs
            "heartbeat.timeout": 9000,
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 20,
            "restart-strategy.fixed-delay.delay": "1s",
        }
        text = "".join(f"{name}: {value}\n" for name, value in settings.items())
        (self.folder / "conf/flink-conf.yaml").write_text(text)

    def _java(self, log: str, heap: str, entry: str, *arguments: str) -> subprocess.Popen[bytes]:
        opens = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPENED]
        command = ["java", *opens, *QUICK, heap, f"-Djava.io.tmpdir={self.folder}/tmp", "-cp", self._jar, entry]
        with (self.folder / f"{log}.log").open("wb") as stream:
            return subprocess.Popen(
                [*command, *arguments], stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _start_job_server(self) -> str:
        """Start a job server that serves all jobs which do not start one of their own; return where it answers."""
        ports = {name: free_port() for name in ("job", "artifact", "expansion")}
        flags = [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
        place = ["--flink-master", self.address, "--artifacts-dir", str(self.folder / "artifacts")]
        entry = "org.apache.beam.runners.flink.FlinkJobServerDriver"
        self._servers.append(self._java("jobserver", "-Xmx600m", entry, *flags, *place))
        return f"localhost:{ports['job']}"

    def start_task_manager(self) -> str:
        """Start one more; return its name."""
        self._started += 1
        name = f"taskmanager-{self._started}"
        memory = [part for key, value in MEMORY.items() for part in ("-D", f"{key}={value}")]
        self.task_managers[name] = self._java(
            name,
            "-Xmx512m",
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            *("--configDir", str(self.folder / "conf")),
            *memory,
            "-D",
            f"taskmanager.resource-id={name}",
        )
        return name

    def kill_task_manager(self, name: str) -> None:
        """End one with SIGKILL."""
        process = self.task_managers.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def get(self, path: str) -> Any:
        """Ask Flink's REST interface; None where it does not answer (yet)."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def n_slots(self) -> int:
        overview = self.get("/overview")
        return int(overview["slots-total"]) if overview else 0

    def jobs(self) -> dict[str, str]:
        """Return the state of each job by its id."""
        overview = self.get("/jobs/overview") or {"jobs": []}
        return {job["jid"]: job["state"] for job in overview["jobs"]}

    def n_restarts(self, job: str) -> int:
        """Return how often a job's most unlucky task was started again, as Flink counts its attempts."""
        vertices = self.get(f"/jobs/{job}")["vertices"]
        tasks = [task for vertex in vertices for task in self.get(f"/jobs/{job}/vertices/{vertex['id']}")["subtasks"]]
        return max(int(task["attempt"]) for task in tasks)

    def failures(self, job: str) -> list[str]:
        """Return what Flink says it recovered a job from."""
        history = self.get(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]
        return [entry["exceptionName"] for entry in history]

    def stop(self) -> None:
        """End all processes by their ids."""
        for process in [*self.task_managers.values(), *self._servers]:
            process.kill()
            process.wait()


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Look until something holds.

    Raises:
      TimeoutError: it does not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Tell whether a process works on: one that ended may stay as an entry until its parent looks."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state not in "ZX"
