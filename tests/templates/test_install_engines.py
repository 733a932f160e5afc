import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "templates" / "install_engines"
POM = SCRIPT.parent / "flink" / "pom.xml"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Return a PATH that has what any machine has, and neither Go nor Java nor Maven."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "dirname", "cmp", "mkdir", "mktemp", "cp", "mv", "rm", "cat"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def install(tools: Path, cache: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": str(tools), "HOME": str(cache.parent), "BEAM_CURATOR_ENGINES": str(cache)}
    command = [str(tools / "bash"), str(SCRIPT), "2.77.0", *more]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_what_is_missing_is_said_all_at_once(tools: Path, tmp_path: Path) -> None:
    ended = install(tools, tmp_path / "engines")
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "engines: Prism needs go, which is not installed: apt-get install golang",
        "engines: Flink needs java, which is not installed: apt-get install openjdk-17-jdk-headless",
    ]
    assert not (tmp_path / "engines").exists()


def test_what_is_there_is_not_built_again(tools: Path, tmp_path: Path) -> None:
    cache = tmp_path / "engines"
    program(cache / "prism-2.77.0/prism", "")
    program(cache / "flink/flink-job-server.jar", "")
    shutil.copy(POM, cache / "flink/pom.xml")
    program(tools / "java", "")
    ended = install(tools, cache)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        f"engines: Prism 2.77.0 is in place: {cache}/prism-2.77.0/prism",
        f"engines: Flink's job server is in place: {cache}/flink/flink-job-server.jar",
    ]


def test_each_is_built_by_its_tool_and_another_pom_builds_the_job_server_again(tools: Path, tmp_path: Path) -> None:
    cache = tmp_path / "engines"
    program(tools / "go", 'echo "$@" > "$GOBIN/prism"')
    program(tools / "java", "")
    program(tools / "mvn", "mkdir target && echo jar > target/flink-job-server.jar")
    assert install(tools, cache).returncode == 0
    package = "github.com/apache/beam/sdks/v2/go/cmd/prism"
    assert (cache / "prism-2.77.0/prism").read_text() == f"install {package}@v2.77.0\n"
    assert (cache / "flink/flink-job-server.jar").read_text() == "jar\n"
    (cache / "flink/pom.xml").write_text("<project/>")
    program(tools / "mvn", "mkdir target && echo newer > target/flink-job-server.jar")
    assert install(tools, cache).returncode == 0
    assert (cache / "flink/flink-job-server.jar").read_text() == "newer\n"
    assert sorted(os.listdir(cache / "flink")) == ["flink-job-server.jar", "pom.xml"]


def test_a_broker_of_kafka_is_installed_where_it_is_asked_for(tools: Path, tmp_path: Path) -> None:
    cache = tmp_path / "engines"
    program(cache / "prism-2.77.0/prism", "")
    program(cache / "flink/flink-job-server.jar", "")
    shutil.copy(POM, cache / "flink/pom.xml")
    program(tools / "java", "")
    program(tools / "mvn", "mkdir jars && echo jar > jars/kafka_2.13-4.0.0.jar")
    assert install(tools, cache).returncode == 0
    assert not (cache / "kafka").exists()
    assert install(tools, cache, "kafka").returncode == 0
    assert os.listdir(cache / "kafka") == ["kafka_2.13-4.0.0.jar"]
    assert install(tools, cache, "kafka").stdout.endswith(f"the broker of Kafka is in place: {cache}/kafka\n")
