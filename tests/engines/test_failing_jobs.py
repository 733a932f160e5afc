"""A job that fails on an engine says why in one line, whatever the engine wraps around it."""

import json
from pathlib import Path

import pytest

from tests.engines.cluster import wait_until
from tests.engines.jobs import EngineJobs
from tests.manifests import line_of, speech, write_lines


@pytest.mark.parametrize("runner", ["direct", "prism", pytest.param("flink", marks=pytest.mark.slow)])
def test_another_run_takes_the_directory_over(runner: str, tmp_path: Path, jobs: EngineJobs) -> None:
    manifest = write_lines(tmp_path / "a.jsonl", [line_of(speech(100, f"{number}.wav")) for number in range(1500)])
    output = jobs.folder / "out"
    process = jobs.start(manifest, output, "--runner", runner, "--layout", "spans", block_bytes=100_000)
    wait_until(lambda: any(output.glob("windows-*")) or process.poll() is not None, 90, f"rows in {output}")
    run = json.loads((output / "_RUN.json").read_text())
    (output / "_RUN.json").write_text(json.dumps(run | {"token": "other"}))
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 1, text
    assert text.splitlines() == [
        f"beam-curator: the job failed: {output} now belongs to another run: this one stops writing",
        "beam-curator: nothing was committed; the same command goes on where this one stopped "
        "(--verbose shows where it happened)",
    ]
    assert not (output / "_MANIFEST.json").exists()
