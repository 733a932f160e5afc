"""`beam-curator stream`: who speaks when in live streams."""

import argparse
import glob
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from beam_curator.diarization.diarize_rules import ModelOptions
from beam_curator.files.live_output import ENTRIES, FAILURES, ask_to_stop, prepare_live_output
from beam_curator.files.message_places import PLACE_ERRORS, check_to_read, check_to_write
from beam_curator.live.lag import LAG, lag_said
from beam_curator.live.live_options import LiveSinks
from beam_curator.model_records import DEMO_MODEL
from beam_curator.models.live_hearing import LiveModel
from beam_curator.models.live_sizing import measure_steps
from beam_curator.models.model_checks import notices_of, turn_preset_of
from beam_curator.runners.beam_start import start_beam
from beam_curator.runners.exit_codes import DONE, TOO_MANY_FAILURES
from beam_curator.runners.live_arguments import STREAM_OUTPUT, STREAM_SECTIONS
from beam_curator.runners.options import UsageError, given_options, read_config, resolve
from beam_curator.runners.stages import number_of

_STOP_NAME = ".stop"
_IDLE_FOLDER_SECONDS = 5.0
_SHARE_OF_MODEL = 0.8
"""Of the time; `make bench-stream` measures it."""

_REFUSED = {
    "prism": "lost updates of state in 5 of 20 trials in real time",
    "flink": "is not wired for live streams yet",
    "dataflow": "is not wired for live streams yet",
}


def run_stream_command(arguments: argparse.Namespace) -> int:
    """Hear streams until no more chunks come; return the exit code.

    Raises:
      UsageError: options that cannot hold, or a folder or subscription that is not there.
    """
    options = _options(arguments)
    output = arguments.output or STREAM_OUTPUT
    model = _model_of(options)
    _check_runner_and_model(options, model)
    for notice in _notices(options["model"]):
        print(f"beam-curator: {notice}", file=sys.stderr)
    if options["run"].plan:
        return _planned(options, model)
    _check_source(arguments.folder, arguments.subscription)
    _check_topics(options["output"])
    _prepare(output, overwrite=options["run"].overwrite)
    stop = os.path.join(output, _STOP_NAME)
    try:
        with stopped_by_interrupt(stop):
            lags = _run(arguments.folder or "", arguments.subscription or "", output, stop, options, model)
    finally:
        with suppress(FileNotFoundError):
            os.remove(stop)
    if lags:
        print(f"beam-curator: {lag_said(lags)}", file=sys.stderr)
    return _reported(output, options["run"].tolerate)


def _notices(model: ModelOptions) -> list[str]:
    if model.model_path or model.model_name != DEMO_MODEL:
        return notices_of(model, look_up=True)
    return [
        f"warning: model {DEMO_MODEL} is for demonstration and tests only: for real speech take a streaming Sortformer "
        "of 'beam-curator models', with --model-name"
    ]


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    config = read_config(arguments.config) if arguments.config else {}
    flags = {name: value for name, value in vars(arguments).items() if "." in name}
    return resolve(STREAM_SECTIONS, given_options(STREAM_SECTIONS, config, arguments.settings, flags))


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
    if subscription is not None:
        try:
            check_to_read(subscription)
        except PLACE_ERRORS as err:
            raise UsageError(str(err)) from err


def _check_topics(sinks: LiveSinks) -> None:
    for topic in (sinks.events_topic, sinks.failures_topic):
        if topic is not None:
            try:
                check_to_write(topic)
            except PLACE_ERRORS as err:
                raise UsageError(str(err)) from err


def _check_runner_and_model(options: dict[str, Any], model: LiveModel) -> None:
    runner = options["run"].runner
    if runner != "direct":
        why = _REFUSED.get(runner, "is not known to keep the state of streams")
        raise UsageError(f"runner {runner} {why}: leave --runner out")
    try:
        model.check()
    except ValueError as err:
        raise UsageError(str(err)) from err


def _prepare(output: str, *, overwrite: bool) -> None:
    if "://" in output:
        raise UsageError(f"--output {output} is in an object store, and events are appended: name a local directory")
    try:
        prepare_live_output(output, overwrite=overwrite)
    except FileExistsError as err:
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
    folder: str, subscription: str, output: str, stop: str, options: dict[str, Any], model: LiveModel
) -> dict[int, int]:
    """Run the job; return the numbers of chunks by the steps of their lags."""
    start_beam()
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_curator.runners.engines.local_workers import direct_runner
    from beam_curator.transforms.live.message_source import MessageSource
    from beam_curator.transforms.live.stream_messages import StreamMessages

    until_idle = options["run"].until_idle
    if until_idle is None:
        until_idle = _IDLE_FOLDER_SECONDS if folder else 0.0
    source = MessageSource(folder, subscription, until_idle, stop)
    pipeline = beam.Pipeline(runner=direct_runner(1, output), options=PipelineOptions(["--streaming"]))
    _ = pipeline | "Stream" >> StreamMessages(
        source,
        output,
        rules=options["live"],
        load=model.load,
        tolerate=options["run"].tolerate,
        sinks=options["output"],
    )
    result = pipeline.run()
    result.wait_until_finish()
    counters = {counter.key.metric.name: counter.result for counter in result.metrics().query()["counters"]}
    return {int(name.removeprefix(LAG)): n for name, n in counters.items() if name.startswith(LAG)}


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
