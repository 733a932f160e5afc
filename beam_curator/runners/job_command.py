"""Running a job: from a command line to a complete set and a report on it."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from beam_curator.files import storage
from beam_curator.files.committing import sweep
from beam_curator.runners import exit_codes
from beam_curator.runners.beam_start import start_beam
from beam_curator.runners.complete_sets import is_complete
from beam_curator.runners.cures import cures_of
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.jobs.base import Job, listed
from beam_curator.runners.options import UsageError
from beam_curator.runners.plans import options_text, outline, plan_text
from beam_curator.runners.run_directory import finish, finish_late, locked, prepare, run_of, settle, sweep_scratch
from beam_curator.runners.stages import Stage, number_of
from beam_curator.runners.summary import render_reasons, render_table, summary_json, times_of
from beam_curator.runners.updates import check_update, planned_update, updated
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import MANIFEST_NAME, Manifest

if TYPE_CHECKING:
    from beam_curator.runners.engines.opening import FoundEngine
    from beam_curator.runners.job_run import Finished
    from beam_curator.runners.run_directory import Prepared


def run_job_command(kind: type[Job], arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Run the job that a command line asks for; return the exit code.

    Beam is loaded for a pipeline, or for a path in an object store: to say that there is nothing to do needs none.
    """
    job = kind.of(arguments, beam_arguments, arguments.output)
    if job.run.show_options:
        print(options_text(job.options, job.origins, job.engine))
        return exit_codes.DONE
    check_update(job)
    if job.engine.name == "dataflow":
        start_beam(for_dataflow=True)
        from beam_curator.runners.engines.dataflow import check_dataflow, job_text

        check_dataflow(job.engine, job.inputs, job.output, job.beside())
        if job.run.plan:
            print("\n".join(["Would read, once it runs:", *(f"  {name}" for name in job.inputs), *outline(job)]))
            print(job_text(job.engine, job.transform(job.target())))
            return exit_codes.DONE
    if any("://" in path for path in (*job.inputs, job.output)):
        _found(job)  # its options say how to sign in
    files = listed(job)
    job = job.sized(files)
    if job.run.plan:
        print(_plan(job, files))
        return exit_codes.DONE
    problem = job.problem()
    if problem is not None:
        raise UsageError(problem)
    for line in job.notices():
        print(f"beam-curator: {line}", file=sys.stderr)
    with locked(job.output):
        return _run(job, files)


def _plan(job: Job, files: Sequence[InputFile]) -> str:
    """Return the plan of a job in words; that of an update says how much of the set would be kept."""
    text = plan_text(job, files)
    if not job.run.update or storage.size_of(storage.join(job.output, MANIFEST_NAME)) is None:
        return text
    if is_complete(job.output, job.kind, job.config(), _decisive(job, files), job.run):
        return f"{job.output} is already complete: nothing to do.\n{text}"
    said = planned_update(job, files)
    return text if said is None else f"{said}\n{text}"


def _decisive(job: Job, files: Sequence[InputFile]) -> list[InputFile]:
    """Return the files that decide the rows of a job."""
    return [*files, *(InputFile(name=name, size=0) for name in job.beside())]


def _found(job: Job) -> FoundEngine:
    """Load Beam, and find the engine that a job asks for.

    Raises:
      UsageError: a program that it needs is not there.
    """
    start_beam(for_dataflow=job.engine.name == "dataflow")
    from apache_beam.io.filesystems import FileSystems

    from beam_curator.runners.engines.opening import find_engine

    found = find_engine(job.engine)
    FileSystems.set_options(found.options)
    return found


def _run(job: Job, files: Sequence[InputFile]) -> int:
    """Run a job on a directory that is locked for it, unless its set is there; return the exit code."""
    decisive = _decisive(job, files)
    config = job.config()
    settled = settle(job.output)
    update = job.run.update
    is_done = settled is not None and settled.same_job(replace(run_of(job.kind, config, decisive), updates=update))
    if is_done or (not job.run.overwrite and is_complete(job.output, job.kind, config, decisive, job.run)):
        return _already_complete(job)
    said = updated(job, files) if update else None
    found = _found(job)
    from beam_curator.runners.engines.guard import ServerFailedError
    from beam_curator.runners.job_run import JobFailedError, run_job

    prepared = prepare(job.output, job.kind, config, decisive, overwrite=job.run.overwrite, update=update)
    if prepared.state == "resume":
        print(f"{job.output} holds an unfinished run of this job: going on.", file=sys.stderr)
    if prepared.directory != job.output:
        print(f"{job.output} holds a complete set: it stays until the new one is complete.", file=sys.stderr)
        if update and said is None:
            why = job.why_none_are_kept() or f"{job.output} keeps nothing of what it was made of"
            print(f"{why}: all is done again.", file=sys.stderr)
    try:
        finished = run_job(job, found, files, prepared)
    except (JobFailedError, ServerFailedError) as err:
        return _failed(job, prepared, err)
    if said is not None and finished is not None:
        print(said())
    return report(job, finished, prepared.replaces)


