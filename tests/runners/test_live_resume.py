"""A live job on Flink goes on from its latest checkpoint, with the options of before."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.live_arguments import STREAM_SECTIONS
from beam_curator.runners.live_resume import LiveRun, decisive_of, run_in, settled_run
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import STREAM, Engine, resolve_engine

OPTIONS = {name: options() for name, options in STREAM_SECTIONS.items()}
DECISIVE = decisive_of("projects/p/subscriptions/s", OPTIONS)


def flink(place: Path, *given: str) -> Engine:
    return resolve_engine(RunOptions(runner="flink"), [f"--state_backend_storage_path={place}", *given], STREAM)


def begun(output: Path, engine: Engine) -> LiveRun:
    """Return the run of a first command, which was killed."""
    output.mkdir()
    run = settled_run(str(output), engine, DECISIVE, overwrite=False)
    assert run.checkpoint == ""
    run.write(str(output))
    return run


def test_a_run_goes_on_from_its_latest_checkpoint_until_it_has_ended(tmp_path: Path) -> None:
    engine, output = flink(tmp_path), tmp_path / "out"
    run = begun(output, engine)
    placed = run.placed(engine)
    assert placed.value("state_backend_storage_path") == f"{tmp_path}/{run.token}"
    assert placed.value("savepoint_path") is None
    # nothing was kept yet: all is done again, as another run
    again = settled_run(str(output), engine, DECISIVE, overwrite=False)
    assert (again.checkpoint, again.token != run.token, again.follows) == ("", True, True)
    (tmp_path / run.token / "job" / "chk-3").mkdir(parents=True)
    (tmp_path / run.token / "job" / "chk-3" / "_metadata").touch()
    again = settled_run(str(output), engine, DECISIVE, overwrite=False)
    assert (again.token, again.checkpoint) == (run.token, f"{tmp_path}/{run.token}/job/chk-3")
    assert again.placed(engine).value("savepoint_path") == again.checkpoint
    assert again.placed(engine).arguments().count(f"--state_backend_storage_path={tmp_path}/{run.token}") == 1
    # a savepoint of one's own comes first
    own = flink(tmp_path, "--savepoint_path=/mnt/savepoint-1")
    assert settled_run(str(output), own, DECISIVE, overwrite=False).checkpoint == "/mnt/savepoint-1"
    again.finish(str(output), engine)
    assert run_in(str(output)) is None
    assert not (tmp_path / run.token).exists()


def test_other_options_are_refused(tmp_path: Path) -> None:
    engine, output = flink(tmp_path), tmp_path / "out"
    run = begun(output, engine)
    other = {**DECISIVE, "live.shards": 4}
    with pytest.raises(UsageError, match=r"holds an unfinished job with live\.shards 1, not 4: give the options of"):
        settled_run(str(output), engine, other, overwrite=False)
    anew = settled_run(str(output), engine, other, overwrite=True)
    assert (anew.token != run.token, anew.follows) == (True, True)


def test_checkpoints_that_cannot_be_looked_at(tmp_path: Path) -> None:
    engine = resolve_engine(RunOptions(runner="flink"), ["--state_backend_storage_path=hdfs://a/b"], STREAM)
    begun(tmp_path / "out", engine)
    with pytest.raises(UsageError, match="cannot be looked at: give the latest one's folder, --savepoint_path="):
        settled_run(str(tmp_path / "out"), engine, DECISIVE, overwrite=False)
