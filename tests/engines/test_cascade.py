"""The cascade with its real weights gives the same set, byte for byte, on every engine."""

from pathlib import Path

import pytest

from tests.engines.cluster import FlinkCluster
from tests.engines.jobs import EngineJobs, check_names, on_flink
from tests.models.real_models import need_model
from tests.runners.test_cascade_sets import FLAGS, write_talk


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["prism", "flink"])
def test_the_set_is_the_same(engine: str, tmp_path: Path, jobs: EngineJobs, request: pytest.FixtureRequest) -> None:
    need_model("cascade")
    for number, voices in enumerate(([0, 1, 0], [1, 1], [0])):
        write_talk(tmp_path / "in" / f"{number}.wav", voices)
    cluster: FlinkCluster | None = request.getfixturevalue("flink") if engine == "flink" else None
    given = on_flink(cluster) if cluster is not None else ["--runner", engine]
    expected = jobs.manifest_of(tmp_path / "in", "direct", *FLAGS, command="diarize")
    written = jobs.manifest_of(tmp_path / "in", "out", *FLAGS, *given, command="diarize")
    assert written == expected
    check_names(jobs.folder / "out", written)
