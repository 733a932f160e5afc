"""Live streams from Pub/Sub's emulator on a Flink cluster: whoever is killed, sessions end as if nobody was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from beam_curator.files.chunk_folders import put_chunk
from beam_curator.files.flink_checkpoints import latest_checkpoint
from tests.engines.cluster import FlinkCluster, wait_until
from tests.engines.jobs import EngineJobs, on_flink
from tests.engines.live_streams import SPEECH, SUBSCRIPTION, Calls, calls_of, check_output, left_in_subscription
from tests.engines.pubsub_emulator import NO_EMULATOR, emulator_jar
from tests.fakes_models import write_band_model, write_sound
from tests.faults.jobs import COMMAND
from tests.manifests import run

pytestmark = pytest.mark.skipif(emulator_jar() is None, reason=NO_EMULATOR)


def events_in(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a job, each once; how much was waiting differs from run to run."""
    lines = [json.loads(line) for path in (folder / "events").iterdir() for line in path.read_bytes().splitlines()]
    known = {event["event_id"]: {**event, "waiting": 0} for event in reversed(lines)}
    return sorted(known.values(), key=lambda event: (event["recording_id"], event["event_seq"]))


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Calls:
    folder = tmp_path_factory.mktemp("calls")
    files = [write_sound(folder / "talks" / f"call-{number}.wav", 12.0, SPEECH) for number in range(4)]
    model = ("--model-path", str(write_band_model(folder / "model")), "--latency", "low")
    return calls_of(files, folder, model, ("--gap-timeout", "6", "--shards", "4", "--streams-per-shard", "4"))


def place_of(folder: Path) -> str:
    return f"file://{folder}/checkpoints"


def check_a_job(flink: FlinkCluster, calls: Calls, folder: Path, until_idle: int) -> None:
    """Run a job that nobody disturbs, until its publisher has been silent for so many seconds."""
    engine = [*on_flink(flink), f"--state_backend_storage_path={place_of(folder)}"]
    source = ("--subscription", SUBSCRIPTION, "--output", folder / "live")
    assert run("stream", *source, *calls.options, "--until-idle", str(until_idle), *engine) == 3
    check_output(folder / "live", calls)
    assert (folder / "live" / "failures.jsonl").read_bytes().count(b"\n") == 1
    # the job is no more, and nor are its checkpoints
    assert not (folder / "live" / ".run.json").exists()
    assert list((folder / "checkpoints").iterdir()) == []
    assert left_in_subscription() == []


def test_streams_of_a_subscription(
    server: subprocess.Popen[bytes], flink: FlinkCluster, calls: Calls, tmp_path: Path
) -> None:
    calls.publish()
    check_a_job(flink, calls, tmp_path, until_idle=4)


@pytest.mark.slow
def test_two_dozen_streams_of_five_minutes(
    server: subprocess.Popen[bytes], flink: FlinkCluster, long_calls: Calls, tmp_path: Path
) -> None:
    publisher = threading.Thread(target=long_calls.publish, args=(60.0,))
    publisher.start()
    # on a busy machine a publisher falls behind
    check_a_job(flink, long_calls, tmp_path, until_idle=30)
    publisher.join()


