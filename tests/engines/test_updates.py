"""A set that an engine brings up to date is, byte for byte, that of a run from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.cluster import FlinkCluster
from tests.engines.jobs import EngineJobs, check_names, expected_manifest, on_flink
from tests.engines.recordings import write_pieces
from tests.manifests import write_mixed

FLAGS = {"direct with two workers": ["--jobs", "2"], "prism": ["--runner", "prism"]}
OPTIONS = ["--shards", "4", "--output-format", "flac"]


@pytest.fixture(params=[*FLAGS, "flink"])
def flags(request: pytest.FixtureRequest) -> list[str]:
    """Return the flags that send a job to an engine."""
    cluster: FlinkCluster | None = request.getfixturevalue("flink") if request.param == "flink" else None
    return on_flink(cluster) if cluster is not None else FLAGS[request.param]


def test_an_update_of_windows(flags: list[str], jobs: EngineJobs, tmp_path: Path) -> None:
    manifest, output = write_mixed(tmp_path / "mixed.jsonl"), jobs.folder / "out"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:-2]))
    expected_manifest(manifest, output, block_bytes=4000)
    before = {path.stat().st_ino for path in output.glob("*-of-*")}
    manifest.write_bytes(b"".join(lines))
    updated = jobs.manifest_of(manifest, "out", "--update", *flags, block_bytes=4000)
    assert updated == expected_manifest(manifest, tmp_path / "fresh", block_bytes=4000)
    check_names(output, updated)
    kept = before & {path.stat().st_ino for path in output.glob("*-of-*")}
    assert len(before) // 2 < len(kept) < len(before)


def test_an_update(flags: list[str], jobs: EngineJobs, tmp_path: Path) -> None:
    manifest, output = write_pieces(tmp_path / "audio"), jobs.folder / "out"
    lines = manifest.read_bytes().splitlines(keepends=True)
    # rows are missing in front, others in the middle
    manifest.write_bytes(b"".join([*lines[5:40], *lines[50:]]))
    expected_manifest(manifest, output, *OPTIONS, command="extract")
    before = {path.name: path.stat().st_ino for path in output.glob("*.flac")}
    manifest.write_bytes(b"".join(lines))
    updated = jobs.manifest_of(manifest, "out", *OPTIONS, *flags, "--update", command="extract")
    assert updated == expected_manifest(manifest, tmp_path / "fresh", *OPTIONS, command="extract")
    check_names(output, updated)
    kept = [name for name, inode in before.items() if (output / name).stat().st_ino == inode]
    assert 0 < len(kept) < len(before)
