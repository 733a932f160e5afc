"""A folder of recordings gives the same turns, RTTM, clean clips and dead letters, byte for byte, on every engine."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.engines.cluster import FlinkCluster
from tests.engines.jobs import EngineJobs, check_names, expected_manifest, on_flink
from tests.engines.recordings import write_calls, write_talk_rows, write_talks

FLAGS = {"direct with two workers": ["--jobs", "2"], "prism": ["--runner", "prism"]}
OPTIONS = {
    "folder": [],
    "calls": ["--channels", "split", "--embeddings"],
    "rows": ["--shards", "4", "--uem", "--overlap-view", "--bandwidth", "--embeddings"],
    "clean clips": ["--shards", "4", "--vad", "energy", "--min-duration-sec", "0.5", "--max-clip-duration", "3"],
}
COMMANDS = dict.fromkeys(OPTIONS, "diarize") | {"clean clips": "curate"}
BLOCK_BYTES = 300


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of recordings, and a manifest of several blocks that names such."""
    folder = tmp_path_factory.mktemp("talks")
    return {
        "folder": write_talks(folder / "folder"),
        "calls": write_calls(folder / "calls"),
        "rows": write_talk_rows(folder / "rows"),
        "clean clips": folder / "rows" / "talks.jsonl",
    }


MODEL = ["--model-name", "demo", "--latency", "low", "--inference-batch-size", "1"]
"""The model of the package, in chunks of half a second."""


@pytest.fixture(scope="module")
def expected(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The manifests that the direct runner gives."""
    folder = tmp_path_factory.mktemp("expected")
    return {
        name: expected_manifest(
            inputs[name], folder / name, *MODEL, *options, block_bytes=BLOCK_BYTES, command=COMMANDS[name]
        )
        for name, options in OPTIONS.items()
    }


def test_the_jobs_have_several_blocks_turns_and_failures(expected: dict[str, bytes]) -> None:
    counts = {name: json.loads(text)["counts"] for name, text in expected.items()}
    clean = counts.pop("clean clips")
    assert (clean["plan.failures"], clean["curate.failures"]) == (1, 6)
    assert min(clean["curate.clips"], clean["curate.speakers"], clean["curate.rejected.long"]) > 3
    stages = {name: {key: n for key, n in of.items() if key.endswith((".failures", ".turns"))}
              for name, of in counts.items()}  # fmt: skip
    assert stages == {
        "folder": {"diarize.turns": 9, "diarize.failures": 3},
        "calls": {"diarize.turns": 4},
        "rows": {"plan.failures": 1, "diarize.turns": 18, "diarize.failures": 6},
    }
    assert min(of["diarize.segments"] for name, of in counts.items() if name != "calls") > 10
    assert counts["calls"]["diarize.segments"] > 4
    kinds = Counter(file["kind"] for file in json.loads(expected["rows"])["files"])
    assert kinds["turns"] > 1
    assert kinds["speaker-embeddings"] == kinds["turn-embeddings"] == kinds["turns"]


SLOW = {
    ("prism", "folder"),
    *(("direct with two workers", name) for name in ("folder", "calls", "clean clips")),
    ("flink", "clean clips"),
}
FLINK = [("flink", "rows"), ("flink", "clean clips")]
CASES = [
    pytest.param(engine, options, marks=pytest.mark.slow if (engine, options) in SLOW else ())
    for engine, options in [*((engine, options) for engine in FLAGS for options in OPTIONS), *FLINK]
]
"""Where one job will do, it is that with more to it; a job takes Flink a minute."""


@pytest.mark.parametrize(("engine", "options"), CASES)
def test_the_set_is_the_same(
    engine: str,
    options: str,
    inputs: dict[str, Path],
    expected: dict[str, bytes],
    jobs: EngineJobs,
    request: pytest.FixtureRequest,
) -> None:
    cluster: FlinkCluster | None = request.getfixturevalue("flink") if engine == "flink" else None
    given = [*(on_flink(cluster) if cluster is not None else FLAGS[engine]), *MODEL, *OPTIONS[options]]
    written = jobs.manifest_of(inputs[options], "out", *given, block_bytes=BLOCK_BYTES, command=COMMANDS[options])
    assert written == expected[options]
    check_names(jobs.folder / "out", written)
