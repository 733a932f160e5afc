import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_curator.files import pubsub_messages
from beam_curator.runners.engines.binaries import job_server_in_cache, prism_in_cache
from tests.engines.cluster import FlinkCluster
from tests.engines.jobs import EngineJobs
from tests.engines.live_streams import SUBSCRIPTION, TOPIC, Calls, long_calls_in
from tests.engines.pubsub_emulator import emulator_jar, running_emulator

REQUIRED = os.environ.get("BEAM_CURATOR_REQUIRE_ENGINES") == "1"


@pytest.fixture(scope="session", autouse=True)
def engines_installed() -> None:
    """Skip where an engine is missing; fail where the environment says that none may be."""
    wanted = {"Prism": prism_in_cache(), "Flink's job server": job_server_in_cache()}
    missing = [f"{name} ({path})" for name, path in wanted.items() if not os.path.isfile(path)]
    if missing and REQUIRED:
        pytest.fail(f"BEAM_CURATOR_REQUIRE_ENGINES=1, but missing: {', '.join(missing)}: run 'make engines'")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}: run 'make engines'")


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """Start a cluster of one JobManager and two TaskManagers, and end each by its process id."""
    cluster = FlinkCluster(job_server_in_cache(), tmp_path_factory.mktemp("flink"))
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[bytes]]:
    """Run the emulator of Pub/Sub with a topic and a subscription of it; return its process."""
    jar = emulator_jar()
    assert jar is not None
    with running_emulator(jar) as (address, process), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", address)
        pubsub_messages._publisher().create_topic(name=TOPIC)
        pubsub_messages._subscriber().create_subscription(name=SUBSCRIPTION, topic=TOPIC, ack_deadline_seconds=10)
        yield process
        for cached in (
            pubsub_messages._publisher,
            pubsub_messages._subscriber,
            pubsub_messages._pulled_from,
            pubsub_messages.leases,
        ):
            cached.cache_clear()


@pytest.fixture(scope="session")
def long_calls(tmp_path_factory: pytest.TempPathFactory) -> Calls:
    """Return two dozen streams of five minutes."""
    return long_calls_in(tmp_path_factory.mktemp("long"))


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[EngineJobs]:
    """Run jobs whose temporary files lie in a folder of their own; nothing of it may be left, and no process."""
    work = EngineJobs(tmp_path)
    try:
        yield work
        work.check_nothing_is_left()
    finally:
        for process in work.running:
            process.kill()
            process.wait()
