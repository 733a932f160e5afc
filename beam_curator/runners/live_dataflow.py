"""A live job on Dataflow: checked, shown, and handed over; it goes on until somebody drains it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from beam_curator.files.message_places import is_kafka
from beam_curator.models.live_hearing import LiveModel
from beam_curator.models.model_checks import files_at
from beam_curator.runners.beam_start import start_beam
from beam_curator.runners.exit_codes import DONE, FAILED
from beam_curator.runners.jobs.listening_job import device_of_workers
from beam_curator.runners.live_arguments import LiveRunOptions
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import Engine


def hand_over(
    arguments: argparse.Namespace, output: str, engine: Engine, options: Mapping[str, Any], model: LiveModel
) -> int:
    """Hand a live job to Dataflow, or show it; return the exit code.

    Raises:
      UsageError: a job that Dataflow could not run.
    """
    run: LiveRunOptions = options["run"]
    _check(arguments, run)
    start_beam(for_dataflow=True)
    from beam_curator.runners.engines.dataflow import check_dataflow, job_text
    from beam_curator.runners.engines.opening import find_engine
    from beam_curator.runners.job_run import JobFailedError
    from beam_curator.runners.live_run import leave_to_engine
    from beam_curator.transforms.live.stream_subscription import StreamSubscription

    check_dataflow(engine, [], output, files_at(model.model.model_path))
    streams = StreamSubscription(
        arguments.subscription,
        output,
        rules=options["live"],
        load=on_workers(model, engine).load,
        sinks=options["output"],
    )
    if run.plan:
        print(f"Would hear {arguments.subscription}, and write RTTM, entries and dead letters to {output}")
        print(job_text(engine, streams))
        return DONE
    try:
        leave_to_engine(streams, find_engine(engine), verbose=run.verbose)
    except JobFailedError as err:
        print(f"beam-curator: the job was not handed over: {err}", file=sys.stderr)
        return FAILED
    print(f"The job runs on until it is drained; {output} gets RTTM and an entry of each session at its end.")
    return DONE


def on_workers(model: LiveModel, engine: Engine) -> LiveModel:
    """Return the model as workers load it: on their GPU, or with one thread in a process for each core."""
    threads = model.threads or (0 if engine.accelerator is not None else 1)
    return replace(model, model=device_of_workers(engine, model.model), threads=threads)


def _check(arguments: argparse.Namespace, run: LiveRunOptions) -> None:
    problems = []
    if arguments.folder is not None or arguments.subscription is None or is_kafka(arguments.subscription):
        problems.append("live streams on Dataflow come from Pub/Sub: give --subscription and no FOLDER")
    problems += [
        f"--{name} ends a job on this machine, and one on Dataflow ends when it is drained: leave it out"
        for name, value in (("until-idle", run.until_idle), ("tolerate", run.tolerate))
        if value is not None
    ]
    if problems:
        raise UsageError("; ".join(problems))
