import os
import socket
import time
from pathlib import Path

import pytest

from beam_curator.runners.engines.guard import ServerFailedError
from beam_curator.runners.engines.job_servers import GuardedProcess, free_port
from tests.engines.cluster import is_running
from tests.manifests import names_in, run_process, write_speech


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_free_port_is_none_that_a_connection_could_take() -> None:
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [free_port() for _ in range(20)]
    assert all(port < first for port in ports)
    assert len(set(ports)) > 15
    with socket.socket() as server:
        server.bind(("localhost", ports[0]))
        server.listen()
        assert ports[0] not in [free_port() for _ in range(20)]


def test_a_server_that_ends_at_once_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    command = [script(tmp_path / "server", "echo one; echo two >&2; exit 3")]
    server = GuardedProcess(command, str(tmp_path / "driver/server"))
    with pytest.raises(ServerFailedError, match=r"did not start at localhost:\d+; it said:\n  one\n  two$"):
        server.wait_for(f"localhost:{free_port()}")
    assert os.listdir(tmp_path / "driver") == []


def test_one_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_curator.runners.engines.job_servers._START_WITHIN", 1.0)
    server = GuardedProcess([script(tmp_path / "server", "echo $$; exec sleep 600")], str(tmp_path / "driver/server"))
    begin = time.monotonic()
    with pytest.raises(ServerFailedError):
        server.wait_for(f"localhost:{free_port()}")
    assert time.monotonic() - begin < 20
    assert not is_running(int(server.last_lines[0]))


def test_the_command_says_so_and_leaves_nothing_but_the_mark_of_its_run(tmp_path: Path) -> None:
    manifest = write_speech(tmp_path / "in" / "a.jsonl", 4)
    prism = script(tmp_path / "prism", "echo the port is closed to me; exit 1")
    flags = ["--runner", "prism", "--prism-location", prism, "--output", tmp_path / "out"]
    ended = run_process("windows", manifest, *flags)
    assert ended.returncode == 1
    assert "beam-curator: the job failed: " in ended.stderr
    assert "the port is closed to me" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert names_in(tmp_path / "out") == ["_RUN.json"]
