"""The same input and the same options give the same set, byte for byte, on every engine."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.engines.cluster import FlinkCluster
from tests.engines.jobs import EngineJobs, check_names, expected_manifest, on_flink
from tests.engines.recordings import write_meetings, write_pieces
from tests.manifests import write_mixed

OPTIONS = {
    "row": ("windows", []),
    "row, shards": ("windows", ["--shards", "4"]),
    "audio file": ("windows", ["--overlap-scope", "audio_file"]),
    "audio file, shards": ("windows", ["--overlap-scope", "audio_file", "--shards", "4"]),
    "clips": ("extract", ["--shards", "4", "--output-format", "flac"]),
    "clips in tars": ("extract", ["--shards", "4", "--output-format", "flac", "--pack", "webdataset"]),
    "tracks": ("separate", ["--shards", "4", "--output-format", "flac"]),
    "clean clips": ("curate", ["--vad", "energy", "--no-speaker-separation", "--shards", "4", "--min-snr", "3"]),
}
SIMPLE = ("row", "row, shards", "audio file")
SLOW = {
    *((engine, name) for engine in ("flink", "direct with two workers") for name in SIMPLE),
    *(("direct with two workers", name) for name in ("clips", "clean clips")),
    ("flink", "clean clips"),
    ("prism", "row, shards"),
    *(("direct", name) for name in OPTIONS),
}
"""A job takes Flink ten seconds: one of windows is enough. On the direct runner it is only a process of its own."""

FLAGS = {"direct": ["--runner", "direct"], "direct with two workers": ["--jobs", "2"], "prism": ["--runner", "prism"]}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("in")
    return {
        "windows": write_mixed(folder / "mixed.jsonl"),
        "extract": write_pieces(folder / "audio"),
        "separate": write_meetings(folder / "meetings"),
        "curate": write_meetings(folder / "talks"),
    }


@pytest.fixture(scope="module")
def expected(manifests: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the manifests that the direct runner gives, in this process."""
    written = {}
    for name, (command, options) in OPTIONS.items():
        output = tmp_path_factory.mktemp("expected") / "out"
        written[name] = expected_manifest(manifests[command], output, *options, block_bytes=2000, command=command)
    return written


def test_the_jobs_are_of_several_blocks_with_failures_of_each_stage(expected: dict[str, bytes]) -> None:
    counts = {name: json.loads(text)["counts"] for name, text in expected.items()}
    assert counts["clips"] == counts["clips in tars"]
    stages = {name: n for name, n in counts["clips"].items() if name.endswith("failures") or name == "cut.clips"}
    assert stages == {"cut.clips": 152, "cut.failures": 4, "interval.failures": 1, "plan.failures": 4}
    stages = {name: n for name, n in counts["tracks"].items() if name.endswith("failures") or name == "separate.tracks"}
    assert stages == {"plan.failures": 3, "separate.tracks": 96, "separate.failures": 3}
    kinds = Counter(file["kind"] for file in json.loads(expected["clips in tars"])["files"])
    assert (kinds["clips"], kinds["tar"]) == (3, 4)


CASES = [
    pytest.param(engine, options, marks=pytest.mark.slow if (engine, options) in SLOW else ())
    for engine in (*FLAGS, "flink")
    for options in OPTIONS
]


@pytest.mark.parametrize(("engine", "options"), CASES)
def test_the_manifest_is_the_same(
    engine: str,
    options: str,
    manifests: dict[str, Path],
    expected: dict[str, bytes],
    jobs: EngineJobs,
    request: pytest.FixtureRequest,
) -> None:
    cluster: FlinkCluster | None = request.getfixturevalue("flink") if engine == "flink" else None
    flags = on_flink(cluster) if cluster is not None else FLAGS[engine]
    before = cluster.jobs() if cluster is not None else {}
    command, chosen = OPTIONS[options]
    written = jobs.manifest_of(manifests[command], "out", *flags, *chosen, block_bytes=2000, command=command)
    assert written == expected[options]
    check_names(jobs.folder / "out", written)
    if cluster is not None:
        assert [state for job, state in cluster.jobs().items() if job not in before] == ["FINISHED"]


def test_the_small_cluster_inside_the_job_server(
    manifests: dict[str, Path], expected: dict[str, bytes], jobs: EngineJobs
) -> None:
    flags = ["--runner", "flink", "--flink-master", "[local]", "--jobs", "2"]
    assert jobs.manifest_of(manifests["windows"], "out", *flags, block_bytes=2000) == expected["row"]
