"""Running one job: an engine, a pipeline, progress while it runs, and the outcome."""

import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam

from beam_curator.files import storage
from beam_curator.files.moved_inputs import moved_of
from beam_curator.files.output_target import OutputTarget
from beam_curator.runners import exit_codes
from beam_curator.runners.engines.guard import ServerFailedError
from beam_curator.runners.engines.local_workers import watched
from beam_curator.runners.engines.opening import FoundEngine
from beam_curator.runners.jobs.base import Job
from beam_curator.runners.options import UsageError
from beam_curator.runners.progress import NoteProgress, Progress, read_progress
from beam_curator.runners.run_directory import Prepared, sweep_scratch
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import LOCK_NAME, MANIFEST_NAME, FileRecord, Manifest, live_name


class JobFailedError(RuntimeError):
    """The pipeline did not come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The outcome of a job: counts, the files of its set, Beam's distributions and timings in seconds."""

    counts: Counter[str]
    files: tuple[FileRecord, ...]
    metrics: Any
    timing: dict[str, float]


@contextmanager
def _scratch(output: str, run: str) -> Iterator[str]:
    """Give workers and driver a local directory for signs of life; nothing of it is left.

    It is the run's own: a worker that outlives its driver finds it gone, and leaves nothing in the set of a later run.
    """
    if storage.is_remote(output):
        with tempfile.TemporaryDirectory(prefix="beam_curator-") as directory:
            yield directory
        return
    sweep_scratch(output)
    scratch = os.path.join(os.path.abspath(output), live_name(run))
    os.mkdir(scratch)
    try:
        yield scratch
    finally:
        sweep_scratch(output)


def run_job(
    job: Job,
    found: FoundEngine,
    files: Sequence[InputFile],
    prepared: Prepared,
    *,
    instead: beam.PTransform[Any, Any] | None = None,
) -> Finished | None:
    """Build the pipeline and run it to its end.

    Args:
      job, found: what to do, and what does it.
      files: the inputs, for the progress line.
      prepared: the state of the output directory.
      instead: a composite that writes nothing, in place of the job's own; counts then come from workers' notes.

    Returns:
      What the job left; None where it was handed over and goes on without this process.

    Raises:
      JobFailedError, ServerFailedError: it did not get there, or the engine did not come up.
    """
    with _scratch(job.output, prepared.token) as scratch:
        progress = Progress(scratch, sum(file.size for file in files), job.progress)
        begin = time.time()
        with found.opened(
            scratch, jobs=job.run.n_jobs, verbose=job.run.verbose, run=prepared.token, earlier=prepared.earlier
        ) as runner:
            work = instead or job.transform(_target(job, prepared))
            pipeline = _pipeline(runner, found, job.label >> work, scratch)
            with progress.shown(), watched(scratch, lambda pid: _end_after_death(job.output, scratch, pid)):
                result = run_to_end(pipeline, _wait if job.run.wait else go_on)
            if not job.run.wait:
                return None
            metrics = _metrics_of(result)
        end = time.time()
        noted, first = read_progress(scratch)
    timing = _timing(progress.first_read or first or begin, end)
    return _finished(job.output, metrics, timing, noted=noted if instead is not None else None)


def _timing(first_row: float, end: float) -> dict[str, float]:
    begin = process_start()
    return {"startup": first_row - begin, "run": end - first_row, "total": end - begin}


def _pipeline(runner: Any, found: FoundEngine, work: beam.PTransform[Any, Any], scratch: str) -> beam.Pipeline:
    """Build the pipeline; workers on this machine leave notes of their counts as they go."""
    try:
        pipeline = beam.Pipeline(runner=runner, options=found.options)
    except ValueError as err:  # Beam has looked at its own options
        raise UsageError(f"runner {found.engine.name}: {err}") from err
    result = pipeline | work
    if found.workers_here:
        for number, counted in enumerate(result.counts):
            _ = counted | f"Note progress {number}" >> NoteProgress(scratch)
    return pipeline


def _target(job: Job, prepared: Prepared) -> OutputTarget:
    replaces = job.output if prepared.directory != job.output else None
    resume = prepared.state == "resume"
    return replace(
        job.target(),
        directory=prepared.directory,
        token=prepared.token,
        resume=resume,
        replaces=replaces,
        updates=prepared.updates,
        rehash=job.run.rehash,
        codes=job.codes,
        moved=moved_of(job.run.moved),
    )


