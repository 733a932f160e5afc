"""The checkpoint to go on from is the latest that is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_curator.files.flink_checkpoints import latest_checkpoint
from beam_curator.files.storage import UnknownSchemeError


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "_metadata").touch()


def test_the_latest_of_all_jobs(tmp_path: Path) -> None:
    assert latest_checkpoint(f"file://{tmp_path}/none") is None
    put(tmp_path, "job-b/chk-9", "job-a/chk-10", "job-a/shared", "job-a/chk-x")
    # it was not whole when its job ended
    (tmp_path / "job-a/chk-11").mkdir()
    assert latest_checkpoint(f"file://{tmp_path}/") == f"file://{tmp_path}/job-a/chk-10"
    assert latest_checkpoint(str(tmp_path)) == f"{tmp_path}/job-a/chk-10"


def test_a_store_that_cannot_be_read() -> None:
    with pytest.raises(UnknownSchemeError):
        latest_checkpoint("hdfs://cluster/checkpoints")
