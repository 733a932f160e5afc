"""Google's emulator of Pub/Sub, where the machine has it: a server in Java, on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_EMULATOR = "needs apt install google-cloud-cli-pubsub-emulator"


def emulator_jar() -> Path | None:
    """Return the emulator, as the package google-cloud-cli-pubsub-emulator installs it; None where it is missing."""
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    folder = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator" / "lib"
    return next(iter(sorted(folder.glob("cloud-pubsub-emulator-*-all.jar"))), None)


@contextmanager
def running_emulator(jar: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the emulator; yield its address and its process, which is ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # it keeps all messages in memory: two hours of sound are 240 MB
    command = ["java", "-Xmx1g", "-jar", str(jar), "--host=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port, process)
        yield f"127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, "the emulator ended"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"the emulator does not listen on port {port} (pid {process.pid}, {os.cpu_count()} cores)")
