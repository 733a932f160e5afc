"""The options of live streams: their order and their ends, the room for them, and their events."""

from __future__ import annotations

import math
from dataclasses import dataclass

from beam_curator.diarization.diarize_rules import ModelOptions, StreamingOptions
from beam_curator.model_records import DEMO_MODEL
from beam_curator.rules import number_problems, option, option_problems, raise_problems, same_option

OWN, PYANNOTE = SHAPES = ("own", "pyannote")
"""Shapes of events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveModelOptions(ModelOptions):
    """The model that listens to live streams, and the backend and device that run it."""

    model_name: str = same_option(
        ModelOptions,
        "model_name",
        default=DEMO_MODEL,
        help_text="streaming Sortformer on the hub, as NAME or NAME@REVISION, or demo, a small model for a first try",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStreamingOptions(StreamingOptions):
    """How a streaming model walks through a live stream, in frames of 80 ms; a value not given is the preset's."""

    latency: str = same_option(StreamingOptions, "latency", default="medium")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSinks:
    """The shape of events, and where events and dead letters go besides the directory."""

    events: str = option(
        OWN, "shape of events: own, or pyannote: turns as pyannoteAI's socket tells them", choices=SHAPES
    )
    events_topic: str | None = option(
        None, "topic that gets the events, too: projects/PROJECT/topics/NAME (gcp), or kafka://HOST:PORT/TOPIC (kafka)"
    )
    failures_topic: str | None = option(None, "topic that gets the dead letters, too, named likewise")

    def __post_init__(self) -> None:
        raise_problems("output", option_problems(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRules:
    """How chunks become sessions, and how many of these are heard at once."""

    max_early: int = option(64, "chunks that one may be ahead of the next that is expected")
    gap_timeout: float = option(5.0, "seconds to wait for a missing chunk before silence stands for it")
    idle_timeout: float = option(60.0, "seconds without a chunk after which a session is closed")
    max_chunk_seconds: float = option(60.0, "longest chunk, in seconds")
    shards: int = option(1, "groups of streams that are heard independently of each other")
    streams_per_shard: int = option(32, "sessions that a shard has room for at once")
    max_streams: int = option(
        0, "sessions at once in all, each shard has its share; one more is refused; 0: as many as there is room for"
    )
    batch: int = option(1, "streams that the model hears at once; with 1, the bytes do not depend on who else talks")
    progress_every: float = option(5.0, "seconds of a stream from one progress event to the next; 0: none")
    dead_air_gate: bool = option(True, "leave out turns where nothing moves: digital silence, or a constant (DC)")

    def __post_init__(self) -> None:
        limits = {
            "max_early": (0, 10_000),
            "gap_timeout": (0, math.inf),
            "idle_timeout": (0.1, math.inf),
            "max_chunk_seconds": (0.01, 3600),
            "shards": (1, 4096),
            "streams_per_shard": (1, 256),
            "max_streams": (0, 4096 * 256),
            "batch": (1, 256),
            "progress_every": (0, math.inf),
        }
        problems = [*number_problems(self, limits), *option_problems(self)]
        if not problems and self.max_streams > self.shards * self.streams_per_shard:
            problems.append(
                f"max_streams {self.max_streams:,} exceeds the room of {self.streams_per_shard:,} in each shard: raise "
                "streams_per_shard or shards"
            )
        raise_problems("live", problems)

    @property
    def room(self) -> int:
        """Sessions that a shard takes at once.

        Example:
          >>> LiveRules().room, LiveRules(max_streams=10).room, LiveRules(max_streams=10, shards=4).room
          (32, 10, 3)
        """
        return -(-self.max_streams // self.shards) if self.max_streams else self.streams_per_shard
