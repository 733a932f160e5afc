from pathlib import Path

import pytest

from beam_curator.runners.engines.binaries import engine_cache, job_server_in_cache, prism_in_cache
from beam_curator.runners.engines.opening import FoundEngine, find_engine, job_name
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import resolve_engine


def find(runner: str, *beam_arguments: str) -> FoundEngine:
    return find_engine(resolve_engine(RunOptions(runner=runner), beam_arguments))


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let there be no engine in PATH or cache; return the cache."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("BEAM_CURATOR_ENGINES", str(tmp_path / "engines"))
    return tmp_path / "engines"


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_cache_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_CURATOR_ENGINES", "/engines")
    assert engine_cache() == "/engines"
    monkeypatch.delenv("BEAM_CURATOR_ENGINES")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert engine_cache() == "/cache/beam_curator/engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert engine_cache() == f"{tmp_path}/.cache/beam_curator/engines"


class TestPrism:
    def test_that_is_not_there_is_an_error_with_the_one_command_that_installs_it(self, nothing_installed: Path) -> None:
        with pytest.raises(UsageError) as caught:
            find("prism")
        said, command = str(caught.value).split("\n  ")
        assert said.startswith("Prism is not installed: neither in PATH nor ")
        assert command == (
            f"GOBIN={nothing_installed}/prism-2.77.0 go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"
        )

    def test_that_was_named_wrongly_is_one_too(self, nothing_installed: Path) -> None:
        with pytest.raises(UsageError, match="--prism_location /nowhere: there is no such file"):
            find("prism", "--prism_location=/nowhere")

    def test_is_taken_from_where_it_is_named_then_path_then_cache(
        self, nothing_installed: Path, tmp_path: Path
    ) -> None:
        cached = program(Path(prism_in_cache()))
        assert find("prism").program == str(cached)
        in_path = program(tmp_path / "bin" / "prism")
        assert find("prism").program == str(in_path)
        named = program(tmp_path / "mine")
        assert find("prism", f"--prism_location={named}").program == str(named)

    def test_works_on_this_machine_unless_told_otherwise(self, nothing_installed: Path) -> None:
        program(Path(prism_in_cache()))
        assert find("prism").workers_here
        assert not find("prism", "--environment_type=EXTERNAL", "--environment_config=localhost:1").workers_here


class TestFlink:
    @pytest.fixture(autouse=True)
    def java(self, nothing_installed: Path, tmp_path: Path) -> None:
        program(tmp_path / "bin" / "java")

    def test_needs_java(self, tmp_path: Path) -> None:
        (tmp_path / "bin" / "java").unlink()
        with pytest.raises(UsageError, match="Flink needs Java, and there is no 'java' in PATH: install Java 17"):
            find("flink")

    def test_takes_the_job_server_that_is_named_or_that_of_the_cache(self, tmp_path: Path) -> None:
        cached = program(Path(job_server_in_cache()))
        assert find("flink").program == str(cached)
        named = program(tmp_path / "mine.jar")
        assert find("flink", f"--flink_job_server_jar={named}").program == str(named)
        with pytest.raises(UsageError, match=r"--flink_job_server_jar /nowhere\.jar: there is no such file"):
            find("flink", "--flink_job_server_jar=/nowhere.jar")

    def test_takes_the_one_that_beam_has_downloaded(self, tmp_path: Path) -> None:
        name = "beam-runners-flink-1.19-job-server-2.77.0.jar"
        kept = program(tmp_path / "jars" / name)
        assert find("flink", "--flink_version=1.19", f"--jar_cache_dir={tmp_path}/jars").program == str(kept)

    def test_without_a_network_says_the_cure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def no_network(*_: object) -> None:
            raise RuntimeError("Unable to fetch remote job server jar. Also failed elsewhere")

        monkeypatch.setattr("apache_beam.utils.subprocess_server.JavaJarServer.local_jar", no_network)
        with pytest.raises(UsageError, match=r"could not be downloaded \(Unable to fetch .*\): run 'make engines'"):
            find("flink", f"--jar_cache_dir={tmp_path}/jars")
        assert ": Beam downloads https://" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("flags", "own_pool", "here"),
        [
            ([], True, True),
            (["--flink_master=[auto]"], True, True),
            (["--flink_master=localhost:8081"], True, True),
            (["--flink_master=http://127.0.0.1:8081"], True, True),
            (["--environment_type=LOOPBACK"], False, True),
            (["--flink_master=flink.example:8081", "--environment_config=localhost:50000"], False, False),
            (["--flink_master=flink.example:8081", "--environment_type=DOCKER"], False, False),
        ],
    )
    def test_starts_its_own_workers_where_they_can_be_reached(
        self, flags: list[str], own_pool: bool, here: bool
    ) -> None:
        program(Path(job_server_in_cache()))
        found = find("flink", *flags)
        assert (found.own_pool, found.workers_here) == (own_pool, here)

    def test_on_another_machine_needs_a_pool(self) -> None:
        with pytest.raises(
            UsageError, match=r"flink\.example:8081 is another machine: start 'beam-curator worker-pool"
        ):
            find("flink", "--flink_master=flink.example:8081")


def test_the_direct_runner_needs_nothing() -> None:
    found = find("direct")
    assert (found.program, found.workers_here, found.own_pool) == (None, True, False)


def test_a_job_is_named_after_its_run() -> None:
    assert job_name("0123456789abcdef") == "beam-curator-0123456789ab"