def _finished(output: str, metrics: Any, timing: dict[str, float], *, noted: Counter[str] | None) -> Finished:
    """Read the committed manifest; where nothing was written, the workers' notes stand for its counts."""
    if noted is not None:
        return Finished(counts=noted, files=(), metrics=metrics, timing=timing)
    text = storage.read_bytes(storage.join(output, MANIFEST_NAME))
    if text is None:
        raise JobFailedError(f"the pipeline ended, but {output} has no manifest: run the same command again")
    manifest = Manifest.from_json(text)
    return Finished(counts=Counter(manifest.counts), files=manifest.files, metrics=metrics, timing=timing)


def _wait(result: Any) -> None:
    result.wait_until_finish()


def go_on(result: Any) -> None:
    """Leave a job to its engine."""
    del result


def run_to_end(pipeline: beam.Pipeline, wait: Callable[[Any], None]) -> Any:
    """Run a pipeline; return Beam's result.

    Args:
      pipeline: that is built.
      wait: returns when the job has ended, or need not be waited for.

    Raises:
      JobFailedError, ServerFailedError: it did not come to its end, or the engine did not come up.
    """
    result = None
    try:
        result = pipeline.run()
        wait(result)
    except KeyboardInterrupt:
        _cancel(result)
        raise
    except ServerFailedError:
        raise
    except Exception as err:  # whatever an engine raises: the one place where it becomes a message
        if "KeyboardInterrupt" in str(err):
            raise KeyboardInterrupt from err
        raise JobFailedError(said_by(err)) from err
    return result


def _cancel(result: Any) -> None:
    """Tell an engine elsewhere to stop: it would go on without us."""
    if result is not None:
        with suppress(Exception):
            result.cancel()


def _metrics_of(result: Any) -> Any:
    """Read an engine's distributions while it still answers; none where it has no metrics."""
    try:
        return result.metrics().query()["distributions"]
    except Exception:  # whatever an engine raises: timings are for people only
        return []


def said_by(err: Exception) -> str:
    """Return the message of an engine's error, without its path through steps, processes and languages.

    Engines in other languages pass on the text of a worker's traceback; what counts is the line below its last frame.

    Example:
      >>> said_by(RuntimeError("Job j: Traceback (most recent call last):\\n  File a.py\\nOSError: disk full\\n"))
      'OSError: disk full'
    """
    frames = [frame for frame in _LAST_LINE.findall(str(err)) if _ECHO not in frame[1]]
    if frames:
        name, text = frames[-1]
        text = text.partition(" [while running")[0]
        return text if name.startswith("beam_curator.") else f"{name.rpartition('.')[2]}: {text}"
    text = str(err).strip().partition("\n")[0].partition(" [while running")[0]
    is_plain = type(err).__module__.startswith("beam_curator.") or (isinstance(err, RuntimeError) and ": " in text)
    return text if is_plain else f"{type(err).__name__}: {text}"


_ECHO = "Check prior failing response"
"""In what a worker says of a bundle that has failed already."""

_LAST_LINE = re.compile(r"^[ \t]+\S.*\n((?!Caused by)[A-Za-z_][\w.]*): (.*)$", re.MULTILINE)
"""A worker's exception: class and message, right below an indented line."""


def _end_after_death(output: str, scratch: str, pid: int) -> None:
    """End the driver: Beam would wait for the dead worker for ever."""
    print(
        f"\nbeam-curator: the job failed: worker process {pid} died (killed, or out of memory); "
        "the same command goes on where this one stopped",
        file=sys.stderr,
        flush=True,
    )
    sweep_scratch(scratch)
    if not storage.is_remote(output):
        storage.delete(output, [LOCK_NAME])
    os._exit(exit_codes.FAILED)


def process_start() -> float:
    """Return when this process began, seconds since the epoch."""
    try:
        with open("/proc/self/stat", encoding="ascii") as stream:
            ticks = int(stream.read().rpartition(")")[2].split()[19])
        with open("/proc/uptime", encoding="ascii") as stream:
            uptime = float(stream.read().split()[0])
    except OSError:
        return _IMPORTED
    return time.time() - (uptime - ticks / os.sysconf("SC_CLK_TCK"))


_IMPORTED = time.time()
