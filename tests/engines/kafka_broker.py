"""A broker of Kafka on free ports, out of jars in the cache of engines."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from beam_curator.runners.engines.binaries import engine_cache

_ID = "MkU3OEVBNTcwNTJENDM2Qk"


def why_no_broker() -> str:
    """Return why no broker can run here; "" where one can."""
    if find_spec("confluent_kafka") is None:
        return "needs beam-curator[kafka]"
    has_jars = shutil.which("java") is not None and any(_jars().glob("kafka_*.jar"))
    return "" if has_jars else f"needs a broker: templates/install_engines BEAM_VERSION kafka puts it into {_jars()}"


def _jars() -> Path:
    return Path(engine_cache(), "kafka")


@contextmanager
def running_broker(folder: Path) -> Iterator[str]:
    """Start a broker that keeps its files in a folder; yield its address."""
    port, controller = _free_port(), _free_port()
    properties = folder / "server.properties"
    properties.write_text(
        f"""process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder / "logs"}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
num.partitions=2
"""
    )
    java = ["java", "-Xmx256m", "-cp", f"{_jars()}/*"]
    store = ["kafka.tools.StorageTool", "format", "-t", _ID, "-c", str(properties), "--standalone"]
    subprocess.run([*java, *store], check=True, capture_output=True)
    server = subprocess.Popen(
        [*java, "kafka.Kafka", str(properties)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(port, server)
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert server.poll() is None, "the broker ended"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"the broker does not listen on port {port}")
