"""What a worker needs is in the sdist: a pool of workers from a bare environment works for a launcher elsewhere."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.runners.portability.stager import Stager

from beam_curator.runners.engines.job_servers import free_port
from tests.engines.cluster import FlinkCluster
from tests.engines.jobs import EngineJobs, check_names, expected_manifest, on_flink
from tests.manifests import write_mixed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment that holds nothing but our sdist, as Beam's stager builds it, and what that asks for."""
    folder = tmp_path_factory.mktemp("bare")
    sdist = Stager._build_setup_package(str(ROOT / "setup.py"), str(folder))
    venv.create(folder / "venv")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "venv"), "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, "--constraint", str(ROOT / "requirements.lock"), sdist], check=True, cwd=folder)
    return folder


@pytest.fixture
def pool(bare: Path, tmp_path: Path) -> Iterator[int]:
    """Serve workers from the bare environment; give the port. It knows neither our checkout nor our environment."""
    port = free_port()
    command = [str(bare / "venv/bin/beam-curator"), "worker-pool", "--port", str(port)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=bare, env=clean) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("worker pool at localhost:")
        yield port
        process.terminate()
        said = process.stdout.read()
    assert "is process" in said, "no worker was asked for"


@pytest.mark.parametrize("runner", ["prism", "flink"])
def test_a_job_whose_workers_live_elsewhere(
    runner: str, pool: int, tmp_path: Path, jobs: EngineJobs, request: pytest.FixtureRequest
) -> None:
    manifest = write_mixed(tmp_path / "in" / "mixed.jsonl")
    expected = expected_manifest(manifest, tmp_path / "expected", block_bytes=2000)
    cluster: FlinkCluster | None = request.getfixturevalue("flink") if runner == "flink" else None
    flags = on_flink(cluster) if cluster is not None else ["--runner", "prism"]
    external = ["--environment_type=EXTERNAL", f"--environment_config=localhost:{pool}"]
    assert jobs.manifest_of(manifest, "out", *flags, *external, block_bytes=2000) == expected
    check_names(jobs.folder / "out", expected)


def test_the_sdist_holds_the_package_and_nothing_else(bare: Path) -> None:
    (sdist,) = bare.glob("*.tar.gz")
    names = subprocess.run(["tar", "tzf", sdist], capture_output=True, text=True, check=True).stdout.splitlines()
    inside = {name.partition("/")[2] for name in names}
    assert {"beam_curator/providers.yaml", "beam_curator/py.typed", "beam_curator/runners/engines/guard.py"} <= inside
    demo = {str(path.relative_to(ROOT)) for path in (ROOT / "beam_curator" / "models" / "demo").iterdir()}
    assert demo <= inside
    assert not [name for name in inside if name.startswith(("tests", "templates", "transforms", "runners"))]
