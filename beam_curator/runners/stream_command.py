"""`beam-curator stream`: who speaks when in live streams."""

from __future__ import annotations

import argparse
import glob
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beam_curator.diarization.diarize_rules import ModelOptions
from beam_curator.files.live_output import ENTRIES, FAILURES, ask_to_stop, prepare_live_output
from beam_curator.files.message_places import PLACE_ERRORS, check_to_read, check_to_write, is_kafka
from beam_curator.live.lag import lag_said
from beam_curator.live.live_options import LiveSinks
from beam_curator.model_records import DEMO_MODEL
from beam_curator.models.live_hearing import LiveModel
from beam_curator.models.live_sizing import measure_steps
from beam_curator.models.model_checks import notices_of, turn_preset_of
from beam_curator.runners.beam_start import start_beam
from beam_curator.runners.engines.guard import ServerFailedError
from beam_curator.runners.exit_codes import DONE, FAILED, TOO_MANY_FAILURES
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.live_arguments import STREAM_OUTPUT, STREAM_SECTIONS, LiveRunOptions
from beam_curator.runners.live_dataflow import hand_over
from beam_curator.runners.live_resume import LiveRun, decisive_of, run_in, settled_run
from beam_curator.runners.options import Given, UsageError, given_options, origins, read_config, resolve
from beam_curator.runners.plans import options_text
from beam_curator.runners.presets import STREAM, Engine, resolve_engine
from beam_curator.runners.stages import number_of

if TYPE_CHECKING:
    from beam_curator.runners.live_run import LiveEnd

_STOP_NAME, _DONE_NAME = ".stop", ".done"
_IDLE_FOLDER_SECONDS = 5.0
_SHARE_OF_MODEL = 0.8
"""Of the time; `make bench-stream` measures it."""

_ENGINES = ("direct", "flink", "dataflow")
_REFUSED = {"prism": "lost updates of state in 6 of 20 trials in real time"}