def _failed(job: Job, prepared: Prepared, err: Exception) -> int:
    if job.run.verbose:
        traceback.print_exception(err)
    if _is_committed(job, prepared):
        print(f"beam-curator: the engine failed when the set was complete: {err}", file=sys.stderr)
        # tasks that it had started again may have left files
        manifest = Manifest.from_json(storage.read_bytes(storage.join(job.output, MANIFEST_NAME)) or b"")
        sweep(storage.home_of(job.output), job.kind, {record.name for record in manifest.files})
        return _already_complete(job)
    print(f"beam-curator: the job failed: {err}", file=sys.stderr)
    print(
        "beam-curator: nothing was committed; the same command goes on where this one stopped "
        "(--verbose shows where it happened)",
        file=sys.stderr,
    )
    return exit_codes.FAILED


def _is_committed(job: Job, prepared: Prepared) -> bool:
    """Tell whether a run that failed had committed its set: an engine may lose the worker that did."""
    if prepared.directory == job.output:
        # there was none, or nothing would have run
        return storage.size_of(storage.join(job.output, MANIFEST_NAME)) is not None
    settled = settle(job.output)
    return settled is not None and settled.token == prepared.token


def _already_complete(job: Job) -> int:
    """Say that a set is complete, finish the cleanup of a run that was killed after its commit; return the exit code.

    The set's failures decide it, as they did when the set was made.
    """
    output = job.output
    manifest = Manifest.from_json(storage.read_bytes(storage.join(output, MANIFEST_NAME)) or b"")
    counts = Counter(manifest.counts)
    stages = job.stages(counts, len(manifest.files), {})
    finish_late(output, lambda replaces: summary_json(stages, counts, {}, job.recorded(), job.hint(counts), replaces))
    if not storage.is_remote(output):
        sweep_scratch(output)
    print(f"{output} is already complete: nothing to do.")
    if manifest.n_failures:
        print(f"To try again what failed: beam-curator retry {output}")
    return judged(job.run, job.output, stages)


def report(job: Job, finished: Finished | None, replaces: str = "") -> int:
    """Write the summary, print the table and tell the exit code; None stands for a job that goes on elsewhere."""
    if finished is None:
        later = f"{job.output} is complete when it holds {MANIFEST_NAME}"
        print(
            f"The job runs on; {f'the set in {job.output} stays until the new one is complete' if replaces else later}."
        )
        return exit_codes.DONE
    stages = job.stages(finished.counts, len(finished.files), times_of(finished.metrics))
    hint = job.hint(finished.counts)
    finish(job.output, summary_json(stages, finished.counts, finished.timing, job.recorded(), hint, replaces))
    print(render_table(stages))
    names = [file.name for file in finished.files]
    following = job.next_step(names)
    for line in [*render_reasons(stages), *cures_of(job.output, names)]:
        print(line)
    if hint is not None:
        print(hint)
    if following is not None:
        print(f"Next: {following}")
    print(
        f"{job.result(stages)} in {finished.timing['run']:.2f} s "
        f"(+ {finished.timing['startup']:.2f} s to start) on {job.engine.beam_class}: {job.output}"
    )
    return judged(job.run, job.output, stages)


def judged(run: RunOptions, output: str, stages: Sequence[Stage]) -> int:
    """Check the failures, by kind such as rows or clips, against `--tolerate`; return the exit code."""
    failures: dict[str, tuple[int, int]] = {}
    for stage in stages:
        n_failed, n = failures.get(stage.what_in, (0, stage.n_in))
        failures[stage.what_in] = n_failed + sum(stage.failures.values()), n
    if run.tolerates(list(failures.values())):
        return exit_codes.DONE
    n_failures = sum(n_failed for n_failed, _ in failures.values())
    where = storage.join(output, "failures-*.jsonl")
    print(f"{number_of(n_failures, 'failures')}, more than --tolerate {run.tolerate}: see {where}", file=sys.stderr)
    return exit_codes.TOO_MANY_FAILURES
