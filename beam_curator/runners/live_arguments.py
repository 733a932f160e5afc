"""The command lines of live streams; light, since their help needs nothing else."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

from beam_curator.diarization.diarize_rules import InferenceOptions, TurnOptions
from beam_curator.live.live_options import LiveModelOptions, LiveRules, LiveSinks, LiveStreamingOptions
from beam_curator.live.messages import CODECS
from beam_curator.rules import number_problems, option, option_problems, raise_problems, same_option
from beam_curator.runners.job_options import AUTO, RunOptions, problems_of_jobs
from beam_curator.runners.options import Sections


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRunOptions:
    """How the job runs; none of it decides the turns."""

    runner: str = same_option(
        RunOptions,
        "runner",
        help_text="where to run the job: direct, or flink and dataflow, which survive crashes",
    )
    jobs: str = same_option(RunOptions, "jobs", help_text="number of worker processes on flink; auto: one")
    gpu: str | None = same_option(RunOptions, "gpu")
    threads: int = same_option(InferenceOptions, "threads")
    until_idle: float | None = option(
        None,
        "seconds without a chunk after which the job ends; 0: never (default: 5 of a folder, never of a subscription)",
    )
    tolerate: int | None = option(
        None, "failures to accept as success; with more the job ends (default: it goes on, and none are a success)"
    )
    plan: bool = same_option(
        RunOptions,
        "plan",
        help_text="measure how many streams the model hears at once (dataflow: print the job), then stop",
    )
    show_options: bool = same_option(RunOptions, "show_options")
    overwrite: bool = same_option(RunOptions, "overwrite", help_text="replace what an earlier job left in the output")
    verbose: bool = same_option(RunOptions, "verbose")

    def __post_init__(self) -> None:
        limits = {"threads": (0.0, 1024.0), "until_idle": (0.0, math.inf), "tolerate": (0.0, math.inf)}
        given = {name: bounds for name, bounds in limits.items() if getattr(self, name) is not None}
        problems = [*number_problems(self, given), *problems_of_jobs(self.jobs)]
        if self.runner == "direct" and self.jobs not in (AUTO, "1"):
            problems.append(f"jobs {self.jobs}: runner direct hears streams in one process: give --runner flink")
        raise_problems("run", [*problems, *option_problems(self)])


STREAM_SECTIONS: Sections = {
    "model": LiveModelOptions,
    "streaming": LiveStreamingOptions,
    "turns": TurnOptions,
    "live": LiveRules,
    "output": LiveSinks,
    "run": LiveRunOptions,
}
"""Option classes of `stream` by section, as in `--config` and `--set`."""

STREAM_OUTPUT = "./stream_output"


def add_stream_source(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the messages of `stream` come from."""
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="folder of chunks, as 'beam-curator publish --to' fills it"
    )
    parser.add_argument(
        "--subscription",
        metavar="NAME",
        help="Pub/Sub instead, as projects/PROJECT/subscriptions/NAME (gcp), or Kafka, as kafka://HOST:PORT/TOPIC",
    )


def add_publish_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `publish`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="recording to send as a stream")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", metavar="DIR", help="folder for the chunks")
    where.add_argument(
        "--topic",
        metavar="NAME",
        help="Pub/Sub instead, as projects/PROJECT/topics/NAME (gcp), or Kafka, as kafka://HOST:PORT/TOPIC",
    )
    parser.add_argument("--real-time", action="store_true", help="send each chunk when it would have been spoken")
    parser.add_argument("--speed", type=float, metavar="X", help="times real time to send at (default: 1 in real time)")
    parser.add_argument(
        "--chunk-seconds", type=float, default=0.5, metavar="SECONDS", help="length of a chunk (default: 0.5)"
    )
    parser.add_argument("--codec", choices=CODECS, default=CODECS[0], help=f"of the chunks (default: {CODECS[0]})")
    parser.add_argument("--stream-id", metavar="ID", help="name of the stream (default: that of the file)")
    parser.add_argument("--session", default="", metavar="ID", help="session of the stream (default: none)")
    parser.add_argument(
        "--streams", type=int, default=1, metavar="N", help="send each file as N streams, NAME-1 … NAME-N (default: 1)"
    )


def add_listen_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `listen`."""
    parser.add_argument("directory", metavar="DIR", help="output of beam-curator stream")
    parser.add_argument(
        "--until-idle",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="seconds without an event after which it ends; 0: never (default: 10)",
    )
