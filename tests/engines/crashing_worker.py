"""A worker that ends itself with SIGKILL once, at a moment of the job that is named.

Its flag file is made by the worker that dies; no other one dies after it. Workers are copies of a process in which Beam
is loaded: where an engine starts them anew for each stage, loading would take longer than the job.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from beam_curator.runners.beam_start import start_beam

start_beam()  # before anything loads the whole of Beam

from apache_beam.runners.worker import sdk_worker_main  # noqa: E402, F401  # what workers load

from beam_curator.files import atomic_files, clip_index  # noqa: E402
from beam_curator.runners.engines.worker import work  # noqa: E402
from beam_curator.runners.engines.worker_pool import WorkerPool  # noqa: E402
from beam_curator.transforms.jobs import writing  # noqa: E402


def die_once(flag: str) -> None:
    """End this process, if it is the first to come here."""
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def in_the_middle_of_a_block(flag: str) -> None:
    """Die with half of a block's rows written into its temporary file."""
    write_rows: Callable[..., None] = writing.write_rows

    def half(file: atomic_files.AtomicFile, rows: Any, *rest: Any) -> None:
        if len(rows) < 2:
            write_rows(file, rows, *rest)
            return
        write_rows(file, rows[: len(rows) // 2], *rest)
        if not os.path.exists(flag):
            file._hand_over()
            file._wait()
            die_once(flag)
        write_rows(file, rows[len(rows) // 2 :], *rest)

    writing.write_rows = half


def before_the_manifest(flag: str) -> None:
    """Die inside the commit, after the sweep and before `_MANIFEST.json` is there."""
    replace = atomic_files.replace_unless_changed

    def last(*arguments: Any) -> None:
        die_once(flag)
        replace(*arguments)

    atomic_files.replace_unless_changed = last


def after_the_manifest(flag: str) -> None:
    """Die inside the commit, with `_MANIFEST.json` in place and the engine not yet told."""
    replace = atomic_files.replace_unless_changed

    def last(*arguments: Any) -> None:
        replace(*arguments)
        die_once(flag)

    atomic_files.replace_unless_changed = last


def in_the_middle_of_a_recording(flag: str) -> None:
    """Die with some clips of a recording in place, one in its temporary file, and no rows of it."""
    _before_a_file_is_in_place(flag, "_segment_002.flac")


def between_tracks(flag: str) -> None:
    """Die with the first track of a recording in place, the second in its temporary file, and no rows of them."""
    _before_a_file_is_in_place(flag, "_speaker_1.flac")


def _before_a_file_is_in_place(flag: str, ending: str) -> None:
    replace = os.replace

    def one(source: str, target: str) -> None:
        if target.endswith(ending):
            die_once(flag)
        replace(source, target)

    os.replace = one


def in_the_index(flag: str) -> None:
    """Die with metadata.csv in place, and the summary not."""
    text_of = clip_index.summary_text

    def text(summary: Any) -> bytes:
        die_once(flag)
        return text_of(summary)

    clip_index.summary_text = text


def between_turns_and_row(flag: str) -> None:
    """Die with the .rttm file of a recording in place, and its row in a temporary file."""
    replace, has_turns = os.replace, False

    def one(source: str, target: str) -> None:
        nonlocal has_turns
        if has_turns and os.path.basename(target).startswith(".turns-"):
            die_once(flag)
        replace(source, target)
        has_turns = has_turns or target.endswith(".rttm")

    os.replace = one


IN_COMMIT = (before_the_manifest, after_the_manifest)
KINDS = {
    "windows": (in_the_middle_of_a_block, *IN_COMMIT),
    "extract": (in_the_middle_of_a_recording, in_the_index, *IN_COMMIT),
    "diarize": (between_turns_and_row, *IN_COMMIT),
    "separate": (between_tracks, *IN_COMMIT),
}
MOMENTS = {kind.__name__: kind for kinds in KINDS.values() for kind in kinds}
"""Moments by name; `KINDS` tells which ones a command comes to."""

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


def work_and_die(environment: dict[str, str], moment: str, flag: str) -> None:
    """Work until the moment comes, or the job ends."""
    os.environ.update(environment)
    MOMENTS[moment](flag)
    work(os.getppid())


class CrashingPool(WorkerPool):
    """A pool of workers of which one dies.

    Args:
      moment: when it does.
      flag: path of the flag file.
    """

    def __init__(self, moment: str, flag: str) -> None:
        super().__init__()
        self._arguments = (moment, flag)

    def start(self, environment: dict[str, str]) -> Any:
        return CrashingWorker(environment, *self._arguments)


class CrashingWorker:
    """A worker process, with all that a pool asks of one.

    Args:
      environment: its variables.
      moment: when it dies.
      flag: path of the flag file.
    """

    def __init__(self, environment: dict[str, str], moment: str, flag: str) -> None:
        self._process = PROCESSES.Process(target=work_and_die, args=(environment, moment, flag))
        self._process.start()
        self.kill = self._process.kill

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        return self._process.exitcode
