"""`beam-curator windows`: from a command line to a complete set, and what is said about it."""

import argparse
import sys
import traceback

from apache_beam.io.filesystems import FileSystems

from beam_curator.output_set import MANIFEST_NAME, RUN_NAME, SUMMARY_NAME, Manifest
from beam_curator.runners import exit_codes
from beam_curator.runners.engines.guard import ServerFailedError
from beam_curator.runners.engines.opening import find_engine
from beam_curator.runners.job import WindowsJob, job_of, listed
from beam_curator.runners.job_run import Finished, JobFailedError, run_job, sweep_scratch
from beam_curator.runners.plans import options_text, outline, plan_text
from beam_curator.runners.run_directory import finish, locked, prepare
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
from beam_curator.transforms.curate import COMMAND


def run_windows_command(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Run `beam-curator windows`; return its exit code."""
    job = job_of(arguments, beam_arguments, arguments.output)
    if job.run.show_options:
        print(options_text(job))
        return exit_codes.DONE
    if job.engine.name == "dataflow":
        from beam_curator.runners.engines.dataflow import check_dataflow, job_text

        check_dataflow(job.engine, job.inputs, job.output)
        if job.run.plan:
            print("\n".join(["Would read, once it runs:", *(f"  {name}" for name in job.inputs), *outline(job)]))
            print(job_text(job.engine, job.transform(job.target())))
            return exit_codes.DONE
    found = find_engine(job.engine)
    FileSystems.set_options(found.options)
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
            finished = run_job(job, found, files, prepared)
        except (JobFailedError, ServerFailedError) as err:
            return _failed(job, err)
        return report(job, finished)


def _failed(job: WindowsJob, err: Exception) -> int:
    if job.run.verbose:
        traceback.print_exception(err)
    print(f"beam-curator: the job failed: {err}", file=sys.stderr)
    print(
        "beam-curator: nothing was committed; the same command goes on where this one stopped "
        "(--verbose shows where it happened)",
        file=sys.stderr,
    )
    return exit_codes.FAILED


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


def report(job: WindowsJob, finished: Finished | None) -> int:
    """Write the summary, print the table and tell the exit code; None stands for a job that goes on elsewhere."""
    if finished is None:
        print(f"The job runs on; {job.output} is complete when it holds {MANIFEST_NAME}.")
        return exit_codes.DONE
    stages = stages_of(finished.counts, finished.files, times_of(finished.metrics))
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
        f"(+ {finished.timing['startup']:.2f} s to start) on {job.engine.beam_class}: {job.output}"
    )
    if job.run.tolerates(n_failures, n_read):
        return exit_codes.DONE
    where = storage.join(job.output, "failures-*.jsonl")
    print(f"{number_of(n_failures, 'failures')}, more than --tolerate {job.run.tolerate}: see {where}", file=sys.stderr)
    return exit_codes.TOO_MANY_FAILURES
