"""`beam-curator windows`: directory, pipeline and summary of one job."""

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import yaml
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from beam_curator.blocks import InputFile, plan_blocks
from beam_curator.output_set import Config, FileRecord, LIVE_SUFFIX, LOCK_NAME, MANIFEST_NAME, Manifest, RUN_NAME, SUMMARY_NAME
from beam_curator.runners import exit_codes
from beam_curator.runners.job import WindowsJob, job_of, listed, plan_text
from beam_curator.runners.local_workers import direct_runner, watched, with_workers
from beam_curator.runners.options import (
    WINDOWS_SECTIONS,
    RunOptions,
    UsageError,
    nearest,
    read_config,
    resolve,
)
from beam_curator.runners.presets import PRESETS, engine_of
from beam_curator.runners.progress import NoteProgress, Progress, read_progress
from beam_curator.runners.run_directory import Prepared, finish, locked, prepare, refuse_overlap
from beam_curator.runners.summary import (
    number_of,
    render_reasons,
    render_table,
    stages_of,
    summary_json,
    times_of,
    total_loss,
)
from beam_curator.transforms import storage
from beam_curator.transforms.curate import COMMAND, ChooseWindows, CurateWindows
from beam_curator.transforms.listing import NoInputError, list_inputs, with_form
from beam_curator.transforms.output_set import OutputTarget
from beam_curator.transforms.storage import UnknownSchemeError


class JobFailedError(RuntimeError):
    """The pipeline did not come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a job left: counts, the files of its set, Beam's result and timings in seconds."""

    counts: dict[str, int]
    files: tuple[FileRecord, ...]
    result: Any
    timing: dict[str, float]