@pytest.fixture(scope="module")
def expected(calls: Calls, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the events of a job that nobody disturbed."""
    folder = tmp_path_factory.mktemp("expected")
    for chunk in calls.chunks:
        put_chunk(str(folder), chunk)
    assert run("stream", folder, "--output", folder / "live", *calls.options, "--until-idle", "3") == 0
    return events_in(folder / "live")


class LiveJob:
    """A live job as a process of its own, with everybody that it starts.

    Args:
      jobs: knows the processes and looks at what is left.
      flags: of the command.
      published: sends messages meanwhile.
    """

    def __init__(self, jobs: EngineJobs, flags: Sequence[object], published: threading.Thread) -> None:
        self._jobs, self.folder, self._published = jobs, jobs.folder, published
        self.output = jobs.folder / "live"
        source = ("--subscription", SUBSCRIPTION, "--output", self.output, "--until-idle", "15")
        place = f"--state_backend_storage_path={place_of(jobs.folder)}"
        self._command = [COMMAND, "stream", *map(str, (*source, *flags, place))]

    def start(self, *flags: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "TMPDIR": str(self._jobs.temp)}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen([*self._command, *flags], env=environment, **pipes)
        self._jobs.running.append(process)
        return process

    def start_and_wait_for_turns(self) -> subprocess.Popen[str]:
        """Start the job, send messages, and wait until it has told some turns and kept its state."""
        process = self.start()
        self._published.start()
        wait_until(lambda: self._has_turns() or process.poll() is not None, 120, f"turns in {self.output}")
        assert process.poll() is None, process.communicate()[0]
        return process

    def _has_turns(self) -> bool:
        events = b"".join(path.read_bytes() for path in (self.output / "events").glob("*"))
        (token,) = [path.name for path in (self.folder / "checkpoints").glob("*")] or [""]
        return events.count(b"turn_ended") >= 3 and latest_checkpoint(f"{place_of(self.folder)}/{token}") is not None

    def finish(self, process: subprocess.Popen[str]) -> str:
        text, _ = process.communicate(timeout=300)
        self._published.join()
        assert process.returncode == 3, text
        return text

    def worker(self) -> int:
        """Return the process id of a worker."""
        workers = [line for line in self._jobs.processes() if "engines.worker import" in line]
        return int(workers[0].split()[0])


@pytest.fixture
def live(server: subprocess.Popen[bytes], flink: FlinkCluster, calls: Calls, jobs: EngineJobs) -> Iterator[LiveJob]:
    published = threading.Thread(target=calls.publish, args=(15.0,))
    yield LiveJob(jobs, [*calls.options, *on_flink(flink, own_server=True, worker_dies=True)], published)
    assert left_in_subscription() == []


def kill_a_task_manager(flink: FlinkCluster, live: LiveJob) -> None:
    del live
    flink.kill_task_manager(next(iter(flink.task_managers)))
    flink.start_task_manager()


def kill_a_worker(flink: FlinkCluster, live: LiveJob) -> None:
    del flink
    os.kill(live.worker(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [kill_a_task_manager, kill_a_worker])
def test_somebody_is_killed(
    kill: Callable[[FlinkCluster, LiveJob], None],
    flink: FlinkCluster,
    live: LiveJob,
    calls: Calls,
    expected: list[dict[str, Any]],
) -> None:
    before = set(flink.jobs())
    process = live.start_and_wait_for_turns()
    (job,) = set(flink.jobs()) - before
    kill(flink, live)
    live.finish(process)
    assert flink.n_restarts(job) >= 1
    check_output(live.output, calls)
    assert events_in(live.output) == expected


@pytest.mark.slow
def test_the_driver_is_killed_and_the_command_given_again(
    live: LiveJob, calls: Calls, expected: list[dict[str, Any]]
) -> None:
    process = live.start_and_wait_for_turns()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert "live holds an unfinished job: going on from file:///" in live.finish(live.start())
    check_output(live.output, calls)
    assert events_in(live.output) == expected


@pytest.mark.slow
def test_a_job_is_stopped_with_a_savepoint_and_started_again(
    flink: FlinkCluster, live: LiveJob, calls: Calls, expected: list[dict[str, Any]]
) -> None:
    before = set(flink.jobs())
    process = live.start_and_wait_for_turns()
    (job,) = set(flink.jobs()) - before
    place = stopped_with_savepoint(flink, job, live.folder / "savepoints")
    text, _ = process.communicate(timeout=60)
    assert "the job was stopped on its cluster; the same command goes on with it" in text
    assert f"going on from {place}" in live.finish(live.start(f"--savepoint_path={place}"))
    check_output(live.output, calls)
    assert events_in(live.output) == expected


def stopped_with_savepoint(flink: FlinkCluster, job: str, folder: Path) -> str:
    """Stop a job with a savepoint; return where that is."""
    asked = json.dumps({"cancel-job": True, "target-directory": f"file://{folder}"}).encode()
    address = f"http://{flink.address}/jobs/{job}/savepoints"
    request = urllib.request.Request(address, asked, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        trigger = json.load(answer)["request-id"]
    look = f"/jobs/{job}/savepoints/{trigger}"
    wait_until(lambda: flink.get(look)["status"]["id"] == "COMPLETED", 60, "a savepoint")
    operation = flink.get(look)["operation"]
    assert "location" in operation, operation
    return str(operation["location"])
