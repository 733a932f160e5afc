"""The same input and the same options give the same set, byte for byte, on every engine."""

from pathlib import Path

import pytest

from beam_curator.runners import cli
from tests.engines.cluster import FlinkCluster
from tests.engines.jobs import EngineJobs, check_names, on_flink
from tests.manifests import write_mixed

pytestmark = pytest.mark.slow

OPTIONS = {
    "row": [],
    "row, shards": ["--shards", "4"],
    "audio file": ["--overlap-scope", "audio_file"],
    "audio file, shards": ["--overlap-scope", "audio_file", "--shards", "4"],
}
FLAGS = {"direct": ["--runner", "direct"], "direct with two workers": ["--jobs", "2"], "prism": ["--runner", "prism"]}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed(tmp_path_factory.mktemp("in") / "mixed.jsonl")


@pytest.fixture(scope="module")
def expected(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the manifests that the direct runner gives, in this process."""
    written = {}
    for name, options in OPTIONS.items():
        output = tmp_path_factory.mktemp("expected") / "out"
        arguments = ["windows", str(manifest), "--output", str(output), "--tolerate", "100%", *options]
        with pytest.MonkeyPatch.context() as patch:
            from beam_curator.transforms.manifests import ReadManifests

            defaults = ReadManifests.__init__.__kwdefaults__
            assert defaults is not None
            patch.setitem(defaults, "block_bytes", 2000)
            assert cli.run(arguments) == 0
        written[name] = (output / "_MANIFEST.json").read_bytes()
    return written


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("engine", [*FLAGS, "flink"])
def test_the_manifest_is_the_same(
    engine: str,
    options: str,
    manifest: Path,
    expected: dict[str, bytes],
    jobs: EngineJobs,
    request: pytest.FixtureRequest,
) -> None:
    cluster: FlinkCluster | None = request.getfixturevalue("flink") if engine == "flink" else None
    flags = on_flink(cluster) if cluster is not None else FLAGS[engine]
    before = cluster.jobs() if cluster is not None else {}
    written = jobs.manifest_of(manifest, "out", *flags, *OPTIONS[options], block_bytes=2000)
    assert written == expected[options]
    check_names(jobs.folder / "out", written)
    if cluster is not None:
        assert [state for job, state in cluster.jobs().items() if job not in before] == ["FINISHED"]


def test_the_small_cluster_inside_the_job_server(manifest: Path, expected: dict[str, bytes], jobs: EngineJobs) -> None:
    flags = ["--runner", "flink", "--flink-master", "[local]", "--jobs", "2"]
    assert jobs.manifest_of(manifest, "out", *flags, block_bytes=2000) == expected["row"]
