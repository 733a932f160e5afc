"""A set that an engine brings up to date is, byte for byte, that of a run from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.cluster import FlinkCluster
from tests.engines.jobs import EngineJobs, check_names, on_flink
from tests.engines.recordings import write_pieces
from tests.manifests import run

FLAGS = {"direct with two workers": ["--jobs", "2"], "prism": ["--runner", "prism"]}
OPTIONS = ["--shards", "4", "--output-format", "flac", "--tolerate", "100%"]


@pytest.mark.parametrize("engine", [*FLAGS, "flink"])
def test_an_update(engine: str, jobs: EngineJobs, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    cluster: FlinkCluster | None = request.getfixturevalue("flink") if engine == "flink" else None
    flags = on_flink(cluster) if cluster is not None else FLAGS[engine]
    manifest, output = write_pieces(tmp_path / "audio"), jobs.folder / "out"
    lines = manifest.read_bytes().splitlines(keepends=True)
    # rows are missing in front, others in the middle
    manifest.write_bytes(b"".join([*lines[5:40], *lines[50:]]))
    assert run("extract", manifest, "--output", output, *OPTIONS) == 0
    before = {path.name: path.stat().st_ino for path in output.glob("*.flac")}
    manifest.write_bytes(b"".join(lines))
    updated = jobs.manifest_of(manifest, "out", *OPTIONS, *flags, "--update", command="extract")
    assert run("extract", manifest, "--output", tmp_path / "fresh", *OPTIONS) == 0
    assert updated == (tmp_path / "fresh" / "_MANIFEST.json").read_bytes()
    check_names(output, updated)
    kept = [name for name, inode in before.items() if (output / name).stat().st_ino == inode]
    assert 0 < len(kept) < len(before)
