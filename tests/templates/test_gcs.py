"""The windows command over Google's own client, with a store on this machine: what a launch and its job leave."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.storage", reason="needs beam-curator[gcp]")

from beam_curator.runners import cli
from beam_curator.sets.output_set import KEPT_FOLDER
from tests.templates.fake_gcs import FakeStore, fake_gcs

TALKS = Path(__file__).parents[2] / "examples" / "talks.jsonl"
OUT = "bucket/out/"
WITHOUT_CREDENTIALS = """
import sys
from beam_curator.runners.beam_start import start_beam
start_beam(for_dataflow="--runner=dataflow" in sys.argv)
from apache_beam.internal.gcp import auth
auth.get_service_credentials = lambda options: None
from beam_curator.runners.cli import main
main()
"""


@pytest.fixture
def store() -> Iterator[FakeStore]:
    with fake_gcs() as fake:
        fake.objects["bucket/in/a.jsonl"] = fake.objects["bucket/in/b.jsonl"] = TALKS.read_bytes()
        yield fake


def run(store: FakeStore, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_CREDENTIALS, *arguments],
        env={**os.environ, "STORAGE_EMULATOR_HOST": store.url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_set_in_a_bucket_is_that_of_a_disk(store: FakeStore, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_bytes(TALKS.read_bytes())
    local = cli.run(["windows", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"), f"--output={tmp_path / 'out'}"])
    remote = run(store, "windows", "gs://bucket/in", "--output=gs://bucket/out")
    assert (local, remote.returncode) == (3, 3), remote.stderr
    rows = [name for name in store.names_under(OUT) if name.startswith("windows-")]
    assert len(rows) == 2
    for name in rows:
        assert store.objects[OUT + name] == (tmp_path / "out" / name).read_bytes()
    assert run(store, "verify", "gs://bucket/out").returncode == 0


def test_shards_leave_no_parts_in_a_bucket(store: FakeStore) -> None:
    assert run(store, "windows", "gs://bucket/in", "--output=gs://bucket/out", "--shards=1").returncode == 3
    assert [name for name in store.names_under(OUT) if not name.startswith(KEPT_FOLDER)] == [
        "_MANIFEST.json",
        "failures-build-00000-of-00001.jsonl",
        "summary.json",
        "windows-00000-of-00001.jsonl",
    ]


def test_the_same_command_tidies_up_after_a_job_that_nobody_waited_for(store: FakeStore) -> None:
    """Such a job commits its manifest; `summary.json` and the end of `_RUN.json` are the launcher's, which is gone."""
    run(store, "windows", "gs://bucket/in", "--output=gs://bucket/out")
    del store.objects[f"{OUT}summary.json"]
    store.objects[f"{OUT}_RUN.json"] = json.dumps({"token": "0", "config_sha256": "0", "inputs": {}}).encode()
    verified = run(store, "verify", "gs://bucket/out")
    assert (verified.returncode, "complete" in verified.stdout) == (0, True), verified.stderr
    again = run(store, "windows", "gs://bucket/in", "--output=gs://bucket/out")
    assert again.stdout.splitlines()[0] == "gs://bucket/out is already complete: nothing to do."
    assert {"summary.json", "_RUN.json"} & set(store.names_under(OUT)) == {"summary.json"}