def run_stream_command(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Hear streams until no more chunks come; return the exit code.

    Raises:
      UsageError: options that cannot hold, or a folder or subscription that is not there.
    """
    given = _given(arguments)
    options = resolve(STREAM_SECTIONS, given)
    output = arguments.output or STREAM_OUTPUT
    engine = _engine_of(options["run"], arguments.subscription or "", beam_arguments)
    if options["run"].show_options:
        print(options_text(options, origins(STREAM_SECTIONS, given), engine))
        return DONE
    model = _model_of(options)
    is_elsewhere = engine.name == "dataflow"
    _check_model(model, is_elsewhere=is_elsewhere)
    for notice in _notices(options["model"]):
        print(f"beam-curator: {notice}", file=sys.stderr)
    if is_elsewhere:
        return hand_over(arguments, output, engine, options, model)
    if options["run"].plan:
        return _planned(options, model)
    _check_source(arguments.folder, arguments.subscription)
    _check_topics(options["output"])
    return _heard(arguments, output, engine, options, model)


def _heard(
    arguments: argparse.Namespace, output: str, engine: Engine, options: dict[str, Any], model: LiveModel
) -> int:
    """Run the job in its output, and report on it; return the exit code."""
    run = _begun(arguments, output, engine, options)
    start_beam()
    from beam_curator.runners.job_run import JobFailedError

    try:
        end = _run(arguments, output, engine, run, options, model)
    except (JobFailedError, ServerFailedError) as err:
        return _failed(engine, err)
    if end.lags:
        print(f"beam-curator: {lag_said(end.lags)}", file=sys.stderr)
    if not end.is_done:
        print("beam-curator: the job was stopped on its cluster; the same command goes on with it", file=sys.stderr)
    return _reported(output, options["run"].tolerate)


def _begun(arguments: argparse.Namespace, output: str, engine: Engine, options: dict[str, Any]) -> LiveRun:
    """Make the output ready for a run: a new one, or one that goes on.

    Raises:
      UsageError: it holds another job's, or one of other options.
    """
    if "://" in output:
        raise UsageError(f"--output {output} is in an object store, and events are appended: name a local directory")
    overwrite = options["run"].overwrite
    decisive = decisive_of(arguments.subscription or os.path.abspath(arguments.folder), options)
    run = settled_run(output, engine, decisive, overwrite=overwrite)
    if run.checkpoint:
        print(f"{output} holds an unfinished job: going on from {run.checkpoint}", file=sys.stderr)
        os.makedirs(output, exist_ok=True)
        return run
    try:
        prepare_live_output(output, overwrite=overwrite or run_in(output) is not None)
    except FileExistsError as err:
        raise UsageError(str(err)) from err
    return run


def _notices(model: ModelOptions) -> list[str]:
    if model.model_path or model.model_name != DEMO_MODEL:
        return notices_of(model, look_up=True)
    return [
        f"warning: model {DEMO_MODEL} is for demonstration and tests only: for real speech take a streaming Sortformer "
        "of 'beam-curator models', with --model-name"
    ]


def _given(arguments: argparse.Namespace) -> Given:
    config = read_config(arguments.config) if arguments.config else {}
    flags = {name: value for name, value in vars(arguments).items() if "." in name}
    return given_options(STREAM_SECTIONS, config, arguments.settings, flags)


def _model_of(options: dict[str, Any]) -> LiveModel:
    return LiveModel(
        model=options["model"],
        walk=options["streaming"].parameters(),
        turns=options["turns"].rules(turn_preset_of(options["model"])),
        dead_air_gate=options["live"].dead_air_gate,
        threads=options["run"].threads,
    )


def _check_source(folder: str | None, subscription: str | None) -> None:
    if (folder is None) == (subscription is None):
        raise UsageError("give a FOLDER of chunks, or --subscription, and not both")
    if folder is not None and not os.path.isdir(folder):
        raise UsageError(f"{folder} is no folder: give the one that 'beam-curator publish --to' fills")
    _check_place(check_to_read, subscription)


def _check_topics(sinks: LiveSinks) -> None:
    for topic in (sinks.events_topic, sinks.failures_topic):
        _check_place(check_to_write, topic)


def _check_place(check: Callable[[str], None], place: str | None) -> None:
    """Check a subscription or a topic, where one is given.

    Raises:
      UsageError: it cannot be used.
    """
    if place is None:
        return
    try:
        check(place)
    except PLACE_ERRORS as err:
        raise UsageError(str(err)) from err


def _engine_of(run: LiveRunOptions, subscription: str, beam_arguments: list[str]) -> Engine:
    """Return the engine of a job.

    Raises:
      UsageError: it is none for live streams, or for Kafka, or its options cannot hold.
    """
    if run.runner not in _ENGINES:
        why = _REFUSED.get(run.runner, "is not known to keep the state of streams")
        raise UsageError(f"runner {run.runner} {why}: give one of {', '.join(_ENGINES)}")
    if run.runner != "direct" and is_kafka(subscription):
        raise UsageError(
            f"{subscription} on {run.runner}: Kafka is read on the direct runner alone, as a job that goes on after a "
            "crash would miss messages: leave --runner out"
        )
    return resolve_engine(RunOptions(runner=run.runner, jobs=run.jobs, gpu=run.gpu), beam_arguments, STREAM)


def _check_model(model: LiveModel, *, is_elsewhere: bool) -> None:
    if is_elsewhere:
        # workers have devices of their own
        model = replace(model, model=replace(model.model, device="auto"))
        if "://" in model.model.model_path:
            return
    try:
        model.check()
    except ValueError as err:
        raise UsageError(str(err)) from err


def _planned(options: dict[str, Any], model: LiveModel) -> int:
    """Print how many streams fit on this machine."""
    measured = measure_steps(model.load().engine, n_at_once=options["live"].batch)
    step = measured.seconds / measured.n_steps
    print(f"latency {model.walk.latency:.2f} s: a step of {number_of(options['live'].batch, 'streams')} takes "
          f"{step * 1000:,.1f} ms for {measured.sound / measured.n_steps:.2f} s of sound")  # fmt: skip
    print(f"about {int(measured.n_streams * _SHARE_OF_MODEL):,} streams in real time on this machine "
          f"({measured.n_streams:,} for the model alone), if it has nothing else to do")  # fmt: skip
    print("--max-streams refuses more")
    return DONE


@contextmanager
def stopped_by_interrupt(stop: str) -> Iterator[None]:
    """Let the first Ctrl-C end the source, so that sessions are closed; the second one ends the command."""

    def ask(number: int, frame: object) -> None:
        del number, frame
        signal.signal(signal.SIGINT, before)
        print("\nbeam-curator: closing the sessions; Ctrl-C again to leave them", file=sys.stderr)
        ask_to_stop(stop)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run(
    arguments: argparse.Namespace,
    output: str,
    engine: Engine,
    run: LiveRun,
    options: dict[str, Any],
    model: LiveModel,
) -> LiveEnd:
    """Run the job to its end."""
    from beam_curator.runners.engines.opening import find_engine
    from beam_curator.runners.live_run import run_live
    from beam_curator.transforms.live.message_source import MessageSource
    from beam_curator.transforms.live.stream_messages import StreamMessages

    output, until_idle = os.path.abspath(output), options["run"].until_idle
    if until_idle is None:
        until_idle = _IDLE_FOLDER_SECONDS if arguments.folder else 0.0
    folder = os.path.abspath(arguments.folder) if arguments.folder else ""
    stop, done = (os.path.join(output, name) for name in (_STOP_NAME, _DONE_NAME))
    source = MessageSource(folder, arguments.subscription or "", until_idle, stop, done, follows=run.follows)
    streams = StreamMessages(
        source,
        output,
        rules=options["live"],
        load=model.load,
        tolerate=options["run"].tolerate,
        sinks=options["output"],
    )
    is_kept = engine.name == "flink"
    found = find_engine(run.placed(engine) if is_kept else engine)
    if is_kept:
        run.write(output)
    with stopped_by_interrupt(stop), _removed(stop, done):
        end = run_live(streams, found, run.token, done, verbose=options["run"].verbose)
    if is_kept and end.is_done:
        run.finish(output, engine)
    return end


@contextmanager
def _removed(*signs: str) -> Iterator[None]:
    """Remove signs to and from the source, also those that a command left which was killed."""
    try:
        for sign in signs:
            Path(sign).unlink(missing_ok=True)
        yield
    finally:
        for sign in signs:
            Path(sign).unlink(missing_ok=True)


def _failed(engine: Engine, err: Exception) -> int:
    print(f"beam-curator: the job failed: {err}", file=sys.stderr)
    if engine.name == "flink":
        print("beam-curator: the same command goes on from its latest checkpoint", file=sys.stderr)
    return FAILED


def _reported(output: str, tolerate: int | None) -> int:
    """Print a summary of the sessions; return the exit code."""
    entries = []
    for path in glob.glob(os.path.join(glob.escape(output), ENTRIES, "*.jsonl")):
        with open(path, "rb") as file:
            entries.append(json.loads(file.read()))
    reasons = Counter(entry["closed"] for entry in entries)
    codes: Counter[str] = Counter()
    with suppress(FileNotFoundError), open(os.path.join(output, FAILURES), "rb") as file:
        codes.update(json.loads(line)["code"] for line in file)
    ends = ", ".join(f"{n:,} {reason}" for reason, n in sorted(reasons.items()))
    seconds = sum(entry["duration"] for entry in entries)
    n_turns = sum(len(entry["segments"]) for entry in entries)
    print(f"{output}: {number_of(len(entries), 'sessions')} ({ends or 'none'}), {seconds:,.1f} s, "
          f"{number_of(n_turns, 'turns')}")  # fmt: skip
    if codes:
        print(f"failures: {', '.join(f'{n:,} {code}' for code, n in sorted(codes.items()))}: {FAILURES}")
    if tolerate is not None and codes.total() > tolerate:
        said = f"{number_of(codes.total(), 'failures')}, more than --tolerate {tolerate}: the job was ended"
        print(f"beam-curator: {said}", file=sys.stderr)
    return DONE if codes.total() <= (tolerate or 0) else TOO_MANY_FAILURES