def run_windows_command(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Run `beam-curator windows`; return its exit code."""
    job = job_of(arguments, beam_arguments, arguments.output)
    FileSystems.set_options(PipelineOptions(list(job.beam_arguments)))
    files = listed(job)
    if job.run.plan:
        print(plan_text(job, files))
        return exit_codes.DONE
    with locked(job.output):
        prepared = prepare(job.output, COMMAND, job.config(), files, overwrite=job.run.overwrite)
        if prepared.state == "complete":
            _tidy(job.output)
            print(f"{job.output} is already complete: nothing to do.")
            return exit_codes.DONE
        if prepared.state == "resume":
            print(f"{job.output} holds an unfinished run of this job: going on.", file=sys.stderr)
        try:
            finished = run_job(job, files, prepared)
        except JobFailedError as err:
            if job.run.verbose:
                traceback.print_exc()
            print(f"beam-curator: the job failed: {err}", file=sys.stderr)
            print(
                "beam-curator: nothing was committed; the same command goes on where this one stopped "
                "(--verbose shows where it happened)",
                file=sys.stderr,
            )
            return exit_codes.FAILED
        return report(job, finished)


def _tidy(output: str) -> None:
    """Make up for what a run that was killed right after its commit left undone."""
    text = storage.read_bytes(storage.join(output, MANIFEST_NAME))
    if text is None or storage.size_of(storage.join(output, RUN_NAME)) is None:
        return
    manifest = Manifest.from_json(text)
    if not storage.is_remote(output):
        sweep_scratch(output)
    if storage.size_of(storage.join(output, SUMMARY_NAME)) is not None:
        storage.delete(output, [RUN_NAME])
    else:
        finish(output, summary_json(stages_of(manifest.counts, manifest.files, {}), manifest.counts, {}))


@contextmanager
def _scratch(output: str) -> Iterator[str]:
    """Give workers and driver a local directory for signs of life; nothing of it is left."""
    if storage.is_remote(output):
        with tempfile.TemporaryDirectory(prefix="beam_curator-") as directory:
            yield directory
        return
    sweep_scratch(output)
    try:
        yield output
    finally:
        sweep_scratch(output)


def sweep_scratch(directory: str) -> None:
    """Remove the signs of life of this or an earlier run."""
    storage.delete(directory, [name for name in storage.list_directory(directory) if name.endswith(LIVE_SUFFIX)])


def run_job(job: WindowsJob, files: Sequence[InputFile], prepared: Prepared, *, write: bool = True) -> Finished:
    """Build the pipeline and run it to its end.

    Args:
      job: what to do.
      files: the inputs, for the progress line.
      prepared: the state of the output directory.
      write: false leaves out the writing of rows; the direct runner's counts then come from its workers' notes.

    Raises:
      JobFailedError: it did not get there.
    """
    target = replace(job.target(), token=prepared.token, resume=prepared.state == "resume")
    options = with_workers(PipelineOptions(list(job.beam_arguments)), job.run.jobs)
    with _scratch(job.output) as given_scratch:
        scratch = os.path.abspath(given_scratch)
        runner = direct_runner(job.run.jobs, scratch) if job.run.runner == "direct" else engine_of(job.run.runner)
        progress = Progress(scratch, sum(file.size for file in files))
        pipeline = beam.Pipeline(runner=runner, options=options)
        work = job.transform(target) if write else job.choice()
        counts = (pipeline | "Curate windows" >> work).counts
        if job.run.runner == "direct":
            for number, counted in enumerate(counts):
                _ = counted | f"Note progress {number}" >> NoteProgress(scratch)
        begin = time.time()
        with progress.shown(), watched(scratch, lambda pid: _end_after_death(job.output, scratch, pid)):
            result = _run_to_end(pipeline)
        end = time.time()
        noted, first = read_progress(scratch)
    first = progress.first_read if progress.first_read is not None else first if first is not None else begin
    timing = {"startup": first - process_start(), "run": end - first, "total": end - process_start()}
    if not write:
        return Finished(counts=noted, files=(), result=result, timing=timing)
    text = storage.read_bytes(storage.join(job.output, MANIFEST_NAME))
    if text is None:
        raise JobFailedError(f"the pipeline ended, but {job.output} has no manifest: run the same command again")
    manifest = Manifest.from_json(text)
    return Finished(counts=manifest.counts, files=manifest.files, result=result, timing=timing)


def _run_to_end(pipeline: beam.Pipeline) -> Any:
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as err:  # whatever an engine raises: the one place where it becomes a message
        if "KeyboardInterrupt" in str(err):
            raise KeyboardInterrupt from err
        raise JobFailedError(_first_line(err)) from err
    return result


def _first_line(err: Exception) -> str:
    """Return what an engine's error says, without the path of steps that it went through."""
    text = str(err).strip().partition("\n")[0].partition(" [while running")[0]
    return text if isinstance(err, RuntimeError) and ": " in text else f"{type(err).__name__}: {text}"


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


def report(job: WindowsJob, finished: Finished) -> int:
    """Write the summary, print the table and tell the exit code."""
    stages = stages_of(finished.counts, finished.files, times_of(finished.result))
    finish(job.output, summary_json(stages, finished.counts, finished.timing))
    print(render_table(stages))
    for line in render_reasons(stages):
        print(line)
    hint = total_loss(finished.counts, job.options["windows"])
    if hint is not None:
        print(hint)
    n_read = stages[0].n_in
    n_failures = sum(sum(stage.failures.values()) for stage in stages)
    print(
        f"{number_of(stages[1].n_out, 'entries')}, {number_of(stages[2].n_out, 'windows')}, {stages[3].n_out:,} kept, "
        f"{stages[3].seconds:.1f} s in {finished.timing['run']:.2f} s "
        f"(+ {finished.timing['startup']:.2f} s to start): {job.output}"
    )
    if job.run.tolerates(n_failures, n_read):
        return exit_codes.DONE
    where = storage.join(job.output, "failures-*.jsonl")
    print(f"{number_of(n_failures, 'failures')}, more than --tolerate {job.run.tolerate}: see {where}", file=sys.stderr)
    return exit_codes.TOO_MANY_FAILURES
