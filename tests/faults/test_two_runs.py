"""Two runs on one directory: one at a time, and one that lost it writes nothing more."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_curator.files.atomic_files import ForeignRunError
from beam_curator.files.clip_files import EncodedClip
from beam_curator.files.output_target import OutputTarget
from beam_curator.files.set_files import SetFiles
from beam_curator.runners.run_directory import prepare
from beam_curator.sets.recording_events import MadeFile
from beam_curator.sets.set_kinds import EXTRACT
from tests.faults.jobs import (
    expected_names,
    files_in,
    finish,
    names_in,
    start,
    wait_for_no_process_about,
    wait_until,
)
from tests.faults.test_workers import wait_for_workers
from tests.faults.works import WORKS

WORK = WORKS["extract"]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return WORK.write(tmp_path, WORK.size)


@pytest.mark.parametrize("flags", [WORK.flags, ("--output-format", "wav", "--overwrite")])
def test_a_second_job_on_the_same_output_is_refused(flags: tuple[str, ...], manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = start("extract", manifest, output, *WORK.flags)
    wait_until(lambda: WORK.n_kept(names_in(output)) > 0, first)
    first.send_signal(signal.SIGSTOP)
    code, text = finish(start("extract", manifest, output, *flags))
    first.send_signal(signal.SIGCONT)
    assert code == 2
    assert f"another job (process {first.pid}) is writing into {output}" in text
    assert finish(first)[0] == 0
    assert files_in(output) == expected_names(output)


def test_a_run_that_lost_its_directory_stops(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start("extract", manifest, output, *WORK.flags)
    wait_until(lambda: WORK.n_kept(names_in(output)) > 10, process)
    take_over(output, "other")
    before = names_in(output)
    code, text = finish(process)
    assert code == 1
    assert f"{output} now belongs to another run: this one stops writing" in text
    assert WORK.n_kept(names_in(output) - before) <= 1  # whose name was being put in place in that very moment
    assert "_MANIFEST.json" not in names_in(output)


def test_an_orphaned_worker_puts_nothing_into_the_set_of_another_run(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start("extract", manifest, output, "--jobs", "2", *WORK.flags)
    orphan, _ = wait_for_workers(output, WORK)
    os.kill(orphan, signal.SIGSTOP)
    try:
        process.kill()
        process.wait()  # its output stays open: the orphan has it, too
        code, text = finish(start("extract", manifest, output, "--output-format", "wav", "--overwrite"))
        assert code == 0, text
        assert files_in(output) == expected_names(output)
        assert os.getpgid(orphan)
    finally:
        os.kill(orphan, signal.SIGCONT)
    assert wait_for_no_process_about(str(output), 20) == []
    finish(process)
    assert files_in(output) == expected_names(output)


def take_over(output: Path, token: str) -> None:
    """Mark a directory as another run's, as that run would."""
    run = json.loads((output / "_RUN.json").read_text())
    (output / "_RUN.json.new").write_text(json.dumps(run | {"token": token}))
    (output / "_RUN.json.new").replace(output / "_RUN.json")


@pytest.mark.parametrize(
    "change",
    [lambda files: files.put(clip("a.wav", b"old")), lambda files: files.remove("a.wav")],
    ids=["put", "remove"],
)
def test_clips_of_another_run_are_neither_replaced_nor_removed(
    change: Callable[[SetFiles], None], tmp_path: Path
) -> None:
    prepare(str(tmp_path), EXTRACT, {}, [], overwrite=False)
    (tmp_path / "a.wav").write_bytes(b"new")
    files = SetFiles(OutputTarget(directory=str(tmp_path), token="old", resume=True), 2)
    with pytest.raises(ForeignRunError, match="now belongs to another run"):
        change(files)
    assert (tmp_path / "a.wav").read_bytes() == b"new"
    assert names_in(tmp_path) == {"_RUN.json", "a.wav"}


def clip(name: str, body: bytes) -> MadeFile:
    return MadeFile(name=name, body=EncodedClip(body=body, n_bytes=len(body), sha256="", n_samples=1))
