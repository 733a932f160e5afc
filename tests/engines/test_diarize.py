"""A folder of recordings gives the same turns, RTTM and dead letters, byte for byte, on every engine."""

import json
from collections import Counter
from pathlib import Path

import pytest

from beam_curator.runners import cli
from tests.engines.cluster import FlinkCluster
from tests.engines.jobs import EngineJobs, check_names, on_flink
from tests.engines.recordings import write_talks
from tests.sortformers import Model

pytestmark = pytest.mark.slow

FLAGS = {"direct with two workers": ["--jobs", "2"], "prism": ["--runner", "prism"]}
OPTIONS = {"plain": [], "shards": ["--shards", "4", "--uem", "--overlap-view"]}


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_talks(tmp_path_factory.mktemp("talks"))


@pytest.fixture(scope="module")
def flags(streaming_model: Model) -> list[str]:
    """A model that hears in chunks of half a second, in batches of one."""
    return ["--model-path", str(streaming_model.onnx), "--latency", "low", "--inference-batch-size", "1"]


@pytest.fixture(scope="module")
def expected(talks: Path, flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The manifests that the direct runner gives, in this process."""
    written = {}
    for name, options in OPTIONS.items():
        output = tmp_path_factory.mktemp("expected") / "out"
        arguments = ["diarize", str(talks), "--output", str(output), "--tolerate", "100%", *flags, *options]
        assert cli.run(arguments) == 0
        written[name] = (output / "_MANIFEST.json").read_bytes()
    return written


def test_the_jobs_have_turns_and_failures(expected: dict[str, bytes]) -> None:
    for text in expected.values():
        counts = json.loads(text)["counts"]
        assert (counts["diarize.turns"], counts["diarize.failures"]) == (9, 3)
        assert counts["diarize.segments"] > 100
    kinds = Counter(file["kind"] for file in json.loads(expected["shards"])["files"])
    assert kinds["turns"] > 1


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("engine", [*FLAGS, "flink"])
def test_the_set_is_the_same(
    engine: str,
    options: str,
    talks: Path,
    flags: list[str],
    expected: dict[str, bytes],
    jobs: EngineJobs,
    request: pytest.FixtureRequest,
) -> None:
    cluster: FlinkCluster | None = request.getfixturevalue("flink") if engine == "flink" else None
    where = on_flink(cluster) if cluster is not None else FLAGS[engine]
    written = jobs.manifest_of(talks, "out", *where, *flags, *OPTIONS[options], command="diarize")
    assert written == expected[options]
    check_names(jobs.folder / "out", written)
